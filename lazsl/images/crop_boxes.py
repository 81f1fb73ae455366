"""Where crops lie in an image, and how large they are.

Boxes are a pure function of the image's bytes and the region settings, so that a retry, another
shard size or another machine cuts the same ones.
"""

from __future__ import annotations

import numpy as np

from lazsl.images.crop_layouts import coarse, pyramid
from lazsl.images.raw_uniform import raw_uniform
from lazsl.settings import RegionSettings

_OF_BOXES = {"count", "smallest", "largest", "seed"}


def draw_boxes(width: int, height: int, digest: str, settings: RegionSettings) -> np.ndarray:
    """The boxes of one image as (left, top, right, bottom): int32, shape (M + 1, 4), right and
    bottom exclusive; of a zoom, those of its first look.

    Row 0 is the whole image. Rows 1..M are squares: of the random layout with side U(smallest,
    largest) of the shorter side at a uniform position (LaZSL, arXiv 2506.23822, section 3), of the
    others as `crop_layouts` has them.

    Args:
        width: pixels after EXIF orientation.
        height: pixels after EXIF orientation.
        digest: SHA-256 of the image's bytes.
        settings: the region settings; those of the boxes take part in the seed.
    """
    if settings.layout == "pyramid":
        return pyramid(width, height, settings.count)
    if settings.layout == "zoom":
        return pyramid(width, height, coarse(settings.count))
    text = f"{digest} {settings.model_dump_json(include=_OF_BOXES)}"
    uniform = raw_uniform(text, (settings.count, 3))
    shorter = min(width, height)
    span = settings.largest - settings.smallest
    side = np.maximum(1, ((settings.smallest + span * uniform[:, 0]) * shorter).astype(np.int64))
    left = (uniform[:, 1] * (width - side + 1)).astype(np.int64)
    top = (uniform[:, 2] * (height - side + 1)).astype(np.int64)
    boxes = np.empty((settings.count + 1, 4), dtype=np.int32)
    boxes[0] = (0, 0, width, height)
    boxes[1:] = np.stack([left, top, left + side, top + side], axis=1)
    return boxes
