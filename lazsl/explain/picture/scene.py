"""What is drawn of an explanation, and what all parts of its picture share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image as Pixels

from lazsl.explain.explanation import Explanation
from lazsl.explain.maps import fitting_grid
from lazsl.explain.picture.canvas import DPI, FAINT, Canvas, Frame, Style
from lazsl.explain.side_by_side import Pair, Spoken, pair

WIDTH, MARGIN, GAP = 12.0, 0.45, 0.28
INNER = WIDTH - 2 * MARGIN

WIDE = 2.2
"""Width over height from which pictures lie below each other, not side by side."""

TALLEST = 1.6
"""Height over width of a picture's place at most; a taller one leaves its sides free."""

HEAD, NOTE = Style(10.5, True), Style(8, colour=FAINT)

BADGE = 18 / DPI
"""Inches of a side of a badge."""

_BADGES = ("#e6550d", "#3182bd", "#31a354")
_SHARPEST = 1600  # pixels of the image's longer side that are kept to draw with


@dataclass(frozen=True)
class Scene:
    """An explanation with its image at drawing size.

    Attributes:
        explanation: what is explained.
        pixels: the image, upright; None where it cannot be had.
        pairs: the attributes of both classes.
        strongest: the attributes whose best regions are outlined; they have a number and a colour.
    """

    explanation: Explanation
    pixels: Pixels.Image | None
    pairs: list[Pair]
    strongest: list[Spoken]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image in source pixels."""
        return self.explanation.this.width, self.explanation.this.height

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.size[0] / self.size[1]


@dataclass(frozen=True)
class Band:
    """A part of the page from side to side: its height, and how to draw it at a distance from the
    top, both in inches."""

    height: float
    draw: Callable[[Canvas, float], object]


def make_scene(explanation: Explanation, pixels: Pixels.Image | None) -> Scene:
    """What is to be drawn."""
    pairs = pair(explanation.this, explanation.other)
    strongest = [one.this for one in pairs if one.this is not None][: len(_BADGES)]
    if pixels is not None:
        pixels = pixels.resize(fitting_grid(pixels.size, _SHARPEST), Pixels.Resampling.LANCZOS)
    return Scene(explanation, pixels, pairs, strongest)


def badge_colour(number: int) -> str:
    """The colour of one of the strongest attributes."""
    return _BADGES[number]


def draw_badge(canvas: Canvas, left: float, top: float, number: int) -> None:
    """The number of one of the strongest attributes, in its colour."""
    frame = Frame(left, top, BADGE, BADGE)
    canvas.fill(frame, badge_colour(number))
    canvas.outline(frame, "white", 1)
    canvas.text(left + BADGE / 2, top + 0.01, [str(number + 1)], Style(8, True, "white"), "center")
