"""Levels of any depth -> 8 bits, and channels of any kind -> RGB on white."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lazsl.images.budget import bands
from lazsl.images.colour import converts, deep_to_srgb

_STORED_IN_SIXTEEN = (255, 1023, 4095)
"""Largest values of 8, 10 and 12 bits, which instruments write as they are into 16."""

_WIDE = 8  # how many times the memory of a pixel of 8 bits working on one takes, about


@dataclass(frozen=True)
class Deep:
    """A picture whose levels have any type.

    values: (height, width, channels), colour first: grey (1), RGB (3) or CMYK (4).
    colours: how many of the channels are colours.
    alpha: number of the channel that is opacity, or None; `premultiplied`: colours were multiplied
        by it.
    white_is_zero: grey levels count downwards.
    white: the level that is white where the file says so.
    guess: integers that fit into fewer bits are taken to have no more.
    """

    values: np.ndarray
    colours: int
    alpha: int | None = None
    premultiplied: bool = False
    white_is_zero: bool = False
    white: int | None = None
    guess: bool = False


def to_rgb(deep: Deep, profile: bytes | None, notes: list[str]) -> np.ndarray:
    """As sRGB on white: uint8 (height, width, 3).

    Integers of 8 and 16 bits are scaled by their full range, or by `white`. Long integers and
    floats have no agreed range: floats are taken as 0..1, both as 0..255 or 0..65535 where they
    fit, and stretched from their least to their greatest value where not. What is no number is 0.
    """
    height, width, _ = deep.values.shape
    scale = _scale(deep, notes)
    converted = converts(profile, deep.colours, notes)
    rgb = np.empty((height, width, 3), dtype=np.uint8)
    for top, bottom in bands(_WIDE * width, height):
        band = deep.values[top:bottom]
        levels = scale(band[..., : deep.colours])
        if deep.white_is_zero:
            levels = 1 - levels
        opacity = None if deep.alpha is None else _full_range(band[..., deep.alpha])[..., None]
        if opacity is not None and deep.premultiplied:
            levels = np.divide(levels, opacity, out=np.ones_like(levels), where=opacity > 0)
            levels = np.clip(levels, 0, 1)
        if converted and profile is not None:
            shades = deep_to_srgb(np.rint(levels * 65535).astype(np.uint16), profile)
            coloured = shades.astype(np.float32) / 255
        elif deep.colours == 4:
            coloured = (1 - levels[..., :3]) * (1 - levels[..., 3:])
        else:
            coloured = levels
        if opacity is not None:
            coloured = coloured * opacity + (1 - opacity)
        rgb[top:bottom] = np.rint(coloured * 255).astype(np.uint8)
    return rgb


Scale = Callable[[np.ndarray], np.ndarray]
"""Values of a band -> float32 from 0 to 1."""


def _scale(deep: Deep, notes: list[str]) -> Scale:
    kind = deep.values.dtype
    colours = deep.values[..., : deep.colours]
    if deep.white is not None and kind.kind == "u":
        return _linear(0, deep.white)
    if kind in (np.uint8, np.uint16):
        full = np.iinfo(kind).max
        if kind == np.uint16 and deep.guess:
            _, high = _extremes(colours)
            least = next((white for white in _STORED_IN_SIXTEEN if 0 < high <= white), full)
            if least < full:
                bits = least.bit_length()
                notes.append(f"values of 16 bits that fit into {bits} were taken as {bits} bits")
            full = least
        return _linear(0, full)
    low, high = _extremes(colours)
    if low < 0 or high > 65535:
        return _linear(low, high)
    if kind == np.int16 and high > 255:
        return _linear(0, 32767)
    if high > 255:
        return _linear(0, 65535)
    return _linear(0, 1 if kind.kind == "f" and high <= 1 else 255)


def _linear(low: float, high: float) -> Scale:
    def scaled(values: np.ndarray) -> np.ndarray:
        levels = (_numbers(values) - np.float32(low)) / np.float32((high - low) or 1)
        clipped: np.ndarray = np.clip(levels, 0, 1)
        return clipped

    return scaled


def _full_range(values: np.ndarray) -> np.ndarray:
    """Opacity from 0 to 1."""
    top = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
    return _linear(0, top)(values)


def _extremes(values: np.ndarray) -> tuple[float, float]:
    height, width, _ = values.shape
    pairs = [
        (band.min(), band.max())
        for band in (_numbers(values[a:b]) for a, b in bands(_WIDE * width, height))
    ]
    return float(min(low for low, _ in pairs)), float(max(high for _, high in pairs))


def _numbers(values: np.ndarray) -> np.ndarray:
    """As float32; what is no number is 0, and no difference of two overflows."""
    with np.errstate(over="ignore"):
        levels = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    clipped: np.ndarray = np.clip(levels, -1e30, 1e30)
    return clipped
