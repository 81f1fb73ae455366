"""Colours as birds, wood and weather have them; the names are those of the label set."""

from __future__ import annotations

import numpy as np

Colour = tuple[float, float, float]
"""Red, green and blue, 0 to 255."""

PLUMAGE: dict[str, Colour] = {
    "red": (188, 40, 36),
    "orange": (226, 124, 40),
    "yellow": (236, 202, 66),
    "green": (80, 136, 62),
    "blue": (50, 104, 182),
    "violet": (124, 74, 152),
    "white": (241, 238, 231),
    "black": (42, 41, 46),
}
HORN: dict[str, Colour] = {
    "red": (206, 48, 34),
    "yellow": (242, 186, 44),
    "blue": (74, 122, 190),
    "black": (44, 42, 46),
}
"""Of beaks and legs."""

MANTLE: Colour = (128, 116, 102)
"""Of the back, which no attribute names."""

_LIGHT = 120.0


def luma(colour: Colour) -> float:
    """How light a colour is, 0 to 255."""
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def contrast(colour: Colour) -> Colour:
    """Of marks on plumage: nearly black on light colours, nearly white on dark ones."""
    return (38, 34, 36) if luma(colour) > _LIGHT else (246, 240, 226)


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """The first colour with this share of the second."""
    a, b = np.asarray(first, float), np.asarray(second, float)
    red, green, blue = ((1 - share) * a + share * b).tolist()
    return red, green, blue


def shaded(colour: Colour, factor: float) -> Colour:
    """Darker for factors below 1; lighter, towards white, above it."""
    if factor <= 1:
        return mixed((0, 0, 0), colour, factor)
    return mixed(colour, (255, 255, 255), min(1.0, factor - 1))


def varied(colour: Colour, amount: float, rng: np.random.Generator) -> Colour:
    """The colour, a little lighter or darker and a little other in hue."""
    shift = rng.normal(0, amount) + rng.normal(0, 0.4 * amount, 3)
    red, green, blue = np.clip(np.asarray(colour, float) + shift, 0, 255).tolist()
    return red, green, blue
