"""The geometric half of a model's own preprocessing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class Framing:
    """How a model wants to see pictures: the geometric half of its own preprocessing.

    `frame` maps any RGB image to the model's input size (width, height), as for a whole image.
    `resized` says to which width and height it resizes one of this width and height before it cuts
    the middle out; None: it does something else.
    """

    size: tuple[int, int]
    resample: Image.Resampling
    frame: Callable[[Image.Image], Image.Image]
    resized: Callable[[int, int], tuple[int, int] | None] = lambda width, height: None
