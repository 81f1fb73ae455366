"""Boxes of a picture -> model-ready crops."""

from __future__ import annotations

import numpy as np
from PIL import Image

from lazsl.images.framing import Framing


def cut_crops(
    image: Image.Image, boxes: np.ndarray, framing: Framing, whole: bool = True
) -> np.ndarray:
    """Model-ready crops: uint8, shape (M + 1, height, width, 3), RGB; row i shows box i.

    Row 0 goes through the model's own framing, or is left out without `whole`. The squares need a
    single resize when the model's input is square too: it is done from the source pixels in one
    step, without cutting first.
    """
    width, height = framing.size
    crops = np.empty((len(boxes), height, width, 3), dtype=np.uint8)
    if whole:
        crops[0] = np.asarray(framing.frame(image))
    for row, box in enumerate(boxes[1:].tolist(), start=1):
        if width == height:
            crops[row] = np.asarray(image.resize(framing.size, framing.resample, box=tuple(box)))
        else:
            crops[row] = np.asarray(framing.frame(image.crop(tuple(box))))
    return crops if whole else crops[1:]
