"""Leaves, blades, flowers, berries: drawn in pixels of the picture."""

from __future__ import annotations

import numpy as np
import skia

from studies.plates.palette import Colour, shaded, varied
from studies.plates.pen import ellipse, gradient, lines, paint, tapered

BERRIES: tuple[Colour, ...] = (
    (196, 36, 40),
    (226, 122, 34),
    (58, 74, 148),
    (40, 36, 48),
    (232, 226, 206),
)
FLOWERS: tuple[Colour, ...] = (
    (240, 204, 60), (214, 52, 56), (136, 82, 172), (72, 110, 200), (246, 240, 232), (238, 138, 60),
    (236, 170, 190),
)  # fmt: skip


def leaf(
    canvas: skia.Canvas,
    base: np.ndarray,
    turn: float,
    length: float,
    slim: float,
    colour: Colour,
    rng: np.random.Generator,
) -> skia.Path:
    """A leaf with its rib, one half lighter than the other; its outline comes back."""
    axis = length * np.array([np.cos(turn), np.sin(turn)])
    across = 0.5 * slim * np.array([-axis[1], axis[0]])
    curl = rng.uniform(-0.25, 0.25) * across
    tip = base + axis + curl
    middle = base + 0.5 * axis + 0.3 * curl
    left, right = skia.Path(), skia.Path()
    for half, side in ((left, across), (right, -across)):
        half.moveTo(*base)
        first, second = base + 0.15 * axis + 1.0 * side, base + 0.62 * axis + 1.15 * side
        half.cubicTo(*first, *second, *tip)
        half.quadTo(*middle, *base)
        half.close()
    tone = varied(colour, 9, rng)
    light, dark = (1.14, 0.82) if rng.random() < 0.5 else (0.82, 1.14)
    for half, bright in ((left, light), (right, dark)):
        fill = gradient(
            tuple(base), tuple(tip), [shaded(tone, bright * 0.82), shaded(tone, bright)]
        )
        canvas.drawPath(half, fill)
    rib = skia.Path()
    rib.moveTo(*base)
    rib.quadTo(*middle, *tip)
    canvas.drawPath(rib, paint(shaded(tone, 1.3), 0.55, max(0.8, 0.03 * length)))
    whole: skia.Path = skia.Op(left, right, skia.PathOp.kUnion_PathOp)
    return whole


def flower(
    canvas: skia.Canvas, x: float, y: float, size: float, colour: Colour, rng: np.random.Generator
) -> None:
    """Petals around a heart, seen from a slant."""
    petals = int(rng.integers(5, 9))
    first = rng.uniform(0, np.pi)
    flat = rng.uniform(0.55, 1.0)
    for k in range(petals):
        turn = first + 2 * np.pi * k / petals
        px, py = x + 0.55 * size * np.cos(turn), y + 0.55 * size * flat * np.sin(turn)
        petal = ellipse(px, py, 0.5 * size, 0.27 * size, turn)
        canvas.drawPath(petal, paint(shaded(varied(colour, 8, rng), 0.95)))
        canvas.drawPath(petal, paint(shaded(colour, 0.7), 0.35, max(0.6, 0.05 * size)))
    heart: Colour = (206, 150, 40) if colour[0] < 235 or colour[1] < 190 else (120, 78, 36)
    canvas.drawPath(ellipse(x, y, 0.26 * size, 0.24 * size * flat), paint(heart))


def berries(
    canvas: skia.Canvas, x: float, y: float, size: float, colour: Colour, rng: np.random.Generator
) -> None:
    """A few round berries with a gleam, hanging from a point."""
    for _ in range(int(rng.integers(2, 6))):
        bx, by = x + rng.normal(0, 0.9 * size), y + abs(rng.normal(0, 1.1 * size))
        canvas.drawPath(
            lines(np.array([[x, y]]), np.array([[bx, by]])), paint((84, 72, 44), 1, 1.0)
        )
        canvas.drawPath(ellipse(bx, by, 0.62 * size, 0.62 * size), paint(shaded(colour, 0.7)))
        canvas.drawPath(
            ellipse(bx - 0.06 * size, by - 0.08 * size, 0.5 * size, 0.5 * size), paint(colour)
        )
        gleam = ellipse(bx - 0.2 * size, by - 0.24 * size, 0.14 * size, 0.11 * size)
        canvas.drawPath(gleam, paint((255, 255, 255), 0.75))


def blade(
    canvas: skia.Canvas, x: float, y: float, length: float, width: float, colour: Colour,
    rng: np.random.Generator,
) -> skia.Path:  # fmt: skip
    """A blade of grass or a reed from its foot upwards; its outline comes back."""
    sway = rng.normal(0, 0.22) * length
    way = np.array([(x, y), (x + 0.25 * sway, y - 0.5 * length), (x + sway, y - length)])
    shape = tapered(way, width, 0.1)
    tone = varied(colour, 10, rng)
    canvas.drawPath(
        shape, gradient((x, y), (x + sway, y - length), [shaded(tone, 0.7), shaded(tone, 1.1)])
    )
    return shape
