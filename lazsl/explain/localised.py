"""Whether an attribute's map points anywhere at all, or would glow like this by chance."""

from __future__ import annotations

import numpy as np

from lazsl.explain.evidence import Evidence, every_region
from lazsl.explain.maps import sharpened
from lazsl.images.region_maps import explained

SHUFFLES = 99
"""Of an attribute's similarities among the regions: p-values are no finer than 1 %."""

CHANCE = 0.05
_GRID = 24  # cells along the longer side: peaks are broader than that


def localised(evidence: Evidence) -> np.ndarray:
    """(N,) bool: the peak of the attribute's place map is beyond chance.

    Similarities are shuffled among the regions: where a map of shuffled ones peaks as high in more
    than 5 % of draws (a permutation test of the largest value over the map), the map tells nothing.
    How large a region is shifts its similarity whatever it shows, so a straight line over the
    logarithm of its side is taken out first. The report's maps.js does the same, draw for draw.
    """
    boxes, similarity = every_region(evidence)
    size = (evidence.width, evidence.height)
    scale = _GRID / max(size)
    grid = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    values = sharpened(boxes, without_size(boxes, similarity), size)
    peaks = explained(boxes, values, size, grid).max(axis=(1, 2))
    count = np.zeros(values.shape[1])
    for draw in range(1, SHUFFLES + 1):
        shuffled = values[permutation(draw, len(values))]
        count += explained(boxes, shuffled, size, grid).max(axis=(1, 2)) >= peaks
    return np.asarray((count + 1) / (SHUFFLES + 1) <= CHANCE)


def permutation(draw: int, count: int) -> np.ndarray:
    """(count,) int64: a permutation that 32-bit integers alone determine, in any language.

    Numbers from `draw * 2654435769` on are mixed (a multiply-and-shift hash) and sorted.
    """
    mixed = np.arange(count, dtype=np.uint32) + np.uint32(draw * 2654435769 % 2**32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        mixed = (mixed ^ (mixed >> np.uint32(shift))) * np.uint32(factor)
    return np.argsort(mixed ^ (mixed >> np.uint32(16)), kind="stable")


def without_size(boxes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(R, N): what is left of the values when a line over the log of the regions' sides is fitted.

    Args:
        boxes: (R, 4) left, top, right, bottom.
        values: (R, N).
    """
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]).astype(float))
    line = np.stack([np.ones(len(sides)), np.log(sides)], axis=1)
    fitted, *_ = np.linalg.lstsq(line, values, rcond=None)
    return np.asarray(values - line @ fitted)
