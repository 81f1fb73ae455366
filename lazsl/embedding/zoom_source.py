"""Regions as crops in two looks: coarse squares first, then fine ones where the subject is.

Where to look again is what the coarse squares' embeddings say (`images.crop_layouts`), without any
label. With `doubt`, an image whose label the coarse squares settle is not looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lazsl.embedding.crop_source import CropSource
from lazsl.embedding.doubt import Stopping
from lazsl.embedding.source import Regions
from lazsl.images import crop_layouts
from lazsl.images.decoding import Picture
from lazsl.model.encoder import Encoder
from lazsl.settings import CutOn, RegionSettings


class ZoomSource(CropSource):
    """A `Source` of crops, the later of which depend on the earlier ones.

    Args:
        encoder, settings, cut_on: as of `CropSource`.
        stopping: says when the coarse squares are enough; None: never.
    """

    asks_again = True

    def __init__(
        self,
        encoder: Encoder,
        settings: RegionSettings,
        cut_on: CutOn,
        stopping: Stopping | None,
    ) -> None:
        super().__init__(encoder, settings, cut_on)
        self._stopping = stopping
        self.first_crops = 1 + crop_layouts.coarse(settings.count)

    def begin(self, picture: Picture, digest: str) -> Regions:
        boxes = super().begin(picture, digest).boxes
        return Regions(boxes, crop_layouts.window_squares(*picture.size, digest, self.settings))

    def more(self, images: Sequence[Regions], vectors: np.ndarray) -> list[Regions | None]:
        if vectors.shape[1] > self.first_crops:
            return [None] * len(images)
        enough = [False] * len(images)
        if self._stopping is not None:
            enough = self._stopping.enough(vectors).tolist()
        return [
            None if settled else _with_a_closer_look(regions, image_vectors)
            for regions, image_vectors, settled in zip(images, vectors, enough, strict=True)
        ]


def _with_a_closer_look(regions: Regions, vectors: np.ndarray) -> Regions:
    left, top = crop_layouts.window_corner(regions.boxes, vectors)
    fine = regions.reserve + np.array([left, top, left, top], dtype=np.int32)
    return Regions(np.concatenate([regions.boxes, fine]))
