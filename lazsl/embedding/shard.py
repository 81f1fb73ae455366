"""One shard's embeddings, as the tables that are stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lazsl.embedding.doubt import Stopping
from lazsl.embedding.region_vectors import ImageFacts, embed_regions
from lazsl.images.reasons import NOT_FINITE, Reject
from lazsl.model.encoder import Encoder
from lazsl.model.model_source import ModelSource
from lazsl.settings import CutOn, RegionSettings
from lazsl.store import schemas
from lazsl.store.kinds import unit_vectors


@dataclass(frozen=True)
class Embedded:
    """What embedding one shard gives.

    `regions` has schema `schemas.regions(D)`, `images` has `schemas.IMAGES`; the others are those
    of `region_vectors.RegionVectors`.
    """

    regions: pa.Table
    images: pa.Table
    crops: int
    bytes: int
    seconds: float
    model_seconds: float


def embed_images(
    images: pa.Table,
    read: Callable[[int], bytes | Reject],
    encoder: Encoder,
    settings: RegionSettings,
    *,
    batch_size: int,
    decoders: int,
    max_pixels: int,
    size: Callable[[int], int] = lambda _: 0,
    cut_on: CutOn = "processor",
    stopping: Stopping | None = None,
    progress: Callable[[int], None] | None = None,
) -> Embedded:
    """Embeddings of every usable image of a shard, and a row for every image, usable or not.

    Args:
        images: the shard's rows of the manifest in order: image_id, key, uri, size and version.
        read: the bytes of a row's image, or why there are none; called in threads.

    The others are those of `region_vectors.embed_regions`.
    """
    embedded = embed_regions(
        len(images),
        read,
        encoder,
        settings,
        size=size,
        batch_size=batch_size,
        decoders=decoders,
        max_pixels=max_pixels,
        cut_on=cut_on,
        stopping=stopping,
        progress=progress,
    )
    facts, vectors = _finite(embedded.images, embedded.vectors, encoder)
    return Embedded(
        regions=_regions_table(images["image_id"], facts, vectors),
        images=_images_table(images, facts),
        crops=embedded.crops,
        bytes=embedded.bytes,
        seconds=embedded.seconds,
        model_seconds=embedded.model_seconds,
    )


def replace_images(
    before: tuple[pa.Table, pa.Table], again: tuple[pa.Table, pa.Table]
) -> tuple[pa.Table, pa.Table]:
    """Images and regions of a shard, with what became of some of its images another time.

    Args:
        before: `schemas.IMAGES` and `schemas.regions(D)` of the whole shard.
        again: the same of some of its images.
    """
    ids: Any = again[0]["image_id"].combine_chunks()

    def merged(old: pa.Table, new: pa.Table) -> pa.Table:
        kept = old.filter(pc.invert(pc.is_in(old["image_id"], value_set=ids)))
        if "notes" in new.column_names:
            kept = schemas.with_later("images", schemas.IMAGES, kept)
        both = pa.concat_tables([kept.replace_schema_metadata(), new.replace_schema_metadata()])
        return in_order(both, before[0])

    return merged(before[0], again[0]), merged(before[1], again[1])


def in_order(rows: pa.Table, images: pa.Table) -> pa.Table:
    """Rows of images, or of their regions, in the order of the images; those of one stay in
    theirs."""
    order = images["image_id"].combine_chunks()
    place: Any = pc.index_in(rows["image_id"].combine_chunks(), value_set=order)
    return rows.take(place.to_numpy().argsort(kind="stable"))


def _finite(
    facts: list[ImageFacts], vectors: np.ndarray, encoder: Encoder
) -> tuple[list[ImageFacts], np.ndarray]:
    """The same, without the vectors of images that have one which is no number or not of unit
    length; these images are rejects.
    """
    good = unit_vectors(vectors)
    if good.all():
        return facts, vectors
    counts = [0 if image.boxes is None else len(image.boxes) for image in facts]
    owner = np.repeat(np.arange(len(facts)), counts)
    wrong = np.unique(owner[~good])
    source = encoder.source
    why = f"model {source.given!r} in {source.precision} gives values for it that are no numbers"
    reject = Reject(NOT_FINITE, f"{why}; {_remedy(source)}")
    checked = list(facts)
    for row in wrong:
        checked[row] = replace(
            facts[row], boxes=None, width=None, height=None, orientation=None, reject=reject
        )
    return checked, vectors[~np.isin(owner, wrong)]


def _remedy(source: ModelSource) -> str:
    """What to do about values that are no numbers."""
    if source.precision == "float32":
        return "its weights are damaged: fetch them again"
    wider = "bfloat16 or float32" if source.precision == "float16" else "float32"
    return f"set precision to {wider}"


def _regions_table(
    image_ids: pa.ChunkedArray[Any], facts: list[ImageFacts], vectors: np.ndarray
) -> pa.Table:
    usable = [i for i, image in enumerate(facts) if image.boxes is not None]
    boxes = [facts[i].boxes for i in usable]
    counts = [len(b) for b in boxes if b is not None]
    rows = np.repeat(np.array(usable, dtype=np.int64), counts)
    region = np.concatenate([np.arange(n) for n in counts]) if counts else np.empty(0, np.int64)
    corners = np.concatenate(boxes) if boxes else np.empty((0, 4), np.int32)  # type: ignore[arg-type]
    dimension = vectors.shape[1]
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), pa.float16()), dimension)
    return pa.Table.from_arrays(
        [
            image_ids.combine_chunks().take(pa.array(rows, pa.int64())),
            pa.array(region, pa.int16()),
            *(pa.array(np.ascontiguousarray(corners[:, side]), pa.int32()) for side in range(4)),
            flat,
        ],
        schema=schemas.regions(dimension),
    )


def _images_table(images: pa.Table, facts: list[ImageFacts]) -> pa.Table:
    columns_by_name: dict[str, list[Any]] = {
        "digest": [p.digest for p in facts],
        "format": [p.format for p in facts],
        "width": [p.width for p in facts],
        "height": [p.height for p in facts],
        "orientation": [p.orientation for p in facts],
        "reason": [p.reject.reason if p.reject else None for p in facts],
        "detail": [p.reject.detail if p.reject else None for p in facts],
        "notes": [p.notes for p in facts],
    }
    columns = [
        images[field.name].combine_chunks()
        if field.name in images.column_names
        else pa.array(columns_by_name[field.name], field.type)
        for field in schemas.IMAGES
    ]
    return pa.Table.from_arrays(columns, schema=schemas.IMAGES)
