"""A page to draw on, measured in inches from its top left corner, that shows any text as it is."""

from __future__ import annotations

import io
import logging
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.patches import Circle, Rectangle

from lazsl.visible_text import visible

DPI = 110
LINE = 1.3 / 72
"""Inches that a line of text takes per point of its size."""

INK, FAINT = "#1f2328", "#667079"

# DejaVu comes with matplotlib; the others are asked for what it does not have, where they are.
_FONTS = ("DejaVu Sans", "Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Arial Unicode MS")


@dataclass(frozen=True)
class Style:
    """How a text is set: its size in points, its weight and colour."""

    size: float = 9
    bold: bool = False
    colour: str = INK


@dataclass(frozen=True)
class Frame:
    """A part of the page, in inches."""

    left: float
    top: float
    width: float
    height: float

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height, at least 1 each."""
        return max(1, round(self.width * DPI)), max(1, round(self.height * DPI))

    def overlaps(self, other: Frame) -> bool:
        """Whether the two have more than a side in common."""
        across = min(self.left + self.width, other.left + other.width)
        down = min(self.top + self.height, other.top + other.height)
        return across > max(self.left, other.left) and down > max(self.top, other.top)

    def fitted(self, aspect: float) -> Frame:
        """The largest frame of this width over height in the middle of this one."""
        width = min(self.width, self.height * aspect)
        height = width / aspect
        left = self.left + (self.width - width) / 2
        return Frame(left, self.top + (self.height - height) / 2, width, height)


class Canvas:
    """A white page."""

    def __init__(self, width: float, height: float) -> None:
        # Whole pixels, so that pictures lie on the page as they are.
        self.pixels = Frame(0, 0, width, height).pixels
        size = (self.pixels[0] / DPI, self.pixels[1] / DPI)
        self._figure = Figure(figsize=size, dpi=DPI, facecolor="white")

    def image(self, picture: np.ndarray, frame: Frame) -> None:
        """Put an (h, w, 3) picture of floats 0..1, as large as `frame.pixels`, into the frame."""
        below = self.pixels[1] - round(frame.top * DPI) - len(picture)
        self._figure.figimage(picture, round(frame.left * DPI), below, origin="upper")

    def fill(self, frame: Frame, colour: str) -> None:
        """Paint the frame."""
        self._figure.add_artist(self._rectangle(frame, fc=colour, ec="none"))

    def outline(self, frame: Frame, colour: str, points: float) -> None:
        """Draw the frame's sides."""
        self._figure.add_artist(
            self._rectangle(frame, fill=False, ec=colour, lw=points, joinstyle="miter")
        )

    def ring(self, across: float, down: float, radius: float, colour: str, points: float) -> None:
        """Draw a circle around a place."""
        middle = (across, self.pixels[1] / DPI - down)
        transform = self._figure.dpi_scale_trans
        self._figure.add_artist(
            Circle(middle, radius, transform=transform, fill=False, ec=colour, lw=points)
        )

    def text(
        self, left: float, top: float, lines: list[str], style: Style, align: str = "left"
    ) -> float:
        """The inches that the lines take, drawn one below the other."""
        for number, line in enumerate(lines):
            below = self.pixels[1] / DPI - top - (number + 0.78) * style.size * LINE
            self._figure.text(
                left,
                below,
                line,
                transform=self._figure.dpi_scale_trans,
                ha=align,
                va="baseline",
                color=style.colour,
                fontproperties=_font(style),
                parse_math=False,
            )
        return height(lines, style)

    def png(self, source: str) -> bytes:
        """The page as a PNG file that says under "Source" what it is about."""
        file = io.BytesIO()
        with rc_context({"text.usetex": False}), warnings.catch_warnings():
            # Where no font has a letter, its box in the picture says so.
            warnings.filterwarnings("ignore", message="Glyph|.*glyph")
            self._figure.savefig(file, format="png", dpi=DPI, metadata={"Source": source})
        return file.getvalue()

    def _rectangle(self, frame: Frame, **style: Any) -> Rectangle:
        below = self.pixels[1] / DPI - frame.top - frame.height
        place = (frame.left, below)
        return Rectangle(
            place, frame.width, frame.height, transform=self._figure.dpi_scale_trans, **style
        )


def height(lines: list[str], style: Style) -> float:
    """Inches of lines of text below each other."""
    return len(lines) * style.size * LINE


def wrap(text: str, style: Style, width: float, most: int = 1) -> list[str]:
    """The text in lines of at most this many inches; cut off with … when it needs more lines."""
    left = visible(text)[:1000]
    lines: list[str] = []
    while left:
        end = _fitting(left, style, width)
        if end == len(left):
            lines.append(left)
            break
        if len(lines) == most - 1:
            end = _fitting(left, style, width - text_width("…", style))
            lines.append(left[:end].rstrip() + "…")
            break
        space = left.rfind(" ", 1, end + 1)
        end = space if space > 0 else end
        lines.append(left[:end].rstrip())
        left = left[end:].lstrip()
    return lines or [""]


def text_width(text: str, style: Style) -> float:
    """Inches of a line of text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        width, _, _ = _renderer().get_text_width_height_descent(text, _font(style), ismath=False)
    return float(width) / DPI


def _fitting(text: str, style: Style, width: float) -> int:
    """How many characters fit, at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(text[:middle], style) <= width:
            low = middle
        else:
            high = middle - 1
    return low


@cache
def _font(style: Style) -> FontProperties:
    return FontProperties(
        family=_families(), size=style.size, weight="bold" if style.bold else "normal"
    )


@cache
def _families() -> list[str]:
    # A font that is asked for and missing is told of again and again.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    known = set(fontManager.get_font_names())
    return [name for name in _FONTS if name in known]


@cache
def _renderer() -> Any:
    return RendererAgg(8, 8, DPI)  # type: ignore[no-untyped-call]
