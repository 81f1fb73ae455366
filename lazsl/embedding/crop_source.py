"""Regions as crops: every box is cut out and goes through the model, all of an image at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from lazsl.embedding.source import Cut, Ready, Regions
from lazsl.images.crop_boxes import draw_boxes
from lazsl.images.crops import cut_crops
from lazsl.images.decoding import Picture
from lazsl.images.fast_crops import Uncut, cut_fast, cut_on_device, decoding_factor, leave_uncut
from lazsl.model.encoder import Encoder
from lazsl.settings import CutOn, RegionSettings


class CropSource:
    """A `Source` of crops.

    Args:
        encoder: a loaded model with its vision tower.
        settings: which regions to cut.
        cut_on: where fast crops of a square model are cut; all others are by the threads.
    """

    asks_again = False

    def __init__(self, encoder: Encoder, settings: RegionSettings, cut_on: CutOn) -> None:
        self.settings = settings
        self.first_crops = 1 + settings.count
        self.on_device = cuts_on_device(encoder, settings, cut_on)
        self._encoder = encoder
        self._on_gpu = encoder.device.startswith("cuda")
        self._framing = encoder.framing

    def decoding_factor(self, shorter: int) -> int:
        if self.settings.resampling == "exact":
            return 1
        return decoding_factor(shorter, self.settings, self._framing)

    def begin(self, picture: Picture, digest: str) -> Regions:
        return Regions(draw_boxes(*picture.size, digest, self.settings))

    def cut(self, picture: Picture, boxes: np.ndarray, whole: bool) -> Cut:
        if not whole:
            # Row 0 of what is cut stands for the whole image, and is left out.
            boxes = np.concatenate([boxes[:1], boxes])
        if self.on_device:
            return Cut(leave_uncut(picture, boxes, self._framing, whole, self._on_gpu))
        if self.settings.resampling == "fast":
            return Cut(cut_fast(picture, boxes, self._framing, whole))
        return Cut(cut_crops(picture.image, boxes, self._framing, whole))

    def ready(self, cut: Cut) -> Ready:
        pixels = cut.pixels().pixels if callable(cut.pixels) else cut.pixels
        if isinstance(pixels, np.ndarray):
            return Ready(torch.from_numpy(pixels))
        assert isinstance(pixels, Uncut)
        # Filters need more digits than bfloat16 has, whatever the model takes.
        half = self._on_gpu and self._encoder.dtype != torch.float32
        dtype = torch.float16 if half else torch.float32
        return Ready(cut_on_device(pixels, self._framing, self._encoder.device, dtype))

    def more(self, images: Sequence[Regions], vectors: np.ndarray) -> list[Regions | None]:
        return [None] * len(images)


def cuts_on_device(encoder: Encoder, settings: RegionSettings, cut_on: CutOn) -> bool:
    """True when crops are cut beside the model, which takes fast crops and a square model."""
    width, height = encoder.framing.size
    return cut_on == "device" and settings.resampling == "fast" and width == height
