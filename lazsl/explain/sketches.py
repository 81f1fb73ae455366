"""A small copy of a run's embeddings, in which a million images are searched in seconds.

Every image has eight vectors of 8 bits here, 4 kB where its 91 regions take 93 kB: the whole image,
and seven that stand for groups of its regions. Those most like a sentence are then compared
exactly, by their embeddings. A sketch is an artifact per shard, so shards that are added later add
theirs; docs/research/performance/waiting.md has what it was chosen over, and what it misses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from lazsl.store import paths, schemas
from lazsl.store.folder import Folder
from lazsl.store.read_ahead import AheadThreads
from lazsl.store.vectors import vectors_of

KEPT = 8
"""Vectors of an image, the whole image among them."""
_ROUNDS = 4
_LEVELS = 127

R = TypeVar("R")


def sketch(regions: pa.Table) -> pa.Table:
    """`schemas.sketches(D)` of a shard's `schemas.regions(D)`."""
    vectors = vectors_of(regions)
    schema = schemas.sketches(KEPT, vectors.shape[1])
    first = np.flatnonzero(regions["region"].to_numpy() == 0)
    if not len(first):
        return schema.empty_table()
    images = np.split(vectors, first[1:])
    kept = np.stack([_representatives(image.astype(np.float32)) for image in images])
    scales = np.abs(kept).max(axis=2) / _LEVELS
    codes = np.round(kept / np.maximum(scales, 1e-12)[:, :, None]).astype(np.int8)
    ids = regions["image_id"].take(pa.array(first, pa.int64())).combine_chunks()
    factors = pa.FixedSizeListArray.from_arrays(pa.array(scales.astype(np.float32).ravel()), KEPT)
    # Bytes: Parquet has no small integers, and would write four bytes for each.
    packed = pa.FixedSizeBinaryArray.from_buffers(
        schema.field("codes").type, len(first), [None, pa.py_buffer(codes.tobytes())]
    )
    return pa.Table.from_arrays([ids, factors, packed], schema=schema)


def _representatives(vectors: np.ndarray) -> np.ndarray:
    """(KEPT, D): the first vector, and the means of groups of the others, of unit length.

    Groups begin with the vectors that are least like those before; spherical k-means goes on.
    """
    chosen = [0]
    nearest = vectors @ vectors[0]
    while len(chosen) < min(KEPT, len(vectors)):
        chosen.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
    centres = vectors[chosen]
    for _ in range(_ROUNDS):
        group = (vectors @ centres.T).argmax(axis=1)
        sums = np.eye(len(centres), dtype=np.float32)[:, group] @ vectors
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), centres)
        centres[0] = vectors[0]
    return centres[np.arange(KEPT) % len(centres)]


def sketch_shards(
    workspace: Folder,
    encoder: str,
    regions: str,
    shards: Sequence[str],
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> int:
    """Sketches that were made of those shards which had none.

    Raises:
        FileNotFoundError: the workspace does not have the embeddings (any more).
    """
    sketched = paths.sketched_shards(workspace, encoder, regions)
    missing = [shard for shard in shards if shard not in sketched]

    def make(shard: str) -> None:
        table = workspace.read_table(paths.region_embeddings(encoder, regions, shard))
        workspace.write_table(paths.sketch(encoder, regions, shard), sketch(table))

    for done, _ in enumerate(_ahead(make, missing), start=1):
        progress(done, len(missing))
    return len(missing)


def nearest_images(
    workspace: Folder,
    encoder: str,
    regions: str,
    shards: Sequence[str],
    sentence: np.ndarray,
    count: int,
    whole: bool,
) -> pa.Table:
    """shard, image_id and similarity (nearly) of the `count` images that are most like a sentence.

    Args:
        workspace: where the sketches are.
        encoder, regions: keys of the embeddings.
        shards: of the run; each has its sketch.
        sentence: (D,) float32, of unit length.
        count: images, at most.
        whole: compare whole images alone, rather than regions.
    """

    def compare(shard: str) -> pa.Table:
        table = workspace.read_table(paths.sketch(encoder, regions, shard))
        kept = 1 if whole else KEPT
        codes = _codes(table).reshape(-1, KEPT, len(sentence))[:, :kept]
        scales = _scales(table)[:, :kept]
        similarity = ((codes.astype(np.float32) @ sentence) * scales).max(axis=1)
        best = np.argsort(-similarity, kind="stable")[:count]
        return pa.table(
            {
                "shard": pa.array([shard] * len(best), pa.string()),
                "image_id": table["image_id"].take(pa.array(best, pa.int64())),
                "similarity": similarity[best],
            }
        )

    nearest: pa.Table | None = None
    waiting: list[pa.Table] = []
    for number, table in enumerate(_ahead(compare, shards), start=1):
        waiting.append(table)
        if len(waiting) == 64 or number == len(shards):
            both = pa.concat_tables([*([nearest] if nearest is not None else []), *waiting])
            order = both.sort_by([("similarity", "descending"), ("image_id", "ascending")])
            nearest, waiting = order.slice(0, count), []
    if nearest is None:
        names: dict[str, pa.DataType] = {
            "shard": pa.string(),
            "image_id": pa.string(),
            "similarity": pa.float32(),
        }
        return pa.schema(names).empty_table()
    return nearest.combine_chunks()


def _codes(table: pa.Table) -> np.ndarray:
    """Codes of all images one after the other, int8."""
    column: Any = table["codes"].combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # of an empty table
        return np.zeros(0, np.int8)
    width = column.type.byte_width
    start = column.offset * width
    return np.frombuffer(column.buffers()[1], np.int8)[start : start + len(column) * width]


def _scales(table: pa.Table) -> np.ndarray:
    column: Any = table["scales"].combine_chunks()
    values: np.ndarray = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(-1, KEPT)


def _ahead(work: Callable[[str], R], shards: Sequence[str]) -> Iterator[R]:
    """What the work gives for every shard, in their order; as many at a time as processors."""
    threads = os.cpu_count() or 1
    with AheadThreads(threads, thread_name_prefix="sketch") as pool:
        waiting = iter(shards)
        ahead = [pool.submit(work, shard) for shard in islice(waiting, 2 * threads)]
        while ahead:
            done = ahead.pop(0).result()
            ahead += [pool.submit(work, later) for later in islice(waiting, 1)]
            yield done
