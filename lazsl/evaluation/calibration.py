"""How far a confidence can be believed: temperature, reliability, risk against coverage.

Pure functions of arrays. `top_scores` are (B, k) scores, best first, of which the first is the
label's; `right` is (B,) bool, true where that label is the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from scipy.stats import beta, rankdata

CERTAINTY = 0.95
"""Of the lower bound of a precision: how often such a bound is kept."""


def log_loss(top_scores: np.ndarray, right: np.ndarray, temperature: float) -> float:
    """Mean negative log likelihood of what happened, in nats.

    What is predicted is whether the best class is right, with the confidence as its chance: an
    image whose truth lies behind, among the stored classes or beyond them, is one that was wrong,
    at 1 - confidence. Computed from log-odds, so that no chance has to be kept away from 0.
    """
    scores = np.asarray(top_scores, np.float32).astype(np.float64)
    log_odds = -logsumexp((scores[:, 1:] - scores[:, :1]) / temperature, axis=1)
    return float(np.logaddexp(0.0, np.where(right, -log_odds, log_odds)).mean())


def fit_temperature(top_scores: np.ndarray, right: np.ndarray) -> float:
    """The temperature with the least `log_loss`; 1 where all scores are equal.

    Found between a thousandth and a thousand times the mean distance of first and last score, so
    that it scales with the scores. At an end of that range when every label is right, or wrong.
    """
    scores = np.asarray(top_scores, np.float64)
    spread = float((scores[:, 0] - scores[:, -1]).mean())
    if not spread > 0:
        return 1.0

    def loss(log_temperature: float) -> float:
        return log_loss(scores, right, float(np.exp(log_temperature)))

    # A coarse look first: the loss may have more than one valley.
    grid = np.log(spread) + np.linspace(np.log(1e-3), np.log(1e3), 41)
    best = int(np.argmin([loss(value) for value in grid]))
    ends = (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    minimum = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(minimum.x))


@dataclass(frozen=True)
class Bin:
    """Some images of like confidence: how sure they were on average, and how often right."""

    images: int
    confidence: float
    accuracy: float


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int) -> tuple[Bin, ...]:
    """Bins of equal mass, least confident first; equal confidences share a bin, so some may be
    missing."""
    edges = np.percentile(confidence, np.linspace(0, 1, bins + 1)[1:-1] * 100)
    owner = np.searchsorted(edges, confidence)
    images = np.bincount(owner, minlength=bins)
    sure = np.bincount(owner, confidence, minlength=bins)
    correct = np.bincount(owner, right, minlength=bins)
    return tuple(
        Bin(int(n), float(s / n), float(c / n))
        for n, s, c in zip(images, sure, correct, strict=True)
        if n
    )


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Expected calibration error: mean over images of |accuracy - confidence| of their bin."""
    images = sum(b.images for b in bins)
    return sum(b.images * abs(b.accuracy - b.confidence) for b in bins) / images


@dataclass(frozen=True)
class RiskCoverage:
    """What labelling only above a threshold would do; one entry per distinct confidence, surest
    first.

    Attributes:
        threshold: images of this confidence and above are labelled.
        labelled: how many these are.
        correct: how many of them are right.
        size: how many independent images they are worth, as `intervals.effective_size`.
    """

    threshold: np.ndarray
    labelled: np.ndarray
    correct: np.ndarray
    size: np.ndarray

    @property
    def coverage(self) -> np.ndarray:
        """Part of the images that is labelled."""
        return np.asarray(self.labelled / self.labelled[-1])

    @property
    def risk(self) -> np.ndarray:
        """Part of the labels that is wrong."""
        return np.asarray(1.0 - self.correct / self.labelled)

    @property
    def area(self) -> float:
        """Area under risk over coverage (AURC): mean over images of the risk at their threshold."""
        return float((np.diff(self.labelled, prepend=0) * self.risk).sum() / self.labelled[-1])


def risk_coverage(
    confidence: np.ndarray, right: np.ndarray, cluster: np.ndarray | None = None
) -> RiskCoverage:
    """Risk and coverage at every threshold that makes a difference.

    Args:
        confidence: (B,), or what else a threshold is held against; negative means never labelled.
        right: (B,) bool.
        cluster: (B,) int, the number of each image's cluster of like images; None means that each
            is one by itself.
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    last = np.flatnonzero(np.append(np.diff(sorted_confidence) != 0, True))
    labelled = last + 1
    size = labelled.astype(np.float64)
    if cluster is not None:
        # The squares of clusters' sizes grow by 1, 3, 5, ... with each further image of a cluster.
        squares = np.cumsum(2 * _earlier(cluster[order]) + 1)[last]
        size = size * labelled / squares
    return RiskCoverage(sorted_confidence[last], labelled, np.cumsum(right[order])[last], size)


def _earlier(values: np.ndarray) -> np.ndarray:
    """(B,) int, how many equal values stand before each."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    begins = np.flatnonzero(np.append(True, np.diff(ordered) != 0))
    lengths = np.diff(np.append(begins, len(values)))
    earlier = np.empty(len(values), np.int64)
    earlier[order] = np.arange(len(values)) - np.repeat(begins, lengths)
    return earlier


@dataclass(frozen=True)
class Cut:
    """A threshold: images of this confidence and above are labelled.

    Attributes:
        threshold: the confidence.
        coverage: part of the images that is labelled.
        precision: part of the labels that is right.
        at_least: lower bound of that precision, by `lower_bound`.
    """

    threshold: float
    coverage: float
    precision: float
    at_least: float


def lower_bound(
    correct: np.ndarray, labelled: np.ndarray, size: np.ndarray | None = None
) -> np.ndarray:
    """One-sided lower bound of a precision, at `CERTAINTY` (Clopper and Pearson 1934).

    Args:
        correct: how many labels are right.
        labelled: how many there are.
        size: how many independent images these are worth; None means as many.
    """
    if size is not None:
        correct, labelled = correct * (size / labelled), size
    bound = beta.ppf(1 - CERTAINTY, correct, labelled - correct + 1)
    return np.where(correct > 0, bound, 0.0)


def widest_cut(curve: RiskCoverage, precision: float, assured: bool = True) -> Cut | None:
    """The threshold of largest coverage that reaches a precision; None where none does.

    Args:
        curve: risk and coverage of some images.
        precision: wanted, 0..1.
        assured: ask it of the lower bound; else of the plain fraction, which any one lucky image
            at the top may reach.
    """
    bound = lower_bound(curve.correct, curve.labelled, curve.size)
    fraction = curve.correct / curve.labelled
    kept = (bound if assured else fraction) >= precision
    reached = np.flatnonzero(kept & (curve.threshold >= 0))
    if not len(reached):
        return None
    at = reached[-1]
    return Cut(
        float(curve.threshold[at]),
        float(curve.coverage[at]),
        float(fraction[at]),
        float(bound[at]),
    )


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive scores higher than a negative, ties counting half."""
    ranks = rankdata(scores)
    positives = int(positive.sum())
    negatives = len(positive) - positives
    above = ranks[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))
