"""Legs, tail, body, belly and wing."""

from __future__ import annotations

import numpy as np
import skia

from studies.fieldguide.traits import PARTS, Traits
from studies.plates.outlines import BODY, FLUFF, UNDERSIDE, WING, WING_REACH, points
from studies.plates.palette import HORN, MANTLE, PLUMAGE, contrast, mixed, shaded
from studies.plates.pen import Pen, ellipse, lines, paint, spline, tapered
from studies.plates.plumage import lay, scatter, soften

NUMBER = {name: number for number, name in enumerate(PARTS)}
MANTLE_ID = len(PARTS)
"""What is drawn into the map for the back, which no attribute names."""

_FANS: dict[str, tuple[tuple[float, float, float, str], ...]] = {
    "forked": (
        (0.3, 0.5, 0.085, "pointed"),
        (-0.3, 0.5, 0.085, "pointed"),
        (0.2, 0.36, 0.085, "round"),
        (-0.2, 0.36, 0.085, "round"),
        (0.1, 0.25, 0.085, "round"),
        (-0.1, 0.25, 0.085, "round"),
        (0.0, 0.21, 0.08, "round"),
    ),
    "pointed": (
        (0.2, 0.24, 0.085, "pointed"),
        (-0.2, 0.24, 0.085, "pointed"),
        (0.12, 0.34, 0.085, "pointed"),
        (-0.12, 0.34, 0.085, "pointed"),
        (0.05, 0.45, 0.085, "pointed"),
        (-0.05, 0.45, 0.085, "pointed"),
        (0.0, 0.54, 0.085, "pointed"),
    ),
    "fan-shaped": tuple(
        (turn, 0.4 - 0.05 * abs(turn), 0.105, "round")
        for turn in (0.6, -0.6, 0.45, -0.45, 0.3, -0.3, 0.15, -0.15, 0.0)
    ),
    "square": tuple(
        (turn, 0.36 / float(np.cos(turn)), 0.085, "square")
        for turn in (0.17, -0.17, 0.1, -0.1, 0.04, -0.04)
    ),
}
"""Tail feathers from below to above: turn against the tail in radians, length, width, end."""

_ROWS: tuple[tuple[int, float, str, str, float], ...] = (
    (6, 0.07, "-0.12,0.03 -0.06,-0.05", "-0.7,-0.14 -0.36,-0.16", 0.8),
    (7, 0.078, "0.05,0.17 0,-0.06", "-0.43,-0.015 -0.3,-0.135", 0.92),
    (8, 0.072, "0.16,0.195 0.12,-0.05", "-0.1,0.145 -0.1,-0.105", 1.0),
    (7, 0.068, "0.2,0.195 0.18,-0.03", "0.03,0.195 0.03,-0.085", 1.04),
    (6, 0.06, "0.24,0.18 0.24,0", "0.13,0.205 0.135,-0.05", 1.08),
)
"""Wing feathers, primaries first: how many, their width, bases and tips (of the uppermost and of
the lowest feather), how bright they are."""


def legs(pen: Pen, t: Traits, rng: np.random.Generator, hips: np.ndarray, feet: np.ndarray) -> None:
    """Two legs from hips to feet (each (2, 2)); the one behind is darker."""
    colour = HORN[t.leg_colour]
    number = NUMBER["legs"]
    for i, factor in enumerate((0.72, 1.0)):
        hip, foot = hips[i], feet[i]
        tone = shaded(colour, factor)
        ankle = hip + 0.32 * (foot - hip) + np.array([-0.022, 0.0])
        shank = tapered(np.array([hip, ankle, foot + np.array([0.0, 0.012])]), 0.04, 0.7)
        pen.draw(shank, paint(shaded(tone, 0.5), 1, 0.009), number)
        pen.draw(shank, paint(tone), number)
        toes = ((0.115, -0.012), (0.085, -0.05), (0.025, -0.062), (-0.075, -0.028))
        for dx, dy in toes:
            end = foot + np.array([dx, dy])
            knuckle = foot + np.array([0.55 * dx, 0.018])
            toe = tapered(np.array([foot, knuckle, end]), 0.031, 0.55)
            pen.draw(toe, paint(shaded(tone, 0.5), 1, 0.008), number)
            pen.draw(toe, paint(tone), number)
            claw = tapered(
                np.array(
                    [end, end + np.array([0.12 * dx, -0.006]), end + np.array([0.2 * dx, -0.026])]
                ),
                0.014,
            )
            pen.draw(claw, paint(shaded(tone, 0.35)), number)
        gleam = lines(ankle[None] + 0.006, foot[None] + np.array([0.007, 0.02]))
        pen.draw(gleam, paint(shaded(tone, 1.5), 0.5, 0.008))


