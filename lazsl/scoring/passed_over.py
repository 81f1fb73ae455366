"""The regions that a plan passes over, and how similar they are to the attributes all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from lazsl.alignment.attributes import PackedAttributes
from lazsl.alignment.plans import similarities_for


@dataclass(frozen=True)
class PassedOver:
    """The regions that were not kept, `passed` (B, M), and their `similarity` (B, k, M, n), zero on
    kept ones and beyond a class's own size, `sizes` (B, k)."""

    passed: torch.Tensor
    similarity: torch.Tensor
    sizes: torch.Tensor

    def of(self, image: int, rank: int) -> torch.Tensor:
        """S of one class, (regions passed over, its attributes)."""
        size = int(self.sizes[image, rank])
        return self.similarity[image, rank, self.passed[image], :size]


def passed_over(
    crops: torch.Tensor,
    whole: torch.Tensor,
    keep: torch.Tensor,
    packed: PackedAttributes,
    classes: torch.Tensor,
    aligning: dict[str, Any],
) -> PassedOver:
    """The similarities of the regions that were not kept: what an attribute is not seen in helps to
    say where it is.

    Going the same way as those of the kept regions, they depend on neighbours as little.
    """
    passed = ~keep
    sizes = packed.starts.diff()[classes]
    if not bool(passed.any()):
        largest = int(sizes.max()) if sizes.numel() else 0
        shape = (*classes.shape, keep.shape[1], largest)
        nothing = crops.new_zeros(shape, dtype=torch.float32)
        return PassedOver(passed, nothing, sizes)
    # Every image of a batch needs a region.
    rest = torch.where(passed.any(1, keepdim=True), passed, keep)
    similarity = similarities_for(crops, whole, rest, packed, classes, **aligning)
    return PassedOver(passed, similarity, sizes)
