"""Rows of a listing in the order of their keys, in bounded memory: what does not fit waits on the
disk."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lazsl.store import schemas

ROWS = pa.schema([schemas.MANIFEST.field(name) for name in ("key", "size", "version")])

_IN_MEMORY = 1 << 19  # rows that are sorted at a time
_BATCH = 1 << 14  # rows; one batch of every sorted run is in memory while they are merged
_COMPRESSED = pa.ipc.IpcWriteOptions(compression="zstd")

Row = tuple[str, int | None, str]
"""Key, size and version."""


class Spool:
    """Rows in any order in, in bytewise order of the key out; of several with one key the last.

    A store that lists in order, as buckets do, gives one run of rows, which is read as it was
    written; any other gives sorted runs, which are merged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[Row] = []
        self._batches: list[pa.RecordBatch] = []
        self._waiting = 0
        self._runs: list[Path] = []
        self._writer: pa.RecordBatchStreamWriter | None = None
        self._last: str | None = None
        self._rest: pa.Table = ROWS.empty_table()
        self.count = 0
        """Rows that were added."""

    def add(self, key: str, size: int | None, version: str) -> None:
        """Add a row."""
        self._rows.append((key, size, version))
        if len(self._rows) == _BATCH:
            self._pack()
            if self._waiting >= _IN_MEMORY:
                self._write(self._sorted())

    def done(self) -> None:
        """Nothing is added from here on."""
        self._pack()
        self._rest = self._sorted()
        if self._runs:
            self._write(self._rest)
            self._rest = ROWS.empty_table()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def tables(self) -> Iterator[pa.Table]:
        """All rows, some at a time: ROWS. After `done`, as often as is wanted."""
        last = ROWS.empty_table()
        for table in self._ordered():
            rows = pa.concat_tables([last, table]).combine_chunks()
            last = rows.slice(len(rows) - 1)
            before: Any = pc.not_equal(rows["key"].slice(0, len(rows) - 1), rows["key"].slice(1))
            if not pc.all(before, min_count=0).as_py():
                yield rows.slice(0, len(rows) - 1).filter(before)
            elif len(rows) > 1:
                yield rows.slice(0, len(rows) - 1)
        if len(last):
            yield last

    def _ordered(self) -> Iterator[pa.Table]:
        if len(self._runs) < 2:
            for run in self._runs:
                yield from (pa.Table.from_batches([batch]) for batch in _batches(run))
            for begin in range(0, len(self._rest), _BATCH):
                yield self._rest.slice(begin, _BATCH)
            return
        rows: list[Row] = []
        for row in heapq.merge(*map(_each_row, self._runs), key=_key):
            rows.append(row)
            if len(rows) == _BATCH:
                yield _packed(rows)
                rows = []
        if rows:
            yield _packed(rows)

    def _pack(self) -> None:
        if self._rows:
            self._batches += _packed(self._rows).to_batches()
            self._waiting += len(self._rows)
            self.count += len(self._rows)
            self._rows = []

    def _sorted(self) -> pa.Table:
        """What waits in memory, in order."""
        table = pa.Table.from_batches(self._batches, ROWS)
        self._batches, self._waiting = [], 0
        return table if _in_order(table["key"], pc.less_equal) else table.sort_by("key")

    def _write(self, table: pa.Table) -> None:
        """Append to the run that is being written, or begin another where that is out of order."""
        if not len(table):
            return
        first, last = (str(table["key"][at].as_py()) for at in (0, len(table) - 1))
        if self._writer is None or self._last is None or first < self._last:
            if self._writer is not None:
                self._writer.close()
            self._runs.append(self._folder / f"listed-{len(self._runs):06d}")
            self._writer = pa.ipc.new_stream(str(self._runs[-1]), ROWS, options=_COMPRESSED)
        self._writer.write_table(table, max_chunksize=_BATCH)
        self._last = last


def _packed(rows: list[Row]) -> pa.Table:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, ROWS, strict=True)]
    return pa.table(arrays, schema=ROWS)


def _batches(run: Path) -> Iterator[pa.RecordBatch]:
    with pa.ipc.open_stream(pa.OSFile(str(run), "rb")) as reader:
        yield from reader


def _each_row(run: Path) -> Iterator[Row]:
    for batch in _batches(run):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _key(row: Row) -> str:
    return row[0]


def _in_order(keys: pa.ChunkedArray[Any], compare: Callable[..., Any]) -> bool:
    """Whether every key compares so with the next one."""
    ordered = pc.all(compare(keys.slice(0, max(0, len(keys) - 1)), keys.slice(1)), min_count=0)
    return bool(ordered.as_py())