def tail(pen: Pen, t: Traits, rng: np.random.Generator) -> None:
    """Feathers that spread from the end of the body, the longest below or in the middle."""
    colour = PLUMAGE[t.tail_colour]
    root, heading = np.array([-0.42, -0.105]), np.pi + 0.22
    for turn, length, width, end in _FANS[t.tail]:
        direction = np.array([np.cos(heading + turn), np.sin(heading + turn)])
        aside = np.array([-direction[1], direction[0]]) * 0.12 * turn
        lay(
            pen,
            root + aside,
            root + aside + direction * length,
            width,
            colour,
            NUMBER["tail"],
            rng,
            end,
        )
    # Coverts over the roots of the feathers.
    for turn in (0.16, -0.16, 0.0):
        direction = np.array([np.cos(heading + turn), np.sin(heading + turn)])
        lay(
            pen,
            root - direction * 0.03,
            root + direction * 0.13,
            0.1,
            shaded(colour, 0.92),
            NUMBER["tail"],
            rng,
        )


def body(pen: Pen, t: Traits, rng: np.random.Generator) -> None:
    """The back and flanks, between the head's colour and the wing's, and soft."""
    colour = mixed(MANTLE, PLUMAGE[t.wing_colour], 0.3)
    path = spline(BODY)
    pen.draw(path, paint(colour), MANTLE_ID)
    places = scatter(path, 0.034, rng)
    soften(pen, places, _flow(places), colour, 0.06, rng)


def belly(pen: Pen, t: Traits, rng: np.random.Generator) -> None:
    """Breast, belly and vent with their marks."""
    colour = PLUMAGE[t.belly_colour]
    outline = skia.Op(spline(BODY), spline(UNDERSIDE), skia.PathOp.kIntersect_PathOp)
    number = NUMBER["belly"]
    pen.draw(outline, paint(colour), number)
    # Fluffy edges: some strokes reach beyond the outline.
    places = scatter(outline, 0.024, rng)
    with pen.within(spline(FLUFF)):
        soften(pen, places, _flow(places), colour, 0.05, rng, number, 0.01, 0.8)
    other = contrast(colour)
    with pen.within(outline):
        if t.belly == "spotted":
            for x, y in _staggered(0.088, 0.074, rng):
                a = 0.018 + 0.005 * rng.normal()
                pen.draw(
                    ellipse(x, y, abs(a) + 0.004, abs(a), rng.uniform(-0.4, 0.4)),
                    paint(other, 0.93),
                )
        elif t.belly == "streaked":
            for x, y in _staggered(0.115, 0.06, rng):
                here = np.array([[x, y]])
                way = _flow(here)[0] * 0.088
                streak = np.array(
                    [here[0], here[0] + way * 0.5 + rng.normal(0, 0.004, 2), here[0] + way]
                )
                pen.draw(tapered(streak, 0.027, 0.3), paint(other, 0.93))
        else:
            arcs = scatter(outline, 0.06, rng)
            for (x, y), way in zip(arcs.tolist(), _flow(arcs), strict=True):
                scallop = ellipse(x, y, 0.032, 0.024, float(np.arctan2(way[1], way[0])))
                pen.draw(scallop, paint(shaded(colour, 0.72), 0.14, 0.007))


def wing(pen: Pen, t: Traits, rng: np.random.Generator) -> None:
    """The folded wing: primaries, secondaries, and three rows of coverts over them."""
    colour, number, mark = PLUMAGE[t.wing_colour], NUMBER["wing"], t.wing
    outline = spline(WING)
    shadow = skia.Paint(AntiAlias=True, Color=skia.Color(10, 8, 6, 105))
    shadow.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, 0.03))
    with pen.within(spline(BODY)):
        dropped = skia.Path(outline)
        dropped.transform(skia.Matrix.Translate(0.008, -0.035))
        pen.draw(dropped, shadow)
    pen.draw(outline, paint(shaded(colour, 0.5)), number)
    with pen.within(spline(WING_REACH)):
        for count, width, begin, end, bright in _ROWS:
            bases, tips = points(begin), points(end)
            for u in np.linspace(0, 1, count)[::-1]:
                base = bases[0] * (1 - u) + bases[1] * u
                tip = tips[0] * (1 - u) + tips[1] * u + rng.normal(0, 0.004, 2)
                lay(pen, base, tip, width, shaded(colour, bright), number, rng, "round", mark)
        cap = scatter(ellipse(0.225, 0.09, 0.055, 0.1), 0.016, rng)
        if mark == "plain":
            soften(pen, cap, np.tile((-0.9, -0.3), (len(cap), 1)), colour, 0.05, rng, number)
        else:
            soften(pen, cap, np.tile((-0.9, -0.3), (len(cap), 1)), colour, 0.03, rng)


def _flow(places: np.ndarray) -> np.ndarray:
    """(n, 2): which way body feathers lie: from the breast down and back to the tail."""
    x, y = places[:, 0], places[:, 1]
    turn = (
        np.pi
        + 0.35
        + 0.95 * np.clip((x + 0.05) / 0.45, 0, 1)
        - 0.55 * np.clip((0.0 - y) / 0.3, 0, 1)
    )
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


def _staggered(across: float, down: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Places in rows, every second row shifted by half, over the underside."""
    places = []
    for row, y in enumerate(np.arange(0.12, -0.32, -down)):
        for x in np.arange(-0.45 + (row % 2) * across / 2, 0.45, across):
            shift = rng.normal(0, 0.006, 2)
            places.append((float(x + shift[0]), float(y + shift[1])))
    return places
