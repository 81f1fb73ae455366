"""The second row of an explanation's picture: a small map per attribute, the class's on the left
and the other class's on the right, with like beside like."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np

from lazsl.display import short
from lazsl.explain.evidence import Evidence
from lazsl.explain.maps import fitting_grid, place_maps
from lazsl.explain.picture.canvas import Canvas, Frame, Style, height, wrap
from lazsl.explain.picture.overlay import AGAINST, FOR, FOUND, OTHER, THIS, dimmed, lay_over
from lazsl.explain.picture.scene import (
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
from lazsl.explain.side_by_side import Pair, Spoken
from lazsl.explain.words import number, percent, signed

SHOWN = 8
"""Attributes drawn per class at most; those left out are counted."""

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
            name = f"{short(evidence.label)}   {number(evidence.score)}"
            canvas.text(left, top, wrap(name, HEAD, half), Style(HEAD.size, True, colour))
            canvas.fill(Frame(left, top + 0.24, half, 0.02), colour)
            for place, cell in enumerate(cells):
                one = cell[side]
                if one is not None:
                    x = left + place % columns * (width + _BETWEEN)
                    y = top + _HEADED + place // columns * step
                    kit.draw(canvas, Frame(x, y, width, tall), evidence, one, colour)
        if missing:
            note = f"and {missing} more attribute{'s' * (missing > 1)}, which lazsl explain lists"
            canvas.text(MARGIN, top + _HEADED + rows * step, [note], NOTE)

    return Band(_HEADED + rows * step + (0.2 if missing else 0.0), draw)


class _Kit:
    """What all small maps share: their scales, and which attributes tell the classes apart."""

    def __init__(self, scene: Scene, shown: list[Pair]) -> None:
        self.scene = scene
        explanation = scene.explanation
        grid = fitting_grid(scene.size, 96)
        classes = [one for one in (explanation.this, explanation.other) if one is not None]
        self.maps = {one.label: place_maps(one, grid) for one in classes}
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
        figures = Style(8, True, FOR if one.contribution >= 0 else AGAINST)
        top = place.top + place.height + 0.05
        canvas.fill(Frame(place.left, top, place.width, 0.05), "#eaeef2")
        part = place.width * abs(one.share) / self.loudest
        canvas.fill(Frame(place.left, top, part, 0.05), figures.colour)
        said = f"{percent(one.share)}  {signed(one.contribution)}"
        top += 0.07 + canvas.text(place.left, top + 0.07, wrap(said, figures, place.width), figures)
        text = Style(_SMALL.size, telling)
        canvas.text(place.left, top, wrap(one.text, text, place.width, _LINES), text)


def _chosen(pairs: list[Pair]) -> list[Pair]:
    """As many as there is room for: the strongest, then those that tell the classes apart most."""
    telling = sorted(pairs[SHOWN // 2 :], key=lambda one: -abs(one.difference))
    chosen: list[Pair] = []
    for one in [*pairs[: SHOWN // 2], *telling]:
        if len(_cells([*chosen, one])) <= SHOWN:
            chosen.append(one)
    return [one for one in pairs if one in chosen]


def _cells(pairs: list[Pair]) -> list[tuple[Spoken | None, Spoken | None]]:
    """What is drawn in the same places on the left and on the right: pairs, then what is left."""
    together = [(p.this, p.other) for p in pairs if p.this and p.other]
    alone = [p.this for p in pairs if not p.other], [p.other for p in pairs if not p.this]
    return [*together, *zip_longest(*alone)]
