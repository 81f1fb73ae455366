"""LaZSL on arrays: which regions speak, and how well they align with every class (by which plan:
`plans`).

Shapes: B images, M regions (crops) per image, D dimensions of the embedding space, C classes, N
attributes of all classes together, n attributes of one class. Embeddings are unit vectors in any
floating dtype; all tensors of a call lie on one device. Images with fewer than M regions are
padded and say so with `valid` (B, M). Equations: LaZSL, arXiv 2506.23822.

An image's result does not depend on the images beside it, nor on how the work is split: the
similarities of the classes that are reported are exact sums, and all other sums run in a fixed
order. Float32 products must be left at torch's default precision ("highest"); TF32 or bfloat16
products cost the scores 1e-3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Unpack

import torch
from torch import Tensor

from lazsl.alignment import one_sided
from lazsl.alignment.attributes import PackedAttributes
from lazsl.alignment.image_batches import Batch, batches, rows_bytes
from lazsl.alignment.image_class_pairs import solve_pairs
from lazsl.alignment.matching import Matching, Settings
from lazsl.alignment.one_sided_bounds import one_sided_bounds
from lazsl.alignment.score_bounds import class_bounds
from lazsl.alignment.transport import Workspace

_BORDER = 1e-12  # far above float64 rounding of a mean of cosines, far below any difference
_CACHED = 16  # images whose regions, in double precision, stay in a CPU's cache
_PER_CLASS = 60  # numbers per image and class that bounds take
WORTH = 2  # times k: of fewer classes, bounds cost more than they save


@dataclass(frozen=True)
class TopClasses:
    """The best classes of each image, best first; among equal scores the lower index is first.

    Attributes:
        classes: (B, k) int64.
        scores: (B, k).
    """

    classes: Tensor
    scores: Tensor


def select_regions(
    regions: Tensor, whole: Tensor, gamma: float = 0.0, valid: Tensor | None = None
) -> Tensor:
    """(B, M) bool: regions at least `gamma` more similar to the whole image than the mean region.

    A region on the border is kept, whatever the rounding of the mean. Where no region passes
    (possible with gamma > 0), the most similar one is kept alone, the first among equals.

    Raises:
        ValueError: when an image has no valid region.
    """
    agreement = torch.cat(
        [
            (crops.double() @ image.double()[:, :, None])[:, :, 0]
            for crops, image in zip(
                torch.split(regions, _CACHED), torch.split(whole, _CACHED), strict=True
            )
        ]
    )
    if valid is None:
        valid = torch.ones_like(agreement, dtype=torch.bool)
    count = valid.sum(1, keepdim=True)
    if not bool(count.all()):
        raise ValueError("an image has no valid region")
    mean = agreement.where(valid, 0.0).sum(1, keepdim=True) / count
    keep = valid & (agreement >= mean + gamma - _BORDER)
    ranked = agreement.masked_fill(~valid, -torch.inf)
    best = torch.arange(keep.shape[1], device=keep.device) == ranked.argmax(1, keepdim=True)
    return torch.where(keep.any(1, keepdim=True), keep, best)


@torch.no_grad()
def class_scores(
    regions: Tensor,
    whole: Tensor,
    keep: Tensor,
    packed: PackedAttributes,
    valid: Tensor | None = None,
    **settings: Unpack[Settings],
) -> Tensor:
    """(B, C) float32 score of every class for every image, in the label set's class order.

    `S_ij = theta <f_i, t_j> + (1 - theta) <f_0, t_j>`, then `sum_ij T_ij S_ij` with the entropic
    plan T between the kept regions and the class's attributes.

    Args:
        regions: (B, M, D), the crops' embeddings f_1..f_M.
        whole: (B, D), the whole images' embeddings f_0.
        keep: (B, M) bool, as `select_regions` returns it.
        packed: the label set.
        valid: (B, M) bool, False on padding rows; None when there are none.
        **settings: see `Settings`.

    Raises:
        ValueError: on a setting out of range, or an image without a kept region.
    """
    matching, workspace = Matching(**settings), Workspace()
    if matching.one_sided:
        strengths = attribute_strengths(regions, whole, keep, packed, valid, **settings)
        return one_sided.class_means(strengths, packed)
    scores = whole.new_empty((len(whole), len(packed.means)), dtype=torch.float32)
    for batch in batches(regions, whole, keep, valid, packed, matching):
        for block, matrix in zip(packed.blocks, packed.matrices, strict=True):
            solved = matching.solve(
                batch.similarity(packed, block.rows, block.size, matrix),
                batch.keep,
                batch.count,
                workspace,
            )
            scores[batch.images[:, None], block.classes] = solved.scores.float()
    return scores


@torch.no_grad()
def top_classes(
    regions: Tensor,
    whole: Tensor,
    keep: Tensor,
    packed: PackedAttributes,
    valid: Tensor | None = None,
    *,
    k: int,
    skip: bool = True,
    strengths: Tensor | None = None,
    **settings: Unpack[Settings],
) -> TopClasses:
    """The k best classes of each image, or all where there are fewer; arguments as for
    `class_scores`, whose scores these are to float32 rounding.

    With `skip`, transport is solved only where it can matter (`score_bounds`), if there are enough
    classes to gain by it. The result is the same, to the last bit.

    Args:
        k: classes.
        skip: leave out what cannot matter.
        strengths: for one-sided plans, the `attribute_strengths` of the same arguments, where they
            are at hand.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    matching, workspace = Matching(**settings), Workspace()
    k = min(k, len(packed.means))
    classes = torch.empty((len(whole), k), dtype=torch.int64, device=whole.device)
    scores = whole.new_empty((len(whole), k), dtype=torch.float32)
    for batch in batches(
        regions, whole, keep, valid, packed, matching, _bytes_of_bounds(keep, packed, matching)
    ):
        images = len(batch.images)
        table = scores.new_full((images, len(packed.means)), -torch.inf)
        solve = partial(_solve, table, batch, packed, matching, workspace)
        if skip and len(packed.means) > WORTH * k:
            if matching.one_sided:
                batch_strengths = None if strengths is None else strengths[batch.images]
                bounds = one_sided_bounds(batch, packed, matching, workspace, batch_strengths)
            else:
                bounds = class_bounds(batch, packed, matching, workspace)
            solve(bounds.may_be_among(k))
        else:
            solve(torch.ones_like(table, dtype=torch.bool))
        image, place = table.isfinite().nonzero(as_tuple=True)
        best = _best_classes(image, place, table[image, place], images, k)
        classes[batch.images], scores[batch.images] = best.classes, best.scores
    return TopClasses(classes, scores)


