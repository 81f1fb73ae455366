"""When a label can be trusted: confidence measured where the truth is known, and what follows.

`lazsl evaluate` measures it and writes `trust.json`; `lazsl label --trust trust.json` applies it:
an image below the threshold gets no label.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lazsl.errors import UserError
from lazsl.evaluation.backing_off import BackingOff, Candidates, measure_backing_off
from lazsl.evaluation.calibration import (
    CERTAINTY,
    Bin,
    Cut,
    RiskCoverage,
    auroc,
    calibration_error,
    log_loss,
    reliability,
    widest_cut,
)
from lazsl.evaluation.fitting import Fit, Images, fit, random_half
from lazsl.scoring.confidence import confidence
from lazsl.scoring.tree import Tree

CLIP_TEMPERATURE = 0.01
"""What CLIP was trained with (its logit scale ends at 100): the confidence before any fitting."""

CERTAIN = 1.0
"""Confidence that a class needs where no threshold will do for classes, but one of parents will."""

FEWEST = 20
"""Images of known classes below which nothing is measured."""


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
        wanted = np.linspace(0.01, 1, 100)
        at = np.searchsorted(curve.coverage, wanted - 1e-12)
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


def measure_trust(
    top_scores: np.ndarray,
    right: np.ndarray,
    known: np.ndarray,
    precision: float,
    seed: int = 0,
    presence: np.ndarray | None = None,
    floored: bool = False,
    tree: Tree | None = None,
    best: np.ndarray | None = None,
    truth: np.ndarray | None = None,
    cluster: np.ndarray | None = None,
) -> Trust:
    """Measure calibration and the abstention threshold on images with known truth.

    Calibration is never measured on the images it was fitted on: each half of the images is
    measured with the temperature, floor and thresholds chosen on the other half.

    Args:
        top_scores: (B, k) scores as stored, best first; k at least 2, the `top_k` of the run.
        right: (B,) bool, the best class is the truth.
        known: (B,) bool, the truth is in the label set; false for images of an open set.
        precision: the part of the given labels that is to be right, above 0 and below 1.
        seed: of the halves.
        presence: (B,) P of each image's best class, where a known class may not be shown at all:
            thresholds are then put on confidence times presence.
        floored: put a floor under the best score, below which an image is like none of these.
        tree: of the label set, with `best` (B, k), the classes of `top_scores`, and `truth` (B,),
            the index of what is shown, -1 where the label set lacks it.
        cluster: (B,) int, the number of each image's cluster of like images, which together weigh
            as one and stay in one half; None means that each image is one by itself.

    Raises:
        UserError: only one class was stored per image, there are too few images or clusters, or the
            precision is none.
    """
    top_scores = np.asarray(top_scores, np.float32)
    known = np.asarray(known, bool)
    images = Images(
        top_scores,
        np.asarray(right, bool) & known,
        known,
        np.ones(len(known)) if presence is None else np.asarray(presence, np.float64),
        np.arange(len(known)) if cluster is None else np.unique(cluster, return_inverse=True)[1],
    )
    _check(images, precision, cluster is not None)
    whole = fit(images, precision, floored)
    half = random_half(images.cluster, seed)
    halves = [(tested, fit(images.subset(~tested), precision, floored)) for tested in (half, ~half)]
    held_out = np.zeros(len(known), bool)
    crossed = np.empty(len(known), np.float32)
    loss_after = 0.0
    for tested, fitted in halves:
        tested_images = images.subset(tested)
        crossed[tested] = confidence(tested_images.top_scores, fitted.temperature)
        held_out[tested] = fitted.labels(tested_images)
        of_known = images.subset(tested & known)
        loss = log_loss(of_known.top_scores, of_known.right, fitted.temperature)
        loss_after += len(of_known.known) * loss
    before = confidence(top_scores[known], CLIP_TEMPERATURE)
    # About twenty images or more per bin, at most fifteen bins.
    bins = int(np.clip(known.sum() // 20, 2, 15))
    bins_before = reliability(before, images.right[known], bins)
    bins_after = reliability(crossed[known], images.right[known], bins)
    curve = whole.curve
    raw_cut = widest_cut(curve, precision, assured=False)
    sure = confidence(top_scores, whole.temperature)
    areas = {} if known.all() else _areas(images, sure, presence is not None)
    clusters = None if cluster is None else int(images.cluster.max()) + 1
    backing_off = None
    if tree is not None and best is not None and truth is not None:
        backing_off = _backed_off(tree, images, best, truth, precision, whole, halves)
    return Trust(
        images=len(known),
        unknown=int((~known).sum()),
        accuracy=float(images.right[known].mean()),
        temperature=whole.temperature,
        ece_before=calibration_error(bins_before),
        ece_after=calibration_error(bins_after),
        loss_before=log_loss(top_scores[known], images.right[known], CLIP_TEMPERATURE),
        loss_after=float(loss_after / known.sum()),
        bins_before=bins_before,
        bins_after=bins_after,
        risk_coverage=curve,
        aurc=curve.area,
        precision=precision,
        cut=whole.cut,
        raw_cut=raw_cut,
        held_out_coverage=float(held_out.mean()),
        held_out_precision=float(images.right[held_out].mean()) if held_out.any() else None,
        sentence=_sentence(precision, whole, raw_cut, len(known), clusters),
        auroc_open_set=areas.pop("confidence", None),
        auroc_scores=areas,
        confidence=sure,
        right=images.right,
        known=known,
        held_against=images.held(whole.temperature, whole.floor),
        cluster=images.cluster,
        clusters=clusters,
        abstain_by=None if presence is None else "presence",
        floor=whole.floor,
        backing_off=backing_off,
        classes=top_scores.shape[1],
    )


def _areas(images: Images, sure: np.ndarray, with_presence: bool) -> dict[str, float]:
    """AUROC of known against unknown, by score."""
    top_scores = images.top_scores
    scores = {
        "confidence": sure,
        "best score": top_scores[:, 0],
        "margin": top_scores[:, 0] - top_scores[:, 1],
    }
    if with_presence:
        scores |= {"presence": images.presence, "confidence x presence": sure * images.presence}
    return {name: auroc(value, images.known) for name, value in scores.items()}


def _backed_off(
    tree: Tree,
    images: Images,
    best: np.ndarray,
    truth: np.ndarray,
    precision: float,
    whole: Fit,
    halves: list[tuple[np.ndarray, Fit]],
) -> BackingOff | None:
    """What the tree adds at the temperature, floor and threshold of all images, and of halves."""

    def applied(choice: Fit) -> tuple[Candidates, np.ndarray]:
        candidates = Candidates.of(
            tree, best, images.top_scores, truth, choice.temperature, images.cluster
        )
        chance = candidates.chance * images.presence[:, None]
        chance = np.where(images.above(choice.floor)[:, None], chance, -1.0)
        threshold = choice.cut.threshold if choice.cut else CERTAIN
        by_class = images.held(choice.temperature, choice.floor) >= threshold
        return replace(candidates, chance=chance), by_class

    crossed = tuple((tested, *applied(choice)) for tested, choice in halves)
    return measure_backing_off(*applied(whole), precision, crossed)


def _check(images: Images, precision: float, clustered: bool) -> None:
    top_scores, known = images.top_scores, images.known
    if top_scores.shape[1] < 2:
        raise UserError(
            "confidence compares the best classes of an image, but only one was stored; score "
            "again with --top-k 2 or more and a label set of two classes or more"
        )
    if known.sum() < FEWEST:
        raise UserError(
            f"confidence was to be measured on {known.sum()} images with truth; give {FEWEST} or "
            "more"
        )
    if clustered and (clusters := len(np.unique(images.cluster[known]))) < FEWEST:
        raise UserError(
            f"the {known.sum()} images with truth are {clusters} clusters of like images, which "
            f"count as one image each; give {FEWEST} clusters or more, or leave out --clusters"
        )
    if not 0 < precision < 1:
        raise UserError(f"a precision of {precision} is not between 0 and 1")
    if (np.diff(top_scores, axis=1) > 0).any():
        raise ValueError("the scores of an image must come best first")


def _sentence(
    precision: float, choice: Fit, raw: Cut | None, images: int, clusters: int | None
) -> str:
    cut = choice.cut
    if cut is not None:
        where = (
            "" if choice.floor is None else f" (and a best score of {choice.floor:.4f} and above)"
        )
        assumed = (
            "if no group of these images is alike, such as a burst"
            if clusters is None
            else f"its {clusters} clusters of like images counted as one image each"
        )
        return (
            f"Labelled at confidence {cut.threshold:.4f} and above{where}, {cut.coverage:.1%} of "
            f"{images} images have a label, of which {cut.precision:.1%} are right "
            f"(at least {cut.at_least:.1%} with {CERTAINTY:.0%} certainty, {assumed}, and if "
            "others are like them)."
        )
    plain = (
        f"the plain fraction reaches it for {raw.coverage:.1%} of the images, which are too few "
        "to be sure"
        if raw
        else "not even the plain fraction reaches it"
    )
    counted = "" if clusters is None else f" in {clusters} clusters of like images"
    return (
        f"A precision of {precision:.1%} cannot be promised at any threshold on {images} "
        f"images{counted}: {plain}."
    )
