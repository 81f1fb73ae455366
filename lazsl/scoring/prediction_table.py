"""What is said of each image: its label, how sure that is, and the parent that may stand for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from lazsl.scoring.confidence import confidence
from lazsl.scoring.ranked_classes import Ranked, as_column
from lazsl.scoring.tree import Tree, chances, chances_above, deepest
from lazsl.settings import ScoringSettings
from lazsl.store import schemas


def prediction_table(
    ranked: Ranked,
    seen: int,
    baselines: dict[str, torch.Tensor],
    settings: ScoringSettings,
    doubt: pa.Array[Any],
    tree: Tree | None,
) -> pa.Table:
    scores = ranked.plans.scores
    images, k = scores.shape
    nothing = pa.nulls(images)
    sure, abstained = _confidence(ranked, settings)
    best_class = ranked.named(ranked.classes[:, 0])
    columns = [
        ranked.image_ids,
        pc.if_else(abstained, pa.scalar(None, pa.string()), best_class),
        as_column(scores[:, 0], pa.float32()),
        ranked.named(ranked.classes[:, 1]) if k > 1 else nothing.cast(pa.string()),
        as_column(scores[:, 0] - scores[:, 1], pa.float32())
        if k > 1
        else nothing.cast(pa.float32()),
        sure,
        abstained,
        as_column(ranked.plans.keep.sum(1), pa.int16()),
    ]
    for name in ("clip", "dclip", "crop_mean"):
        best = baselines[name].max(dim=1)
        columns += [ranked.named(best.indices), as_column(best.values, pa.float32())]
    columns += [pa.array(np.full(images, seen), pa.int16()), doubt]
    if ranked.presence is None:
        columns += [pa.nulls(images, pa.float32())] * 2
    else:
        columns += [
            as_column(ranked.presence.of_image, pa.float32()),
            as_column(ranked.presence.gap, pa.float32()),
        ]
    columns += _parents(ranked, settings, abstained, tree)
    columns += ranked.shown
    return pa.Table.from_arrays(columns, schema=schemas.PREDICTIONS)


def _confidence(ranked: Ranked, settings: ScoringSettings) -> tuple[pa.Array[Any], pa.Array[Any]]:
    """Columns confidence and abstained."""
    scores = ranked.plans.scores
    low = _below_floor(ranked, settings)
    if settings.temperature is None:
        return pa.nulls(len(scores), pa.float32()), pa.array(low)
    sure = confidence(scores.cpu().numpy(), settings.temperature)
    # In double precision, or a threshold between two float32 numbers would be rounded to one.
    held = sure.astype(np.float64) * _presence_factor(ranked, settings)
    return pa.array(sure), pa.array(low | (held < (settings.abstain_below or 0.0)))


def _below_floor(ranked: Ranked, settings: ScoringSettings) -> np.ndarray:
    """(B,) bool, images that look like nothing that the threshold was measured on."""
    best = ranked.plans.scores[:, 0].cpu().numpy().astype(np.float64)
    return np.asarray(best < (-np.inf if settings.floor is None else settings.floor))


def _presence_factor(ranked: Ranked, settings: ScoringSettings) -> np.ndarray:
    """(B,) float64, the presence by which chances are multiplied; 1 where it does not count."""
    if settings.abstain_by != "presence" or ranked.presence is None:
        return np.ones(len(ranked.classes))
    return ranked.presence.of_image.cpu().numpy().astype(np.float64)


def _parents(
    ranked: Ranked, settings: ScoringSettings, abstained: pa.Array[Any], tree: Tree | None
) -> list[pa.Array[Any]]:
    """Columns parent_label, parent_chance and parent_level."""
    images = len(ranked.classes)
    if tree is None or settings.parents_above is None or settings.temperature is None:
        return [pa.nulls(images, kind) for kind in (pa.string(), pa.float32(), pa.int16())]
    chance = chances(ranked.plans.scores.cpu().numpy(), settings.temperature)
    nodes, above = chances_above(tree, ranked.classes.cpu().numpy(), chance)
    above = above * _presence_factor(ranked, settings)[:, None]
    node, level = deepest(nodes, above, settings.parents_above)
    without = abstained.to_numpy(zero_copy_only=False) & ~_below_floor(ranked, settings)
    missing = ~without | (node < 0)
    places: Any = pa.array(np.where(missing, 0, node))
    names = pa.array(tree.nodes, pa.string()).take(places)
    nothing = pa.array(missing)
    values = pa.array(above[np.arange(images), level].astype(np.float32))
    return [
        pc.if_else(nothing, pa.scalar(None, pa.string()), names),
        pc.if_else(nothing, pa.scalar(None, pa.float32()), values),
        pa.array((level + 1).astype(np.int16), mask=missing),
    ]
