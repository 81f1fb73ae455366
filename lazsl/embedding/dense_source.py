"""Dense regions: the whole image goes through the model as a crop does, and every other box is
pooled from one look at a larger picture (`model.dense`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from lazsl.embedding.forward import fetching
from lazsl.embedding.source import Cut, Ready, Regions
from lazsl.images.crop_boxes import draw_boxes
from lazsl.images.decoding import Picture
from lazsl.model.dense import DenseEncoder
from lazsl.model.encoder import Encoder
from lazsl.settings import RegionSettings


class DenseSource:
    """A `Source` of dense regions.

    Args:
        encoder: a loaded model with its vision tower.
        settings: which regions to pool.

    Raises:
        UserError: the model's tower cannot pool boxes.
    """

    asks_again = False
    on_device = False

    def __init__(self, encoder: Encoder, settings: RegionSettings) -> None:
        self.settings = settings
        self.first_crops = 1 + settings.count
        self._dense = DenseEncoder(encoder, settings.scale)
        self._framing = encoder.framing

    def decoding_factor(self, shorter: int) -> int:
        return 1 if self.settings.resampling == "exact" else self._dense.decoding_factor(shorter)

    def begin(self, picture: Picture, digest: str) -> Regions:
        return Regions(draw_boxes(*picture.size, digest, self.settings))

    def cut(self, picture: Picture, boxes: np.ndarray, whole: bool) -> Cut:
        framed = np.array(self._framing.frame(picture.image))[None]
        look = self._dense.look(picture.image, picture.size, boxes[1:])
        return Cut(framed, look)

    def ready(self, cut: Cut) -> Ready:
        assert isinstance(cut.pixels, np.ndarray) and cut.look is not None
        pooled = fetching(self._dense.encode(cut.look), self._dense.encoder)
        return Ready(torch.from_numpy(cut.pixels), pooled, self._dense.passes(cut.look))

    def more(self, images: Sequence[Regions], vectors: np.ndarray) -> list[Regions | None]:
        return [None] * len(images)
