"""Intervals of proportions: where the true one may lie, given the images that were looked at.

All are Clopper and Pearson's (1934) at heart, which hold the truth in at least 95 of 100 cases
whatever it is. Intervals that are 95 % only on average (Wilson's, the bootstrap's) fail where
nearly all images are right: of 50 images that are all right, the bootstrap says 100 % for certain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

LEVEL = 0.95
KIND = "exact (Clopper and Pearson)"
ASSUMED = (
    "images taken for independent: where truth comes in groups of like images (a burst, one "
    "camera's site), the interval is too narrow"
)
"""What is assumed of images whose truth is known, unless chance drew them from the archive."""
CLUSTERED = "images counted by cluster: a cluster of like images weighs as one"
"""What is assumed instead where the clusters are known."""


@dataclass(frozen=True)
class Interval:
    """A value, and the interval that holds the true one in at least `LEVEL` of all cases."""

    value: float
    low: float
    high: float


def exact(proportion: float, size: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of a proportion seen in `size` independent images.

    The size need not be whole: an effective sample size serves as well (E. Korn and B. Graubard,
    Confidence intervals for proportions with small expected number of positive counts estimated
    from survey data, 1998). With an infinite one nothing is uncertain.
    """
    if np.isinf(size):
        return proportion, proportion
    hits, tail = proportion * size, (1 - LEVEL) / 2
    low = float(beta.ppf(tail, hits, size - hits + 1)) if proportion > 0 else 0.0
    high = float(beta.isf(tail, hits + 1, size - hits)) if proportion < 1 else 1.0
    return low, high


def effective_size(cluster: np.ndarray) -> float:
    """How many independent images a number of images in clusters are worth at least: the square of
    their number over the sum of squares of the clusters' sizes (Kish 1965, images of a cluster
    being all alike). As many as there are images where each is a cluster by itself.

    Args:
        cluster: (B,) int, the number of each image's cluster.
    """
    _, sizes = np.unique(cluster, return_counts=True)
    return float(len(cluster)) ** 2 / float((sizes.astype(np.float64) ** 2).sum())


def accuracy(right: np.ndarray, cluster: np.ndarray | None = None) -> Interval:
    """Share of right images with its exact interval.

    Args:
        right: (B,) bool.
        cluster: (B,) int, the number of each image's cluster; None means independent images.
    """
    value = float(np.mean(right))
    return Interval(value, *exact(value, _size(right, cluster)))


def _size(right: np.ndarray, cluster: np.ndarray | None) -> float:
    return len(right) if cluster is None else effective_size(cluster)


def difference(right: np.ndarray, other: np.ndarray, cluster: np.ndarray | None = None) -> Interval:
    """How much more of the same images one method has right than another, -1..1.

    With f and g the shares that only the one and only the other has right, (l, u) their exact
    intervals and r = -sqrt(f g / ((1 - f) (1 - g))) their correlation, as multinomial shares:

        low = f - g - sqrt((f - l_f)^2 - 2 r (f - l_f) (u_g - g) + (u_g - g)^2)

    and high likewise (R. Newcombe, Interval estimation for the difference between independent
    proportions, 1998, method 10, with exact limits).

    Args:
        right: (B,) bool, of the first method.
        other: (B,) bool, of the second.
        cluster: (B,) int, the number of each image's cluster; None means independent images.
    """
    f, g = float(np.mean(right & ~other)), float(np.mean(other & ~right))
    size = _size(right, cluster)
    (low_f, high_f), (low_g, high_g) = exact(f, size), exact(g, size)
    # One of them is 1 only where the other is 0.
    r = -np.sqrt(f * g / ((1 - f) * (1 - g))) if f * g else 0.0

    def apart(first: float, two: float) -> float:
        return float(np.sqrt(first**2 - 2 * r * first * two + two**2))

    value = f - g
    low = max(-1.0, value - apart(f - low_f, high_g - g))
    high = min(1.0, value + apart(high_f - f, g - low_g))
    return Interval(value, low, high)
