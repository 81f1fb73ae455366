"""Feathers: long ones by their outline, soft ones by many short strokes."""

from __future__ import annotations

import numpy as np
import skia

from studies.plates.palette import Colour, contrast, luma, shaded, varied
from studies.plates.pen import Pen, ellipse, gradient, lines, paint, spline

PALE: Colour = (252, 241, 212)


def feather(base: np.ndarray, tip: np.ndarray, width: float, end: str = "round") -> skia.Path:
    """The outline of a feather from its base to its tip; `end` is round, pointed or square."""
    axis = tip - base
    across = np.array([-axis[1], axis[0]]) / max(float(np.linalg.norm(axis)), 1e-9) * width / 2
    profile = {
        "round": ((0.0, 0.35), (0.45, 0.95), (0.8, 1.0), (0.95, 0.62), (1.0, 0.0)),
        "pointed": ((0.0, 0.45), (0.35, 1.0), (0.65, 0.8), (0.88, 0.34), (1.0, 0.0)),
        "square": ((0.0, 0.5), (0.4, 0.95), (0.85, 1.05), (0.985, 0.95), (1.0, 0.0)),
    }[end]
    left = [base + axis * u + across * v for u, v in profile]
    right = [base + axis * u - across * v for u, v in profile[-2::-1]]
    return spline(np.array(left + right))


def lay(
    pen: Pen,
    base: np.ndarray,
    tip: np.ndarray,
    width: float,
    colour: Colour,
    number: int,
    rng: np.random.Generator,
    end: str = "round",
    mark: str = "plain",
) -> None:
    """One long feather with its shaft, the shade it lies in and its mark."""
    tone = varied(colour, 5, rng)
    outline = feather(base, tip, width, end)
    dark, light = shaded(tone, 0.66), shaded(tone, 1.09)
    pen.draw(
        outline,
        gradient(tuple(base), tuple(tip), [dark, tone, light], [0.05, 0.55, 1.0]),
        number,
    )
    with pen.within(outline):
        _mark(pen, base, tip, width, colour, mark, rng)
        if mark == "plain":
            # The hidden edge lies in the shade of the feather above it.
            axis = tip - base
            across = np.array([-axis[1], axis[0]]) / max(float(np.linalg.norm(axis)), 1e-9)
            side = across * width * 0.42
            shade = lines((base + side)[None], (tip + side)[None])
            pen.draw(shade, paint(shaded(tone, 0.5), 0.35, width * 0.3))
    pen.draw(
        lines(base[None], (base + 0.93 * (tip - base))[None]), paint(shaded(tone, 0.55), 0.4, 0.006)
    )
    if mark != "pale-edged":
        pen.draw(outline, paint(shaded(tone, 0.5), 0.45, 0.006))


def _mark(
    pen: Pen,
    base: np.ndarray,
    tip: np.ndarray,
    width: float,
    colour: Colour,
    mark: str,
    rng: np.random.Generator,
) -> None:
    axis = tip - base
    length = float(np.linalg.norm(axis))
    along = axis / max(length, 1e-9)
    across = np.array([-along[1], along[0]])
    other = contrast(colour)
    if mark == "barred":
        # Bars stand at the same places of neighbouring feathers, so that they join.
        first = np.ceil((float(-tip @ along) + 0.012) / 0.105) * 0.105
        for k in range(int(length / 0.105) + 1):
            middle = tip + along * (float(-tip @ along) - first - 0.105 * k + 0.075)
            jitter = along * rng.normal(0, 0.005)
            bar = lines((middle + across * width + jitter)[None], (middle - across * width)[None])
            pen.draw(bar, paint(other, 0.96, 0.043))
    elif mark == "spotted":
        for u in (0.74,) if length < 0.28 else (0.85, 0.6):
            x, y = base + axis * u + across * 0.1 * width
            pen.draw(
                ellipse(x, y, 0.026, 0.022, float(np.arctan2(*along[::-1]))), paint(other, 0.97)
            )
    elif mark == "pale-edged":
        edge = feather(base, tip, width, "round")
        pen.draw(edge, paint(shaded(colour, 0.42), 0.9, 0.04))
        pale = PALE if luma(colour) < 200 else (255, 255, 252)
        pen.draw(edge, paint(pale, 1.0, 0.027))


def soften(
    pen: Pen,
    places: np.ndarray,
    flow: np.ndarray,
    colour: Colour,
    length: float,
    rng: np.random.Generator,
    number: int | None = None,
    width: float = 0.009,
    contrast_of: float = 1.0,
) -> None:
    """Soft feathers: short strokes at the places, along the flow, in shades of a colour.

    Args:
        places, flow: (n, 2), in the pen's coordinates; flow of length 1.
        length: of a stroke, in the pen's units.
        contrast_of: how far the shades lie apart, 1 as usual.
    """
    shades = (0.72, 0.84, 0.94, 1.02, 1.1, 1.18)
    order = rng.integers(len(shades), size=len(places))
    reach = length * rng.uniform(0.6, 1.3, (len(places), 1))
    bend = rng.normal(0, 0.22, (len(places), 1))
    turned = flow + bend * np.stack([-flow[:, 1], flow[:, 0]], axis=1)
    for i, shade in enumerate(shades):
        chosen = order == i
        if not chosen.any():
            continue
        tone = shaded(varied(colour, 3, rng), 1 + contrast_of * (shade - 1))
        starts = places[chosen]
        path = lines(starts, starts + turned[chosen] * reach[chosen])
        pen.draw(path, paint(tone, 0.55 if number is None else 0.9, width), number)


def scatter(path: skia.Path, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """(n, 2): places inside a path, about so far apart."""
    box = path.computeTightBounds()
    across = np.arange(box.left(), box.right(), spacing)
    down = np.arange(box.top(), box.bottom(), spacing)
    grid = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
    grid = grid + rng.uniform(-0.5, 0.5, grid.shape) * spacing
    inside = [path.contains(x, y) for x, y in grid.tolist()]
    return grid[np.array(inside, bool)] if len(grid) else grid
