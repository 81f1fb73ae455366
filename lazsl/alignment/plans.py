"""By which plan the regions of an image and the attributes of chosen classes align.

Arguments and shapes are those of `align`; the scores that plans add up to are the same as there,
to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Unpack

import torch
from torch import Tensor

from lazsl.alignment.align import WORTH, top_classes
from lazsl.alignment.attributes import PackedAttributes
from lazsl.alignment.image_batches import batches
from lazsl.alignment.image_class_pairs import similar_pairs, solve_pairs
from lazsl.alignment.matching import Matching, Settings
from lazsl.alignment.one_sided_bounds import candidate_classes
from lazsl.alignment.transport import Workspace


@dataclass(frozen=True)
class Plans:
    """How the score of chosen classes came about.

    Attributes:
        sizes: (B, k) int64, attributes of each class.
        scores, residual: (B, k); the residual is the largest error of a row marginal.
        iterations: (B, k) int64.
        plan, similarity: (B, k, M, largest size), T and S; zero on regions that are not kept and
            beyond a class's own size.
        keep: (B, M) bool, as given.
    """

    sizes: Tensor
    scores: Tensor
    iterations: Tensor
    residual: Tensor
    plan: Tensor
    similarity: Tensor
    keep: Tensor

    def at(self, places: Tensor) -> Plans:
        """Those at the places (B, k'), among the k, of each image."""
        image = torch.arange(len(places), device=places.device)[:, None]
        numbers = self.sizes, self.scores, self.iterations, self.residual, self.plan
        sizes, scores, iterations, residual, plan = (values[image, places] for values in numbers)
        similarity = self.similarity[image, places]
        return Plans(sizes, scores, iterations, residual, plan, similarity, self.keep)

    def of(self, image: int, rank: int) -> tuple[Tensor, Tensor]:
        """T and S of one class, (M', n) each: the kept regions in order, its own attributes."""
        size = int(self.sizes[image, rank])
        keep = self.keep[image]
        return self.plan[image, rank, keep, :size], self.similarity[image, rank, keep, :size]


@torch.no_grad()
def plans_for(
    regions: Tensor,
    whole: Tensor,
    keep: Tensor,
    packed: PackedAttributes,
    classes: Tensor,
    valid: Tensor | None = None,
    **settings: Unpack[Settings],
) -> Plans:
    """Plans of the chosen classes, (B, k) indices; other arguments as for `class_scores`. The
    scores are those of `top_classes`, to the last bit.

    Where an image has fewer, -1 stands for none: no plan, of a score below all.
    """
    matching, workspace = Matching(**settings), Workspace()
    sizes = packed.starts.diff()[classes.clamp(min=0)].where(classes >= 0, 0)
    scores, residual = torch.zeros((2, *classes.shape), device=whole.device)
    scores.masked_fill_(classes < 0, -torch.inf)
    iterations = torch.zeros_like(classes)
    largest = int(sizes.max()) if sizes.numel() else 0
    shape = (2, *classes.shape, keep.shape[1], largest)
    plan, similarity = torch.zeros(shape, device=whole.device)
    for batch in batches(regions, whole, keep, valid, packed, matching) if largest else ():
        image, rank = (classes[batch.images] >= 0).nonzero(as_tuple=True)
        classes_of_pairs = classes[batch.images][image, rank]
        for solved in solve_pairs(
            batch, packed, matching, image, classes_of_pairs, workspace, True
        ):
            transport = solved.transport
            assert transport.plan is not None and transport.residual is not None
            row, place = image[solved.pairs], rank[solved.pairs]
            source = batch.images[row]
            scores[source, place] = transport.scores[0].float()
            iterations[source, place] = transport.iterations[0]
            residual[source, place] = transport.residual[0].float()
            size = solved.similarity.shape[1]
            target = (source[:, None], place[:, None], batch.positions[row], slice(size))
            plan[target] = transport.plan[0].permute(2, 0, 1).float()
            kept = batch.keep[row][:, :, None]
            similarity[target] = (kept * solved.similarity.permute(2, 0, 1)).float()
    return Plans(sizes, scores, iterations, residual, plan, similarity, keep)


def top_plans(
    regions: Tensor,
    whole: Tensor,
    keep: Tensor,
    packed: PackedAttributes,
    k: int,
    strengths: Tensor | None = None,
    **settings: Unpack[Settings],
) -> tuple[Tensor, Plans]:
    """The `top_classes`, (B, k) indices, and their plans. Where the classes that may be among them
    are few all are solved with plans, at once; to the last bit the same."""
    many = len(packed.means)
    if many <= WORTH * k:
        candidates = torch.arange(many, device=whole.device).expand(len(whole), many)
    elif strengths is None or not len(whole):
        candidates = None
    else:
        candidates = candidate_classes(strengths, keep.shape[1], packed, k, WORTH * k)
    if candidates is None:
        top = top_classes(regions, whole, keep, packed, k=k, strengths=strengths, **settings)
        return top.classes, plans_for(regions, whole, keep, packed, top.classes, **settings)
    plans = plans_for(regions, whole, keep, packed, candidates, **settings)
    best = plans.scores.sort(dim=1, descending=True, stable=True)[1][:, :k]
    return candidates.gather(1, best), plans.at(best)


@torch.no_grad()
def similarities_for(
    regions: Tensor,
    whole: Tensor,
    keep: Tensor,
    packed: PackedAttributes,
    classes: Tensor,
    **settings: Unpack[Settings],
) -> Tensor:
    """(B, k, M, largest size) float32, the `similarity` that `plans_for` gives for the same
    arguments, to the last bit, without solving any transport."""
    matching = Matching(**settings)
    sizes = packed.starts.diff()[classes]
    largest = int(sizes.max()) if sizes.numel() else 0
    similarity = torch.zeros((*classes.shape, keep.shape[1], largest), device=whole.device)
    ranks = classes.shape[1]
    for batch in batches(regions, whole, keep, None, packed, matching) if ranks else ():
        pair = torch.arange(len(batch.images) * ranks, device=whole.device)
        image, rank = pair // ranks, pair % ranks
        classes_of_pairs = classes[batch.images].flatten()
        for pairs, pair_similarity in similar_pairs(
            batch, packed, matching, image, classes_of_pairs
        ):
            row = image[pairs]
            kept = batch.keep[row][:, :, None]
            target = (
                batch.images[row][:, None],
                rank[pairs][:, None],
                batch.positions[row],
                slice(pair_similarity.shape[1]),
            )
            similarity[target] = (kept * pair_similarity.permute(2, 0, 1)).float()
    return similarity
