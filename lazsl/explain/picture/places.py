"""The first row of an explanation's picture: the image with the few places that decided, and what
the regions of these attributes show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image as Pixels

from lazsl.explain.evidence import Evidence
from lazsl.explain.picture.canvas import DPI, Canvas, Frame, Style, wrap
from lazsl.explain.picture.overlay import THIS, dimmed
from lazsl.explain.picture.scene import GAP, INNER, MARGIN, SMALL, Band, Scene
from lazsl.explain.side_by_side import Pair, Spoken
from lazsl.explain.words import percent, signed

BADGE = 18 / DPI
"""Inches of a side of a badge."""

_LARGE = Style(13, True)
WIDEST, TALLEST = 6.4, 4.6  # inches of the image
_RING = 0.16  # inches: what is within is about as exact as a place is known
_SIDES = (2.6, 2.0, 1.4)
"""Inches of a crop beside the image, where there are one, two or three of them."""


def places(scene: Scene) -> Band:
    """The image with its numbered places, and beside it the crops that the numbers mean."""
    frame = Frame(0, 0, WIDEST, TALLEST).fitted(scene.aspect)
    image = Frame(MARGIN, 0, max(frame.width, 0.05), max(frame.height, 0.05))
    beside = MARGIN + max(image.width, 1.2) + GAP
    room = MARGIN + INNER - beside
    shown = scene.reasons[: len(_SIDES)]
    side = min(_SIDES[len(shown) - 1] if shown else 0.0, room / 2)
    tall = max(image.height, len(shown) * (side + 0.14)) + 0.16

    def draw(canvas: Canvas, top: float) -> None:
        place = replace(image, top=top)
        _image(canvas, place, scene)
        for number, pair in enumerate(shown):
            assert pair.this is not None
            crop = Frame(beside, top + number * (side + 0.14), side, side)
            draw_crop(canvas, crop, scene, scene.explanation.this, pair.this, THIS)
            _ring_in_crop(canvas, crop, scene, pair.this)
            draw_badge(canvas, crop.left, crop.top, number)
            _say(canvas, crop, room - side, scene, pair)

    return Band(tall, draw)


def draw_crop(
    canvas: Canvas, frame: Frame, scene: Scene, evidence: Evidence, spoken: Spoken, colour: str
) -> None:
    """What the region that shows an attribute of a class best shows, framed."""
    box = scene.region(evidence, spoken)
    left, top, right, bottom = box
    fitted = frame.fitted((right - left) / (bottom - top))
    crop = scene.crop(box)
    if crop is None:
        picture = dimmed(None, fitted.pixels)
    else:
        picture = np.asarray(crop.resize(fitted.pixels, Pixels.Resampling.LANCZOS), float) / 255
    canvas.image(picture, fitted)
    canvas.outline(fitted, colour, 1.6)


def _ring_in_crop(canvas: Canvas, frame: Frame, scene: Scene, spoken: Spoken) -> None:
    """Where in its region an attribute was found: a region may show much else."""
    evidence = scene.explanation.this
    peak = scene.maps(evidence).peak(spoken.index)
    if peak is None:
        return
    left, top, right, bottom = scene.region(evidence, spoken)
    fitted = frame.fitted((right - left) / (bottom - top))
    across = (peak[0] * scene.size[0] - left) / (right - left)
    down = (peak[1] * scene.size[1] - top) / (bottom - top)
    _draw_ring(canvas, fitted, across, down)


def draw_badge(canvas: Canvas, left: float, top: float, number: int) -> None:
    """The number of one of the attributes that decided."""
    frame = Frame(left, top, BADGE, BADGE)
    canvas.fill(frame, THIS)
    canvas.outline(frame, "white", 1)
    canvas.text(left + BADGE / 2, top + 0.01, [str(number + 1)], Style(8, True, "white"), "center")


def _say(canvas: Canvas, crop: Frame, room: float, scene: Scene, pair: Pair) -> None:
    """An attribute beside its crop, the one it stands against, and what makes it doubtful."""
    assert pair.this is not None
    left, width = crop.left + crop.width + 0.14, room - 0.14
    below = crop.top + canvas.text(left, crop.top, wrap(pair.this.text, _LARGE, width, 3), _LARGE)
    notes = []
    if scene.explanation.other is not None:
        if pair.other is not None:
            notes.append("which both have" if pair.shared else f"instead of {pair.other.text}")
        margin = signed(scene.explanation.margin or 0.0)
        notes.append(f"{signed(pair.difference)} of {margin} in all")
    for note in [*notes, *doubts(scene, pair.this)]:
        below += 0.04 + canvas.text(left, below + 0.04, wrap(note, SMALL, width, 2), SMALL)


def doubts(scene: Scene, spoken: Spoken) -> list[str]:
    """What a person should know before believing an attribute; nothing where all is well."""
    notes = []
    if scene.maps(scene.explanation.this).peak(spoken.index) is None:
        notes.append("not localised: no place stands out for it")
    if spoken.unseen:
        notes.append(f"not seen: a rival is likelier (presence {percent(spoken.presence or 0.0)})")
    return notes


def _image(canvas: Canvas, frame: Frame, scene: Scene) -> None:
    """The image, with a ring and a number where each decisive attribute was found."""
    picture = dimmed(None, frame.pixels)
    if scene.pixels is not None:
        resized = scene.pixels.resize(frame.pixels, Pixels.Resampling.LANCZOS)
        picture = np.asarray(resized, float) / 255
    canvas.image(picture, frame)
    badges: list[Frame] = []
    for number, spoken in enumerate(scene.decisive[: len(_SIDES)]):
        peak = scene.maps(scene.explanation.this).peak(spoken.index)
        if peak is None:
            continue
        across, down, radius = _draw_ring(canvas, frame, *peak)
        badges.append(_beside(Frame(across - radius, down - radius, 0, 0), radius, badges, frame))
        draw_badge(canvas, badges[-1].left, badges[-1].top, number)


def _draw_ring(
    canvas: Canvas, frame: Frame, across: float, down: float
) -> tuple[float, float, float]:
    """Draw a ring around a place of a framed picture (0..1 each way).

    Returns its centre across and down the page, and its radius, in inches.
    """
    centre = frame.left + across * frame.width, frame.top + down * frame.height
    radius = min(_RING, 0.2 * min(frame.width, frame.height))
    canvas.ring(*centre, radius, "white", 4)
    canvas.ring(*centre, radius, THIS, 2)
    return *centre, radius


def _beside(ring: Frame, radius: float, badges: list[Frame], frame: Frame) -> Frame:
    """Where a ring's badge hides no other: above to the right, or the next place around it."""
    steps = [(1, -1), (-1, -1), (1, 1), (-1, 1), (0, -1), (0, 1), (1, 0), (-1, 0)]
    centre = (ring.left + radius, ring.top + radius)
    first = None
    for distance in (1.0, 1.8, 2.6, 3.4):
        for x, y in steps:
            reach = (radius + BADGE / 2) * distance * (0.85 if x and y else 1.0)
            badge = Frame(
                min(max(centre[0] + x * reach - BADGE / 2, frame.left), frame.left + frame.width),
                min(max(centre[1] + y * reach - BADGE / 2, frame.top), frame.top + frame.height),
                BADGE,
                BADGE,
            )
            first = first or badge
            if not any(badge.overlaps(other) for other in badges):
                return badge
    assert first is not None
    return first
