"""How every picture of an evaluation looks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lazsl.visible_text import short

BLUE, ORANGE, OLIVE, GREEN, GREY = "#0072b2", "#d55e00", "#8a6d00", "#007a5a", "#6b6b6b"
"""Colours that colour-blind eyes tell apart (Okabe and Ito), dark enough on white."""


_SMALL = {"optimize": True}


@contextmanager
def figure(path: Path, size: tuple[float, float] = (6.4, 4.8)) -> Iterator[Any]:
    """Axes of a PNG file that is written when the block ends; `size` in inches of 150 pixels."""
    drawn = Figure(figsize=size, dpi=150, layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)
    yield axes
    part = path.with_name(f".{path.name}")
    with warnings.catch_warnings():
        # Of writing systems that the font lacks; their names stand in the tables.
        warnings.filterwarnings("ignore", "Glyph")
        # No date and no version in the file: the same figures are the same bytes.
        drawn.savefig(part, format="png", metadata={"Software": None}, pil_kwargs=_SMALL)
    part.replace(path)


def percent(*axis: Any) -> None:
    """Label an axis from 0 to 1 as percent."""
    for each_axis in axis:
        each_axis.set_major_locator(MaxNLocator(nbins=9, steps=[1, 2, 5, 10]))
        each_axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.6g}%"))


def name(text: str, longest: int) -> str:
    """A name as a picture shows it: on one line, cut off, and never read as mathematics."""
    return short(text, longest).replace("$", r"\$")
