"""Where in an image the values of its regions differ: which places explain them.

Shapes: R regions, N values of each, a grid of h x w cells over the image.
"""

from __future__ import annotations

import numpy as np

_BORDER = 1 / 16
"""Of a box's side, where what is shown is cut off."""


def explained(
    boxes: np.ndarray, values: np.ndarray, size: tuple[int, int], grid: tuple[int, int]
) -> np.ndarray:
    """(N, h, w) float64: the part of the values' variance that showing a place explains.

    It is the squared correlation, over regions, of the value with how well the region shows the
    place (1 inside its box, falling to 0 over its border of a sixteenth of the side: what lies
    there is cut off), and negative where regions that show it have less. A place that all regions
    show alike, or none, explains nothing: 0, as everywhere when all values are equal.

    Args:
        boxes: (R, 4) left, top, right, bottom, within the image.
        values: (R, N).
        size: (width, height) of the image.
        grid: (w, h) cells of the map.
    """
    across = _shown(boxes[:, 0], boxes[:, 2], size[0], grid[0])
    down = _shown(boxes[:, 1], boxes[:, 3], size[1], grid[1])
    count = max(1, len(boxes))
    mean = down.T @ across / count
    variance = (down**2).T @ (across**2) / count - mean**2
    apart = values - values.mean(axis=0, keepdims=True) if len(values) else values
    spread_out = (apart**2).mean(axis=0) if len(values) else np.zeros(values.shape[1])
    together = (apart.T[:, None, :] * down.T[None]) @ across / count
    # What is below these is rounding.
    possible = (variance > 1e-9) & (spread_out > 1e-18)[:, None, None]
    scale = np.where(possible, variance * spread_out[:, None, None], 1.0)
    return np.where(possible, np.sign(together) * together**2 / scale, 0.0)


def fitting_grid(size: tuple[int, int], longest: int = 192) -> tuple[int, int]:
    """(w, h) of a grid with the image's aspect ratio, no finer than its pixels."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _shown(first: np.ndarray, last: np.ndarray, whole: int, cells: int) -> np.ndarray:
    """(R, cells): how well each side `first..last` shows the middle of every cell, 0..1."""
    middle = (np.arange(cells) + 0.5) * whole / cells
    along = (middle[None] - first[:, None]) / (last - first)[:, None]
    return np.asarray(np.clip(np.minimum(along, 1 - along) / _BORDER, 0.0, 1.0))
