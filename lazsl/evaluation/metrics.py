"""How right answers are: accuracy, its interval, per class, confusions, and a paired test.

Pure functions of arrays. `right` is (B,) bool, one entry per image; classes are indices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, norm

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean with the interval that holds its true value in `LEVEL` of all cases."""

    value: float
    low: float
    high: float


def bootstrap(
    values: np.ndarray,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """The mean over images with its bias-corrected and accelerated interval (BCa, Efron 1987).

    Images are drawn with replacement; because the mean depends only on how often each distinct
    value is drawn, these counts are drawn instead, which is the same and takes no memory. Where
    all values are equal no other mean can be drawn, and the interval is a point.

    Args:
        values: (B,) of any kind, such as `right`, or the difference of two methods.
        seed: of the draws.
        resamples: how many.
        level: of the interval.
    """
    distinct, counts = np.unique(np.asarray(values, np.float64), return_counts=True)
    images = int(counts.sum())
    mean = float(counts @ distinct / images)
    if len(distinct) == 1:
        return Interval(mean, mean, mean)
    drawn = np.random.default_rng(seed).multinomial(images, counts / images, resamples)
    # Rounded, so that the mean of what was measured equals that of an equal draw.
    means, measured = np.round(drawn @ distinct / images, 12), round(mean, 12)
    below = ((means < measured).sum() + 0.5 * (means == measured).sum()) / resamples
    bias = norm.ppf(np.clip(below, 0.5 / resamples, 1 - 0.5 / resamples))
    away = distinct - mean  # the jackknife's deviations, up to a factor that cancels
    skew = counts @ away**3 / (6 * (counts @ away**2) ** 1.5)
    tails = norm.ppf([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(means, norm.cdf(bias + (bias + tails) / (1 - skew * (bias + tails))))
    return Interval(mean, float(low), float(high))


@dataclass(frozen=True)
class McNemar:
    """Two methods on the same images: how often only the one was right, only the other, and the
    exact two-sided p-value of them being equally often right (McNemar 1947; binomial)."""

    only_this: int
    only_other: int
    p_value: float


def mcnemar(right: np.ndarray, other: np.ndarray) -> McNemar:
    """The exact paired test of two methods on the same images."""
    only_this, only_other = int((right & ~other).sum()), int((other & ~right).sum())
    discordant = only_this + only_other
    p = binomtest(only_this, discordant).pvalue if discordant else 1.0
    return McNemar(only_this, only_other, float(p))


@dataclass(frozen=True)
class PerClass:
    """Of every class: how many images show it, how many of these were called it (`right`), and
    how many images were called it, rightly or not (`called`)."""

    images: np.ndarray
    right: np.ndarray
    called: np.ndarray

    @property
    def accuracy(self) -> np.ndarray:
        """(C,) part of a class's images that was called it (recall); NaN where there are none."""
        return _part(self.right, self.images)

    @property
    def precision(self) -> np.ndarray:
        """(C,) part of what was called a class that is one; NaN where nothing was called it."""
        return _part(self.right, self.called)

    @property
    def mean_accuracy(self) -> float:
        """Mean of `accuracy` over the classes that are shown: every class counts the same."""
        return float(np.nanmean(self.accuracy))


def per_class(truth: np.ndarray, called: np.ndarray, classes: int) -> PerClass:
    """Counts by class.

    Args:
        truth: (B,) class shown; -1 where it is none of the classes.
        called: (B,) class called.
        classes: how many there are.
    """
    known = truth >= 0
    return PerClass(
        np.bincount(truth[known], minlength=classes),
        np.bincount(truth[known & (truth == called)], minlength=classes),
        np.bincount(called, minlength=classes),
    )


@dataclass(frozen=True)
class Confusion:
    """So many images of one class were called another; `of` images show the first."""

    truth: int
    called: int
    images: int
    of: int


def confusions(truth: np.ndarray, called: np.ndarray) -> tuple[Confusion, ...]:
    """Every confused pair, the most images first, then by class."""
    known = truth >= 0
    shown = dict(
        zip(*(a.tolist() for a in np.unique(truth[known], return_counts=True)), strict=True)
    )
    wrong = known & (truth != called)
    pairs, counts = np.unique(np.stack([truth[wrong], called[wrong]]), axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return tuple(
        Confusion(int(t), int(c), int(n), int(shown[t]))
        for (t, c), n in zip(pairs.T[order], counts[order], strict=True)
    )


def _part(some: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, some / np.maximum(whole, 1), np.nan)
