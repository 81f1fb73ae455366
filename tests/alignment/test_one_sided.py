"""One-sided plans: a closed form, in which attributes do not know of each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
import torch
from torch import Tensor

from lazsl.alignment.align import attribute_strengths, class_scores, crop_mean_scores, top_classes
from lazsl.alignment.attributes import PackedAttributes
from lazsl.alignment.one_sided import rounding
from lazsl.alignment.plans import plans_for, top_plans

IMAGES, REGIONS, DIMENSION = 6, 13, 24
SIZES = (1, 3, 5, 2, 11, 2, 4, 1, 3, 6, 2, 2)
EPSILONS = (0.005, 0.03, 0.3)


pytestmark = pytest.mark.usefixtures("one_thread")


def unit(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(DIMENSION, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(*shape, DIMENSION, generator=generator)
    return torch.nn.functional.normalize(common + noise, dim=-1)


REGION, TEXT = unit(1, IMAGES, REGIONS), unit(2, sum(SIZES))
PACKED = PackedAttributes.from_classes(TEXT, SIZES)
EVERY = torch.ones((IMAGES, REGIONS), dtype=torch.bool)
GIVEN = (REGION, REGION[:, 0], EVERY)


def how(epsilon: float) -> dict[str, Any]:
    return {"aligner": "one-sided", "theta": 1.0, "epsilon": epsilon}


def expected(image: int, c: int, epsilon: float) -> reference.Solution:
    texts = TEXT.split(SIZES)[c].double().numpy()
    return reference.one_sided(REGION[image].double().numpy(), texts, epsilon)


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_scores_and_plans_are_those_of_the_closed_form(epsilon: float) -> None:
    chosen = torch.arange(len(SIZES)).expand(IMAGES, -1)
    plans = plans_for(*GIVEN, PACKED, chosen, **how(epsilon))
    scores = class_scores(*GIVEN, PACKED, **how(epsilon))
    for image in range(IMAGES):
        for c, size in enumerate(SIZES):
            solved = expected(image, c, epsilon)
            plan, similarity = (part.double().numpy() for part in plans.of(image, c))
            assert np.abs(plan - solved.plan).max() < 1e-6
            assert np.abs(similarity - solved.similarity).max() < 1e-6
            assert np.abs(plan.sum(axis=0) - 1 / size).max() < 1e-6
            assert abs(float(plans.scores[image, c]) - solved.score) < 1e-6
            assert abs((plan * similarity).sum() - solved.score) < 1e-6
            assert abs(float(scores[image, c]) - solved.score) < rounding(DIMENSION, REGIONS)
    assert not plans.iterations.any() and not plans.residual.any()


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_the_best_classes_are_those_of_all_exact_scores(epsilon: float) -> None:
    exact = np.array([[expected(i, c, epsilon).score for c in range(12)] for i in range(IMAGES)])
    order = np.argsort(-exact, axis=1)[:, :4]
    top = top_classes(*GIVEN, PACKED, k=4, **how(epsilon))
    assert np.array_equal(top.classes.numpy(), order)
    assert np.abs(top.scores.numpy() - np.take_along_axis(exact, order, 1)).max() < 1e-6
    plain = top_classes(*GIVEN, PACKED, k=4, skip=False, **how(epsilon))
    assert torch.equal(plain.scores, top.scores) and torch.equal(plain.classes, top.classes)
    classes, plans = top_plans(*GIVEN, PACKED, 4, **how(epsilon))
    assert torch.equal(classes, top.classes) and torch.equal(plans.scores, top.scores)


@pytest.mark.parametrize("copies", [1, 5])
def test_plans_of_the_best_are_the_same_by_strengths_and_without(copies: int) -> None:
    # Of five copies of each class so many are equally good that they are not solved at once.
    packed = PackedAttributes.from_classes(TEXT.repeat(copies, 1), SIZES * copies)
    stored = REGION.half()
    given = (stored, stored[:, 0], EVERY, packed)
    strengths = attribute_strengths(*given, **how(0.03))
    plain, expected = top_plans(*given, 3, **how(0.03))
    classes, plans = top_plans(*given, 3, strengths, **how(0.03))
    assert torch.equal(classes, plain)
    assert torch.equal(classes, top_classes(*given, k=3, skip=False, **how(0.03)).classes)
    for name in ("sizes", "scores", "iterations", "residual", "keep"):
        assert torch.equal(getattr(plans, name), getattr(expected, name)), name
    for name in ("plan", "similarity"):
        wide, narrow = (getattr(solved, name) for solved in (plans, expected))
        most = narrow.shape[3]
        assert torch.equal(wide[..., :most], narrow) and not wide[..., most:].any(), name
    # float16 is on the grid of exact sums, and float32 is brought there.
    wider = (stored.float(), stored[:, 0].float(), EVERY, packed)
    assert torch.equal(attribute_strengths(*wider, **how(0.03)), strengths)
    assert torch.equal(top_classes(*wider, k=3, **how(0.03)).scores, plans.scores)


def test_a_large_epsilon_is_the_plain_mean_and_a_small_one_the_best_region() -> None:
    mean = class_scores(*GIVEN, PACKED, **how(1e4))
    assert (mean - crop_mean_scores(REGION, PACKED)).abs().max() < 1e-4
    similarity = REGION @ TEXT.T
    best = [part.mean(1) for part in similarity.amax(1).split(SIZES, 1)]
    assert (class_scores(*GIVEN, PACKED, **how(1e-4)) - torch.stack(best, 1)).abs().max() < 1e-4


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_an_attribute_is_as_strong_whatever_else_its_class_has(epsilon: float) -> None:
    strengths = attribute_strengths(*GIVEN, PACKED, **how(epsilon))
    chosen = torch.arange(len(SIZES)).expand(IMAGES, -1)
    plans = plans_for(*GIVEN, PACKED, chosen, **how(epsilon))
    # Every attribute by itself, as a class of its own.
    alone = PackedAttributes.from_classes(TEXT, [1] * len(TEXT))
    single = torch.arange(len(TEXT)).expand(IMAGES, -1)
    singles = plans_for(*GIVEN, alone, single, **how(epsilon))
    start = 0
    for c, size in enumerate(SIZES):
        plans_of_class = singles.plan[:, start : start + size, :, 0].transpose(1, 2)
        assert torch.equal(plans.similarity[:, c, :, :size], _columns(singles, start, size))
        assert (plans.plan[:, c, :, :size] * size - plans_of_class).abs().max() < 1e-6
        start += size
    assert (singles.scores - strengths).abs().max() < rounding(DIMENSION, REGIONS)


def _columns(singles: Any, start: int, size: int) -> Tensor:
    columns: Tensor = singles.similarity[:, start : start + size, :, 0].transpose(1, 2)
    return columns


@pytest.mark.parametrize("memory_bytes", [1, 2**20])
def test_an_image_is_scored_alike_among_others_alone_and_in_little_memory(
    memory_bytes: int,
) -> None:
    together = attribute_strengths(*GIVEN, PACKED, **how(0.03))
    small = how(0.03) | {"memory_bytes": memory_bytes}
    assert torch.equal(attribute_strengths(*GIVEN, PACKED, **small), together)
    best = top_classes(*GIVEN, PACKED, k=3, **how(0.03))
    for image in range(IMAGES):
        single = slice(image, image + 1)
        given = (REGION[single], REGION[single, 0], EVERY[single])
        assert torch.equal(attribute_strengths(*given, PACKED, **small), together[single])
        assert torch.equal(top_classes(*given, PACKED, k=3, **small).scores, best.scores[single])


def test_regions_that_do_not_count_have_no_say() -> None:
    keep = EVERY.clone()
    keep[::2, 5:] = False
    scores = class_scores(REGION, REGION[:, 0], keep, PACKED, **how(0.03))
    plans = plans_for(
        REGION, REGION[:, 0], keep, PACKED, torch.zeros(IMAGES, 1).long(), **how(0.03)
    )
    few = class_scores(REGION[::2, :5], REGION[::2, 0], EVERY[::2, :5], PACKED, **how(0.03))
    every = class_scores(*GIVEN, PACKED, **how(0.03))
    assert torch.equal(scores[::2], few) and torch.equal(scores[1::2], every[1::2])
    assert not plans.plan[::2, :, 5:].any()
