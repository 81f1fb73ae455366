"""One shard of embeddings x one label set -> predictions, scores, evidence and plans.

Pure functions of what is stored: no image and no model is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from lazsl.alignment.align import attribute_strengths, crop_mean_scores, dclip_scores
from lazsl.alignment.plans import Plans, top_plans
from lazsl.embedding.doubt import doubts
from lazsl.scoring.aligned import taking_part
from lazsl.scoring.confidence import confidence
from lazsl.scoring.embedded import EmbeddedLabels, images_alike
from lazsl.scoring.passed_over import PassedOver, passed_over
from lazsl.scoring.presence import Presence, measure_presence
from lazsl.scoring.strongest_attributes import mean_strengths, most_shown
from lazsl.scoring.tree import Tree, chances, chances_above, deepest
from lazsl.settings import ScoringSettings
from lazsl.store import schemas
from lazsl.store.vectors import vectors_of


def score_table(
    regions: pa.Table,
    labels: EmbeddedLabels,
    settings: ScoringSettings,
    memory_bytes: int,
    count: int | None = None,
    tree: Tree | None = None,
) -> dict[str, pa.Table]:
    """The tables of `schemas.RUN_TABLES` for the images of one shard.

    Args:
        regions: `schemas.regions(D)`, the rows of an image consecutive, the whole image first.
        labels: the embedded label set.
        settings: how to score.
        memory_bytes: bound of the working memory, beyond the tables themselves.
        count: crops that an image has, where not all of them may have been embedded.
        tree: of the label set, for images that get a parent of their best class as their label.
    """
    device = labels.names.device
    vectors = vectors_of(regions)
    image_ids = regions["image_id"].combine_chunks()
    groups = images_alike(regions)
    parts = []
    for rows in groups:
        at_once = max(1, memory_bytes // (4 * 16 * rows.shape[1] * max(1, vectors.shape[1])))
        for start in range(0, len(rows), at_once):
            chunk_rows = rows[start : start + at_once]
            # As they are stored: torch widens float16 several times as fast as NumPy.
            chunk = torch.from_numpy(vectors[chunk_rows]).to(device)
            ids = image_ids.take(pa.array(chunk_rows[:, 0]))
            parts.append(_score(ids, chunk, labels, settings, memory_bytes, count, tree))
    if not parts:
        return {name: schema.empty_table() for name, schema in schemas.RUN_TABLES.items()}
    tables = {name: pa.concat_tables([part[name] for part in parts]) for name in parts[0]}
    if len(groups) > 1:
        stored = image_ids.take(pa.array(np.sort(np.concatenate([g[:, 0] for g in groups]))))
        tables = {name: _in_order(table, stored) for name, table in tables.items()}
    return tables


def _in_order(table: pa.Table, image_ids: pa.Array[Any]) -> pa.Table:
    """The same rows, images in this order; those of an image stay as they are."""
    place: Any = pc.index_in(table["image_id"].combine_chunks(), value_set=image_ids)
    return table.take(place.to_numpy().argsort(kind="stable"))


def _score(
    image_ids: pa.Array[Any],
    vectors: torch.Tensor,
    labels: EmbeddedLabels,
    settings: ScoringSettings,
    memory_bytes: int,
    count: int | None,
    tree: Tree | None,
) -> dict[str, pa.Table]:
    whole, crops = vectors[:, 0], vectors[:, 1:]
    aligning = settings.aligning(memory_bytes // 2)
    regions = taking_part(vectors, settings)
    given = (regions.embeddings, whole, regions.keep, labels.packed)
    strengths = attribute_strengths(*given, **aligning) if settings.one_sided else None
    classes, plans = top_plans(*given, settings.top_k, strengths, **aligning)
    passed = passed_over(*given, classes[:, : settings.plans], aligning)
    presence = None
    if strengths is not None:
        presence = measure_presence(strengths, classes, labels, settings.presence_temperature)
    baselines = {
        "clip": (whole.double() @ labels.names.double().T).float(),
        "dclip": dclip_scores(whole, labels.packed),
        "crop_mean": crop_mean_scores(crops, labels.packed),
    }
    names = pa.array(labels.classes, pa.string())
    each = mean_strengths(vectors, labels, settings.theta) if strengths is None else strengths
    shown = most_shown(each, labels)
    ranked = _Ranked(image_ids, names, classes, plans, regions.first, presence, shown)
    doubt = pa.nulls(len(crops), pa.float32())
    if count is not None:
        chances = doubts(crops, whole, count, labels.packed, settings, memory_bytes // 2)
        doubt = pa.array(chances, pa.float32())
    return {
        "predictions": _predictions(ranked, crops.shape[1], baselines, settings, doubt, tree),
        "scores": _scores(ranked, baselines),
        "evidence": _evidence(ranked, labels),
        "plans": _plans(ranked, settings.plans, passed),
    }


@dataclass(frozen=True)
class _Ranked:
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


def _column(values: torch.Tensor, kind: pa.DataType) -> pa.Array[Any]:
    column: pa.Array[Any] = pa.array(values.flatten().cpu().numpy()).cast(kind)
    return column


def _predictions(
    ranked: _Ranked,
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
        _column(scores[:, 0], pa.float32()),
        ranked.named(ranked.classes[:, 1]) if k > 1 else nothing.cast(pa.string()),
        _column(scores[:, 0] - scores[:, 1], pa.float32()) if k > 1 else nothing.cast(pa.float32()),
        sure,
        abstained,
        _column(ranked.plans.keep.sum(1), pa.int16()),
    ]
    for name in ("clip", "dclip", "crop_mean"):
        best = baselines[name].max(dim=1)
        columns += [ranked.named(best.indices), _column(best.values, pa.float32())]
    columns += [pa.array(np.full(images, seen), pa.int16()), doubt]
    if ranked.presence is None:
        columns += [pa.nulls(images, pa.float32())] * 2
    else:
        columns += [
            _column(ranked.presence.of_image, pa.float32()),
            _column(ranked.presence.gap, pa.float32()),
        ]
    columns += _parents(ranked, settings, abstained, tree)
    columns += ranked.shown
    return pa.Table.from_arrays(columns, schema=schemas.PREDICTIONS)


def _confidence(ranked: _Ranked, settings: ScoringSettings) -> tuple[pa.Array[Any], pa.Array[Any]]:
    """Columns confidence and abstained."""
    scores = ranked.plans.scores
    low = _below_floor(ranked, settings)
    if settings.temperature is None:
        return pa.nulls(len(scores), pa.float32()), pa.array(low)
    sure = confidence(scores.cpu().numpy(), settings.temperature)
    # In double precision, or a threshold between two float32 numbers would be rounded to one.
    held = sure.astype(np.float64) * _presence_factor(ranked, settings)
    return pa.array(sure), pa.array(low | (held < (settings.abstain_below or 0.0)))


def _below_floor(ranked: _Ranked, settings: ScoringSettings) -> np.ndarray:
    """(B,) bool, images that look like nothing that the threshold was measured on."""
    best = ranked.plans.scores[:, 0].cpu().numpy().astype(np.float64)
    return np.asarray(best < (-np.inf if settings.floor is None else settings.floor))


def _presence_factor(ranked: _Ranked, settings: ScoringSettings) -> np.ndarray:
    """(B,) float64, the presence by which chances are multiplied; 1 where it does not count."""
    if settings.abstain_by != "presence" or ranked.presence is None:
        return np.ones(len(ranked.classes))
    return ranked.presence.of_image.cpu().numpy().astype(np.float64)


def _parents(
    ranked: _Ranked, settings: ScoringSettings, abstained: pa.Array[Any], tree: Tree | None
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


def _scores(ranked: _Ranked, baselines: dict[str, torch.Tensor]) -> pa.Table:
    columns = [*ranked.rows, _column(ranked.plans.scores, pa.float32())]
    for name in ("clip", "dclip", "crop_mean"):
        columns.append(_column(baselines[name].gather(1, ranked.classes), pa.float32()))
    return pa.Table.from_arrays(columns, schema=schemas.SCORES)


def _evidence(ranked: _Ranked, labels: EmbeddedLabels) -> pa.Table:
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
            _column(attribute[real], pa.int16()),
            texts.take(pa.array(flat.cpu().numpy())),
            _column(contribution[real], pa.float32()),
            _column((contribution * sizes[:, :, None])[real], pa.float32()),
            _column(best[real] + ranked.first, pa.int16()),
            _column(share[real], pa.float32()),
            _presence(ranked.presence, real),
        ],
        schema=schemas.EVIDENCE,
    )


def _presence(presence: Presence | None, real: torch.Tensor) -> pa.Array[Any]:
    """The column of evidence; `real` (B, k, n) says which attributes there are."""
    if presence is None:
        return pa.nulls(int(real.sum()), pa.float32())
    chances = presence.of_attributes
    return _column(chances[real[:, :, : chances.shape[2]]], pa.float32())


def _plans(ranked: _Ranked, kept_plans: int, passed: PassedOver) -> pa.Table:
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
    chosen = pa.array((rank < k).flatten().cpu().numpy())
    image_ids, ranks, classes = (column.filter(chosen) for column in ranked.rows)
    return pa.Table.from_arrays(
        [
            image_ids,
            ranks,
            classes,
            _column(plans.scores[:, :k], pa.float32()),
            _column(plans.iterations[:, :k], pa.int32()),
            _column(plans.residual[:, :k], pa.float32()),
            _lists(kept, _column(regions, pa.int16())),
            _column(sizes, pa.int16()),
            _lists(kept * sizes, _column(plans.plan[:, :k][cells], pa.float32())),
            _lists(kept * sizes, _column(plans.similarity[:, :k][cells], pa.float32())),
            _lists(
                passed.passed.sum(dim=1, keepdim=True) * sizes,
                _column(passed.similarity[passed_cells], pa.float32()),
            ),
            _lists(kept, _column(marginals, pa.float32())),
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
