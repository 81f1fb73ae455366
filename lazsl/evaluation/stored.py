"""What a run has stored: its embeddings, a shard at a time.

Neither images nor a model are needed. Everything is joined by name: images by key, classes by
their names; never by position.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from lazsl.archive.manifest import read_listed
from lazsl.errors import UserError
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.reading import load_labelset
from lazsl.model.checkpoints import find_recorded_model
from lazsl.model.logit_scale import logit_scale
from lazsl.scoring.embedded import EmbeddedLabels, images_alike
from lazsl.settings import Job, ScoringSettings, make_job
from lazsl.store import paths
from lazsl.store.folder import Folder
from lazsl.store.vectors import boxes_of, vectors_of

MEMORY_BYTES = 512 * 2**20
"""Of embeddings that are worked on at a time."""

_COPIES = 4  # of embeddings in float32 while they are scored


@dataclass(frozen=True)
class Images:
    """Some images' embeddings, on the processor.

    Attributes:
        image_ids: (B,), as in the manifest.
        keys: (B,), paths below the archive's root.
        whole: (B, D) float32, f_0.
        crops: (B, M, D) float32, f_1..f_M.
        boxes: (B, M, 4) int32 left, top, right, bottom of the crops, in source pixels after EXIF
            orientation, right and bottom exclusive.
        sizes: (B, 2) int32, width and height of the images.
    """

    image_ids: tuple[str, ...]
    keys: tuple[str, ...]
    whole: Tensor
    crops: Tensor
    boxes: np.ndarray
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.image_ids)


@dataclass(frozen=True)
class StoredRun:
    """A run as its workspace has it.

    Attributes:
        folder: the workspace.
        key: names the run; `archive`, `encoder`, `regions` and `labels` what it shares with others.
        job: as it was written down.
        labelset: its classes; with synonyms where its file is still there and unchanged.
        embedded: its sentences with their vectors, `schemas.attributes(D)`.
    """

    folder: Folder
    key: str
    archive: str
    encoder: str
    regions: str
    labels: str
    job: Job
    labelset: LabelSet
    embedded: pa.Table = field(repr=False)

    @cached_property
    def embedded_labels(self) -> EmbeddedLabels:
        """The label set, ready to score with."""
        return EmbeddedLabels.from_table(self.embedded)

    @cached_property
    def one_sided(self) -> ScoringSettings:
        """Settings of one-sided plans: the run's own, or what the model makes of the defaults.

        Raises:
            UserError: the run has the paper's plans, and its model is not at hand.
        """
        scoring = self.job.scoring
        if scoring.one_sided:
            return scoring
        source = find_recorded_model(self.job.model, self.job.precision)
        if source.key != self.encoder:
            raise UserError(
                f"model {self.job.model!r} is now {source.key}, but run {self.key} was made by "
                f"{self.encoder}"
            )
        return ScoringSettings(aligner="one-sided").resolved(logit_scale(source))

    @cached_property
    def listing(self) -> pa.Table:
        """Columns image_id, key, shard and embedded (bool) of the images that are listed now."""
        listed = read_listed(self.folder, self.archive, ["image_id", "key", "shard"])
        embedded = paths.embedded_shards(self.folder, self.encoder, self.regions)
        inside = pc.is_in(listed["shard"], value_set=pa.array(sorted(embedded), pa.string()))
        return listed.append_column("embedded", inside)


def open_stored(workspace_url: str, run: str | None = None) -> StoredRun:
    """A run of a workspace.

    Args:
        workspace_url: path or URL.
        run: its key or the beginning of it; None means the one started last.

    Raises:
        UserError: there is no such run, or its label set was never embedded.
    """
    folder = Folder(workspace_url)
    record = paths.read_run_record(folder, run)
    name = paths.attributes(record["encoder"], record["labels"])
    if not folder.exists(name):
        raise UserError(
            f"run {record['run']} has not embedded its label set yet; label the archive first"
        )
    embedded = folder.read_table(name)
    job = make_job(**{**record["job"], "workspace": workspace_url})
    labelset = _labelset(job, record["labels"], embedded)
    keys = {name: record[name] for name in ("archive", "encoder", "regions", "labels")}
    return StoredRun(folder, record["run"], **keys, job=job, labelset=labelset, embedded=embedded)


def read_images(
    stored: StoredRun, wanted: Collection[str] | None = None, memory_bytes: int = MEMORY_BYTES
) -> Iterator[Images]:
    """The embeddings of listed images, in parts that fit the memory: shard by shard in order, in a
    shard by the number of crops (which is one, unless `regions.doubt` is set), then in its order.

    Beyond `memory_bytes` one shard is held as it is stored (float16).

    Args:
        stored: the run.
        wanted: image_ids; None means all. Shards without any of them are not read.
        memory_bytes: bound of what a caller works on at a time; at least one image is given.
    """
    listing = stored.listing.filter(pc.field("embedded"))
    if wanted is not None:
        inside = pc.is_in(listing["image_id"], value_set=pa.array(list(wanted), pa.string()))
        listing = listing.filter(inside)
    listed = set(listing["image_id"].to_pylist())
    for shard in listing["shard"].unique().to_pylist():
        yield from _read_shard(stored, str(shard), listed, memory_bytes)


def _read_shard(
    stored: StoredRun, shard: str, wanted: set[str | None], memory_bytes: int
) -> Iterator[Images]:
    place = (stored.encoder, stored.regions, shard)
    images = stored.folder.read_table(paths.images(*place))
    about = {row["image_id"]: row for row in images.drop_columns(["digest"]).to_pylist()}
    regions = stored.folder.read_table(paths.region_embeddings(*place))
    owners = regions["image_id"].combine_chunks()
    vectors = vectors_of(regions)
    boxes = boxes_of(regions)
    for rows in images_alike(regions):
        inside = [image_id in wanted for image_id in owners.take(pa.array(rows[:, 0])).to_pylist()]
        rows = rows[inside]
        at_once = max(1, memory_bytes // (4 * _COPIES * rows.shape[1] * vectors.shape[1]))
        for start in range(0, len(rows), at_once):
            chunk = rows[start : start + at_once]
            ids = [str(owner) for owner in owners.take(pa.array(chunk[:, 0])).to_pylist()]
            facts = [about[image_id] for image_id in ids]
            part = torch.from_numpy(vectors[chunk].astype(np.float32))
            yield Images(
                image_ids=tuple(ids),
                keys=tuple(row["key"] for row in facts),
                whole=part[:, 0],
                crops=part[:, 1:],
                boxes=boxes[chunk[:, 1:]],
                sizes=np.array([(row["width"], row["height"]) for row in facts], np.int32),
            )


def stored_presence(stored: StoredRun, image_ids: Sequence[str]) -> np.ndarray | None:
    """(B,) float32, the presence of each image's best class as the run stored it; None where the
    run did not measure it, or has not scored all of these images."""
    chances: dict[str, float | None] = {}
    for shard in paths.done_shards(stored.folder, stored.key):
        table = stored.folder.read_table(paths.run_table(stored.key, "predictions", shard))
        if "presence" not in table.column_names:
            return None
        presence = table["presence"].to_pylist()
        chances.update(zip(map(str, table["image_id"].to_pylist()), presence, strict=True))
    values = [chances.get(image_id) for image_id in image_ids]
    return None if None in values else np.array(values, np.float32)


def _labelset(job: Job, key: str, embedded: pa.Table) -> LabelSet:
    """The run's label set: from its file while that says the same, else from what is stored."""
    try:
        labels = load_labelset(job.labels)
        if labels.key == key:
            return labels
    except UserError:
        pass
    stored = EmbeddedLabels.from_table(embedded)
    return LabelSet(key, stored.classes, stored.attributes)
