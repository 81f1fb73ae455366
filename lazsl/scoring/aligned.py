"""Which of an image's regions take part in the alignment, by the aligner of the settings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lazsl.alignment.align import select_regions
from lazsl.settings import ScoringSettings


@dataclass(frozen=True)
class TakingPart:
    """Regions of some images as the functions of `alignment` take them.

    Attributes:
        embeddings: (B, M, D).
        keep: (B, M) bool.
        first: number of the first of them, as tables count regions: 0 is the whole image.
    """

    embeddings: Tensor
    keep: Tensor
    first: int


def taking_part(
    vectors: Tensor, settings: ScoringSettings, valid: Tensor | None = None
) -> TakingPart:
    """The crops that the paper's selection keeps; for one-sided plans all regions, the whole image
    being the first.

    Args:
        vectors: (B, 1 + M, D), the whole image, then its crops.
        settings: how to score.
        valid: (B, M) bool, False on crops that do not count; None where all do.
    """
    whole, crops = vectors[:, 0], vectors[:, 1:]
    if not settings.one_sided:
        return TakingPart(crops, select_regions(crops, whole, settings.gamma, valid), 1)
    keep = torch.ones(vectors.shape[:2], dtype=torch.bool, device=vectors.device)
    if valid is not None:
        keep[:, 1:] = valid
    return TakingPart(vectors, keep, 0)
