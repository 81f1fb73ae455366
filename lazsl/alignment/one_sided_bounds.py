"""Bounds of the scores of one-sided plans, and the classes that may be among the best by them."""

from __future__ import annotations

import torch
from torch import Tensor

from lazsl.alignment import one_sided
from lazsl.alignment.attributes import PackedAttributes
from lazsl.alignment.image_batches import Batch
from lazsl.alignment.matching import Matching
from lazsl.alignment.score_bounds import Bounds
from lazsl.alignment.transport import Workspace


def candidate_classes(
    strengths: Tensor, regions: int, packed: PackedAttributes, k: int, most: int
) -> Tensor | None:
    """(B, at most `most`) indices of the classes that may be among the k best of each image by
    one-sided plans, ascending, then -1; None where an image has more of them.

    Args:
        strengths: (B, N), as `attribute_strengths` gives them.
        regions: M.
        packed: the label set.
        k: classes, at most as many as there are.
        most: classes.
    """
    candidates = bounds_around(strengths, 0.0, regions, packed).may_be_among(k)
    count = candidates.sum(1)
    widest = int(count.max())
    if widest > most:
        return None
    image, place = candidates.nonzero(as_tuple=True)
    slot = torch.arange(len(image), device=image.device) - (count.cumsum(0) - count)[image]
    classes = torch.full((len(candidates), widest), -1, device=candidates.device)
    classes[image, slot] = place
    return classes


def one_sided_bounds(
    batch: Batch,
    packed: PackedAttributes,
    matching: Matching,
    workspace: Workspace,
    strengths: Tensor | None,
) -> Bounds:
    """Bounds of one-sided scores."""
    regions = batch.keep.shape[1]
    if strengths is not None:
        return bounds_around(strengths, 0.0, regions, packed)
    rows = batch.rows.float()
    arguments = (rows, batch.keep, packed, matching.epsilon, workspace)
    by_digits = one_sided.strengths_by_digits(*arguments)
    if by_digits is not None:
        return bounds_around(*by_digits, regions, packed)
    return bounds_around(one_sided.strengths(*arguments), 0.0, regions, packed)


def bounds_around(
    strengths: Tensor, off: Tensor | float, regions: int, packed: PackedAttributes
) -> Bounds:
    """The scores that strengths (B, N), off by `off` (B, 1), add up to, and what they and float32
    may be wrong by."""
    scores = one_sided.class_means(strengths, packed)
    off = off + one_sided.rounding(packed.embeddings.shape[1], regions)
    return Bounds(scores + off, scores - off)
