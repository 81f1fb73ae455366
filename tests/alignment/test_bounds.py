"""Bounds of scores against the scores themselves; skipping by them against solving everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from lazsl.alignment import int8
from lazsl.alignment import score_bounds as screening
from lazsl.alignment.align import select_regions, top_classes
from lazsl.alignment.attributes import PackedAttributes
from lazsl.alignment.image_batches import batches
from lazsl.alignment.int8 import code_attributes, code_rows
from lazsl.alignment.matching import Matching
from lazsl.alignment.plans import plans_for
from lazsl.alignment.score_bounds import class_bounds
from lazsl.alignment.transport import Workspace

pytestmark = pytest.mark.usefixtures("one_thread")


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
    """14 x 2 x 2 x 240 problems, each solved."""
    for seed in range(2):
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


def test_the_norms_of_coded_attributes_are_those_of_what_the_codes_tell_and_of_the_rest() -> None:
    generator = torch.Generator().manual_seed(1)
    for scale in (1e-3, 0.2):
        values = scale * torch.randn(5, 7, 64, generator=generator)
        coded = code_attributes(values)
        decoded = coded.codes.view(5, 7, 64).double() * coded.scale[:, None]
        assert ((decoded - values).abs().amax((0, 2)) <= 0.51 * coded.scale).all()
        for part, norms in (
            (decoded, (coded.decoded_mean, coded.decoded_one, coded.decoded_all)),
            (values - decoded, (coded.rest_mean, coded.rest_one, coded.rest_all)),
        ):
            deviations = part - part.mean(0)
            true = (
                part.mean(0).norm(dim=1),
                deviations.norm(dim=2).amax(0),
                deviations.norm(dim=(0, 2)),
            )
            for norm, least in zip(norms, true, strict=True):
                assert ((norm >= least) & (norm <= 1.001 * least)).all()


@pytest.mark.parametrize(
    "floats, integers, pays", [(3.0, 1.0, True), (1.4, 1.0, False), (1.0, 3.0, False)]
)
def test_eight_bits_are_taken_where_they_are_half_as_fast_again(
    floats: float, integers: float, pays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "_fastest", lambda *ways: [floats, integers])
    assert int8.eight_bits_pay.__wrapped__() is pays


def true_extents(rows: Tensor, mean: Tensor, packed: PackedAttributes) -> Tensor:
    """(8, B, C), what `screening._Extents` bounds, class by class in double precision."""
    values = torch.empty(8, len(rows), len(packed.means), dtype=torch.float64)
    for c in range(len(packed.means)):
        t = packed.embeddings[packed.starts[c] : packed.starts[c + 1]].double()
        x, lead = rows.double() @ t.T, mean.double() @ t.T
        rho = x.mean(2)
        y = x - rho[:, :, None]
        columns = y.square().sum(1)
        values[:, :, c] = torch.stack(
            [
                y.amax((1, 2)),
                y.amax(1).mean(1),
                columns.sqrt().mean(1),
                rho.amax(1),
                -rho.amin(1),
                columns.sum(1),
                columns.amax(1),
                lead.amax(1) - lead.mean(1),
            ]
        )
    return values


@pytest.mark.parametrize(
    "measure, slack",
    [(screening._in_floats, 1e-4), (screening._in_eight_bits, 0.05)],
    ids=["floats", "eight bits"],
)
def test_what_is_measured_of_a_class_is_never_below_the_truth_and_little_above(
    measure: Callable[..., Tensor], slack: float
) -> None:
    for seed in range(3):
        regions, _, packed = world(seed, 0.5, 64)
        mean = regions.mean(1)
        rows = regions - mean[:, None]
        for step in (1, 2**20):  # image by image, and all at once
            extents = measure(rows, mean, packed, step, Workspace())
            excess = extents - true_extents(rows, mean, packed)
            excess[:5] += screening._ROUNDING  # which is added to what was measured
            excess[5:7] += 1e-6  # energies have no margin for float32's own rounding
            excess[7] += screening._ROUNDING
            assert (excess >= 0).all(), excess.amin((1, 2))
            assert (excess.mean((1, 2)) < slack).all(), excess.mean((1, 2))


def plain_sinkhorn(S: np.ndarray, count: int, matching: Matching) -> tuple[np.ndarray, np.ndarray]:
    """Scores of problems S (C, M', n), and by how much each one's row marginals are off in sum,
    in double precision."""
    most, tolerance = matching.stopping
    kept, size = S.shape[1:]
    K = np.exp((S - 1) / matching.epsilon)
    c, r = np.ones((len(S), size)), np.ones((len(S), kept))
    score, off = np.full(len(S), np.nan), np.full(len(S), np.nan)
    for step in range(1, most + 1):
        before, r = r, 1 / kept / np.einsum("cij,cj->ci", K, c)
        c = 1 / size / np.einsum("cij,ci->cj", K, r)
        plan = r[:, :, None] * K * c[:, None, :]
        error = np.abs(plan.sum(2) - 1 / kept)
        if matching.rule == "paper":
            change = np.abs(r - before).sum(1) + (count - kept) * (step == 1)
            stops = change / count < tolerance
        else:
            stops = error.max(1) < tolerance
        stops = (stops | (step == most)) & np.isnan(score)
        score[stops] = (plan * S).sum((1, 2))[stops]
        off[stops] = error.sum(1)[stops]
        if not np.isnan(score).any():
            break
    return score, off


def extents_of(S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(8, C) `screening._Extents` of problems S (C, M', n), a hair above; and their means."""
    m = S.mean((1, 2))
    x = S - S.mean(1, keepdims=True)
    rho = x.mean(2)
    y = x - rho[:, :, None]
    columns = (y**2).sum(1)
    stacked = np.stack(
        [
            y.max((1, 2)),
            y.max(1).mean(1),
            np.sqrt(columns).mean(1),
            rho.max(1),
            -rho.min(1),
            columns.sum(1),
            columns.max(1),
            S.mean(1).max(1) - m,
        ]
    )
    return stacked + 1e-6, m


STOPPINGS = [
    {},
    {"tolerance": 0.3},
    {"tolerance": 10.0},
    {"tolerance": 1e-6, "max_iterations": 1},
    {"tolerance": 1e-6, "max_iterations": 2},
    {"tolerance": 1e-6, "max_iterations": 3},
    {"rule": "converged", "tolerance": 1e-2},
    {"rule": "converged", "tolerance": 1e-9, "max_iterations": 4},
]


@pytest.mark.parametrize("epsilon", [0.05, 0.3])
@pytest.mark.parametrize("stopping", STOPPINGS, ids=str)
def test_the_bounds_follow_from_what_is_known_of_a_class_wherever_the_solver_stops(
    stopping: Any, epsilon: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """18 shapes of problem, 1,200 each: with even noise, with a few pairs that stand out, with
    rows or columns that do, and a part of them shifted."""
    errors: list[Tensor] = []
    row_error = screening._row_error
    monkeypatch.setattr(
        screening, "_row_error", lambda *known: errors.append(row_error(*known)) or errors[-1]
    )
    random = np.random.default_rng(0)
    for kept, size in ((1, 1), (1, 4), (2, 2), (4, 2), (2, 6), (9, 3)):
        problems = []
        for spread in (0.02, 0.2, 0.7):
            shape = (100, kept, size)
            problems += [
                spread * random.uniform(-1, 1, shape),
                spread * (random.random(shape) < 0.3),
                spread * random.choice([-1, 1], shape),
                spread * random.normal(size=(100, kept, 1)).clip(-1, 1) + np.zeros(shape),
            ]
        S = np.concatenate(problems)
        S += 0.25 * random.choice([-1, 0, 1], (len(S), 1, 1))
        known, m = (torch.from_numpy(part).float() for part in extents_of(S))
        for count in (kept, kept + 1, 3 * kept):
            matching = Matching(epsilon=epsilon, **stopping)
            score, off = (torch.from_numpy(a) for a in plain_sinkhorn(S, count, matching))
            bounds = screening._combine(
                screening._Extents(*known[:, None]),
                m[None],
                torch.full((len(S),), float(size)),
                torch.tensor([[float(kept)]]),
                torch.tensor([[float(count)]]),
                matching,
            )
            assert (bounds.upper[0] >= score).all()
            assert (bounds.lower[0] <= score).all()
            assert (errors[-1][0] >= off).all()


def test_a_score_is_the_same_to_the_last_bit_whatever_is_scored_beside_it() -> None:
    regions, whole, packed = world(3, 0.5, 128)
    keep = select_regions(regions, whole)
    together = top_classes(regions, whole, keep, packed, k=5)
    for image in range(4):
        single = slice(image, image + 1)
        for memory in (2**10, 2**22):
            alone = top_classes(
                regions[single], whole[single], keep[single], packed, k=5, memory_bytes=memory
            )
            assert torch.equal(alone.classes, together.classes[single])
            assert torch.equal(alone.scores, together.scores[single])
