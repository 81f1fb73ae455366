"""The compiled passes of one-sided plans: the same bits, and bounds that hold."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from lazsl.alignment import fused, one_sided
from lazsl.alignment.align import attribute_strengths, top_classes
from lazsl.alignment.attributes import PackedAttributes
from lazsl.alignment.image_batches import batches
from lazsl.alignment.matching import Matching
from lazsl.alignment.one_sided_bounds import bounds_around
from lazsl.alignment.plans import plans_for
from lazsl.alignment.transport import Workspace
from lazsl.alignment.two_digits import digits_of

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Used however little there is to do."""
    pytest.importorskip("numba")
    monkeypatch.setattr(fused, "WORTH", 0)
    monkeypatch.setattr(one_sided, "eight_bits_pay", lambda: True)
    if platform.machine() != "x86_64" and fused.kernel(one_sided._in_own_memory, 0) is None:
        pytest.skip("torch's powers have other bits on this processor")


@pytest.fixture
def forgotten() -> Iterator[None]:
    fused._is_same.cache_clear()
    yield
    fused._is_same.cache_clear()


def how(epsilon: float) -> dict[str, Any]:
    return {"aligner": "one-sided", "theta": 1.0, "epsilon": epsilon}


def world(
    seed: int, spread: float, dimension: int, regions: int = 15
) -> tuple[Tensor, Tensor, Tensor, PackedAttributes]:
    """Regions of four images, some of which do not count, and 60 classes, two of them twins."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(dimension, generator=generator)

    def unit(*shape: int) -> Tensor:
        noise = torch.randn(*shape, dimension, generator=generator)
        return normalize((1 - spread) * common + spread * noise, dim=-1)

    sizes = torch.randint(1, 12, (58,), generator=generator).tolist()
    twin = unit(3)
    texts = torch.cat([twin, unit(sum(sizes)), twin])
    texts[5] = torch.eye(dimension)[0]  # a vector that 8 bits hold badly
    keep = torch.ones((4, regions), dtype=torch.bool)
    keep[2, regions // 2 :] = False
    rows = unit(4, regions)
    return rows, rows[:, 0], keep, PackedAttributes.from_classes(texts, [3, *sizes, 3])


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("epsilon", [0.005, 0.025, 0.3])
@pytest.mark.parametrize("regions", [1, 2, 30, 91])
def test_one_pass_gives_the_bits_of_several(
    epsilon: float, regions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = world(regions, 0.7, 48, regions)
    given[2][2, 0] = True
    assert fused.kernel(one_sided._in_own_memory, 0) is not None
    strengths = attribute_strengths(*given, **how(epsilon))
    monkeypatch.setattr(fused, "THREADS", 0)
    assert torch.equal(strengths, attribute_strengths(*given, **how(epsilon)))


@pytest.mark.usefixtures("forgotten")
def test_without_numba_torch_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given = world(1, 0.7, 48)
    expected = attribute_strengths(*given, **how(0.03))
    monkeypatch.setattr(fused, "WORTH", 0)
    monkeypatch.setitem(sys.modules, "lazsl.alignment.fused_kernel", None)
    assert fused.kernel(one_sided._in_own_memory, 0) is None
    assert torch.equal(attribute_strengths(*given, **how(0.03)), expected)


@pytest.mark.usefixtures("compiled", "forgotten")
def test_a_kernel_with_other_bits_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from lazsl.alignment import fused_kernel

    def off(*given: Any) -> None:
        fused_kernel._strengths(*given)
        given[-1][0, 0] *= 1 + 1e-6

    assert fused.kernel(one_sided._in_own_memory, 0) is not None
    fused._is_same.cache_clear()
    monkeypatch.setattr(fused_kernel, "strengths", off)
    assert fused.kernel(one_sided._in_own_memory, 0) is None


# Spread of directions, dimensions, epsilon.
CASES = [
    (0.5, 64, 0.025),
    (0.7, 512, 0.03),
    (1.0, 4, 0.025),  # similarities from -1 to 1
    (0.02, 64, 0.05),  # near 1
    (0.0, 16, 0.05),  # everything alike
    (0.7, 32, 0.3),
    (0.7, 32, 10.0),
    (0.7, 32, 0.01),  # where powers would overflow, float32 says more
]


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("spread, dimension, epsilon", CASES)
def test_no_score_leaves_its_bounds_and_two_digits_change_no_result(
    spread: float, dimension: int, epsilon: float
) -> None:
    """8 x 5 x 240 problems, each solved."""
    matching = Matching(**how(epsilon))
    for seed in range(5):
        given = world(seed, spread, dimension)
        (batch,) = batches(*given[:3], None, given[3], matching)
        arguments = (batch.rows.float(), batch.keep, given[3], epsilon, Workspace())
        by_digits = one_sided.strengths_by_digits(*arguments)
        assert (by_digits is None) == (epsilon < 0.025)
        top = top_classes(*given, k=5, **how(epsilon))
        plain = top_classes(*given, k=5, skip=False, **how(epsilon))
        assert torch.equal(top.classes, plain.classes) and torch.equal(top.scores, plain.scores)
        if by_digits is not None:
            bounds = bounds_around(*by_digits, batch.keep.shape[1], given[3])
            every = torch.arange(60).expand(4, 60)
            exact = plans_for(*given[:3], given[3], every, **how(epsilon)).scores[batch.images]
            assert (exact <= bounds.upper).all() and (exact >= bounds.lower).all()
            assert float((bounds.upper - bounds.lower).max()) < 0.01


def test_two_digits_say_what_they_leave_out() -> None:
    generator = torch.Generator().manual_seed(0)
    for vectors in (torch.randn(40, 96, generator=generator), torch.eye(40), torch.zeros(3, 8)):
        digits = digits_of(vectors)
        high, low = digits.both.double().chunk(2, 1)
        unit = digits.scale.double()[:, None]
        assert torch.equal(high, digits.high.double())
        rest = (vectors.double() - unit * (high + low / 254)).abs()
        assert (rest <= 1.01 * unit / 508).all()
        length = (unit * low / 254).norm(dim=1)
        assert (length - digits.rest.double()).abs().max() < 1e-6
        assert torch.equal(
            digits_of(vectors, low_first=True).both.double(), torch.cat([low, high], 1)
        )


@pytest.mark.parametrize("regions", [2, 3, 14, 30, 91, 500])
def test_a_strength_is_never_steeper_than_its_bound_and_may_be_nearly(regions: int) -> None:
    generator = torch.Generator().manual_seed(regions)
    scattered = torch.randn(1_000, regions, generator=generator, dtype=torch.float64)
    scattered *= torch.logspace(-1, 2, 1_000, dtype=torch.float64)[:, None]
    # One region shows it, the others do not: by how much makes the steepest.
    steps = torch.zeros(1_000, regions, dtype=torch.float64)
    steps[:, 0] = torch.linspace(0, 20, 1_000)
    steepest = 0.0
    for exponents in (scattered, steps):
        weights = exponents.softmax(1)
        mean = (weights * exponents).sum(1, keepdim=True)
        slopes = (weights * (1 + exponents - mean)).abs().sum(1)
        steepest = max(steepest, float(slopes.max()))
    bound = one_sided.steepness(regions)
    assert 0.98 * bound - 0.02 < steepest <= bound
