"""The files of a manifest, and where in them the images of a shard are."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.versions import version_of
from lazsl.store import keys, schemas
from lazsl.store.folder import Folder
from lazsl.store.paths import manifests

Generation = tuple[str, str]
"""Name of a file, and its version: a workspace may be made anew in the same place."""

Span = tuple[int, int, int]
"""Number of a generation, first row in it, and number of rows."""

_KEPT = 3  # files in memory; shards are asked for in their order. So few are read once, whole


def read_generations(workspace: Folder, archive: str) -> tuple[Generation, ...]:
    """An archive's generations, oldest first."""
    entries = workspace.details(manifests(archive), ".parquet").items()
    versions = [(name, version_of(info)) for name, info in entries]
    return tuple(sorted(item for item in versions if re.search(r"/\d{6}\.parquet$", item[0])))


def number_of(name: str) -> int:
    """Which generation a file is."""
    return int(PurePath(name).stem)


@lru_cache(maxsize=_KEPT)
def read_file(workspace: Folder, generation: Generation) -> pa.Table:
    """A generation: `schemas.MANIFEST`.

    Raises:
        DamagedError: it is not what was written.
    """
    return _checked(workspace.read_table(generation[0]))


def read_columns(
    workspace: Folder, generation: Generation, columns: list[str], every_byte: bool = False
) -> pa.Table:
    """Some columns of a generation; with `every_byte` the others are checked besides.

    Raises:
        DamagedError: it is not what was written.
    """
    return _checked(workspace.read_table(generation[0], columns, every_byte=every_byte))


def reader(
    workspace: Folder, generations: Sequence[Generation], columns: Sequence[str]
) -> Callable[[Generation], pa.Table]:
    """Reads these columns of one of the generations; few are read whole, and stay in memory."""
    if len(generations) <= _KEPT:
        return lambda each: read_file(workspace, each).select(list(columns))
    return lambda each: read_columns(workspace, each, list(columns))


def _checked(table: pa.Table) -> pa.Table:
    """The table, once its names are such that may become parts of paths."""
    for name in {"image_id", "shard"} & set(table.column_names):
        column: Any = table[name].unique() if name == "shard" else table[name]
        safe = pc.fill_null(pc.match_substring_regex(column, keys.SAFE), False)
        for value in column.filter(pc.invert(safe)).slice(0, 1).to_pylist():
            keys.checked("an image" if name == "image_id" else "a shard", value)
    return table


def read_events(
    workspace: Folder, generations: Sequence[Generation], columns: Sequence[str]
) -> pa.Table:
    """One row per image, in order of first appearance, with its last event: these columns of
    `schemas.MANIFEST`, in its order.

    Raises:
        DamagedError: a generation is not what was written.
    """
    needed = [n for n in schemas.MANIFEST.names if n in {*columns, "image_id", "event"}]
    with ThreadPoolExecutor(max_workers=8) as pool:
        parts = pool.map(reader(workspace, generations, needed), generations)
        empty = schemas.MANIFEST.empty_table().select(needed)
        history = pa.concat_tables([empty, *parts])
    return last_events(history).select([n for n in needed if n in columns])


def is_added(events: pa.ChunkedArray[Any]) -> Any:
    """Which events of a manifest are that an image appeared; the others, that it went away."""
    return pc.equal(events, pa.scalar("added"))


def last_events(history: pa.Table) -> pa.Table:
    """One row per image, in order of first appearance, with its last event."""
    if pc.all(is_added(history["event"]), min_count=0).as_py():
        return history  # nothing has happened to any image since
    # Codes of a dictionary are numbered by first appearance. Rows of an image differ in the event
    # only, and of several rows that go to one code the last stays.
    codes = history["image_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    last = np.empty(codes.max(initial=-1) + 1, dtype=np.int64)
    last[codes] = np.arange(len(codes))
    rows: Any = pa.array(last)
    return history.take(rows).combine_chunks()


@lru_cache(maxsize=4)
def spans_of_shards(
    workspace: Folder, generations: tuple[Generation, ...]
) -> dict[str, list[Span]]:
    """Where the events of every shard's images are, in order of its first."""
    spans: dict[str, list[Span]] = {}
    read = reader(workspace, generations, ["shard"])
    for number, generation in enumerate(generations):
        for shard, begin, count in runs_of(read(generation)["shard"]):
            spans.setdefault(shard, []).append((number, begin, count))
    return spans


def runs_of(column: pa.ChunkedArray[Any]) -> list[tuple[str, int, int]]:
    """Value, first row and length of every run of equal values."""
    compute: Any = pc  # whose types lack this function
    runs = compute.run_end_encode(column.combine_chunks())
    ends = runs.run_ends.to_numpy()
    starts = np.concatenate([[0], ends])[:-1]
    return list(
        zip(runs.values.to_pylist(), starts.tolist(), (ends - starts).tolist(), strict=True)
    )


def images_in(
    workspace: Folder, generations: tuple[Generation, ...], spans: Sequence[Span]
) -> pa.Table:
    """The images of one shard in the order they were cut, each with its last event:
    `schemas.MANIFEST`."""
    parts = [
        read_file(workspace, generations[number]).slice(begin, count)
        for number, begin, count in spans
    ]
    return last_events(pa.concat_tables(parts))
