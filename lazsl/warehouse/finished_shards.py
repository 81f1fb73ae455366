"""Finished shards of a workspace, read ahead of being loaded (`shard_loading.py`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lazsl.store import paths, schemas
from lazsl.store.folder import Folder
from lazsl.store.read_ahead import AheadThreads

TOGETHER = 4096
"""Images that are loaded in one transaction; a larger shard is one alone."""

MOST_SHARDS = 128
"""Shards that are loaded in one transaction, however few images they have: each takes half a
megabyte of memory besides."""

READERS = 8
"""Files read at a time, which hides the latency of an object store."""

_BOXES = ["image_id", "region", "left", "top", "right", "bottom"]
_SECONDS = ("stage", "embed", "score")
_COLUMNS: dict[str, pa.DataType] = {
    "shard": pa.string(),
    "listed": pa.int64(),
    "labelled": pa.int64(),
    "rejected": pa.int64(),
    "scores_rows": pa.int64(),
    "evidence_rows": pa.int64(),
    "plans_rows": pa.int64(),
    "stage_seconds": pa.float64(),
    "embed_seconds": pa.float64(),
    "score_seconds": pa.float64(),
    "crops": pa.int64(),
    "bytes": pa.int64(),
    "finished": pa.string(),
}
MARKERS = pa.schema(_COLUMNS)
"""`new_shards`: what completion markers say, and how many rows were read."""


class Refused(Exception):
    """Why one shard cannot be loaded."""


class RunRefused(Refused):
    """Why no shard of a run can be loaded; nothing is wrong with the shard itself."""


@dataclass(frozen=True, eq=False)
class Shard:
    """A finished shard of a run.

    `marker` is what its completion marker says, in the columns of `MARKERS`; `tables` are its
    artifacts by the name that the loading SQL reads them by. Where the boxes are in the warehouse
    already, there is no `new_regions`.
    """

    run: str
    name: str
    marker: dict[str, Any]
    tables: dict[str, pa.Table]

    @property
    def images(self) -> int:
        """Images that are listed in it."""
        return int(self.marker["listed"])


@dataclass(frozen=True)
class Reading:
    """A shard whose files are on their way."""

    run: str
    name: str
    files: dict[str, Future[Any]]

    def result(self) -> Shard:
        """The shard, once all of it was read.

        Raises:
            Refused, DamagedError, KeyError, ValueError, TypeError, AttributeError: something of it
                is missing or cannot be read.
        """
        tables = {name: file.result() for name, file in self.files.items()}
        marker = tables.pop("marker")
        if (marker["run"], marker["shard"]) != (self.run, self.name):
            raise Refused(f"its marker is that of shard {marker['shard']} of run {marker['run']}")
        row = {name: int(marker[name]) for name in ("listed", "labelled", "rejected")}
        for name in ("scores", "evidence", "plans"):
            row[f"{name}_rows"] = len(tables[f"new_{name}"])
        for name in _SECONDS:
            row[f"{name}_seconds"] = marker["seconds"].get(name)
        row |= {name: marker[name] for name in ("crops", "bytes", "finished")}
        return Shard(self.run, self.name, {"shard": self.name, **row}, tables)


def read_ahead(
    workspace: Folder,
    todo: Sequence[tuple[str, str]],
    jobs: Mapping[str, dict[str, Any]],
    boxed: Collection[tuple[str, str, str]],
) -> Iterator[Reading]:
    """The shards (run, shard) in order, each read while earlier ones are loaded.

    As many are ahead as are loaded together, so memory holds twice `TOGETHER` images, or twice
    `MOST_SHARDS` shards where these are small, or three where they are large. Boxes belong to the
    embeddings, which runs share: those of `boxed` (encoder, regions, shard) are not read again.
    """
    with AheadThreads(READERS) as pool:
        waiting: deque[Reading] = deque()
        ahead = 2
        for run, shard in todo:
            if len(waiting) > ahead:
                first = waiting.popleft()
                ahead = max(2, min(MOST_SHARDS, TOGETHER // max(1, _images(first))))
                yield first
            encoder, regions = jobs[run]["encoder"], jobs[run]["regions"]
            # First, so that whoever waits for it in the pool waits for what is under way.
            marker = pool.submit(_read_marker, workspace, run, shard)
            names = {"new_images": (paths.images(encoder, regions, shard), schemas.IMAGES.names)}
            for table, schema in schemas.RUN_TABLES.items():
                names[f"new_{table}"] = (paths.run_table(run, table, shard), schema.names)
            if (encoder, regions, shard) not in boxed:
                names["new_regions"] = (paths.region_embeddings(encoder, regions, shard), _BOXES)
            files: dict[str, Future[Any]] = {
                name: pool.submit(
                    read_columns, workspace, file, columns, name.removeprefix("new_"), marker
                )
                for name, (file, columns) in names.items()
            }
            files["marker"] = marker
            waiting.append(Reading(run, shard, files))
        yield from waiting


def _images(reading: Reading) -> int:
    """Images in a shard, as far as its table of them can be read."""
    file = reading.files["new_images"]
    return 0 if file.exception() else len(file.result())


def relations(shards: Sequence[Shard]) -> dict[str, pa.Table]:
    """What the loading SQL reads of some shards of one run, all of which have boxes, or none: their
    tables one after the other with a column `shard` besides, and `new_shards`, a row each.

    Raises:
        ValueError: their columns are not of one kind.
    """
    relations_by_name = {
        "new_shards": pa.Table.from_pylist([s.marker for s in shards], schema=MARKERS)
    }
    for name in shards[0].tables:
        parts = [shard.tables[name].replace_schema_metadata() for shard in shards]
        markers = [
            pa.DictionaryArray.from_arrays(
                pa.repeat(pa.scalar(at, pa.int32()), len(part)), [s.name for s in shards]
            )
            for at, part in enumerate(parts)
        ]
        whole = pa.concat_tables(parts)
        relations_by_name[name] = whole.append_column("shard", pa.chunked_array(markers))
    return relations_by_name


def _read_marker(workspace: Folder, run: str, shard: str) -> dict[str, Any]:
    return workspace.read_record(paths.marker(run, shard), paths.MARKER_FIELDS)


def read_columns(
    workspace: Folder,
    name: str,
    columns: list[str],
    table_name: str | None = None,
    marker: Future[dict[str, Any]] | None = None,
) -> pa.Table:
    """These columns of an artifact; of a table of `schemas.RUN_TABLES`, those that an older lazsl
    did not write, as what they mean.

    Args:
        workspace: where it is.
        name: of the artifact.
        columns: those that are read.
        table_name: of the table in `schemas.RUN_TABLES`.
        marker: the completion marker of its shard, which says as what it was written.

    Raises:
        Refused: it is missing.
        DamagedError: it, or the marker, is not what was written.
    """
    kind = table_name or ""
    later = schemas.LATER.get(kind, {})
    written = None if marker is None else (marker.result().get("files") or {}).get(name)
    try:
        table = workspace.read_table(name, None if later else columns, written)
    except FileNotFoundError:
        raise Refused(f"its file {name} is missing") from None
    if later:
        schema = schemas.IMAGES if kind == "images" else schemas.RUN_TABLES[kind]
        table = schemas.with_later(kind, schema, table)
    if missing := sorted(set(columns) - set(table.column_names)):
        raise Refused(f"its file {name} lacks the column {missing[0]!r}")
    return table.select(columns)
