"""Bounds of scores against the scores themselves; skipping by them against solving everything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from lazsl import screening
from lazsl.alignment import PackedAttributes, plans_for, select_regions, top_classes
from lazsl.batches import Matching, batches
from lazsl.eightbit import code_rows
from lazsl.screening import class_bounds
from lazsl.transport import Workspace


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On a busy machine two threads wait for each other longer than these tests take."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=[True, False], ids=["eight bits", "floats"])
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening, "_FEW", 0)
    monkeypatch.setattr(screening, "eight_bits_pay", lambda: request.param)


def world(seed: int, spread: float, dimension: int) -> tuple[Tensor, Tensor, PackedAttributes]:
    """Regions (4, 15, D), whole images and 60 classes of 1 to 11 attributes; two are twins."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(dimension, generator=generator)

    def unit(*shape: int) -> Tensor:
        noise = torch.randn(*shape, dimension, generator=generator)
        return normalize((1 - spread) * common + spread * noise, dim=-1)

    sizes = torch.randint(1, 12, (58,), generator=generator).tolist()
    twin = unit(3)
    packed = PackedAttributes.from_classes(
        torch.cat([twin, unit(sum(sizes)), twin]), [3, *sizes, 3]
    )
    return unit(4, 15), unit(4), packed


CASES = [
    (0.5, 64, {}, 0.0),
    (0.3, 256, {}, 0.0),
    (1.0, 4, {}, 0.0),  # similarities from -1 to 1
    (0.02, 64, {}, 0.0),  # similarities near 1: the paper's rule stops at once
    (0.0, 16, {}, 0.0),  # everything alike
    (0.6, 32, {"theta": 0.0}, 0.0),
    (0.6, 32, {"theta": 1.0, "epsilon": 0.3}, 0.0),
    (0.6, 32, {"epsilon": 10.0}, -2.0),  # every region kept
    (0.6, 32, {"epsilon": 0.02}, 2.0),  # one region kept
    (0.6, 32, {"epsilon": 0.001}, 0.0),
    (0.6, 32, {"rule": "converged", "epsilon": 0.2}, 0.0),
    (0.6, 32, {"max_iterations": 1}, 0.0),
    (0.6, 32, {"max_iterations": 2, "epsilon": 0.05}, 0.0),
    (0.6, 32, {"tolerance": 10.0}, 0.0),  # stops far from its marginals
]


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("spread, dimension, settings, gamma", CASES)
def test_no_score_leaves_its_bounds_and_skipping_changes_no_bit(
    spread, dimension, settings, gamma
) -> None:
    """14 x 2 x 3 x 240 problems, each solved."""
    for seed in range(3):
        regions, whole, packed = world(seed, spread, dimension)
        keep = select_regions(regions, whole, gamma)
        every = torch.arange(60).expand(4, 60)
        scores = plans_for(regions, whole, keep, packed, every, **settings).scores
        matching = Matching(**settings)
        for batch in batches(regions, whole, keep, None, packed, matching, 1):
            bounds = class_bounds(batch, packed, matching, Workspace())
            assert (bounds.upper >= scores[batch.images]).all()
            assert (bounds.lower <= scores[batch.images]).all()
        best, order = scores.sort(dim=1, descending=True, stable=True)
        for k in (1, 5):
            top = top_classes(regions, whole, keep, packed, k=k, **settings)
            assert torch.equal(top.classes, order[:, :k])
            assert torch.equal(top.scores, best[:, :k])


@pytest.mark.usefixtures("arithmetic")
def test_at_the_published_setting_the_bounds_are_tight_enough_to_skip_most_classes() -> None:
    regions, whole, packed = world(7, 0.5, 512)
    keep = select_regions(regions, whole)
    matching = Matching()
    for batch in batches(regions, whole, keep, None, packed, matching, 1):
        bounds = class_bounds(batch, packed, matching, Workspace())
        assert float((bounds.upper - bounds.lower).mean()) < 0.03


def test_the_norms_of_coded_rows_bound_the_true_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    for scale in (1e-6, 0.1, 1.0):
        rows = scale * torch.randn(5, 20, 64, generator=generator)
        rows[0] = 0
        coded = code_rows(rows)
        rest = rows - coded.codes * coded.scale[:, :, None]
        assert (coded.row[:, 0] >= rows.norm(dim=2).amax(1)).all()
        assert (coded.rest[:, 0] >= 0.999 * rest.norm(dim=2).amax(1)).all()
        assert (coded.all_rows[:, 0] >= torch.linalg.matrix_norm(rows, 2)).all()
        assert (coded.all_rest[:, 0] >= 0.999 * torch.linalg.matrix_norm(rest, 2)).all()
        assert (coded.all_rows[1:, 0] < 1.5 * torch.linalg.matrix_norm(rows[1:], 2)).all()


def test_a_score_is_the_same_to_the_last_bit_whatever_is_scored_beside_it() -> None:
    regions, whole, packed = world(3, 0.5, 128)
    keep = select_regions(regions, whole)
    together = top_classes(regions, whole, keep, packed, k=5)
    for image in range(4):
        own = slice(image, image + 1)
        for memory in (2**10, 2**22):
            alone = top_classes(
                regions[own], whole[own], keep[own], packed, k=5, memory_bytes=memory
            )
            assert torch.equal(alone.classes, together.classes[own])
            assert torch.equal(alone.scores, together.scores[own])
