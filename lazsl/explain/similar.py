"""The images and regions most like a sentence, over the embeddings that a run stored.

The text tower alone is loaded, and no image is read. Every region of every shard is compared, so
the answer is exact; memory is bounded by a few shards and the answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lazsl.errors import UserError
from lazsl.explain import sketches
from lazsl.explain.lookup import Image, RunOfImage
from lazsl.store import paths
from lazsl.store.read_ahead import AheadThreads
from lazsl.store.vectors import vectors_of
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.sqlfiles import Connection

By = Literal["region", "image"]

COMPARED = 4
"""Images that are compared exactly for every image of an answer from the index."""

COLUMNS = ("similarity", "whole", "region", "left", "top", "right", "bottom")
"""Of `similarities`, besides shard and image_id: cosine similarity of the most similar region and
of the whole image (-1..1), the number of that region (0: the whole image), its box in pixels."""


@dataclass(frozen=True)
class Match:
    """An image that is like the sentence.

    Attributes:
        similarity: cosine similarity of its most similar region, -1..1.
        whole: that of the whole image.
        region: number of that region; 0 is the whole image.
        box: its left, top, right and bottom in pixels.
        label: what the run called the image; None where it abstained.
    """

    image: Image
    similarity: float
    whole: float
    region: int
    box: tuple[int, int, int, int]
    label: str | None


def embed_sentence(run: RunOfImage, sentence: str) -> np.ndarray:
    """(D,) float32 of unit length: the sentence as the run's model reads it.

    Raises:
        UserError: the sentence is empty, or the model is not the run's any more.
    """
    from lazsl.model.checkpoints import find_recorded_model
    from lazsl.model.encoder import choose_device, load_encoder

    if not sentence.strip():
        raise UserError('the sentence is empty; say what to look for, such as "a red crest"')
    source = find_recorded_model(run.job.model, run.job.precision)
    if source.key != run.encoder:
        raise UserError(
            f"model {run.job.model!r} is now {source.key}, but run {run.key} was made by "
            f"{run.encoder}; name the model that it was with --model in lazsl relabel"
        )
    encoder = load_encoder(source, choose_device("auto"), "text")
    return np.asarray(encoder.encode_sentences([sentence])[0].numpy())


def shards_of(connection: Connection, run: RunOfImage) -> list[str]:
    """The shards of a run."""
    rows = sqlfiles.run(connection, "explain/shards.sql", run=run.key).fetchall()
    return [row[0] for row in rows]


def similarities(
    connection: Connection,
    run: RunOfImage,
    sentence: np.ndarray,
    near: pa.Table | None = None,
) -> Iterator[pa.Table]:
    """A table per shard: shard, image_id and `COLUMNS` of every labelled image that is listed.

    Args:
        connection: of the warehouse.
        run: the run.
        sentence: of `embed_sentence`.
        near: shard and image_id of those that are compared; None: all of the run.

    Raises:
        UserError: the workspace does not have the embeddings (any more).
    """

    def compare(shard: str) -> pa.Table:
        name = paths.region_embeddings(run.encoder, run.regions, shard)
        try:
            regions = run.workspace.read_table(name)
        except FileNotFoundError:
            raise _no_embeddings(run) from None
        if near is not None:  # before the arithmetic, which takes longer than the reading
            wanted = near["image_id"].combine_chunks()
            regions = regions.filter(pc.is_in(regions["image_id"], wanted))
        return _compared(regions, sentence)

    if near is None:
        shards = shards_of(connection, run)
    else:
        shards = sorted({str(shard) for shard in near["shard"].to_pylist()})

    threads = os.cpu_count() or 1
    with AheadThreads(threads, thread_name_prefix="similar") as pool:
        waiting = iter(shards)
        ahead = [(shard, pool.submit(compare, shard)) for shard in islice(waiting, 2 * threads)]
        while ahead:
            shard, compared = ahead.pop(0)
            ahead += [(later, pool.submit(compare, later)) for later in islice(waiting, 1)]
            listed = sqlfiles.table(connection, "explain/listed.sql", run=run.key, shard=shard)
            table = compared.result()
            table = table.filter(pc.is_in(table["image_id"], listed["image_id"].combine_chunks()))
            yield table.add_column(0, "shard", pa.array([shard] * table.num_rows, pa.string()))


def _no_embeddings(run: RunOfImage) -> UserError:
    return UserError(
        f"the embeddings of run {run.key} are not in {run.workspace.url}; name its workspace "
        "with --workspace, or label the archive again"
    )


_COLUMNS: dict[str, pa.DataType] = {
    "image_id": pa.string(),
    "similarity": pa.float32(),
    "whole": pa.float32(),
    **dict.fromkeys(("region", "left", "top", "right", "bottom"), pa.int32()),
}
_COMPARED = pa.schema(_COLUMNS)


def _compared(regions: pa.Table, sentence: np.ndarray) -> pa.Table:
    """image_id and `COLUMNS` of every image of a shard."""
    first = np.flatnonzero(regions["region"].to_numpy() == 0)
    if not len(first):
        return _COMPARED.empty_table()
    similarity = vectors_of(regions).astype(np.float32) @ sentence
    most = np.maximum.reduceat(similarity, first)
    owner = np.repeat(np.arange(len(first)), np.diff(first, append=len(similarity)))
    # Of equals the first; written last to first, so that the first is what stays.
    rows = np.flatnonzero(similarity == most[owner])[::-1]
    best = np.empty(len(first), np.int64)
    best[owner[rows]] = rows
    columns = {
        "image_id": regions["image_id"].take(pa.array(first, pa.int64())),
        "similarity": most,
        "whole": similarity[first],
    }
    for name in ("region", "left", "top", "right", "bottom"):
        columns[name] = regions[name].to_numpy()[best].astype(np.int32)
    return pa.table(columns, schema=_COMPARED)


def find_similar(
    connection: Connection,
    run: RunOfImage,
    sentence: np.ndarray,
    count: int = 20,
    by: By = "region",
    index: Callable[[int, int], None] | None = None,
) -> list[Match]:
    """The images most like a sentence, the most similar first; arguments as of `similarities`.

    Args:
        count: how many images at most.
        by: what is compared: an image's most similar region, or the whole image.
        index: not None: search the run's sketches, which are made where they are missing, and
            compare exactly the images that they find; told of shards that are done and wanted.
    """
    column = "similarity" if by == "region" else "whole"
    best: pa.Table | None = None
    near = None if index is None else _near(connection, run, sentence, count, by, index)
    for table in similarities(connection, run, sentence, near):
        both = table if best is None else pa.concat_tables([best, table])
        order = both.sort_by([(column, "descending"), ("image_id", "ascending")])
        best = order.slice(0, count).combine_chunks()
    if best is None or not best.num_rows:
        raise UserError(f"run {run.key} has no labelled image that is still listed; load it first")
    best = best.append_column("place", pa.array(range(best.num_rows)))
    with sqlfiles.registered(connection, {"new_matches": best}):
        rows = sqlfiles.rows(connection, "explain/similar.sql", run=run.key)
    return [
        Match(
            Image(**{name: row[name] for name in Image.__annotations__}),
            row["similarity"],
            row["whole"],
            row["region"],
            (row["left"], row["top"], row["right"], row["bottom"]),
            row["label"],
        )
        for row in rows
    ]


def _near(
    connection: Connection,
    run: RunOfImage,
    sentence: np.ndarray,
    count: int,
    by: By,
    progress: Callable[[int, int], None],
) -> pa.Table:
    shards = shards_of(connection, run)
    try:
        sketches.sketch_shards(run.workspace, run.encoder, run.regions, shards, progress)
    except FileNotFoundError:
        raise _no_embeddings(run) from None
    return sketches.nearest_images(
        *(run.workspace, run.encoder, run.regions, shards, sentence),
        COMPARED * count,
        by == "image",
    )


def answer_table(matches: list[Match]) -> pa.Table:
    """The matches as a table: key, label, image_id, `COLUMNS` and uri."""
    return pa.table(
        {
            "key": [match.image.key for match in matches],
            "label": pa.array([match.label for match in matches], pa.string()),
            "similarity": [match.similarity for match in matches],
            "whole": [match.whole for match in matches],
            "region": [match.region for match in matches],
            **{
                side: [match.box[at] for match in matches]
                for at, side in enumerate(("left", "top", "right", "bottom"))
            },
            "image_id": [match.image.image_id for match in matches],
            "uri": [match.image.uri for match in matches],
        }
    )
