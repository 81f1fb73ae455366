"""Where birds are seen: what is behind them, what they sit on, and the light there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import skia

from studies.plates.backgrounds import autumn, lake, meadow, orchard, shore, sky, winter, wood
from studies.plates.palette import Colour
from studies.plates.perches import Growth, branch, post, stone
from studies.plates.plants import BERRIES, FLOWERS
from studies.plates.weather import Size


@dataclass(frozen=True)
class Light:
    """How bright sun, sky and ground are, per channel; together about 1.1."""

    sun: Colour
    sky: Colour
    ground: Colour


@dataclass(frozen=True)
class Habitat:
    """A place: its light, its background, and what draws a perch under given feet."""

    name: str
    light: Light
    background: Callable[[Size, np.random.Generator], np.ndarray]
    perches: tuple[Growth | str, ...]
    near: tuple[Colour, ...]
    """Colours of what may stand between the viewer and the bird."""


GREEN: tuple[Colour, ...] = ((84, 130, 56), (112, 150, 66), (66, 106, 52), (140, 160, 76))
RUST: tuple[Colour, ...] = ((204, 116, 42), (178, 70, 38), (220, 176, 66), (136, 104, 52))

HABITATS: tuple[Habitat, ...] = (
    Habitat(
        "wood",
        Light((0.66, 0.64, 0.52), (0.3, 0.36, 0.28), (0.14, 0.18, 0.1)),
        wood,
        (
            Growth(GREEN, 0.46, (104, 84, 64)),
            Growth(GREEN, 0.3, (92, 80, 68), BERRIES[0]),
            Growth((), 0.4, (110, 96, 80)),
            "stone",
        ),
        GREEN,
    ),
    Habitat(
        "meadow",
        Light((0.76, 0.72, 0.6), (0.3, 0.34, 0.38), (0.18, 0.2, 0.1)),
        meadow,
        (
            Growth(GREEN, 0.26, (120, 104, 76)),
            "post",
            "stone",
            Growth(GREEN, 0.5, (104, 90, 70), None, FLOWERS[0]),
        ),
        (*GREEN, FLOWERS[0], FLOWERS[2]),
    ),
    Habitat(
        "lake",
        Light((0.7, 0.69, 0.64), (0.34, 0.38, 0.42), (0.16, 0.2, 0.2)),
        lake,
        (
            "stone",
            "post",
            Growth((), 0.4, (124, 112, 98)),
            Growth(((150, 158, 84), (120, 136, 70)), 0.16, (112, 104, 70)),
        ),
        ((124, 140, 76), (160, 150, 92)),
    ),
    Habitat(
        "sky",
        Light((0.78, 0.74, 0.66), (0.36, 0.4, 0.46), (0.2, 0.2, 0.18)),
        sky,
        (
            Growth(GREEN, 0.44, (100, 84, 66)),
            Growth((), 0.4, (96, 84, 74)),
            Growth(GREEN, 0.4, (96, 80, 64), BERRIES[2]),
            "post",
        ),
        GREEN,
    ),
    Habitat(
        "autumn",
        Light((0.8, 0.68, 0.5), (0.3, 0.31, 0.32), (0.2, 0.15, 0.1)),
        autumn,
        (
            Growth(RUST, 0.5, (94, 76, 62)),
            Growth(RUST, 0.4, (88, 72, 60), BERRIES[1]),
            Growth((), 0.4, (98, 84, 72)),
            "stone",
        ),
        RUST,
    ),
    Habitat(
        "winter",
        Light((0.6, 0.6, 0.6), (0.42, 0.46, 0.52), (0.26, 0.28, 0.32)),
        winter,
        (
            Growth((), 0.4, (86, 76, 72), None, None, True),
            Growth((), 0.4, (82, 74, 70), BERRIES[0], None, True),
            "post",
        ),
        ((214, 222, 232),),
    ),
    Habitat(
        "shore",
        Light((0.76, 0.74, 0.68), (0.36, 0.4, 0.44), (0.24, 0.22, 0.18)),
        shore,
        ("stone", "post", "stone"),
        ((150, 160, 104), (190, 176, 120)),
    ),
    Habitat(
        "orchard",
        Light((0.74, 0.71, 0.66), (0.36, 0.37, 0.4), (0.2, 0.19, 0.16)),
        orchard,
        (
            Growth(GREEN, 0.5, (98, 78, 68), None, (246, 222, 228)),
            Growth((), 0.5, (92, 76, 70), None, (238, 178, 198)),
            Growth(GREEN, 0.5, (104, 86, 70)),
        ),
        ((246, 222, 228), *GREEN),
    ),
)


def perch(
    canvas: skia.Canvas, kind: Growth | str, foot: tuple[float, float], slope: float, scale: float,
    size: Size, rng: np.random.Generator,
) -> None:  # fmt: skip
    """What the feet stand on."""
    if isinstance(kind, Growth):
        branch(canvas, foot, slope, scale, size, kind, rng)
    elif kind == "stone":
        tone: Colour = ((132, 128, 120), (150, 138, 122), (110, 112, 114))[rng.integers(3)]
        stone(canvas, foot, scale, size, tone, rng)
    else:
        post(canvas, foot, scale, size, (136, 122, 104), rng)
