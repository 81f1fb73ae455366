"""What a source of regions is: it says which regions of an image are embedded, and makes them.

An image goes through a source like this, `schedule.Schedule` keeps many on their way:

    begin   which boxes to embed first                               in a thread that decodes
    cut     what the model needs for them                            in a thread that decodes
    ready   the same as tensors; regions that need no crop, embedded     beside the model
    more    which boxes to embed next, now that these have vectors; or that is all
                                                                         beside the model
and, until `more` says that is all, through `cut` and `ready` again. There are four: `crop_source`
(all crops at once), `round_source` (crops until the label is settled), `zoom_source` (coarse crops,
then fine ones where the subject is) and `dense_source` (regions pooled from one look at the
picture). Whatever a source decides must depend on the image alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from lazsl.images.decoding import Picture
from lazsl.images.fast_crops import Uncut
from lazsl.model.dense import Look

Pixels = np.ndarray | Uncut
"""Crops, uint8 (n, height, width, 3), or a picture that is cut beside the model."""


def no_boxes() -> np.ndarray:
    """(0, 4) int32."""
    return np.empty((0, 4), dtype=np.int32)


@dataclass(frozen=True)
class Regions:
    """The regions of one image: boxes in source pixels, int32, right and bottom exclusive.

    boxes: (n, 4), those to embed so far in the order they are asked for, the whole image first.
    reserve: (k, 4), those drawn already that a later `more` may ask for.
    """

    boxes: np.ndarray
    reserve: np.ndarray = field(default_factory=no_boxes)


@dataclass(frozen=True)
class Cut:
    """What a thread made of some boxes: crops, and of dense regions the look they lie in; or how it
    is made again, where there was no room to keep it."""

    pixels: Pixels | Callable[[], Cut]
    look: Look | None = None


@dataclass(frozen=True)
class Ready:
    """What the model takes.

    crops: uint8 (n, height, width, 3), which share batches with other images' crops.
    pooled: brings (m, D) float16, vectors of the boxes after these n, embedded already; or None.
    passes: what `pooled` cost, in forward passes of a crop.
    """

    crops: torch.Tensor
    pooled: Callable[[], np.ndarray] | None = None
    passes: float = 0.0


class Source(Protocol):
    """A way to get regions of images and their vectors.

    Attributes:
        asks_again: `more` may ask for further boxes, so pictures are kept until it does not.
        first_crops: boxes of an image that are asked for at first, which bounds what is decoded
            ahead.
        on_device: crops are cut on the model's device.
    """

    asks_again: bool
    first_crops: int
    on_device: bool

    def decoding_factor(self, shorter: int) -> int:
        """What a picture with this shorter side may be decoded smaller by: 1, 2, 4 or 8."""

    def begin(self, picture: Picture, digest: str) -> Regions:
        """The boxes to embed first; `digest` is the SHA-256 of the image's bytes."""

    def cut(self, picture: Picture, boxes: np.ndarray, whole: bool) -> Cut:
        """What the model needs for boxes (n, 4); `whole`: row 0 is the whole image, which goes
        through the model's own framing."""

    def ready(self, cut: Cut) -> Ready:
        """What was cut, as the model takes it."""

    def more(self, images: Sequence[Regions], vectors: np.ndarray) -> list[Regions | None]:
        """For each image its regions with further boxes to embed, or None: these are all.

        Args:
            images: B of them, with n boxes each.
            vectors: (B, n, D) float16, the boxes' embeddings as they are stored.
        """
