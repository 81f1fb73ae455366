"""What speaks for each class of an image: its attributes, and the plan that gives them regions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch

from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.scoring.passed_over import PassedOver
from lazsl.scoring.presence import Presence
from lazsl.scoring.ranked_classes import Ranked, as_column
from lazsl.store import schemas


def evidence_table(ranked: Ranked, labels: EmbeddedLabels) -> pa.Table:
    plans = ranked.plans
    sizes = plans.sizes
    parts = plans.plan * plans.similarity
    # In double precision, so that the order of summation, which depends on the batch, is not seen.
    contribution = parts.double().sum(dim=2).float()
    adds = (parts > 0).any(dim=2, keepdim=True)
    best = torch.where(adds, parts, plans.plan).argmax(dim=2)
    share = plans.plan.gather(2, best[:, :, None])[:, :, 0] * sizes[:, :, None]
    within = torch.arange(contribution.shape[2], device=sizes.device)
    real = within < sizes[:, :, None]
    row = torch.arange(sizes.numel(), device=sizes.device).view(sizes.shape)[:, :, None]
    rows = pa.array(row.expand_as(real)[real].cpu().numpy())
    image_ids, ranks, classes = ranked.rows
    attribute = within.expand_as(real)
    flat = (labels.packed.starts[ranked.classes][:, :, None] + attribute)[real]
    texts = pa.array([text for texts in labels.attributes for text in texts], pa.string())
    return pa.Table.from_arrays(
        [
            image_ids.take(rows),
            ranks.take(rows),
            classes.take(rows),
            as_column(attribute[real], pa.int16()),
            texts.take(pa.array(flat.cpu().numpy())),
            as_column(contribution[real], pa.float32()),
            as_column((contribution * sizes[:, :, None])[real], pa.float32()),
            as_column(best[real] + ranked.first, pa.int16()),
            as_column(share[real], pa.float32()),
            _presence(ranked.presence, real),
        ],
        schema=schemas.EVIDENCE,
    )


def _presence(presence: Presence | None, real: torch.Tensor) -> pa.Array[Any]:
    """The column of evidence; `real` (B, k, n) says which attributes there are."""
    if presence is None:
        return pa.nulls(int(real.sum()), pa.float32())
    chances = presence.of_attributes
    return as_column(chances[real[:, :, : chances.shape[2]]], pa.float32())


def plan_table(ranked: Ranked, kept_plans: int, passed: PassedOver) -> pa.Table:
    plans = ranked.plans
    k = min(kept_plans, plans.sizes.shape[1])
    images = len(plans.keep)
    sizes = plans.sizes[:, :k]
    keep = plans.keep[:, None, :].expand(images, k, -1)
    largest = plans.plan.shape[3]
    cells = _cells(plans.keep, sizes, largest)
    passed_cells = _cells(passed.passed, sizes, passed.similarity.shape[3])
    regions = torch.arange(keep.shape[2], device=sizes.device).expand_as(keep)[keep] + ranked.first
    marginals = plans.plan[:, :k].sum(dim=3)[keep]
    kept = keep.sum(dim=2)
    rank = torch.arange(plans.sizes.shape[1], device=sizes.device).expand(plans.sizes.shape)
    in_top_k = pa.array((rank < k).flatten().cpu().numpy())
    image_ids, ranks, classes = (column.filter(in_top_k) for column in ranked.rows)
    return pa.Table.from_arrays(
        [
            image_ids,
            ranks,
            classes,
            as_column(plans.scores[:, :k], pa.float32()),
            as_column(plans.iterations[:, :k], pa.int32()),
            as_column(plans.residual[:, :k], pa.float32()),
            _lists(kept, as_column(regions, pa.int16())),
            as_column(sizes, pa.int16()),
            _lists(kept * sizes, as_column(plans.plan[:, :k][cells], pa.float32())),
            _lists(kept * sizes, as_column(plans.similarity[:, :k][cells], pa.float32())),
            _lists(
                passed.passed.sum(dim=1, keepdim=True) * sizes,
                as_column(passed.similarity[passed_cells], pa.float32()),
            ),
            _lists(kept, as_column(marginals, pa.float32())),
        ],
        schema=schemas.PLANS,
    )


def _cells(keep: torch.Tensor, sizes: torch.Tensor, largest: int) -> torch.Tensor:
    """(B, k, M, largest size) bool: these regions' cells with the class's own attributes."""
    within = torch.arange(largest, device=sizes.device)
    return keep[:, None, :, None] & (within < sizes[:, :, None, None])


def _lists(lengths: torch.Tensor, values: pa.Array[Any]) -> pa.Array[Any]:
    """Lists of these lengths over values that follow each other."""
    offsets = np.concatenate([[0], np.cumsum(lengths.flatten().cpu().numpy())])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)
