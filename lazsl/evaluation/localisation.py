"""Does the evidence of an attribute sit where its part is? Maps against true pixels.

Shapes: N attributes, a grid of h x w cells over the image. `parts` (N, h, w) is the fraction of
every cell that belongs to the attribute's part, 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image, ImageFilter
from scipy.stats import norm, t

from lazsl.alignment.plans import plans_for
from lazsl.evaluation.methods import aligning
from lazsl.evaluation.stored import Images
from lazsl.explain.evidence import Evidence
from lazsl.explain.maps import attribute_maps, place_maps, spread
from lazsl.intervals import LEVEL, exact
from lazsl.scoring.aligned import taking_part
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.settings import ScoringSettings

Maps = Callable[[Evidence, Evidence | None, tuple[int, int]], np.ndarray]
"""(N, h, w) of one class on one image, given its runner-up and a grid (w, h)."""

_PATCH = 8  # pixels of a side

_CENTRE = 0.25  # standard deviation of the centre prior, over the shorter side


def pointing_game(maps: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """(N,): does the strongest place of every map lie in the part? 1, 0, or between where the
    place is cut by the part's outline or several places are equally strong: their mean."""
    strongest = maps == maps.max(axis=(1, 2), keepdims=True)
    hits: np.ndarray = (strongest * parts).sum(axis=(1, 2)) / strongest.sum(axis=(1, 2))
    return hits


