"""Embeddings in a form that other programs read: float32 lists in plain Parquet, or NumPy's files.

Stored, they are float16, which halves ten terabytes. Spark and DuckDB before 1.3 do not read that,
and some readers take it for bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lazsl.archive.manifest import read_listed
from lazsl.errors import UserError
from lazsl.store import paths
from lazsl.store.folder import Folder
from lazsl.store.vectors import vectors_of

FORMATS = ("parquet", "npy")
_BOX = ("left", "top", "right", "bottom")


def export_embeddings(
    workspace: Folder, record: dict[str, Any], output: Folder, form: str, crops: bool = False
) -> tuple[int, int]:
    """How many images and vectors were written: `{shard}.parquet` for every embedded shard.

    A row has image_id, key, region (0: the whole image), left, top, right, bottom (pixels) and
    embedding (D float32, of unit length up to float16 rounding). With `npy` the vectors are in
    `{shard}.npy` instead, (rows, D) float32, in the same order.

    Args:
        workspace: where the run is.
        record: of the run, as `paths.read_run_record` returns it.
        output: an empty folder, or one that holds an earlier export, which is replaced.
        form: one of `FORMATS`.
        crops: the crops' vectors too; else one per image, that of the whole image.

    Raises:
        UserError: another form, nothing is embedded yet, or the output cannot be written.
    """
    if form not in FORMATS:
        raise UserError(f"embeddings cannot be written as {form!r}; choose {' or '.join(FORMATS)}")
    images = vectors = 0
    for shard, rows in _shards(workspace, record):
        chosen = rows if crops else rows.filter(pc.equal(rows["region"], pa.scalar(0, pa.int16())))
        images += pc.count_distinct(chosen["image_id"]).as_py()
        vectors += chosen.num_rows
        matrix = vectors_of(chosen).astype(np.float32)
        if form == "npy":
            buffer = io.BytesIO()
            np.save(buffer, matrix)
            output.write_bytes(f"{shard}.npy", buffer.getvalue())
            chosen = chosen.drop_columns(["embedding"])
        else:
            ends = pa.array(np.arange(0, matrix.size + 1, matrix.shape[1]), pa.int32())
            lists = pa.ListArray.from_arrays(ends, pa.array(matrix.ravel()))
            chosen = chosen.set_column(chosen.num_columns - 1, "embedding", lists)
        output.write_bytes(f"{shard}.parquet", _plain_parquet(chosen))
    if not images:
        raise UserError(f"run {record['run']} has no embeddings yet; label the archive first")
    return images, vectors


def _shards(workspace: Folder, record: dict[str, Any]) -> Iterator[tuple[str, pa.Table]]:
    """The rows of listed images of every embedded shard, with their keys."""
    place = (record["encoder"], record["regions"])
    listed = read_listed(workspace, record["archive"], ["image_id", "key", "shard"])
    keys = dict(zip(listed["image_id"].to_pylist(), listed["key"].to_pylist(), strict=True))
    embedded = paths.embedded_shards(workspace, *place)
    for shard in sorted(embedded & set(listed["shard"].to_pylist())):
        rows = workspace.read_table(paths.region_embeddings(*place, shard))
        rows = rows.filter(pc.is_in(rows["image_id"], value_set=pa.array(list(keys), pa.string())))
        if rows.num_rows:
            names = pa.array([keys[image_id] for image_id in rows["image_id"].to_pylist()])
            rows = rows.select(["image_id", "region", *_BOX, "embedding"])
            yield shard, rows.add_column(1, "key", names)


def _plain_parquet(table: pa.Table) -> bytes:
    """Parquet without anything that a reader might not know: no Arrow types, Snappy."""
    buffer = io.BytesIO()
    bare = table.replace_schema_metadata(None)
    pq.write_table(
        bare,
        buffer,
        compression="snappy",
        use_dictionary=[c for c in bare.column_names if c != "embedding"],  # type: ignore[arg-type]
        store_schema=False,
    )
    return buffer.getvalue()
