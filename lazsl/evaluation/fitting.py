"""What is chosen on images whose truth is known: a temperature, a floor under the best score, and
the threshold of largest coverage that keeps a promised precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lazsl.evaluation.calibration import (
    Cut,
    RiskCoverage,
    fit_temperature,
    risk_coverage,
    widest_cut,
)
from lazsl.scoring.confidence import confidence

FLOOR = 0.01
"""Part of the images of known classes that may lie below the floor, rounded down to images."""


@dataclass(frozen=True)
class Images:
    """Images whose truth is known.

    Attributes:
        top_scores: (B, k) float32 scores as stored, best first.
        right: (B,) bool, the best class is the truth.
        known: (B,) bool, the truth is in the label set.
        presence: (B,) by which confidence is multiplied.
        cluster: (B,) int, the number of each image's cluster of like images.
    """

    top_scores: np.ndarray
    right: np.ndarray
    known: np.ndarray
    presence: np.ndarray
    cluster: np.ndarray

    def subset(self, rows: np.ndarray) -> Images:
        """These rows."""
        return Images(*(values[rows] for values in vars(self).values()))

    def above(self, floor: float | None) -> np.ndarray:
        """(B,) bool, the best score reaches the floor."""
        return np.asarray(self.top_scores[:, 0] >= (-np.inf if floor is None else floor))

    def held(self, temperature: float, floor: float | None) -> np.ndarray:
        """(B,) what a threshold is held against: confidence times presence; -1 below the floor,
        where there is no label at any threshold."""
        chance = confidence(self.top_scores, temperature) * self.presence
        return np.where(self.above(floor), chance, -1.0)


@dataclass(frozen=True)
class Fit:
    """What was chosen on some images.

    Attributes:
        temperature: of the confidence of images of known classes.
        floor: the best score that all but `FLOOR` of these reach; None where there is no floor.
        curve: what every threshold would do.
        cut: the threshold; None where none keeps the promise.
    """

    temperature: float
    floor: float | None
    curve: RiskCoverage
    cut: Cut | None

    def labels(self, images: Images) -> np.ndarray:
        """(B,) bool, images that get a class as their label."""
        threshold = np.inf if self.cut is None else self.cut.threshold
        return np.asarray(images.held(self.temperature, self.floor) >= threshold)


def fit(images: Images, precision: float, floored: bool) -> Fit:
    """The choice for a promised precision, with a floor under the best score or without one."""
    of_known = images.subset(images.known)
    temperature = fit_temperature(of_known.top_scores, of_known.right)
    floor = None
    if floored:
        scores = of_known.top_scores[:, 0].astype(np.float64)
        floor = float(np.quantile(scores, FLOOR, method="lower"))
    curve = risk_coverage(images.held(temperature, floor), images.right, images.cluster)
    return Fit(temperature, floor, curve, widest_cut(curve, precision))


def random_half(cluster: np.ndarray, seed: int) -> np.ndarray:
    """(B,) bool, a random half of the clusters."""
    of_clusters = np.random.default_rng(seed).permutation(int(cluster.max()) + 1) % 2 == 0
    return np.asarray(of_clusters[cluster])
