"""The best classes of the images of a shard, in order, by index and by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from lazsl.alignment.plans import Plans
from lazsl.scoring.presence import Presence


@dataclass(frozen=True)
class Ranked:
    """The best classes of some images: `classes` (B, k), best first, and how they were aligned.
    `first` is the number of the first row of the plans' regions."""

    image_ids: pa.Array[Any]
    names: pa.Array[Any]
    classes: torch.Tensor
    plans: Plans
    first: int
    presence: Presence | None
    shown: tuple[pa.Array[Any], pa.Array[Any]]

    @property
    def rows(self) -> tuple[pa.Array[Any], pa.Array[Any], pa.Array[Any]]:
        """Columns image_id, rank and class, one row per image and rank."""
        images, k = self.classes.shape
        return (
            self.image_ids.take(pa.array(np.repeat(np.arange(images), k), pa.int64())),
            pa.array(np.tile(np.arange(1, k + 1), images), pa.int16()),
            self.named(self.classes.flatten()),
        )

    def named(self, classes: torch.Tensor) -> pa.Array[Any]:
        return self.names.take(pa.array(classes.cpu().numpy()))


def as_column(values: torch.Tensor, kind: pa.DataType) -> pa.Array[Any]:
    column: pa.Array[Any] = pa.array(values.flatten().cpu().numpy()).cast(kind)
    return column
