"""Detailed pictures made of noise at every scale, which cost as much to decode as photographs."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image


def photographs(count: int, size: tuple[int, int] = (1600, 1200), seed: int = 0) -> list[bytes]:
    """So many different JPEGs of this width and height, the same ones every time for a seed."""
    return list(_photographs(count, size, np.random.default_rng(seed)))


def _photographs(count: int, size: tuple[int, int], rng: np.random.Generator) -> Iterator[bytes]:
    width, height = size
    for _ in range(count):
        picture = np.zeros((height, width, 3), dtype=np.float32)
        for scale in (4, 16, 64, 256):
            tile = rng.uniform(0, 255, size=(height // scale + 1, width // scale + 1, 3))
            layer = Image.fromarray(tile.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
            picture += np.asarray(layer, dtype=np.float32) / 4
        buffer = io.BytesIO()
        Image.fromarray(picture.astype(np.uint8)).save(buffer, "JPEG", quality=88)
        yield buffer.getvalue()
