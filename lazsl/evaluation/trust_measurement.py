"""How far labels can be trusted, measured on images whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lazsl.errors import UserError
from lazsl.evaluation.backing_off import BackingOff, Candidates, measure_backing_off
from lazsl.evaluation.calibration import (
    CERTAINTY,
    Cut,
    auroc,
    calibration_error,
    log_loss,
    reliability,
    widest_cut,
)
from lazsl.evaluation.fitting import Fit, Images, fit, random_half
from lazsl.evaluation.trust import CERTAIN, Trust
from lazsl.scoring.confidence import confidence
from lazsl.scoring.tree import Tree

CLIP_TEMPERATURE = 0.01
"""What CLIP was trained with (its logit scale ends at 100): the confidence before any fitting."""

FEWEST = 20
"""Images of known classes below which nothing is measured."""


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
