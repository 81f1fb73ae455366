"""Regions as crops in rounds: an image's crops are embedded until its label is settled.

Crops are the same as without rounds, those of a pyramid level by level, others in the order of
`doubt.in_telling_order`; when there are
enough of them is for `doubt.Stopping` to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lazsl.embedding.crop_source import CropSource
from lazsl.embedding.doubt import Stopping, in_telling_order, level_rounds, rounds
from lazsl.embedding.source import Regions
from lazsl.images.decoding import Picture
from lazsl.model.encoder import Encoder
from lazsl.settings import CutOn, RegionSettings


class RoundSource(CropSource):
    """A `Source` of crops, of which an image gets as many as it needs.

    Args:
        encoder, settings, cut_on: as of `CropSource`.
        stopping: says when an image has been seen enough.
    """

    asks_again = True

    def __init__(
        self, encoder: Encoder, settings: RegionSettings, cut_on: CutOn, stopping: Stopping
    ) -> None:
        super().__init__(encoder, settings, cut_on)
        self._stopping = stopping
        self._by_level = settings.layout == "pyramid"
        self._rounds = (level_rounds if self._by_level else rounds)(settings.count)
        self.first_crops = 1 + self._rounds[0]

    def begin(self, picture: Picture, digest: str) -> Regions:
        boxes = super().begin(picture, digest).boxes
        if not self._by_level:
            boxes = in_telling_order(boxes)
        return Regions(boxes[: self.first_crops], boxes[self.first_crops :])

    def more(self, images: Sequence[Regions], vectors: np.ndarray) -> list[Regions | None]:
        enough = self._stopping.enough(vectors)
        return [
            None if stops else self._next_round(regions)
            for regions, stops in zip(images, enough, strict=True)
        ]

    def _next_round(self, regions: Regions) -> Regions:
        seen = len(regions.boxes) - 1
        crops = next(crops for crops in self._rounds if crops > seen) - seen
        boxes = np.concatenate([regions.boxes, regions.reserve[:crops]])
        return Regions(boxes, regions.reserve[crops:])
