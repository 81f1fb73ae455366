"""When a label can be trusted: what was measured where the truth is known.

`lazsl evaluate` measures it (`trust_measurement.py`) and writes `trust.json`; `lazsl label --trust
trust.json` applies it: an image below the threshold gets no label.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lazsl.evaluation.backing_off import BackingOff
from lazsl.evaluation.calibration import Bin, Cut, RiskCoverage

CERTAIN = 1.0
"""Confidence that a class needs where no threshold will do for classes, but one of parents will."""


@dataclass(frozen=True)
class Trust:
    """How far the labels of some images can be trusted.

    Calibration speaks of the images of known classes. Risk, coverage and thresholds speak of all
    images: one whose class is not in the label set is labelled wrongly whenever it is labelled.

    Attributes:
        images: how many were measured.
        unknown: how many of them are of no known class.
        accuracy: of the labels of known classes, before abstaining.
        temperature: fitted on all images of known classes; what `label` should use.
        ece_before: expected calibration error at `CLIP_TEMPERATURE`, where nothing is fitted.
        ece_after: the same at temperatures fitted on the other half of the images each.
        loss_before: negative log likelihood, likewise.
        loss_after: negative log likelihood, likewise.
        bins_before: the reliability diagram, likewise.
        bins_after: the reliability diagram, likewise.
        risk_coverage: what every threshold would do, at `temperature`.
        aurc: area under that curve.
        precision: what was wanted.
        cut: the threshold of largest coverage whose precision reaches it by its lower bound.
        raw_cut: the same by the plain fraction, for comparison.
        held_out_coverage: part of the images labelled where temperature and threshold were chosen
            on one half and applied to the other, both ways.
        held_out_precision: of these labels; None where none was given.
        sentence: what the threshold means, or why there is none.
        auroc_open_set: chance that an image of a known class has more confidence than one of an
            unknown class; None where there are no images of unknown classes.
        auroc_scores: the same for other scores: the best score, and its margin over the second.
        confidence: (B,) at `temperature`.
        right: (B,) bool, the label is the truth.
        known: (B,) bool, the truth is in the label set.
        held_against: (B,) what the threshold is held against: the confidence, or times presence;
            -1 below the floor.
        cluster: (B,) int, the number of each image's cluster of like images.
        clusters: how many there are; None where each image is taken to be one by itself.
        abstain_by: what the threshold is held against, as `ScoringSettings.abstain_by`.
        floor: the best score that all but a hundredth of the images of known classes reach, below
            which there is no label; None where there is no floor.
        backing_off: what a tree of labels adds; None where there is no tree, or nothing to add.
        classes: best classes per image that confidence compares, and that parents' chances sum.
    """

    images: int
    unknown: int
    accuracy: float
    temperature: float
    ece_before: float
    ece_after: float
    loss_before: float
    loss_after: float
    bins_before: tuple[Bin, ...]
    bins_after: tuple[Bin, ...]
    risk_coverage: RiskCoverage
    aurc: float
    precision: float
    cut: Cut | None
    raw_cut: Cut | None
    held_out_coverage: float
    held_out_precision: float | None
    sentence: str
    auroc_open_set: float | None
    auroc_scores: dict[str, float]
    confidence: np.ndarray
    right: np.ndarray
    known: np.ndarray
    held_against: np.ndarray
    cluster: np.ndarray
    clusters: int | None = None
    abstain_by: str | None = None
    floor: float | None = None
    backing_off: BackingOff | None = None
    classes: int = 0

    @property
    def threshold(self) -> float | None:
        """Confidence below which `label` should abstain; None where no threshold will do."""
        return None if self.cut is None else self.cut.threshold

    @property
    def coverage_at_threshold(self) -> float | None:
        """Part of these images that is labelled then."""
        return None if self.cut is None else self.cut.coverage

    @property
    def precision_at_threshold(self) -> float | None:
        """Part of these labels that is right then."""
        return None if self.cut is None else self.cut.precision

    def to_json(self) -> dict[str, Any]:
        """Everything that was measured, ready for JSON; the curve at a hundred coverages."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        curve = self.risk_coverage
        coverages = np.linspace(0.01, 1, 100)
        at = np.searchsorted(curve.coverage, coverages - 1e-12)
        return {
            **plain,
            "threshold": self.threshold,
            "clusters": self.clusters,
            "abstain_by": self.abstain_by,
            "floor": self.floor,
            "tree": self.backing_off and self.backing_off.to_json(),
            "coverage_at_threshold": self.coverage_at_threshold,
            "precision_at_threshold": self.precision_at_threshold,
            **{name: getattr(self, name) and asdict(getattr(self, name)) for name in _CUTS},
            **{name: [asdict(b) for b in getattr(self, name)] for name in _BINS},
            "risk_coverage": {
                "coverage": curve.coverage[at].tolist(),
                "risk": curve.risk[at].tolist(),
                "threshold": curve.threshold[at].tolist(),
            },
        }


_PLAIN = [
    *("images", "unknown", "accuracy", "temperature", "ece_before", "ece_after", "loss_before"),
    *("loss_after", "aurc", "precision", "held_out_coverage", "held_out_precision", "sentence"),
    *("auroc_open_set", "auroc_scores"),
]
_CUTS = ("cut", "raw_cut")
_BINS = ("bins_before", "bins_after")
