"""From stored plans to pictures of why: where in an image each attribute of a class was found.

A plan says how much every region contributed to every attribute: `T_ij S_ij`, which adds up to the
class's score. Spreading each contribution over its region's box makes a map of the image, and
nothing is lost or made up on the way: an attribute's map sums to its contribution, the maps of a
class sum to its score. No image and no model is needed.

Such a map says what was added up, and is a poor pointer: most regions show most of the image, so
it glows in the middle whatever the attribute says. Where an attribute was found is better told by
`place_maps`, which asks of every place how far showing it explains why regions differ; it adds up
to nothing. docs/research/evaluation/localisation.md has both measured against true pixels.

Shapes: R kept regions, N attributes of the class, a grid of h x w cells over the image.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from lazsl.explain.evidence import Evidence, every_region
from lazsl.images.region_maps import explained, fitting_grid

Kernel = Literal["box", "soft", "hann"]
"""How a region's share lies in its box: evenly; evenly but for soft edges; most in the middle."""

_SHARPNESS = 2.0  # standard deviations in which what is drawn apart grows by e

TAPERS: dict[Kernel, float] = {"box": 0.0, "soft": 0.3, "hann": 1.0}
"""The part of a side over which a share fades, half of it at either end: Tukey's window."""


def spread(
    boxes: np.ndarray,
    weights: np.ndarray,
    size: tuple[int, int],
    grid: tuple[int, int] | None = None,
    kernel: Kernel = "box",
) -> np.ndarray:
    """(N, h, w) float64: every weight spread over its box, overlapping boxes added.

    A cell gets what lies in it, whatever the grid: `map[n].sum() == weights[:, n].sum()`.

    Args:
        boxes: (R, 4) left, top, right, bottom, within the image.
        weights: (R, N); they may be negative.
        size: (width, height) of the image.
        grid: (w, h) cells of the map; None: one cell per pixel.
        kernel: see `Kernel`.
    """
    width, height = size
    columns, rows = grid or size
    across = _overlap(boxes[:, 0], boxes[:, 2], np.linspace(0, width, columns + 1), kernel)
    down = _overlap(boxes[:, 1], boxes[:, 3], np.linspace(0, height, rows + 1), kernel)
    # (N, h, R) @ (R, w): a box is the product of its two sides.
    return np.asarray((weights.T[:, None, :] * down.T[None]) @ across)


def attribute_maps(evidence: Evidence, grid: tuple[int, int] | None = None) -> np.ndarray:
    """(N, h, w) float64: where each attribute's contribution comes from; they add up to the score.

    Args:
        evidence: one class on one image.
        grid: (w, h) cells; None: `fitting_grid` of the image.
    """
    size = (evidence.width, evidence.height)
    return spread(evidence.boxes, evidence.contributions, size, grid or fitting_grid(size))


def place_maps(evidence: Evidence, grid: tuple[int, int] | None = None) -> np.ndarray:
    """(N, h, w) float64, -1..1: where each attribute was found, by `explained` of what is
    `sharpened`.

    Args:
        evidence: one class on one image.
        grid: (w, h) cells; None: `fitting_grid` of the image.
    """
    size = (evidence.width, evidence.height)
    boxes, similarity = every_region(evidence)
    return explained(boxes, sharpened(boxes, similarity, size), size, grid or fitting_grid(size))


def sharpened(boxes: np.ndarray, values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(R, N) float64: exp(z / 2), with z the values in standard deviations from their mean, where
    regions are small; the values as they are where they are not.

    Few of many small regions show an attribute, and how unlike it the others are says nothing of
    its place: this draws the first apart and the others together, whatever the scale of a model's
    similarities. Of large regions (fewer than half span half of the image's shorter side or less),
    most show it, and what the others lack says as much.

    Args:
        boxes: (R, 4) left, top, right, bottom.
        values: (R, N), similarities or what is left of them.
        size: (width, height) of the image.
    """
    small = boxes[:, 2] - boxes[:, 0] <= min(size) / 2
    if 2 * small.sum() < len(boxes):
        return values
    apart = values - values.mean(axis=0, keepdims=True)
    spread_out = np.sqrt((apart**2).mean(axis=0, keepdims=True))
    # What is below this is rounding.
    scale = np.where(spread_out > 1e-9, _SHARPNESS * spread_out, np.inf)
    return np.asarray(np.exp(apart / scale))


def _overlap(first: np.ndarray, last: np.ndarray, edges: np.ndarray, kernel: Kernel) -> np.ndarray:
    """(R, cells): the part of each side `first..last` that lies between consecutive edges."""
    along = (edges[None] - first[:, None]) / (last - first)[:, None]
    return np.diff(_gathered(along, TAPERS[kernel] / 2), axis=1)


def _gathered(along: np.ndarray, fade: float) -> np.ndarray:
    """The integral of Tukey's window from 0 to `along`, all of it being 1: it rises over `fade`,
    stays, and falls over `fade`."""
    if fade == 0:
        return np.asarray(np.clip(along, 0.0, 1.0))
    rising, falling = np.clip(along, 0, fade), np.clip(along - (1 - fade), 0, fade)
    level = np.clip(along - fade, 0, 1 - 2 * fade)
    waves = np.sin(np.pi * falling / fade) - np.sin(np.pi * rising / fade)
    gathered = (rising + falling) / 2 + level + waves * fade / (2 * np.pi)
    return np.asarray(gathered / (1 - fade))