@torch.no_grad()
def attribute_strengths(
    regions: Tensor,
    whole: Tensor,
    keep: Tensor,
    packed: PackedAttributes,
    valid: Tensor | None = None,
    **settings: Unpack[Settings],
) -> Tensor:
    """(B, N) float32, how strongly each attribute of the label set shows in each image, by the
    one-sided plan (`one_sided`), whatever its class; arguments as for `class_scores`."""
    matching, workspace = Matching(**settings), Workspace()
    strengths = torch.empty((len(whole), len(packed.embeddings)), device=whole.device)
    # A step of its products is smaller than its rows.
    image_bytes = 2 * rows_bytes(packed, matching, keep.shape[1])
    for batch in batches(regions, whole, keep, valid, packed, matching, image_bytes):
        strengths[batch.images] = one_sided.strengths(
            batch.rows.float(), batch.keep, packed, matching.epsilon, workspace
        )
    return strengths


def dclip_scores(whole: Tensor, packed: PackedAttributes) -> Tensor:
    """(B, C) float32, `mean_j <f_0, t_cj>`: attributes against the whole image (DCLIP, CuPL)."""
    return (whole.double() @ packed.means.T).float()


def crop_mean_scores(
    regions: Tensor, packed: PackedAttributes, valid: Tensor | None = None
) -> Tensor:
    """(B, C) float32, the plain mean of `<f_i, t_cj>` over all crops and attributes."""
    if valid is None:
        mean = torch.cat([crops.double().mean(1) for crops in torch.split(regions, _CACHED)])
    else:
        crops = regions.double()
        mean = crops.masked_fill(~valid[:, :, None], 0).sum(1) / valid.sum(1, keepdim=True)
    return (mean @ packed.means.T).float()


def _bytes_of_bounds(keep: Tensor, packed: PackedAttributes, matching: Matching) -> int:
    """Twice what one image takes beside what is solved: half of the memory is for that."""
    kept = int(keep.sum(1).max()) if keep.numel() else 0
    coded_bytes = 6 * 4 * kept * (packed.embeddings.shape[1] + kept)
    bounds_bytes = 4 * _PER_CLASS * len(packed.means)
    return 2 * (rows_bytes(packed, matching, kept) + coded_bytes + bounds_bytes)


def _solve(
    table: Tensor,
    batch: Batch,
    packed: PackedAttributes,
    matching: Matching,
    workspace: Workspace,
    wanted: Tensor,
) -> None:
    """Writes the scores of the pairs `wanted`, (B, C) bool, into the table (B, C)."""
    image, place = wanted.nonzero(as_tuple=True)
    for solved in solve_pairs(batch, packed, matching, image, place, workspace):
        pairs = solved.pairs
        table[image[pairs], place[pairs]] = solved.transport.scores[0].float()


def _best_classes(image: Tensor, place: Tensor, scores: Tensor, images: int, k: int) -> TopClasses:
    """The k best of the candidates (image[p], place[p]), in ascending order, k or more each."""
    candidates = torch.bincount(image, minlength=images)
    slot = (
        torch.arange(len(image), device=image.device) - (candidates.cumsum(0) - candidates)[image]
    )
    shape = (images, int(candidates.max()))
    table = scores.new_full(shape, -torch.inf)
    classes = place.new_zeros(shape)
    table[image, slot], classes[image, slot] = scores, place
    best, order = table.sort(dim=1, descending=True, stable=True)
    return TopClasses(classes.gather(1, order[:, :k]), best[:, :k])
