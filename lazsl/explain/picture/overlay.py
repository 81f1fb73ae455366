"""Signed maps laid over a dimmed image."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from PIL import Image as Pixels

THIS, OTHER = "#b35806", "#542788"
"""Orange speaks for the best class, purple for the other one. Told apart by all kinds of eyes."""

FOR, AGAINST = "#276419", "#8e0152"
"""Green speaks for a class, pink against it."""

Colours = ListedColormap


def _two(negative: tuple[str, str], positive: tuple[str, str]) -> Colours:
    """Two hues that meet at zero without white between them, each from dark to light."""
    sides = [
        LinearSegmentedColormap.from_list("", one)(np.linspace(0, 1, 128))
        for one in (negative, positive)
    ]
    return ListedColormap(np.concatenate(sides))


CONTRAST = _two((OTHER, "#a99fd1"), ("#f4b15c", THIS))
FOUND = _two((AGAINST, "#e48cc0"), ("#90ca5a", FOR))


def dimmed(pixels: Pixels.Image | None, size: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) floats 0..1: the image in light grey, or an empty page where there is none."""
    if pixels is None:
        return np.full((size[1], size[0], 3), 0.93)
    grey = np.asarray(pixels.convert("L").resize(size, Pixels.Resampling.LANCZOS), float) / 255
    return np.repeat((0.55 + 0.45 * grey)[:, :, None], 3, axis=2)


def lay_over(base: np.ndarray, values: np.ndarray, largest: float, colours: Colours) -> np.ndarray:
    """The base with a signed map over it: the stronger, the less shines through.

    Args:
        base: (H, W, 3) floats 0..1.
        values: (h, w), stretched over the base.
        largest: absolute value that is drawn in full colour.
        colours: from negative over zero to positive.
    """
    height, width = base.shape[:2]
    stretched = np.asarray(
        Pixels.fromarray(values.astype(np.float32)).resize(
            (width, height), Pixels.Resampling.BICUBIC
        )
    )
    level = np.clip(stretched / (largest or 1.0), -1, 1)
    opacity = 0.85 * np.abs(level)[:, :, None] ** 0.75
    return np.asarray(base * (1 - opacity) + colours(level / 2 + 0.5)[:, :, :3] * opacity)


def scale(colours: Colours, size: tuple[int, int]) -> np.ndarray:
    """(h, w, 3): from full strength against over nothing to full strength for, on white."""
    width, height = size
    levels = np.broadcast_to(np.linspace(-1, 1, width), (height, width))
    return lay_over(np.ones((height, width, 3)), levels, 1.0, colours)
