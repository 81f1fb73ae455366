"""How right answers are: per class, confusions, and a paired test.

Pure functions of arrays. `right` is (B,) bool, one entry per image; classes are indices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest


@dataclass(frozen=True)
class McNemar:
    """Two methods on the same images: how often only the one was right, only the other, and the
    exact two-sided p-value of them being equally often right (McNemar 1947; binomial)."""

    only_this: int
    only_other: int
    p_value: float


def mcnemar(right: np.ndarray, other: np.ndarray, cluster: np.ndarray | None = None) -> McNemar:
    """The exact paired test of two methods on the same images.

    Args:
        right: (B,) bool, of the first method.
        other: (B,) bool, of the second.
        cluster: (B,) int, the number of each image's cluster of like images: then clusters are
            counted in which the one or the other has more right; None means single images.
    """
    only_this, only_other = int((right & ~other).sum()), int((other & ~right).sum())
    if cluster is not None:
        gained = np.bincount(cluster, right.astype(int) - other.astype(int))
        only_this, only_other = int((gained > 0).sum()), int((gained < 0).sum())
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


def per_class(truth: np.ndarray, predicted: np.ndarray, classes: int) -> PerClass:
    """Counts by class.

    Args:
        truth: (B,) class shown; -1 where it is none of the classes.
        called: (B,) class called.
        classes: how many there are.
    """
    known = truth >= 0
    return PerClass(
        np.bincount(truth[known], minlength=classes),
        np.bincount(truth[known & (truth == predicted)], minlength=classes),
        np.bincount(predicted, minlength=classes),
    )


@dataclass(frozen=True)
class Confusion:
    """So many images of one class were called another; `of` images show the first."""

    truth: int
    called: int
    images: int
    of: int


def confusions(truth: np.ndarray, predicted: np.ndarray) -> tuple[Confusion, ...]:
    """Every confused pair, the most images first, then by class."""
    known = truth >= 0
    shown = dict(
        zip(*(a.tolist() for a in np.unique(truth[known], return_counts=True)), strict=True)
    )
    wrong = known & (truth != predicted)
    pairs, counts = np.unique(
        np.stack([truth[wrong], predicted[wrong]]), axis=1, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")
    return tuple(
        Confusion(int(t), int(c), int(n), int(shown[t]))
        for (t, c), n in zip(pairs.T[order], counts[order], strict=True)
    )


def _part(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
