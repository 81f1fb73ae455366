"""Beak, crest, head and eye."""

from __future__ import annotations

import numpy as np
import skia

from studies.fieldguide.traits import PARTS, Traits
from studies.plates.outlines import (
    ABOVE_STRIPE,
    BEAKS,
    BODY,
    CURL,
    EYE_STRIPE,
    EYEBROW,
    HOOD,
)
from studies.plates.palette import HORN, PLUMAGE, Colour, luma, shaded
from studies.plates.pen import Pen, along, ellipse, gradient, lines, paint, spline, tapered
from studies.plates.plumage import lay, scatter, soften

NUMBER = {name: number for number, name in enumerate(PARTS)}

_TALL = (
    (0.25, -0.42, 0.21),
    (0.43, 0.2, 0.19),
    (0.275, -0.31, 0.28),
    (0.405, 0.06, 0.27),
    (0.3, -0.22, 0.34),
    (0.375, -0.04, 0.34),
    (0.335, -0.13, 0.385),
)
"""Plumes of a tall crest: where on the crown, how they lean, how high they are."""

_SPIKY = (
    (0.17, 0.33, -1.45, 0.21),
    (0.2, 0.37, -1.17, 0.25),
    (0.25, 0.395, -0.86, 0.285),
    (0.31, 0.405, -0.52, 0.28),
    (0.375, 0.4, -0.16, 0.23),
)
"""Of a spiky one: from where (x, y), how they lean, how long they are."""

_CURLED = (
    (1.0, 0.0, 0.72),
    (0.9, -0.012, 0.9),
    (0.79, -0.03, 1.02),
    (0.66, -0.05, 1.12),
)
"""Of a curled one, from behind to the front: size, shift to the back, brightness."""


def beak(pen: Pen, t: Traits, rng: np.random.Generator) -> None:
    """Upper and lower mandible, the gape between them, a nostril and a gleam."""
    colour, number = HORN[t.beak_colour], NUMBER["beak"]
    upper, lower, gape = BEAKS[t.beak]
    for shape, bright in ((lower, 0.78), (upper, 1.0)):
        path = spline(shape) if t.beak != "conical" else _cone(shape)
        box = path.computeTightBounds()
        tone = shaded(colour, bright)
        fill = gradient(
            (box.left(), box.bottom()),
            (box.left(), box.top()),
            [shaded(tone, 1.22), shaded(tone, 0.74)],
        )
        pen.draw(path, paint(shaded(colour, 0.34), 1, 0.012), number)
        pen.draw(path, fill, number)
    pen.draw(spline(gape, closed=False), paint(shaded(colour, 0.3), 0.85, 0.009), number)
    pen.draw(ellipse(0.525, 0.31, 0.012, 0.006, -0.2), paint(shaded(colour, 0.3), 0.8), number)


def _cone(corners: np.ndarray) -> skia.Path:
    path = skia.Path()
    path.moveTo(*corners[0].tolist())
    path.quadTo(*corners[1].tolist(), *corners[2].tolist())
    path.lineTo(*corners[3].tolist())
    path.close()
    return path


def crest(pen: Pen, t: Traits, rng: np.random.Generator) -> None:
    """Plumes on the crown."""
    colour, number = PLUMAGE[t.crest_colour], NUMBER["crest"]
    if t.crest == "tall":
        for x, lean, height in _TALL:
            base = np.array([x, 0.405])
            tip = base + height * np.array([np.sin(lean), np.cos(lean)])
            lay(pen, base, tip, 0.066, colour, number, rng, "pointed")
    elif t.crest == "spiky":
        for x, y, lean, height in _SPIKY:
            base = np.array([x, y])
            lay(
                pen,
                base,
                base + height * np.array([np.sin(lean), np.cos(lean)]),
                0.088,
                colour,
                number,
                rng,
                "pointed",
            )
    elif t.crest == "curled":
        for size, dx, bright in _CURLED:
            way = np.array([0.41 + dx, 0.425]) + CURL * size
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
                pen.draw(
                    lines(spine[::2], ends[::2]), paint(shaded(tone, 0.78), 0.75, 0.009), number
                )
                pen.draw(
                    lines(spine[1::2], ends[1::2]), paint(shaded(tone, 1.12), 0.75, 0.009), number
                )
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
        pen.draw(
            ellipse(x, y, 0.064, 0.06), paint(shaded(PLUMAGE[t.head_colour], 0.4), 0.8), number
        )
        pen.draw(ellipse(x, y, 0.057, 0.053), paint(colour), number)
        pen.draw(ellipse(x, y, 0.04, 0.038), paint(shaded(colour, 0.75), 0.8, 0.006), number)
    elif t.eye == "black eye stripe":
        stripe = spline(EYE_STRIPE)
        if below < 60:
            # On a black head the stripe is told by the pale line above it.
            pale = spline(ABOVE_STRIPE, closed=False)
            pen.draw(pale, paint((206, 200, 190), 0.9, 0.016), number)
        pen.draw(stripe, paint((22, 20, 24)), number)
    elif t.eye == "yellow eyebrow":
        brow = spline(EYEBROW)
        pen.draw(brow, paint(shaded(PLUMAGE[t.head_colour], 0.5), 0.75, 0.012), number)
        pen.draw(brow, paint((252, 222, 58)), number)
    if t.eye is None or t.eye in ("black eye stripe", "yellow eyebrow"):
        rim: Colour = (96, 84, 70) if below > 90 else (150, 136, 116)
        pen.draw(ellipse(x, y, 0.035, 0.033), paint(rim), number)
    pen.draw(ellipse(x, y, 0.029, 0.028), paint((58, 34, 18)), number)
    pen.draw(ellipse(x + 0.001, y, 0.019, 0.019), paint((8, 7, 9)), number)
    pen.draw(ellipse(x + 0.012, y + 0.012, 0.008, 0.008), paint((255, 255, 255), 0.95), number)
    pen.draw(ellipse(x - 0.009, y - 0.011, 0.006, 0.005), paint((170, 190, 205), 0.5), number)


def _head_flow(places: np.ndarray) -> np.ndarray:
    """(n, 2): on the head feathers lie away from the beak, around the cheek."""
    away = places - np.array([0.52, 0.3])
    flow: np.ndarray = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    down = np.clip((0.3 - places[:, 1]) / 0.2, 0, 1)[:, None] * np.array([-0.25, -0.5])
    flow = flow + down
    flow /= np.linalg.norm(flow, axis=1, keepdims=True)
    return flow
