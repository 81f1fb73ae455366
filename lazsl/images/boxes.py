"""Pixels -> boxes -> model-ready crops.

Boxes are a pure function of the image's bytes and the region settings, so that a retry, another
shard size or another machine cuts the same ones.
"""

from __future__ import annotations

import hashlib

import numpy as np

from lazsl.settings import RegionSettings

_OF_BOXES = {"count", "smallest", "largest", "seed"}


def draw_boxes(width: int, height: int, digest: str, settings: RegionSettings) -> np.ndarray:
    """The boxes of one image as (left, top, right, bottom): int32, shape (M + 1, 4).

    Row 0 is the whole image. Rows 1..M are squares with side U(smallest, largest) of the shorter
    side at a uniform position (LaZSL, arXiv 2506.23822, section 3), right and bottom exclusive.

    Args:
        width: pixels after EXIF orientation.
        height: pixels after EXIF orientation.
        digest: SHA-256 of the image's bytes.
        settings: the region settings; those of the boxes take part in the seed.
    """
    text = f"{digest} {settings.model_dump_json(include=_OF_BOXES)}"
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    # Raw bits, because NumPy promises the stream of a bit generator and not that of a distribution.
    raw = np.random.PCG64(seed).random_raw(3 * settings.count).reshape(settings.count, 3)
    uniform = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
    shorter = min(width, height)
    span = settings.largest - settings.smallest
    side = np.maximum(1, ((settings.smallest + span * uniform[:, 0]) * shorter).astype(np.int64))
    left = (uniform[:, 1] * (width - side + 1)).astype(np.int64)
    top = (uniform[:, 2] * (height - side + 1)).astype(np.int64)
    boxes = np.empty((settings.count + 1, 4), dtype=np.int32)
    boxes[0] = (0, 0, width, height)
    boxes[1:] = np.stack([left, top, left + side, top + side], axis=1)
    return boxes
