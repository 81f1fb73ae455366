"""Whether an attribute's map points anywhere at all, or would glow like this by chance."""

from __future__ import annotations

import numpy as np

from lazsl.explain.evidence import Evidence, every_region
from lazsl.images.places import explained

SHUFFLES = 99
"""Of an attribute's similarities among the regions: p-values are no finer than 1 %."""

CHANCE = 0.05
_GRID = 24  # cells along the longer side: peaks are broader than that


def localised(evidence: Evidence, seed: int = 0) -> np.ndarray:
    """(N,) bool: the peak of the attribute's place map is beyond chance.

    Similarities are shuffled among the regions: where a map of shuffled ones peaks as high in more
    than 5 % of draws (a permutation test of the largest value over the map), the map tells nothing.
    How large a region is shifts its similarity whatever it shows, so a straight line over the
    logarithm of its side is taken out first.

    Args:
        evidence: one class on one image.
        seed: of the shuffles.
    """
    boxes, similarity = every_region(evidence)
    size = (evidence.width, evidence.height)
    scale = _GRID / max(size)
    grid = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    values = without_size(boxes, similarity)
    peaks = explained(boxes, values, size, grid).max(axis=(1, 2))
    generator = np.random.default_rng(seed)
    count = np.zeros(values.shape[1])
    for _ in range(SHUFFLES):
        shuffled = values[generator.permutation(len(values))]
        count += explained(boxes, shuffled, size, grid).max(axis=(1, 2)) >= peaks
    return np.asarray((count + 1) / (SHUFFLES + 1) <= CHANCE)


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
