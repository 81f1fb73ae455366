"""Files that a load adds to a lake, and those that it puts in the place of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from lazsl.warehouse.lake import LARGE, TABLES, Lake, columns_now, file_of, is_own
from lazsl.warehouse.sqlfiles import Connection

_SMALL_FILES = 32  # of one table, before they become one
_SMALL_BYTES = 1 << 24
ROW_GROUPS = {"plans": 16_384, "regions": 16_384}
"""Rows in a row group, where rows are large: a condition on the shard passes groups over."""
KEYS = {"images": ("archive", "shard"), "regions": ("encoder", "regions", "shard")}
_RUN_KEYS = ("run", "shard")


class NewFiles:
    """Files that are added to a lake; `lake` is what it is with them."""

    def __init__(self, path: Path, lake: Lake, connection: Connection) -> None:
        self._path = path
        self._connection = connection
        mixed = lake.mixed or (any(lake.names.values()) and lake.columns != columns_now())
        names = {table: list(lake.names.get(table, ())) for table in TABLES}
        self._names: dict[str, list[str]] = names
        self.lake = replace(
            lake, names=names, columns=columns_now(), mixed=mixed, digests=dict(lake.digests)
        )

    def replace(self, table: str, dead: set[Any], passed: set[Any]) -> None:
        """Add the rows of a table, without those whose keys are passed over unless they are dead;
        in the files that are there, keys that are dead have no rows any more."""
        keys = KEYS.get(table, _RUN_KEYS)
        gone = table_of_keys(keys, sorted(dead))
        for at, name in enumerate(self._names[table]) if dead else ():
            rows = self._connection.read_parquet(str(file_of(self._path, table, name)))
            if _joined(self._connection, rows, gone, keys, "semi").limit(1).fetchall():
                kept = _joined(self._connection, rows, gone, keys, "anti")
                self._names[table][at] = self._write(table, kept)
        passed_keys = table_of_keys(keys, sorted(passed - dead))
        rows = _joined(self._connection, self._connection.table(table), passed_keys, keys, "anti")
        if rows.limit(1).fetchall():
            self._names[table].append(self._write(table, rows))

    def write_small(self, tables: Sequence[str]) -> bool:
        """Write these tables whole, where they hold something else than was last written."""
        written = False
        for table in tables:
            rows = self._connection.table(table)
            digest = "-".join(map(str, _digest(self._connection, table)))
            if self.lake.digests.get(table) != digest:
                self._names[table][:] = [self._write(table, rows)]
                self.lake.digests[table] = digest  # type: ignore[index]
                written = True
        return written

    def compact(self) -> None:
        """Make one file of many small ones."""
        for table in LARGE:
            small = [
                name
                for name in self._names[table]
                if is_own(name) and file_of(self._path, table, name).stat().st_size < _SMALL_BYTES
            ]
            if len(small) > _SMALL_FILES:
                files = [str(file_of(self._path, table, name)) for name in small]
                rows = self._connection.read_parquet(files, union_by_name=True)
                self._names[table][:] = [n for n in self._names[table] if n not in small]
                self._names[table].append(self._write(table, rows))

    def _write(self, table: str, rows: duckdb.DuckDBPyRelation) -> str:
        number = self.lake.loads + 1
        self.lake = replace(self.lake, loads=number)
        name = f"load-{number:06d}"
        file = file_of(self._path, table, name)
        rows.write_parquet(
            str(file), compression="zstd", row_group_size=ROW_GROUPS.get(table, 122_880)
        )
        return name


def _joined(
    connection: Connection,
    rows: duckdb.DuckDBPyRelation,
    keys: pa.Table,
    names: Sequence[str],
    kind: str,
) -> duckdb.DuckDBPyRelation:
    """Rows whose keys are (kind `semi`) or are not (`anti`) in a table of keys."""
    if not len(keys) and kind == "anti":
        return rows
    condition = " and ".join(f"rows.{name} = keys.{name}" for name in names)
    return rows.set_alias("rows").join(
        connection.from_arrow(keys).set_alias("keys"), condition, how=kind
    )


def table_of_keys(names: Sequence[str], rows: Sequence[tuple[str, ...]]) -> pa.Table:
    columns = [[row[at] for row in rows] for at in range(len(names))]
    return pa.table([pa.array(column, pa.string()) for column in columns], names=list(names))


def _digest(connection: Connection, table: str) -> tuple[int, int]:
    """How many rows a table has, and a number that is another one where they are others."""
    rows = connection.table(table)
    hashes = rows.project(f"hash({', '.join(rows.columns)}) as hash")
    count, mixed = hashes.aggregate("count(*), bit_xor(hash)").fetchall()[0]
    return int(count), int(mixed or 0)
