"""Branches, stones and posts under a bird's feet: drawn in pixels of the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import skia

from studies.plates.palette import Colour, shaded, varied
from studies.plates.pen import along, ellipse, gradient, lines, paint, polygon, spline, tapered
from studies.plates.plants import berries, flower, leaf


@dataclass(frozen=True)
class Growth:
    """What a branch bears.

    Attributes:
        leaves: colours to choose from; none for a bare branch.
        slim: how narrow leaves are, width over length.
        bark: its colour.
        berries, blossom: their colours, None for none.
        snow: lies on it.
    """

    leaves: tuple[Colour, ...]
    slim: float
    bark: Colour
    berries: Colour | None = None
    blossom: Colour | None = None
    snow: bool = False


def branch(
    canvas: skia.Canvas,
    foot: tuple[float, float],
    slope: float,
    scale: float,
    size: tuple[int, int],
    growth: Growth,
    rng: np.random.Generator,
) -> None:
    """A branch from the picture's border that passes under the feet, with its twigs and leaves."""
    side = 1 if rng.random() < 0.5 else -1
    heading = np.array([np.cos(slope), np.sin(slope)]) * side
    normal = np.array([-heading[1], heading[0]]) * side
    thick = scale * rng.uniform(0.12, 0.17)
    reach = scale * rng.uniform(1.0, 2.2)
    far = max(size) * 1.3
    sag = rng.uniform(-0.16, 0.2, 2) * scale
    spot = np.asarray(foot, float) + normal * 0.46 * thick
    way = np.array(
        [
            spot - heading * far + normal * (sag[0] * 3),
            spot - heading * 1.3 * scale + normal * sag[0],
            spot - heading * 0.3 * scale,
            spot + heading * 0.3 * scale,
            spot + heading * 0.62 * reach + normal * 0.4 * sag[1],
            spot + heading * reach + normal * (sag[1] - 0.1 * scale),
        ]
    )
    _twigs(canvas, way, thick, scale, growth, rng, behind=True)
    _wood(canvas, way, thick, growth, rng)
    _twigs(canvas, way, thick, scale, growth, rng, behind=False)


def _wood(
    canvas: skia.Canvas, way: np.ndarray, thick: float, growth: Growth, rng: np.random.Generator
) -> None:
    spine = along(way, 90)
    step = np.gradient(spine, axis=0)
    across = np.stack([-step[:, 1], step[:, 0]], axis=1)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    across[across[:, 1] < 0] *= -1
    narrow = np.interp(np.linspace(0, 1, 90), [0, 0.45, 0.7, 1], [1.2, 1.0, 0.85, 0.3])
    half = 0.5 * thick * narrow * (1 + 0.06 * rng.normal(size=90))
    up, down = spine - across * half[:, None], spine + across * half[:, None]
    whole = polygon(np.concatenate([up, down[::-1]]))
    bark = varied(growth.bark, 6, rng)
    canvas.drawPath(whole, paint(shaded(bark, 0.5)))
    canvas.save()
    canvas.clipPath(whole, True)
    for height, bright, width in (
        (0.45, 0.72, 0.75),
        (0.0, 0.95, 0.7),
        (-0.35, 1.12, 0.5),
        (-0.62, 1.24, 0.22),
    ):
        band = spline(spine + across * (half * height)[:, None], closed=False)
        canvas.drawPath(band, paint(shaded(bark, bright), 0.8, width * thick, blur=0.09 * thick))
    count = int(6 * np.linalg.norm(way[-1] - way[0]) / max(thick, 1))
    at = rng.integers(0, 89, count)
    begin = spine[at] + across[at] * half[at, None] * rng.uniform(-0.95, 0.95, (count, 1))
    run = step[at] / np.maximum(np.linalg.norm(step[at], axis=1, keepdims=True), 1e-9)
    end = (
        begin
        + run * thick * rng.uniform(0.15, 0.7, (count, 1))
        + rng.normal(0, 0.03, (count, 2)) * thick
    )
    dark = rng.random(count) < 0.65
    canvas.drawPath(
        lines(begin[dark], end[dark]), paint(shaded(bark, 0.42), 0.45, max(0.7, 0.045 * thick))
    )
    canvas.drawPath(
        lines(begin[~dark], end[~dark]), paint(shaded(bark, 1.4), 0.4, max(0.7, 0.04 * thick))
    )
    for _ in range(int(rng.integers(0, 26))):
        i = rng.integers(90)
        x, y = spine[i] + across[i] * half[i] * rng.uniform(-0.9, 0.3)
        moss = varied((142, 156, 104), 14, rng)
        canvas.drawPath(
            ellipse(x, y, thick * rng.uniform(0.04, 0.16), thick * rng.uniform(0.03, 0.08)),
            paint(moss, 0.6),
        )
    canvas.restore()
    if growth.snow:
        crest = (
            up
            - across * (0.12 * thick + 0.1 * thick * np.abs(np.sin(np.arange(90) * 0.37)))[:, None]
        )
        snow = polygon(np.concatenate([crest, (up + across * half[:, None] * 0.35)[::-1]]))
        canvas.drawPath(snow, paint((222, 230, 240)))
        canvas.drawPath(
            spline(crest + across * 0.08 * thick, closed=False),
            paint((252, 253, 255), 1, 0.16 * thick),
        )


