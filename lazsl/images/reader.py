"""What every reader of a format gives: what the header says, and the pixels once they are wanted.

A reader is called with the bytes of a format that it knows. It may parse the header, and decodes
nothing before `pixels` is called, so that limits on size and memory hold for every format:

    header   format, width, height, bytes that decoding takes
    pixels   RGB in sRGB, upright
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

ORIENTATION = 0x0112
"""The EXIF and TIFF tag."""

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Upright:
    """Pixels as they are looked at: RGB, 8 bits; `orientation` is what EXIF said, 1..8."""

    image: Image.Image
    orientation: int = 1


@dataclass(frozen=True)
class Opened:
    """A picture whose header was read.

    width, height: as stored, before it is turned upright.
    memory: bytes that decoding it by a factor takes at most.
    pixels: decodes, by a factor; called once. Raises whatever a decoder does, or `Rejected`.
    shrinks: whether factors other than 1 can be asked for.
    work: how often decoding goes over the picture.
    """

    format: str
    width: int
    height: int
    memory: Callable[[int], int]
    pixels: Callable[[int], Upright]
    shrinks: bool = False
    work: int = 1


def per_pixel(width: int, height: int, amount: int) -> Callable[[int], int]:
    """`Opened.memory` of so many bytes a pixel."""
    return lambda factor: amount * (width // factor) * (height // factor)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image turned as an EXIF orientation says."""
    return image.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else image


def orientation_of(value: Any) -> int:
    """The orientation that a tag of whatever type tells; 1 where it is none that makes sense."""
    if isinstance(value, tuple | list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bytes):
        value = value[0] if len(value) == 1 else value.strip(b"\0 ").decode("ascii", "replace")
    if isinstance(value, str):
        value = int(value) if value in {"1", "2", "3", "4", "5", "6", "7", "8"} else 1
    try:
        return int(value) if value in range(1, 9) else 1
    except (TypeError, ValueError, ZeroDivisionError):
        return 1
