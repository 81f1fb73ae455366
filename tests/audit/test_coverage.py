"""The interval of an audit covers what it says, however many classes share however few images.

Worlds of images with a class, a margin and a label that is right or wrong are drawn; samples of
them are drawn and estimated by the product's own functions. The truth is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest

from lazsl.audit import estimate, sample

DRAWS = 200
IMAGES = 20_000


@dataclass(frozen=True)
class World:
    """Cells of a world: the images in each, and how many of them are rightly labelled."""

    sizes: np.ndarray
    right: np.ndarray

    @property
    def truth(self) -> float:
        return float(self.right.sum() / self.sizes.sum())


@lru_cache
def images_of(classes: int, spread: str, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class, band of the margin and rightness of every image."""
    random = np.random.default_rng([classes, len(spread), len(kind)])
    shares = np.ones(classes) if spread == "equal" else 1 / np.arange(1, classes + 1)
    sizes = np.maximum(IMAGES * shares / shares.sum(), 3).astype(int)
    label = np.repeat(np.arange(classes), sizes)
    # Some classes are nearly all right and some all wrong, or nearly all are right.
    a, b = {"usual": (4, 1), "all or nothing": (0.4, 0.1), "good": (60, 1)}[kind]
    accuracy = random.beta(a, b, classes)
    right = random.random(len(label)) < accuracy[label]
    margin = right + random.normal(size=len(label))
    band = np.searchsorted(np.quantile(margin, [0.25, 0.5, 0.75]), margin)
    return label, band, right


def world(classes: int, spread: str, kind: str, strata: str) -> World:
    """The cells that strata make, in the order of audit/cells.sql."""
    label, band, right = images_of(classes, spread, kind)
    cell = np.zeros_like(label)
    if "margin" in strata:
        cell = cell + band * classes
    if "label" in strata:
        cell = cell + label
    sizes, correct = np.bincount(cell), np.bincount(cell, right).astype(int)
    order = np.lexsort((-sizes, np.arange(len(sizes)) // classes))
    order = order[sizes[order] > 0]
    return World(sizes[order], correct[order])


def strata_of(cells: World, images: int) -> tuple[World, list[int]]:
    """The strata that the cells are put together to, and what is drawn of each."""
    stratum = sample.pooled(cells.sizes.tolist(), images)
    strata = World(
        np.bincount(stratum, cells.sizes).astype(int),
        np.bincount(stratum, cells.right).astype(int),
    )
    return strata, sample.allocate(strata.sizes.tolist(), images)


def estimates(strata: World, drawn: list[int], random: np.random.Generator) -> np.ndarray:
    """(DRAWS, 3) value, low and high of as many samples."""
    hits = random.hypergeometric(
        strata.right, strata.sizes - strata.right, drawn, (DRAWS, len(drawn))
    )
    stratum = np.repeat(np.arange(len(drawn)), drawn)
    first = np.concatenate([np.arange(n) for n in drawn])
    population = dict(enumerate(strata.sizes.tolist()))
    weights = estimate.stratum_weights(stratum.tolist(), population)
    everything = np.ones(len(stratum), bool)
    different, which = np.unique(hits, axis=0, return_inverse=True)
    actual = []
    for row in different:
        interval = estimate.stratified(*weights, first < row[stratum], everything)
        actual.append((interval.value, interval.low, interval.high))
    return np.array(actual)[which]


def coverage(intervals: np.ndarray, truth: float) -> float:
    return float(((intervals[:, 1] <= truth + 1e-12) & (truth <= intervals[:, 2] + 1e-12)).mean())


@pytest.mark.parametrize("classes", [10, 100, 1000])
@pytest.mark.parametrize("spread", ["equal", "Zipf"])
def test_the_interval_covers_the_truth_and_is_not_wider_than_a_plain_samples(
    classes: int, spread: str
) -> None:
    random = np.random.default_rng(classes)
    for kind in ("usual", "all or nothing", "good"):
        for images in (20, 60, 200, 500):
            plain, drawn = strata_of(world(classes, spread, kind, "none"), images)
            width = np.diff(estimates(plain, drawn, random)[:, 1:]).mean()
            for strata in ("label", "margin", "label margin"):
                where = (classes, spread, kind, images, strata)
                stratified, drawn = strata_of(world(classes, spread, kind, strata), images)
                assert sum(drawn) == images and min(drawn) >= sample.LEAST
                intervals = estimates(stratified, drawn, random)
                assert coverage(intervals, stratified.truth) >= 0.93, where
                assert np.diff(intervals[:, 1:]).mean() <= 1.1 * width, where
                error = intervals[:, 0].std() / np.sqrt(DRAWS)
                assert abs(intervals[:, 0].mean() - stratified.truth) < 4 * error + 1e-9, where


@pytest.mark.parametrize("images", [20, 60, 200, 500])
def test_the_interval_of_a_plain_sample_covers_whatever_the_accuracy(images: int) -> None:
    random = np.random.default_rng(images)
    for accuracy in (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995):
        stratum = World(np.array([IMAGES]), np.array([round(IMAGES * accuracy)]))
        assert coverage(estimates(stratum, [images], random), stratum.truth) >= 0.93, accuracy


@pytest.mark.parametrize("spread", ["equal", "Zipf"])
@pytest.mark.parametrize("classes", [200, 1000])
def test_a_sample_that_was_drawn_before_is_estimated_with_the_width_it_deserves(
    classes: int, spread: str
) -> None:
    """Released versions drew two of each of the largest 99 classes, and two of all others."""
    random = np.random.default_rng(classes)
    cells = world(classes, spread, "usual", "label")
    sizes = np.append(cells.sizes[:99], cells.sizes[99:].sum())
    strata = World(sizes, np.append(cells.right[:99], cells.right[99:].sum()))
    intervals = estimates(strata, sample.allocate(sizes.tolist(), 200), random)
    assert coverage(intervals, strata.truth) >= 0.93


@pytest.mark.parametrize("answered", [0.9, 0.5])
def test_the_interval_covers_where_some_images_were_not_judged(answered: float) -> None:
    random = np.random.default_rng(3)
    strata, drawn = strata_of(world(100, "Zipf", "usual", "label"), 200)
    stratum = np.repeat(np.arange(len(drawn)), drawn)
    population = dict(enumerate(strata.sizes.tolist()))
    held = 0
    for _ in range(DRAWS):
        hits = random.hypergeometric(strata.right, strata.sizes - strata.right, drawn)
        right = np.concatenate([np.arange(n) for n in drawn]) < hits[stratum]
        judged = random.random(len(right)) < answered
        weights = estimate.stratum_weights(stratum[judged].tolist(), population)
        assert weights[1].sum() == pytest.approx(strata.sizes.sum())
        interval = estimate.stratified(*weights, right[judged], np.ones(judged.sum(), bool))
        held += interval.low <= strata.truth <= interval.high
    assert held / DRAWS >= 0.93


@pytest.mark.parametrize("judged", [1, 2, 3, 5, 8, 20])
def test_the_interval_of_a_class_covers_however_few_of_its_images_were_judged(judged: int) -> None:
    random = np.random.default_rng(judged)
    for right in (10, 150, 250, 290, 299):
        hits = random.hypergeometric(right, 300 - right, judged, 2000)
        ends = {}
        for n in np.unique(hits).tolist():
            interval = estimate.share(
                np.full(judged, 300 / judged), np.arange(judged) < n, np.ones(judged, bool)
            )
            ends[n] = interval.low <= right / 300 <= interval.high
        assert np.mean([ends[n] for n in hits.tolist()]) >= 0.93, right