def _twigs(
    canvas: skia.Canvas,
    way: np.ndarray,
    thick: float,
    scale: float,
    growth: Growth,
    rng: np.random.Generator,
    behind: bool,
) -> None:
    spine = along(way, 200)
    inside = np.flatnonzero(np.abs(spine - way[2]).max(axis=1) < 3.2 * scale)
    count = int(rng.integers(3, 7)) if behind else int(rng.integers(1, 4))
    for _ in range(count):
        i = int(rng.choice(inside[inside > 0])) if len(inside) > 1 else 1
        here = spine[i]
        step = spine[i] - spine[i - 1]
        turn = np.arctan2(step[1], step[0]) + rng.choice([-1, 1]) * rng.uniform(0.35, 1.1)
        if not behind and abs(here - way[2]).max() < 0.7 * scale:
            # In front of the bird nothing grows upwards.
            turn = abs(turn) if np.sin(turn) < 0 else turn
        length = scale * rng.uniform(0.35, 1.05)
        bend = turn + rng.uniform(-0.5, 0.5)
        ends = np.array(
            [here, here + 0.5 * length * np.array([np.cos(turn), np.sin(turn)]),
             here + length * np.array([np.cos(bend), np.sin(bend)])]
        )  # fmt: skip
        canvas.drawPath(
            tapered(ends, 0.3 * thick, 0.3), paint(shaded(growth.bark, rng.uniform(0.55, 0.95)))
        )
        _dress(canvas, ends, scale, growth, rng)


def _dress(
    canvas: skia.Canvas, ends: np.ndarray, scale: float, growth: Growth, rng: np.random.Generator
) -> None:
    spots = along(ends, 7)
    for k, spot in enumerate(spots[1:], 1):
        step = spots[k] - spots[k - 1]
        ahead = float(np.arctan2(step[1], step[0]))
        if growth.leaves and rng.random() < 0.85:
            for side in (-1, 1):
                colour = growth.leaves[rng.integers(len(growth.leaves))]
                turn = ahead + side * rng.uniform(0.3, 1.1)
                leaf(canvas, spot, turn, scale * rng.uniform(0.16, 0.34), growth.slim, colour, rng)
        if growth.berries and rng.random() < 0.4:
            berries(canvas, float(spot[0]), float(spot[1]), 0.055 * scale, growth.berries, rng)
        if growth.blossom and rng.random() < 0.6:
            x, y = spot + rng.normal(0, 0.06 * scale, 2)
            flower(canvas, x, y, scale * rng.uniform(0.06, 0.1), growth.blossom, rng)


