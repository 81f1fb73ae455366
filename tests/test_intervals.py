"""Every interval that is printed holds the truth as often as it says: of an accuracy, of a
difference, of a threshold of trust, of one of parents, of a localisation; those of audits, overall
and by class, are tested in tests/audit/test_coverage.py."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from lazsl.evaluation.backing_off import Candidates, fit_threshold
from lazsl.evaluation.calibration import CERTAINTY, risk_coverage, widest_cut
from lazsl.evaluation.localisation import mean_interval
from lazsl.intervals import accuracy, difference, exact


@pytest.mark.parametrize(("right", "images"), [(0, 7), (3, 7), (206, 247), (247, 247)])
def test_an_accuracy_has_scipys_exact_interval(right: int, images: int) -> None:
    wanted = binomtest(right, images).proportion_ci(0.95, "exact")
    interval = accuracy(np.arange(images) < right)
    assert interval.value == right / images
    assert (interval.low, interval.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


@pytest.mark.parametrize("images", [1, 2, 5, 20, 50, 100, 247, 1000])
def test_the_interval_of_an_accuracy_covers_it_whatever_it_is(images: int) -> None:
    ends = np.array([exact(right / images, images) for right in range(images + 1)])
    for share in np.linspace(0.002, 0.998, 300):
        held = (ends[:, 0] <= share) & (share <= ends[:, 1])
        assert binom.pmf(np.arange(images + 1), images, share) @ held >= 0.95 - 1e-9


@cache
def difference_of(ahead: int, behind: int, images: int) -> tuple[float, float]:
    at = np.arange(images)
    interval = difference(at < ahead, (at >= ahead) & (at < ahead + behind))
    assert interval.value == pytest.approx((ahead - behind) / images)
    return interval.low, interval.high


@pytest.mark.parametrize("images", [20, 100, 250])
def test_the_interval_of_a_difference_covers_it(images: int) -> None:
    random = np.random.default_rng(images)
    for f, g in [(0.2, 0.1), (0.05, 0.05), (0.15, 0.01), (0.03, 0.0), (0.01, 0.01), (0.4, 0.5)]:
        drawn = random.multinomial(images, [f, g, 1 - f - g], 1000)
        ends = np.array([difference_of(a, b, images) for a, b, _ in drawn.tolist()])
        held = (ends[:, 0] <= f - g + 1e-12) & (f - g <= ends[:, 1] + 1e-12)
        assert held.mean() >= 0.93, (f, g)


@pytest.mark.parametrize("images", [60, 250, 1000])
@pytest.mark.parametrize("promise", [0.9, 0.95])
def test_a_promised_precision_is_broken_no_more_often_than_it_says(
    images: int, promise: float
) -> None:
    random = np.random.default_rng(images)
    broken = draws = 0
    for sure in ((4, 1), (8, 0.6), (3, 0.3)):
        world = np.sort(random.beta(*sure, 100_000))[::-1]  # the confidence is the chance
        precision = np.cumsum(world) / np.arange(1, len(world) + 1)
        for _ in range(200):
            confidence = random.choice(world, images)
            right = random.random(images) < confidence
            cut = widest_cut(risk_coverage(confidence, right), promise)
            draws += 1
            if cut is not None:
                at = np.searchsorted(-world, -cut.threshold, side="right") - 1
                broken += bool(precision[at] < promise)
    assert broken / draws <= 1 - CERTAINTY + 0.02


@pytest.mark.parametrize("images", [60, 400])
def test_a_precision_that_parents_keep_is_broken_no_more_often_than_it_says(images: int) -> None:
    """Classes are the labels of half of the images; the other half's parents are as right as their
    chance says, or somewhat less."""
    random = np.random.default_rng(images)
    promise, broken, draws = 0.9, 0, 0
    for sure, honest in (((4, 1), 1.0), ((8, 0.6), 1.0), ((8, 0.6), 0.96)):
        world = np.sort(random.beta(*sure, 100_000))[::-1]
        precision = np.cumsum(world * honest) / np.arange(1, len(world) + 1)
        for _ in range(60):
            chance = random.choice(world, (images, 1))
            by_class = np.arange(images) < images // 2
            right = random.random(images) < 0.97
            true = random.random((images, 1)) < chance * honest
            nodes, cluster = np.zeros((images, 1), int), np.arange(images)
            candidates = Candidates(nodes, chance, true, right, cluster)
            threshold = fit_threshold(candidates, by_class, promise)
            draws += 1
            if threshold is not None:
                at = np.searchsorted(-world, -threshold, side="right")
                parents = at / len(world)
                broken += bool((0.97 + parents * precision[at - 1]) / (1 + parents) < promise)
    assert broken / draws <= 1 - CERTAINTY + 0.03


@pytest.mark.parametrize("share", [0.05, 0.43, 0.9])
@pytest.mark.parametrize("images", [2, 5, 20, 40, 250])
def test_the_interval_of_a_localisation_covers_though_attributes_share_an_image(
    images: int, share: float
) -> None:
    random = np.random.default_rng(images)
    owner = np.repeat(np.arange(images), 4)
    held = 0
    for _ in range(300):
        chance = random.beta(2 * share, 2 * (1 - share), images)
        hits = (random.random(len(owner)) < chance[owner]).astype(float)
        _, low, high = mean_interval(hits, owner)
        held += low <= share <= high
    assert held / 300 >= 0.93


def test_of_one_image_nothing_is_known_of_others() -> None:
    assert mean_interval(np.array([1.0, 0.5]), np.array([7, 7])) == (0.75, 0.0, 1.0)
