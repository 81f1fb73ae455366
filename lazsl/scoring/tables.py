"""One shard of embeddings x one label set -> predictions, scores, evidence and plans.

Pure functions of what is stored: no image and no model is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from lazsl.alignment.align import attribute_strengths, crop_mean_scores, dclip_scores
from lazsl.alignment.plans import top_plans
from lazsl.embedding.doubt import doubts
from lazsl.scoring.aligned import taking_part
from lazsl.scoring.embedded import EmbeddedLabels, images_alike
from lazsl.scoring.evidence_tables import evidence_table, plan_table
from lazsl.scoring.passed_over import passed_over
from lazsl.scoring.prediction_table import prediction_table
from lazsl.scoring.presence import measure_presence
from lazsl.scoring.ranked_classes import Ranked, as_column
from lazsl.scoring.strongest_attributes import mean_strengths, most_shown
from lazsl.scoring.tree import Tree
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
    problem = (regions.embeddings, whole, regions.keep, labels.packed)
    strengths = attribute_strengths(*problem, **aligning) if settings.one_sided else None
    classes, plans = top_plans(*problem, settings.top_k, strengths, **aligning)
    passed = passed_over(*problem, classes[:, : settings.plans], aligning)
    presence = None
    if strengths is not None:
        presence = measure_presence(strengths, classes, labels, settings.presence_temperature)
    baselines = {
        "clip": (whole.double() @ labels.names.double().T).float(),
        "dclip": dclip_scores(whole, labels.packed),
        "crop_mean": crop_mean_scores(crops, labels.packed),
    }
    names = pa.array(labels.classes, pa.string())
    mean = mean_strengths(vectors, labels, settings.theta) if strengths is None else strengths
    strongest = most_shown(mean, labels)
    ranked = Ranked(image_ids, names, classes, plans, regions.first, presence, strongest)
    doubt = pa.nulls(len(crops), pa.float32())
    if count is not None:
        chances = doubts(crops, whole, count, labels.packed, settings, memory_bytes // 2)
        doubt = pa.array(chances, pa.float32())
    return {
        "predictions": prediction_table(ranked, crops.shape[1], baselines, settings, doubt, tree),
        "scores": _scores(ranked, baselines),
        "evidence": evidence_table(ranked, labels),
        "plans": plan_table(ranked, settings.plans, passed),
    }


def _scores(ranked: Ranked, baselines: dict[str, torch.Tensor]) -> pa.Table:
    columns = [*ranked.rows, as_column(ranked.plans.scores, pa.float32())]
    for name in ("clip", "dclip", "crop_mean"):
        columns.append(as_column(baselines[name].gather(1, ranked.classes), pa.float32()))
    return pa.Table.from_arrays(columns, schema=schemas.SCORES)