def stone(
    canvas: skia.Canvas,
    foot: tuple[float, float],
    scale: float,
    size: tuple[int, int],
    colour: Colour,
    rng: np.random.Generator,
) -> None:
    """A boulder under the feet, with facets, cracks and lichen."""
    x, y = foot
    wide = scale * rng.uniform(0.75, 1.3)
    bottom = max(size[1] + 10.0, y + 0.5 * scale)
    wide += 0.35 * (bottom - y)
    low, steep = bottom - y, np.array([[1.0], [1], [1], [0.2], [0.2], [1], [1], [0]])
    top = np.array(
        [
            (-wide, low),
            (-0.92 * wide, 0.45 * low),
            (-0.62 * wide, 0.1 * scale),
            (-0.25 * scale, 0.015 * scale),
            (0.25 * scale, 0.01 * scale),
            (0.66 * wide, 0.12 * scale),
            (0.95 * wide, 0.5 * low),
            (wide, low),
        ]
    )
    outline = spline(top + (x, y) + rng.normal(0, 0.02, (8, 2)) * scale * steep)
    tone = varied(colour, 8, rng)
    canvas.drawPath(
        outline,
        gradient((x, y), (x, bottom), [shaded(tone, 1.16), tone, shaded(tone, 0.5)], [0, 0.25, 1]),
    )
    canvas.save()
    canvas.clipPath(outline, True)
    for _ in range(16):
        middle = np.array([rng.uniform(x - wide, x + wide), rng.uniform(y, bottom)])
        facet = middle + rng.normal(0, 0.22, (5, 2)) * scale * np.array([1.3, 0.5])
        bright = rng.uniform(0.7, 1.2)
        canvas.drawPath(spline(facet), paint(shaded(tone, bright), 0.22, blur=0.02 * scale))
    count = 420
    grain = np.stack(
        [rng.uniform(x - wide, x + wide, count), rng.uniform(y, bottom, count)], axis=1
    )
    for dark, share in ((True, 0.5), (False, 0.35)):
        chosen = grain[rng.random(count) < share]
        ends = chosen + rng.normal(0, 0.012 * scale, chosen.shape)
        canvas.drawPath(
            lines(chosen, ends),
            paint(shaded(tone, 0.5 if dark else 1.35), 0.35, max(0.7, 0.012 * scale)),
        )
    for _ in range(int(rng.integers(4, 12))):
        lx, ly = rng.uniform(x - wide, x + wide), rng.uniform(y, bottom)
        lichen = ((176, 172, 120), (206, 160, 70), (186, 190, 178))[rng.integers(3)]
        for _ in range(6):
            dx, dy = rng.normal(0, 0.035 * scale, 2)
            spot = ellipse(
                lx + dx,
                ly + 0.6 * dy,
                scale * rng.uniform(0.01, 0.04),
                scale * rng.uniform(0.01, 0.025),
            )
            canvas.drawPath(spot, paint(lichen, 0.5))
    canvas.restore()


def post(
    canvas: skia.Canvas,
    foot: tuple[float, float],
    scale: float,
    size: tuple[int, int],
    colour: Colour,
    rng: np.random.Generator,
) -> None:
    """A weathered post: a round top, the grain of the wood, a crack."""
    x, y = foot
    half = scale * rng.uniform(0.2, 0.3)
    bottom = max(size[1] + 10.0, y + 0.5 * scale)
    tone = varied(colour, 8, rng)
    trunk = skia.Path()
    trunk.addRect(skia.Rect.MakeLTRB(x - half, y + 0.06 * scale, x + half, bottom))
    canvas.drawPath(
        trunk,
        gradient(
            (x - half, y),
            (x + half, y),
            [shaded(tone, 0.8), shaded(tone, 1.1), shaded(tone, 0.5)],
            [0, 0.35, 1],
        ),
    )
    canvas.save()
    canvas.clipPath(trunk, True)
    count = 90
    begin = np.stack(
        [rng.uniform(x - half, x + half, count), rng.uniform(y, bottom, count)], axis=1
    )
    end = (
        begin
        + np.stack([rng.normal(0, 0.006, count), rng.uniform(0.1, 0.6, count)], axis=1) * scale
    )
    dark = rng.random(count) < 0.6
    canvas.drawPath(
        lines(begin[dark], end[dark]), paint(shaded(tone, 0.45), 0.5, max(0.8, 0.012 * scale))
    )
    canvas.drawPath(
        lines(begin[~dark], end[~dark]), paint(shaded(tone, 1.35), 0.4, max(0.8, 0.01 * scale))
    )
    canvas.restore()
    top = ellipse(x, y + 0.065 * scale, half, 0.085 * scale)
    canvas.drawPath(top, paint(shaded(tone, 1.22)))
    for r in (0.8, 0.55, 0.3):
        canvas.drawPath(
            ellipse(x, y + 0.065 * scale, half * r, 0.085 * scale * r),
            paint(shaded(tone, 0.8), 0.6, max(0.7, 0.01 * scale)),
        )