def energy_inside(maps: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """(N,): the share of what is positive in every map that lies in the part. A map without
    anything positive says nothing, and counts as spread over the whole image."""
    positive = np.clip(maps, 0.0, None)
    silent = positive.sum(axis=(1, 2), keepdims=True) == 0
    positive = np.where(silent, 1.0, positive)
    share: np.ndarray = (positive * parts).sum(axis=(1, 2)) / positive.sum(axis=(1, 2))
    return share


def evidence_of(
    images: Images, labels: EmbeddedLabels, settings: ScoringSettings, classes: np.ndarray
) -> list[list[Evidence]]:
    """Per image the evidence of chosen classes, with the regions that were not kept.

    Args:
        images: stored embeddings.
        labels: the label set.
        settings: how to score.
        classes: (B, k) indices of classes; ranks are given in this order.
    """
    regions = taking_part(torch.cat([images.whole[:, None], images.crops], 1), settings)
    chosen = torch.from_numpy(np.asarray(classes, np.int64))
    given = (regions.embeddings, images.whole, regions.keep, labels.packed, chosen)
    plans = plans_for(*given, **aligning(settings))
    mixed = settings.theta * regions.embeddings + (1 - settings.theta) * images.whole[:, None]
    by_image = []
    for image, key in enumerate(images.keys):
        kept = regions.keep[image].numpy()
        whole = np.array([[0, 0, *images.sizes[image]]])
        boxes = np.concatenate([whole, images.boxes[image]])[regions.first :].astype(np.int64)
        by_class = []
        for rank, index in enumerate(classes[image].tolist()):
            mass, similarity = (part.double().numpy() for part in plans.of(image, rank))
            rows = slice(*labels.packed.starts[index : index + 2].tolist())
            every = (mixed[image] @ labels.packed.embeddings[rows].T).double().numpy()
            by_class.append(
                Evidence(
                    image_id=images.image_ids[image],
                    key=key,
                    uri=key,
                    width=int(images.sizes[image, 0]),
                    height=int(images.sizes[image, 1]),
                    rank=rank + 1,
                    label=labels.classes[index],
                    score=float(plans.scores[image, rank]),
                    attributes=labels.attributes[index],
                    regions=np.flatnonzero(kept) + regions.first,
                    boxes=boxes[kept],
                    mass=mass,
                    similarity=similarity,
                    passed_boxes=boxes[~kept],
                    passed_similarity=every[~kept],
                )
            )
        by_image.append(by_class)
    return by_image


# What can be held against true pixels


def contributions(evidence: Evidence, rival: Evidence | None, grid: tuple[int, int]) -> np.ndarray:
    """`T_ij S_ij` over its box: what is stored, and adds up to the score."""
    return attribute_maps(evidence, grid)


def above_floor(evidence: Evidence, rival: Evidence | None, grid: tuple[int, int]) -> np.ndarray:
    """`T_ij S_ij` above 70 % of its mean over regions, over boxes with soft edges."""
    contributions = evidence.contributions
    weights = contributions - 0.7 * contributions.mean(axis=0)
    return spread(evidence.boxes, weights, (evidence.width, evidence.height), grid, "soft")


def above_mean(evidence: Evidence, rival: Evidence | None, grid: tuple[int, int]) -> np.ndarray:
    """`T_ij (S_ij - mean_i S_ij)`: what a region adds above the attribute's mean over regions."""
    gain = evidence.similarity - evidence.similarity.mean(axis=0)
    return _over_boxes(evidence, evidence.mass * gain, grid)


def above_rival(evidence: Evidence, rival: Evidence | None, grid: tuple[int, int]) -> np.ndarray:
    """`T_ij S_ij` less what the same region gives the runner-up, shared out evenly."""
    weights = evidence.contributions
    if rival is not None:
        weights = weights - rival.contributions.sum(axis=1, keepdims=True) / weights.shape[1]
    return _over_boxes(evidence, weights, grid)


def above_even(evidence: Evidence, rival: Evidence | None, grid: tuple[int, int]) -> np.ndarray:
    """`T_ij` above its even share of the region's mass."""
    mass = evidence.mass
    return _over_boxes(evidence, mass - mass.mean(axis=1, keepdims=True), grid)


def explaining(evidence: Evidence, rival: Evidence | None, grid: tuple[int, int]) -> np.ndarray:
    """`maps.place_maps`: how far showing a place explains the attribute's similarity."""
    return place_maps(evidence, grid)


def explaining_kept(
    evidence: Evidence, rival: Evidence | None, grid: tuple[int, int]
) -> np.ndarray:
    """The same from the kept regions alone."""
    return place_maps(replace(evidence, passed_boxes=None, passed_similarity=None), grid)


def best_crop(evidence: Evidence, rival: Evidence | None, grid: tuple[int, int]) -> np.ndarray:
    """The region most similar to the attribute, alone; strongest in its middle."""
    best = evidence.similarity.argmax(axis=0)
    weights = np.zeros_like(evidence.similarity)
    weights[best, np.arange(len(best))] = 1
    size = (evidence.width, evidence.height)
    return spread(evidence.boxes, weights, size, grid, "hann")


def uniform(evidence: Evidence, rival: Evidence | None, grid: tuple[int, int]) -> np.ndarray:
    """The same everywhere: what chance does."""
    return np.ones((len(evidence.attributes), grid[1], grid[0]))


def centre(evidence: Evidence, rival: Evidence | None, grid: tuple[int, int]) -> np.ndarray:
    """A bell over the middle of the image, whatever the attribute."""
    shorter = min(evidence.width, evidence.height)
    x, y = (
        (np.arange(cells) + 0.5 - cells / 2) * side / cells / (_CENTRE * shorter)
        for cells, side in zip(grid, (evidence.width, evidence.height), strict=True)
    )
    bell = np.exp(-(y[:, None] ** 2 + x[None] ** 2) / 2)
    return np.repeat(bell[None], len(evidence.attributes), axis=0)


def _over_boxes(evidence: Evidence, weights: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    return spread(evidence.boxes, weights, (evidence.width, evidence.height), grid)


BEST = "place"
"""What finds parts best of all that was tried, and is what people are shown;
docs/research/evaluation/localisation.md has the figures."""

ATTRIBUTIONS: dict[str, Maps] = {
    "place": explaining,
    "place, kept": explaining_kept,
    "above floor": above_floor,
    "contribution": contributions,
    "above mean": above_mean,
    "above runner-up": above_rival,
    "above even": above_even,
    "best crop": best_crop,
    "centre": centre,
    "uniform": uniform,
}


# Deletion


def deleted(
    pixels: np.ndarray, attribution: np.ndarray, fractions: Sequence[float], seed: int = 0
) -> list[np.ndarray]:
    """The image with the strongest places of a map blurred away, for each fraction of its pixels.

    Args:
        pixels: (height, width, 3) uint8.
        attribution: (h, w), one map on any grid over the image. Among places equally strong,
            which go first is drawn by the seed.
        fractions: of all pixels, 0..1.
    """
    height, width, _ = pixels.shape
    wide = np.asarray(
        Image.fromarray(attribution.astype(np.float32)).resize(
            (width, height), Image.Resampling.NEAREST
        )
    )
    # Equally strong places go in patches, or single blurred pixels would be all over the image.
    patches = np.random.default_rng(seed).random((height // _PATCH + 1, width // _PATCH + 1))
    tie = np.kron(patches, np.ones((_PATCH, _PATCH)))[:height, :width]
    order = np.lexsort((tie.ravel(), -wide.ravel()))
    radius = max(height, width) / 16
    # Blurred twice, because once leaves the outline of what was there.
    blurred = Image.fromarray(pixels)
    for _ in range(2):
        blurred = blurred.filter(ImageFilter.GaussianBlur(radius))
    behind = np.asarray(blurred).reshape(-1, 3)
    versions = []
    for fraction in fractions:
        erased = pixels.reshape(-1, 3).copy()
        chosen = order[: round(fraction * len(order))]
        erased[chosen] = behind[chosen]
        versions.append(erased.reshape(pixels.shape))
    return versions


def area_under(fractions: Sequence[float], scores: np.ndarray) -> float:
    """The mean height of a curve of scores over fractions, by trapezoids."""
    x = np.asarray(fractions, float)
    return float(np.trapezoid(np.asarray(scores, float), x) / (x[-1] - x[0]))


# Uncertainty


def mean_interval(values: np.ndarray, images: np.ndarray) -> tuple[float, float, float]:
    """Mean, and the ends of its 95 % interval, where values of one image are not independent.

    With the sums s_i and counts c_i of n images, m = sum s / sum c, the mean's variance is that of
    a ratio over clusters, and makes of it how many independent values would say as much (Korn and
    Graubard 1998; see `intervals.exact`):

        v = n / (n - 1) sum_i (s_i - m c_i)^2 / (sum c)^2
        size = m (1 - m) / v (z / t_{n - 1})^2

    z and t are quantiles. Where nothing varies, each image counts as one. Few images have wide
    intervals: with one image nothing is known of others, and the ends are 0 and 1.

    Args:
        values: (K,), each 0..1.
        images: (K,), which image each is of.
    """
    _, owner = np.unique(images, return_inverse=True)
    sums, counts = np.bincount(owner, values), np.bincount(owner)
    number, mean = len(sums), float(np.mean(values))
    if number < 2:
        return mean, 0.0, 1.0
    apart = sums - mean * counts
    variance = number / (number - 1) * float(apart @ apart) / len(values) ** 2
    size = float(number)
    if variance > 0 and 0 < mean < 1:
        tail = (1 - LEVEL) / 2
        widening = t.isf(tail, number - 1) / norm.isf(tail)
        size = mean * (1 - mean) / variance / float(widening) ** 2
    return mean, *exact(mean, size)
