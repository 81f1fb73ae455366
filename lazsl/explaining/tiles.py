"""The second row of an explanation's picture: a small map per attribute, the class's on the left
and the other class's on the right, with like beside like."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np

from lazsl.evidence import Evidence, fitting_grid, spread
from lazsl.explaining.canvas import Canvas, Frame, Style, height, wrap
from lazsl.explaining.names import short
from lazsl.explaining.overlay import AGAINST, FOR, FOUND, OTHER, THIS, dimmed, lay_over
from lazsl.explaining.pairs import Pair, Spoken
from lazsl.explaining.scene import (
    GAP,
    HEAD,
    INNER,
    MARGIN,
    NOTE,
    TALLEST,
    WIDE,
    Band,
    Scene,
    draw_badge,
)

SHOWN = 8
"""Attributes drawn per class; those left out are counted."""

_BETWEEN = 0.14
_HEADED = 0.34  # inches of a class's name and the rule below it
_SMALL = Style(8)
_LINES = 3  # of an attribute's text


def tiles(scene: Scene) -> Band:
    """The attributes of both classes."""
    this, other = scene.explanation.this, scene.explanation.other
    half = INNER if other is None else INNER / 2 - GAP
    columns = (2 if scene.aspect > WIDE else 4) * (2 if other is None else 1)
    width = (half - (columns - 1) * _BETWEEN) / columns
    tall = width / max(scene.aspect, 1 / TALLEST)
    shown = _chosen(scene.pairs)
    cells = _cells(shown)
    rows = -(-len(cells) // columns)
    step = tall + 0.42 + height([""] * _LINES, _SMALL)
    missing = len(scene.pairs) - len(shown)

    def draw(canvas: Canvas, top: float) -> None:
        kit = _Kit(scene, shown)
        for side, (evidence, colour) in enumerate(((this, THIS), (other, OTHER))):
            if evidence is None:
                continue
            left = MARGIN + side * (half + 2 * GAP)
            name = wrap(f"{short(evidence.label)}   {evidence.score:.4f}", HEAD, half)
            canvas.text(left, top, name, Style(HEAD.size, True, colour))
            canvas.fill(Frame(left, top + 0.24, half, 0.02), colour)
            for place, cell in enumerate(cells):
                one = cell[side]
                if one is not None:
                    x = left + place % columns * (width + _BETWEEN)
                    y = top + _HEADED + place // columns * step
                    kit.draw(canvas, Frame(x, y, width, tall), evidence, one, colour)
        if missing:
            note = f"and {missing} more attributes, which the table lists"
            canvas.text(MARGIN, top + _HEADED + rows * step, [note], NOTE)

    return Band(_HEADED + rows * step + (0.2 if missing else 0.0), draw)


class _Kit:
    """What all small maps share: their scales, and which attributes tell the classes apart."""

    def __init__(self, scene: Scene, shown: list[Pair]) -> None:
        self.scene = scene
        explanation = scene.explanation
        grid = fitting_grid(scene.size, 96)
        classes = [one for one in (explanation.this, explanation.other) if one is not None]
        self.maps = {one.label: found_maps(one, grid) for one in classes}
        self.largest = max(float(np.abs(maps).max()) for maps in self.maps.values())
        spoken = [one for p in shown for one in (p.this, p.other) if one is not None]
        self.loudest = max(abs(one.share) for one in spoken) or 1.0
        alike = any(p.shared for p in shown)
        self.telling = [
            one for p in shown if alike and not p.shared for one in (p.this, p.other) if one
        ]

    def draw(
        self, canvas: Canvas, place: Frame, evidence: Evidence, one: Spoken, colour: str
    ) -> None:
        """One attribute: its map, its share as a bar and in numbers, its text."""
        scene = self.scene
        telling = any(one is other for other in self.telling)
        frame = place.fitted(scene.aspect)
        values = self.maps[evidence.label][one.index]
        base = dimmed(scene.pixels, frame.pixels)
        canvas.image(lay_over(base, values, self.largest, FOUND), frame)
        if telling:
            canvas.outline(frame, colour, 2.5)
        if evidence is scene.explanation.this and one in scene.strongest:
            draw_badge(canvas, frame.left, frame.top, scene.strongest.index(one))
        number = Style(8, True, FOR if one.contribution >= 0 else AGAINST)
        top = place.top + place.height + 0.05
        canvas.fill(Frame(place.left, top, place.width, 0.05), "#eaeef2")
        part = place.width * abs(one.share) / self.loudest
        canvas.fill(Frame(place.left, top, part, 0.05), number.colour)
        said = f"{one.share:.0%}  {one.contribution:+.4f}".replace("-", "−")
        top += 0.07 + canvas.text(place.left, top + 0.07, wrap(said, number, place.width), number)
        text = Style(_SMALL.size, telling)
        canvas.text(place.left, top, wrap(one.text, text, place.width, _LINES), text)


def found_maps(evidence: Evidence, grid: tuple[int, int]) -> np.ndarray:
    """(N, h, w): where each attribute got more than its even share of the regions' transport.

    An attribute's map adds up to nothing, and so do all maps of a class in every place: they tell
    the attributes apart, where maps of their contributions would all be much alike. A class's only
    attribute is told from its own mean over the regions instead.
    """
    mass = evidence.mass
    even = mass.sum(axis=1, keepdims=True) / mass.shape[1]
    weights = mass - even if mass.shape[1] > 1 else mass * (evidence.similarity - evidence.score)
    return spread(evidence.boxes, weights, (evidence.width, evidence.height), grid, "hann")


def _chosen(pairs: list[Pair]) -> list[Pair]:
    """The pairs that are drawn: the strongest, and those that tell the classes apart most."""
    if len(pairs) <= SHOWN:
        return pairs
    strongest = pairs[: SHOWN // 2]
    telling = sorted(pairs[SHOWN // 2 :], key=lambda one: -abs(one.difference))
    chosen = [*strongest, *telling[: SHOWN - len(strongest)]]
    return [one for one in pairs if one in chosen]


def _cells(pairs: list[Pair]) -> list[tuple[Spoken | None, Spoken | None]]:
    """What is drawn in the same places on the left and on the right: pairs, then what is left."""
    together = [(p.this, p.other) for p in pairs if p.this and p.other]
    alone = [p.this for p in pairs if not p.other], [p.other for p in pairs if not p.this]
    return [*together, *zip_longest(*alone)]
