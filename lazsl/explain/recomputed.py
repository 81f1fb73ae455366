"""Scores and plans of one image made anew from its stored embeddings: no image, no vision tower.

The same functions and settings as in the run, so the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from lazsl.alignment.align import attribute_strengths
from lazsl.alignment.plans import Plans, plans_for
from lazsl.errors import UserError
from lazsl.explain.evidence import Evidence
from lazsl.explain.lookup import Image, RunOfImage
from lazsl.scoring.aligned import TakingPart, taking_part
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.scoring.passed_over import PassedOver, passed_over
from lazsl.scoring.presence import measure_presence
from lazsl.settings import ScoringSettings
from lazsl.store import paths
from lazsl.store.vectors import boxes_of, vectors_of


@dataclass(frozen=True)
class StoredImage:
    """An image with its `schemas.regions(D)` rows: the whole image, then its M crops."""

    image: Image
    regions: pa.Table

    @property
    def boxes(self) -> np.ndarray:
        """(1 + M, 4) int64 left, top, right, bottom: the whole image, then its crops."""
        return boxes_of(self.regions)

    @property
    def vectors(self) -> torch.Tensor:
        """(1, M + 1, D) float32."""
        return torch.from_numpy(vectors_of(self.regions).astype(np.float32))[None]


def read_stored(run: RunOfImage, image: Image) -> StoredImage:
    """The image's stored embeddings.

    Raises:
        UserError: the workspace does not have them (any more).
    """
    name = paths.region_embeddings(run.encoder, run.regions, image.shard)
    try:
        shard = run.workspace.read_table(name)
    except FileNotFoundError:
        raise UserError(
            f"the embeddings of {image.key!r} are not in {run.workspace.url}; name the workspace "
            f"of run {run.key} with --workspace, or label the archive again"
        ) from None
    of_image = shard.filter(pc.equal(shard["image_id"], pa.scalar(image.image_id)))
    return StoredImage(image, of_image.sort_by("region"))


def read_attributes(run: RunOfImage) -> pa.Table:
    """The run's embedded label set, `schemas.attributes(D)`.

    Raises:
        UserError: the workspace does not have it (any more).
    """
    try:
        return run.workspace.read_table(paths.attributes(run.encoder, run.labels))
    except FileNotFoundError:
        raise UserError(
            f"the embedded label set of run {run.key} is not in {run.workspace.url}; name the "
            "run's workspace with --workspace"
        ) from None


def align(
    stored: StoredImage,
    labels: EmbeddedLabels,
    scoring: ScoringSettings,
    classes: Sequence[str],
    memory_bytes: int,
) -> list[Evidence]:
    """The evidence of chosen classes, in their order; `rank` counts within these, best is 1.

    Args:
        stored: the image.
        labels: a label set with the classes.
        scoring: as in the run.
        classes: names of the label set.
        memory_bytes: bound of the working memory.
    """
    embeddings = stored.vectors.to(labels.names.device)
    regions = taking_part(embeddings, scoring)
    index = [[labels.classes.index(name) for name in classes]]
    chosen = torch.tensor(index, device=embeddings.device)
    aligning = scoring.aligning(memory_bytes // 2)
    given = (regions.embeddings, embeddings[:, 0], regions.keep, labels.packed, chosen)
    plans = plans_for(*given, **aligning)
    passed = passed_over(*given, aligning)
    presence: list[list[float]] | None = None
    if scoring.one_sided:
        strengths = attribute_strengths(*given[:4], **aligning)
        measured = measure_presence(strengths, chosen, labels, scoring.presence_temperature)
        presence = measured.of_attributes[0].tolist()
    order = plans.scores[0].argsort(descending=True, stable=True).tolist()
    recomputed = [
        _evidence(
            stored, labels.attributes[index[0][place]], name, regions, plans, passed, place, order
        )
        for place, name in enumerate(classes)
    ]
    if presence is None:
        return recomputed
    return [
        replace(evidence, presence=tuple(of_evidence[: len(evidence.attributes)]))
        for evidence, of_evidence in zip(recomputed, presence, strict=True)
    ]


def _evidence(
    stored: StoredImage,
    attributes: tuple[str, ...],
    label: str,
    regions: TakingPart,
    plans: Plans,
    passed: PassedOver,
    place: int,
    order: list[int],
) -> Evidence:
    image = stored.image
    kept = plans.keep[0].cpu().numpy()
    boxes = stored.boxes[regions.first :]
    mass, similarity = (part.double().cpu().numpy() for part in plans.of(0, place))
    return Evidence(
        image_id=image.image_id,
        key=image.key,
        uri=image.uri,
        width=image.width,
        height=image.height,
        rank=order.index(place) + 1,
        label=label,
        score=float(plans.scores[0, place]),
        attributes=attributes,
        regions=np.flatnonzero(kept) + regions.first,
        boxes=boxes[kept],
        mass=mass,
        similarity=similarity,
        passed_boxes=boxes[~kept],
        passed_similarity=passed.of(0, place).double().cpu().numpy(),
    )
