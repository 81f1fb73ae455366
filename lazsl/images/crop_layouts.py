"""Regions at every scale: squares in a pyramid of grids, and squares where the subject is.

Sides are over the shorter image side. A level of a pyramid is k x k squares, evenly placed so that
the outer ones touch the image's border: 2 x 2 of 0.75, 3 x 3 of 0.5, 4 x 4 of 0.4, 5 x 5 of 0.35,
6 x 6 of 0.3. With the whole image these are 14, 30, 55 and 91 regions. In an image more than one
and a half times as long as wide these would leave gaps, in which a bird is lost; there, a level's
squares lie in fewer rows along the longer side, and are as much larger as it takes to leave none.

A zoom looks at the first levels (14 regions, or 30), and then closely at what is least like the
image's own border: with b the unit mean of the outer squares of the finest grid and
`q_i = 1 - <f_i, b>` of every coarse square, the place that best explains q is the middle of a
window of 0.62, pushed inside the image, in which the fine squares lie (16, or 61): sides of 0.15
to 0.4, one from each of as many equal steps, at places drawn by the image's digest. No label has a
part in it.
"""

from __future__ import annotations

import numpy as np

from lazsl.images.raw_uniform import raw_uniform
from lazsl.images.region_maps import explained, fitting_grid
from lazsl.settings import RegionSettings

LEVELS = ((2, 0.75), (3, 0.5), (4, 0.4), (5, 0.35), (6, 0.3))
"""Squares along a side, and their side."""

_WIDE = 1.5  # longer over shorter side, up to which a level of k x k squares leaves no gap
_OVERLAP = 1.1  # of squares that were moved, over what would just leave no gap

WINDOW, FINEST, COARSEST = 0.62, 0.15, 0.4
"""Of a zoom: its window, and the sides of the squares in it."""

_CELLS = 64  # of the map that says where to zoom, along the longer side


def pyramid(width: int, height: int, count: int) -> np.ndarray:
    """(count + 1, 4) int32 boxes: the whole image, then the levels of a pyramid, coarse to fine.

    Args:
        width, height: pixels after EXIF orientation.
        count: squares, of whole levels.
    """
    whole = np.array([[0, 0, width, height]], np.int32)
    levels = [_grid(width, height, along, side) for along, side in LEVELS]
    return np.concatenate([whole, *levels])[: count + 1]


def coarse(count: int) -> int:
    """Squares of the pyramid that a zoom of so many squares begins with."""
    return 13 if count < 90 else 29


def window_squares(width: int, height: int, digest: str, settings: RegionSettings) -> np.ndarray:
    """(n, 4) int32, the fine squares of a zoom, as if its window lay in the image's corner.

    Args:
        width, height: pixels after EXIF orientation.
        digest: SHA-256 of the image's bytes.
        settings: the region settings.
    """
    shorter = min(width, height)
    window = _side(WINDOW, shorter)
    count = settings.count - coarse(settings.count)
    uniform = raw_uniform(f"{digest} zoom {settings.count} {settings.seed}", (count, 3))
    steps = FINEST + (COARSEST - FINEST) * (np.arange(count) + uniform[:, 0]) / count
    sides = np.maximum(1, (steps * shorter).astype(np.int64))
    left, top = ((uniform[:, axis] * (window - sides + 1)).astype(np.int64) for axis in (1, 2))
    return np.stack([left, top, left + sides, top + sides], axis=1).astype(np.int32)


def window_corner(boxes: np.ndarray, vectors: np.ndarray) -> tuple[int, int]:
    """(left, top) of a zoom's window: around `subject`, pushed inside the image; arguments as
    there."""
    size = int(boxes[0, 2]), int(boxes[0, 3])
    window = _side(WINDOW, min(size))
    left, top = (
        min(max(0, int(middle - window / 2)), whole - window)
        for middle, whole in zip(subject(boxes, vectors), size, strict=True)
    )
    return left, top


def subject(boxes: np.ndarray, vectors: np.ndarray) -> tuple[float, float]:
    """(x, y) in pixels of the place that is least like the image's own border.

    Args:
        boxes: (n + 1, 4), the whole image, then whole levels of a pyramid.
        vectors: (n + 1, D), their embeddings.
    """
    along = next(k for k, _ in reversed(LEVELS) if len(boxes) > _up_to(k))
    vectors = vectors.astype(np.float64)
    left, top, right, bottom = boxes[len(boxes) - along**2 :].T
    outer = (left == 0) | (top == 0) | (right == boxes[0, 2]) | (bottom == boxes[0, 3])
    border = vectors[len(boxes) - along**2 :][outer].mean(axis=0)
    border /= np.linalg.norm(border) or 1.0
    unlike = 1 - vectors[1:] @ border
    size = (int(boxes[0, 2]), int(boxes[0, 3]))
    grid = fitting_grid(size, _CELLS)
    # Rounded, so that places which are equally good but for rounding have a first.
    unlikeness = explained(boxes[1:], unlike[:, None], size, grid)[0].round(9)
    row, column = np.argwhere(unlikeness == unlikeness.max()).mean(axis=0)
    return (column + 0.5) * size[0] / grid[0], (row + 0.5) * size[1] / grid[1]


def finest(settings: RegionSettings) -> float:
    """The smallest side of a square, over the shorter image side."""
    if settings.layout == "zoom":
        return FINEST
    if settings.layout == "pyramid":
        return next(side for along, side in LEVELS if _up_to(along) >= settings.count)
    return settings.smallest


def _up_to(along: int) -> int:
    """Squares of the levels up to one, and this one."""
    return sum(k**2 for k, _ in LEVELS if k <= along)


def _grid(width: int, height: int, along: int, side: float) -> np.ndarray:
    """(along * along, 4) int32, row by row; rows run along the longer side where it is much the
    longer."""
    shorter, longer = sorted((width, height))
    if longer <= _WIDE * shorter:
        return _placed(width, height, [along] * along, _side(side, shorter))
    counts, covering = _in_rows(along**2, side, longer / shorter)
    boxes = _placed(longer, shorter, counts, _side(covering, shorter))
    return boxes if width > height else boxes[:, [1, 0, 3, 2]]


def _in_rows(count: int, side: float, ratio: float) -> tuple[list[int], float]:
    """Squares in every row, and their side, over the shorter side: the smallest, but no less than
    the level's own, that leaves no gap in an image of this ratio of sides."""

    def covering(rows: int) -> float:
        needed = max(ratio / (count // rows), 1 / rows if rows > 1 else 1.0)
        return min(1.0, max(side, _OVERLAP * needed))

    rows = min(range(1, round(count**0.5) + 1), key=covering)
    return [count // rows + (row < count % rows) for row in range(rows)], covering(rows)


def _placed(width: int, height: int, counts: list[int], square: int) -> np.ndarray:
    """(sum of counts, 4) int32: rows of so many squares, evenly placed."""
    boxes = []
    for row, count in enumerate(counts):
        top = _step(height - square, row, len(counts))
        for column in range(count):
            left = _step(width - square, column, count)
            boxes.append((left, top, left + square, top + square))
    return np.array(boxes, np.int32)


def _step(room: int, number: int, count: int) -> int:
    return room * number // (count - 1) if count > 1 else room // 2


def _side(part: float, shorter: int) -> int:
    return max(1, int(part * shorter))
