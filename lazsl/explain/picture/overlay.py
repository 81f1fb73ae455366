"""Maps laid over a dimmed image, and the colours of all pictures of evidence.

Two colours say which class is meant, everywhere: blue the best one, vermilion the other. They are
Okabe and Ito's, which all kinds of eyes tell apart.
"""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image as Pixels

THIS, OTHER = "#0072b2", "#d55e00"
RIGHT, WRONG = "#007a5e", "#b3261e"
"""Of a verdict, where the truth is known."""


def dimmed(pixels: Pixels.Image | None, size: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) floats 0..1: the image in light grey, or an empty page where there is none."""
    if pixels is None:
        return np.full((size[1], size[0], 3), 0.93)
    grey = np.asarray(pixels.convert("L").resize(size, Pixels.Resampling.LANCZOS), float) / 255
    return np.repeat((0.45 + 0.5 * grey)[:, :, None], 3, axis=2)


def lay_over(base: np.ndarray, values: np.ndarray, colour: str) -> np.ndarray:
    """The base with what is positive in a map over it: the stronger, the less shines through.

    Args:
        base: (H, W, 3) floats 0..1.
        values: (h, w), stretched over the base; the largest is drawn in full colour.
        colour: of the map.
    """
    height, width = base.shape[:2]
    stretched = np.asarray(
        Pixels.fromarray(values.astype(np.float32)).resize(
            (width, height), Pixels.Resampling.BICUBIC
        )
    )
    level = np.clip(stretched / max(float(values.max()), 1e-12), 0, 1)
    opacity = 0.9 * level[:, :, None] ** 2
    return np.asarray(base * (1 - opacity) + np.asarray(to_rgb(colour)) * opacity)
