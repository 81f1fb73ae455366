"""The parts of a bird, drawn from the tail to the eye.

Coordinates: x towards the beak, y up, the body about one long; the hip is the origin's neighbour,
and the perch lies `PERCH` below it. Numbers in the map are `PARTS` of the label set, and above
them what no attribute names (`MANTLE_ID`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skia

from studies.fieldguide.traits import PARTS, Traits
from studies.plates.palette import HORN, MANTLE, PLUMAGE, Colour, contrast, luma, mixed, shaded
from studies.plates.pen import Pen, along, ellipse, gradient, lines, paint, spline, tapered
from studies.plates.plumage import lay, scatter, soften

MANTLE_ID = len(PARTS)
PERCH = -0.5
NUMBER = {name: number for number, name in enumerate(PARTS)}

BODY = (
    (0.31, 0.38), (0.15, 0.315), (-0.04, 0.21), (-0.24, 0.085), (-0.41, -0.03), (-0.52, -0.11),
    (-0.5, -0.17), (-0.35, -0.215), (-0.15, -0.285), (0.05, -0.315), (0.24, -0.255),
    (0.38, -0.115), (0.448, 0.045), (0.462, 0.19),
)  # fmt: skip
UNDERSIDE = (
    (0.47, 0.2), (0.33, 0.16), (0.2, 0.09), (0.02, -0.0), (-0.2, -0.06), (-0.56, -0.14),
    (-0.5, -0.4), (0.1, -0.5), (0.6, -0.2),
)  # fmt: skip
HOOD = (
    (0.49, 0.295), (0.473, 0.365), (0.425, 0.42), (0.34, 0.448), (0.25, 0.432), (0.18, 0.375),
    (0.128, 0.29), (0.11, 0.225), (0.2, 0.165), (0.29, 0.115), (0.39, 0.1), (0.46, 0.15),
    (0.482, 0.23),
)  # fmt: skip
FLUFF = (
    (0.31, 0.38), (0.15, 0.315), (-0.04, 0.21), (-0.24, 0.085), (-0.41, -0.03), (-0.52, -0.11),
    (-0.51, -0.18), (-0.36, -0.23), (-0.16, -0.303), (0.05, -0.332), (0.245, -0.268),
    (0.387, -0.12), (0.453, 0.045), (0.465, 0.19),
)  # fmt: skip
WING = (
    (0.27, 0.13), (0.2, 0.225), (0.05, 0.235), (-0.15, 0.145), (-0.36, 0.03), (-0.5, -0.07),
    (-0.4, -0.14), (-0.2, -0.14), (0.02, -0.12), (0.18, -0.065), (0.265, 0.035),
)  # fmt: skip
WING_REACH = (
    (0.285, 0.13), (0.21, 0.24), (0.05, 0.25), (-0.15, 0.165), (-0.4, 0.035), (-0.75, -0.12),
    (-0.74, -0.21), (-0.42, -0.19), (-0.2, -0.165), (0.02, -0.14), (0.19, -0.075), (0.28, 0.035),
)  # fmt: skip


def legs(pen: Pen, t: Traits, rng: np.random.Generator, hips: np.ndarray, feet: np.ndarray) -> None:
    """Two legs from hips to feet (each (2, 2)); the one behind is darker."""
    colour = HORN[t.leg_colour]
    number = NUMBER["legs"]
    for i, factor in enumerate((0.72, 1.0)):
        hip, foot = hips[i], feet[i]
        tone = shaded(colour, factor)
        ankle = hip + 0.32 * (foot - hip) + np.array([-0.022, 0.0])
        shank = tapered(np.array([hip, ankle, foot + (0.0, 0.012)]), 0.04, 0.7)
        pen.draw(shank, paint(shaded(tone, 0.5), 1, 0.009), number)
        pen.draw(shank, paint(tone), number)
        toes = ((0.115, -0.012), (0.085, -0.05), (0.025, -0.062), (-0.075, -0.028))
        for dx, dy in toes:
            knuckle = foot + np.array([0.55 * dx, 0.018])
            toe = tapered(np.array([foot, knuckle, foot + (dx, dy)]), 0.031, 0.55)
            pen.draw(toe, paint(shaded(tone, 0.5), 1, 0.008), number)
            pen.draw(toe, paint(tone), number)
            claw = tapered(
                np.array([foot + (dx, dy), foot + (1.12 * dx, dy - 0.006), foot + (1.2 * dx, dy - 0.026)]), 0.014
            )
            pen.draw(claw, paint(shaded(tone, 0.35)), number)
        gleam = lines((ankle + (0.006, 0))[None], (foot + (0.007, 0.02))[None])
        pen.draw(gleam, paint(shaded(tone, 1.5), 0.5, 0.008))


def tail(pen: Pen, t: Traits, rng: np.random.Generator) -> None:
    """Feathers that spread from the end of the body, the longest below or in the middle."""
    colour = PLUMAGE[t.tail_colour]
    root, heading = np.array([-0.42, -0.105]), np.pi + 0.22
    fans: dict[str, list[tuple[float, float, float, str]]] = {
        # Turn against the heading in radians, length, width, end.
        "forked": [
            (0.3, 0.5, 0.085, "pointed"), (-0.3, 0.5, 0.085, "pointed"), (0.2, 0.36, 0.085, "round"),
            (-0.2, 0.36, 0.085, "round"), (0.1, 0.25, 0.085, "round"), (-0.1, 0.25, 0.085, "round"),
            (0.0, 0.21, 0.08, "round"),
        ],
        "pointed": [
            (0.2, 0.24, 0.085, "pointed"), (-0.2, 0.24, 0.085, "pointed"),
            (0.12, 0.34, 0.085, "pointed"), (-0.12, 0.34, 0.085, "pointed"),
            (0.05, 0.45, 0.085, "pointed"), (-0.05, 0.45, 0.085, "pointed"),
            (0.0, 0.54, 0.085, "pointed"),
        ],
        "fan-shaped": [
            (turn, 0.4 - 0.05 * abs(turn), 0.105, "round")
            for turn in (0.6, -0.6, 0.45, -0.45, 0.3, -0.3, 0.15, -0.15, 0.0)
        ],
        "square": [
            (turn, 0.36 / np.cos(turn), 0.085, "square")
            for turn in (0.17, -0.17, 0.1, -0.1, 0.04, -0.04)
        ],
    }  # fmt: skip
    for turn, length, width, end in fans[t.tail]:
        direction = np.array([np.cos(heading + turn), np.sin(heading + turn)])
        aside = np.array([-direction[1], direction[0]]) * 0.12 * turn
        lay(pen, root + aside, root + aside + direction * length, width, colour, NUMBER["tail"], rng, end)
    # Coverts over the roots of the feathers.
    for turn in (0.16, -0.16, 0.0):
        direction = np.array([np.cos(heading + turn), np.sin(heading + turn)])
        lay(pen, root - direction * 0.03, root + direction * 0.13, 0.1, shaded(colour, 0.92), NUMBER["tail"], rng)


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
                pen.draw(ellipse(x, y, abs(a) + 0.004, abs(a), rng.uniform(-0.4, 0.4)), paint(other, 0.93))
        elif t.belly == "streaked":
            for x, y in _staggered(0.115, 0.06, rng):
                here = np.array([[x, y]])
                way = _flow(here)[0] * 0.088
                streak = np.array([here[0], here[0] + way * 0.5 + rng.normal(0, 0.004, 2), here[0] + way])
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
    rows: tuple[tuple[int, float, np.ndarray, np.ndarray, float], ...] = (
        # Feathers, width, bases from above to below, tips likewise, how bright.
        (6, 0.07, np.array([(-0.12, 0.03), (-0.06, -0.05)]), np.array([(-0.7, -0.14), (-0.36, -0.16)]), 0.8),
        (7, 0.078, np.array([(0.05, 0.17), (0.0, -0.06)]), np.array([(-0.43, -0.015), (-0.3, -0.135)]), 0.92),
        (8, 0.072, np.array([(0.16, 0.195), (0.12, -0.05)]), np.array([(-0.1, 0.145), (-0.1, -0.105)]), 1.0),
        (7, 0.068, np.array([(0.2, 0.195), (0.18, -0.03)]), np.array([(0.03, 0.195), (0.03, -0.085)]), 1.04),
        (6, 0.06, np.array([(0.24, 0.18), (0.24, 0.0)]), np.array([(0.13, 0.205), (0.135, -0.05)]), 1.08),
    )  # fmt: skip
    pen.draw(outline, paint(shaded(colour, 0.5)), number)
    with pen.within(spline(WING_REACH)):
        for count, width, bases, tips, bright in rows:
            for u in np.linspace(0, 1, count)[::-1]:
                base = bases[0] * (1 - u) + bases[1] * u
                tip = tips[0] * (1 - u) + tips[1] * u + rng.normal(0, 0.004, 2)
                lay(pen, base, tip, width, shaded(colour, bright), number, rng, "round", mark)
        cap = scatter(ellipse(0.225, 0.09, 0.055, 0.1), 0.016, rng)
        if mark == "plain":
            soften(pen, cap, np.tile((-0.9, -0.3), (len(cap), 1)), colour, 0.05, rng, number)
        else:
            soften(pen, cap, np.tile((-0.9, -0.3), (len(cap), 1)), colour, 0.03, rng)


def beak(pen: Pen, t: Traits, rng: np.random.Generator) -> None:
    """Upper and lower mandible, the gape between them, a nostril and a gleam."""
    colour, number = HORN[t.beak_colour], NUMBER["beak"]
    upper, lower, gape = _BEAKS[t.beak]
    for shape, bright in ((lower, 0.78), (upper, 1.0)):
        path = spline(shape) if t.beak != "conical" else _cone(shape)
        box = path.computeTightBounds()
        tone = shaded(colour, bright)
        fill = gradient(
            (box.left(), box.bottom()), (box.left(), box.top()), [shaded(tone, 1.22), shaded(tone, 0.74)]
        )
        pen.draw(path, paint(shaded(colour, 0.34), 1, 0.012), number)
        pen.draw(path, fill, number)
    curve = np.array(gape)
    pen.draw(spline(curve, closed=False), paint(shaded(colour, 0.3), 0.85, 0.009), number)
    pen.draw(ellipse(0.525, 0.31, 0.012, 0.006, -0.2), paint(shaded(colour, 0.3), 0.8), number)


def _cone(points: tuple[tuple[float, float], ...]) -> skia.Path:
    path = skia.Path()
    path.moveTo(*points[0])
    path.quadTo(*points[1], *points[2])
    path.lineTo(*points[3])
    path.close()
    return path


_Shape = tuple[tuple[float, float], ...]
_BEAKS: dict[str, tuple[_Shape, _Shape, _Shape]] = {
    "hooked": (
        ((0.46, 0.345), (0.55, 0.355), (0.64, 0.32), (0.685, 0.245), (0.68, 0.15), (0.645, 0.215), (0.6, 0.25), (0.47, 0.262)),
        ((0.47, 0.265), (0.58, 0.25), (0.635, 0.215), (0.615, 0.19), (0.54, 0.2), (0.465, 0.222)),
        ((0.46, 0.265), (0.56, 0.258), (0.62, 0.235)),
    ),
    "long straight": (
        ((0.465, 0.325), (0.56, 0.305), (0.72, 0.28), (0.87, 0.256), (0.875, 0.25), (0.72, 0.257), (0.56, 0.265), (0.465, 0.268)),
        ((0.465, 0.27), (0.6, 0.262), (0.86, 0.25), (0.85, 0.243), (0.6, 0.232), (0.465, 0.222)),
        ((0.46, 0.27), (0.62, 0.262), (0.86, 0.25)),
    ),
    "conical": (
        ((0.455, 0.375), (0.6, 0.36), (0.66, 0.25), (0.455, 0.262)),
        ((0.455, 0.172), (0.57, 0.185), (0.65, 0.25), (0.455, 0.268)),
        ((0.45, 0.262), (0.54, 0.27), (0.645, 0.25)),
    ),
    "curved": (
        ((0.46, 0.33), (0.57, 0.325), (0.7, 0.275), (0.795, 0.18), (0.835, 0.075), (0.825, 0.075), (0.765, 0.16), (0.67, 0.235), (0.56, 0.27), (0.465, 0.272)),
        ((0.465, 0.272), (0.57, 0.268), (0.68, 0.225), (0.765, 0.145), (0.815, 0.085), (0.745, 0.14), (0.66, 0.195), (0.56, 0.228), (0.465, 0.225)),
        ((0.46, 0.272), (0.57, 0.267), (0.68, 0.225), (0.77, 0.145)),
    ),
    "spoon-shaped": (
        ((0.465, 0.325), (0.56, 0.305), (0.655, 0.29), (0.71, 0.325), (0.785, 0.33), (0.83, 0.28), (0.81, 0.215), (0.74, 0.2), (0.675, 0.235), (0.56, 0.25), (0.465, 0.262)),
        ((0.465, 0.27), (0.57, 0.255), (0.66, 0.235), (0.71, 0.195), (0.78, 0.19), (0.74, 0.18), (0.68, 0.205), (0.57, 0.228), (0.465, 0.225)),
        ((0.46, 0.27), (0.57, 0.265), (0.68, 0.262), (0.79, 0.268)),
    ),
}  # fmt: skip


def crest(pen: Pen, t: Traits, rng: np.random.Generator) -> None:
    """Plumes on the crown."""
    colour, number = PLUMAGE[t.crest_colour], NUMBER["crest"]
    if t.crest == "tall":
        for x, lean, height in ((0.25, -0.42, 0.21), (0.43, 0.2, 0.19), (0.275, -0.31, 0.28), (0.405, 0.06, 0.27), (0.3, -0.22, 0.34), (0.375, -0.04, 0.34), (0.335, -0.13, 0.385)):  # fmt: skip
            base = np.array([x, 0.405])
            tip = base + height * np.array([np.sin(lean), np.cos(lean)])
            lay(pen, base, tip, 0.066, colour, number, rng, "pointed")
    elif t.crest == "spiky":
        for x, y, lean, height in ((0.17, 0.33, -1.45, 0.21), (0.2, 0.37, -1.17, 0.25), (0.25, 0.395, -0.86, 0.285), (0.31, 0.405, -0.52, 0.28), (0.375, 0.4, -0.16, 0.23)):  # fmt: skip
            base = np.array([x, y])
            lay(pen, base, base + height * np.array([np.sin(lean), np.cos(lean)]), 0.088, colour, number, rng, "pointed")
    elif t.crest == "curled":
        curl = np.array([(0.02, 0.0), (-0.02, 0.1), (-0.12, 0.165), (-0.24, 0.15), (-0.315, 0.06), (-0.29, -0.04), (-0.215, -0.05), (-0.19, 0.01)])  # fmt: skip
        for size, dx, bright in ((1.0, 0.0, 0.72), (0.9, -0.012, 0.9), (0.79, -0.03, 1.02), (0.66, -0.05, 1.12)):  # fmt: skip
            way = np.array([0.41 + dx, 0.425]) + curl * size
            tone = shaded(colour, bright)
            path = tapered(way, 0.085 * size, 0.4)
            pen.draw(path, paint(tone), number)
            spine = along(way, 40)
            step = np.gradient(spine, axis=0)
            step /= np.linalg.norm(step, axis=1, keepdims=True)
            aside = np.stack([-step[:, 1], step[:, 0]], axis=1)
            for side in (1, -1):
                # Barbs, swept towards the tip.
                ends = spine + (aside * side * 0.8 + step) * (0.05 * size)
                pen.draw(lines(spine[::2], ends[::2]), paint(shaded(tone, 0.78), 0.75, 0.009), number)
                pen.draw(lines(spine[1::2], ends[1::2]), paint(shaded(tone, 1.12), 0.75, 0.009), number)
            pen.draw(spline(spine, closed=False), paint(shaded(tone, 0.5), 0.6, 0.008))


def head(pen: Pen, t: Traits, rng: np.random.Generator) -> None:
    """Crown, cheek and throat; the hood ends in loose feathers."""
    colour, number = PLUMAGE[t.head_colour], NUMBER["head"]
    outline = spline(HOOD)
    pen.draw(outline, paint(colour), number)
    places = scatter(outline, 0.019, rng)
    # On the neck the hood ends in loose feathers; on the crown they lie close.
    whole = skia.Op(outline, spline(BODY), skia.PathOp.kUnion_PathOp)
    with pen.within(whole):
        soften(pen, places, _head_flow(places), colour, 0.04, rng, number, 0.008, 0.7)


def eye(pen: Pen, t: Traits, rng: np.random.Generator) -> None:
    """The eye, and the mark around or beside it."""
    x, y = 0.385, 0.325
    number = NUMBER["eye"] if t.eye else NUMBER["head"]
    below = luma(PLUMAGE[t.head_colour])
    if t.eye in ("white eye ring", "red eye ring"):
        colour: Colour = (250, 249, 244) if t.eye == "white eye ring" else (214, 30, 34)
        pen.draw(ellipse(x, y, 0.064, 0.06), paint(shaded(PLUMAGE[t.head_colour], 0.4), 0.8), number)
        pen.draw(ellipse(x, y, 0.057, 0.053), paint(colour), number)
        pen.draw(ellipse(x, y, 0.04, 0.038), paint(shaded(colour, 0.75), 0.8, 0.006), number)
    elif t.eye == "black eye stripe":
        stripe = spline(((0.475, 0.3), (0.44, 0.345), (0.36, 0.365), (0.25, 0.345), (0.175, 0.295), (0.26, 0.285), (0.37, 0.285), (0.44, 0.285)))  # fmt: skip
        if below < 60:
            # On a black head the stripe is told by the pale line above it.
            pale = spline(((0.475, 0.315), (0.435, 0.365), (0.36, 0.382), (0.25, 0.36), (0.175, 0.305)), closed=False)  # fmt: skip
            pen.draw(pale, paint((206, 200, 190), 0.9, 0.016), number)
        pen.draw(stripe, paint((22, 20, 24)), number)
    elif t.eye == "yellow eyebrow":
        brow = spline(((0.472, 0.335), (0.43, 0.4), (0.345, 0.425), (0.24, 0.4), (0.175, 0.335), (0.26, 0.36), (0.345, 0.375), (0.42, 0.358)))  # fmt: skip
        pen.draw(brow, paint(shaded(PLUMAGE[t.head_colour], 0.5), 0.75, 0.012), number)
        pen.draw(brow, paint((252, 222, 58)), number)
    if t.eye is None or t.eye in ("black eye stripe", "yellow eyebrow"):
        rim: Colour = (96, 84, 70) if below > 90 else (150, 136, 116)
        pen.draw(ellipse(x, y, 0.035, 0.033), paint(rim), number)
    pen.draw(ellipse(x, y, 0.029, 0.028), paint((58, 34, 18)), number)
    pen.draw(ellipse(x + 0.001, y, 0.019, 0.019), paint((8, 7, 9)), number)
    pen.draw(ellipse(x + 0.012, y + 0.012, 0.008, 0.008), paint((255, 255, 255), 0.95), number)
    pen.draw(ellipse(x - 0.009, y - 0.011, 0.006, 0.005), paint((170, 190, 205), 0.5), number)


def _flow(places: np.ndarray) -> np.ndarray:
    """(n, 2): which way body feathers lie: from the breast down and back to the tail."""
    x, y = places[:, 0], places[:, 1]
    turn = np.pi + 0.35 + 0.95 * np.clip((x + 0.05) / 0.45, 0, 1) - 0.55 * np.clip((0.0 - y) / 0.3, 0, 1)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


def _head_flow(places: np.ndarray) -> np.ndarray:
    """(n, 2): on the head feathers lie away from the beak, around the cheek."""
    away = places - np.array([0.52, 0.3])
    flow: np.ndarray = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    down = np.clip((0.3 - places[:, 1]) / 0.2, 0, 1)[:, None] * np.array([-0.25, -0.5])
    flow = flow + down
    return flow / np.linalg.norm(flow, axis=1, keepdims=True)


def _staggered(across: float, down: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Places in rows, every second row shifted by half, over the underside."""
    places = []
    for row, y in enumerate(np.arange(0.12, -0.32, -down)):
        for x in np.arange(-0.45 + (row % 2) * across / 2, 0.45, across):
            shift = rng.normal(0, 0.006, 2)
            places.append((float(x + shift[0]), float(y + shift[1])))
    return places


ORDER: tuple[tuple[str, Callable[[Pen, Traits, np.random.Generator], None]], ...] = (
    ("tail", tail),
    ("body", body),
    ("belly", belly),
    ("wing", wing),
    ("beak", beak),
    ("crest", crest),
    ("head", head),
    ("eye", eye),
)
"""From behind to the front, after the legs."""
