"""How finished shards get into a lake.

Some shards at a time go through the loader of a warehouse, into a file that holds nothing else,
and from there into files of the lake; the catalog comes last. What a load costs is what is new, not
what is there. Files with shards that were made anew are written again without them, and of many
small files one is made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from lazsl.warehouse import sqlfiles
from lazsl.warehouse.lake import (
    LARGE,
    SMALL,
    UNLISTED,
    Lake,
    is_own,
    make_tables,
    open_tables,
    read_lake,
    write_lake,
)
from lazsl.warehouse.lake_files import KEYS, NewFiles, table_of_keys
from lazsl.warehouse.not_loaded import Finished, News, mark, unloaded
from lazsl.warehouse.shard_loading import load_these, note_versions, refuse_double, unchanged
from lazsl.warehouse.sqlfiles import CONFIG, Connection

_SHARDS, _MOST_SHARDS = 256, 2048  # that go into one file of every table
_STEPS = 64  # in which a large load goes: each looks through all that the lake has of a run
_GRACE = 86_400.0  # seconds that a reader may go on with files that are the lake no longer

_WRITING = {**CONFIG, "memory_limit": "1GB"}


@dataclass
class Counts:
    """What one load did: shards and images loaded, and a sentence for every shard refused and for
    everything of samples and judgements that cannot be read."""

    shards: int = 0
    images: int = 0
    published: bool = False
    refused: list[str] = field(default_factory=list)
    unmarked: list[str] = field(default_factory=list)


def load_lake(
    path: Path,
    news: News,
    progress: Callable[[int, int], None] | None,
) -> Counts:
    """Bring into a lake what it lacks.

    Args:
        path: the lake's folder, made if need be.
        news: what there is.
        progress: called after every shard with the shards done and the shards to do.
    """
    loader = _Loader(path, news)
    path.mkdir(parents=True, exist_ok=True)
    loader.sweep()
    todo, same = loader.todo()
    together = max(_SHARDS, min(len(todo) // _STEPS, _MOST_SHARDS))
    for begin in range(0, len(todo), together):
        part = todo[begin : begin + together]

        def count(done: int, _: int, before: int = begin) -> None:
            if progress is not None:
                progress(before + done, len(todo))

        loader.load(part, count)
    loader.mark(same)
    return loader.counts


class _Loader:
    def __init__(self, path: Path, news: News) -> None:
        self._path = path
        self._news = news
        self._working = path / ".loading.duckdb"
        self.counts = Counts()

    def sweep(self) -> None:
        """Remove what killed loads left, and files that have not been the lake's for a day."""
        names = read_lake(self._path).names
        for file in self._path.iterdir():
            table, _, rest = file.name.partition(".")
            name = rest.removesuffix(".parquet")
            gone = is_own(name) and name not in names.get(table, ())
            if gone and file.stat().st_mtime < time.time() - _GRACE:
                file.unlink()

    def todo(self) -> tuple[list[Finished], list[Finished]]:
        """Shards that the lake lacks or has otherwise, and those of which only the file of the
        marker is another one."""
        lake = read_lake(self._path)
        with self._lake(lake) as present, self._file(present, ("runs", "shards")) as connection:
            unsure = unloaded(connection, self._news)
        same = unchanged(self._news.workspace, unsure)
        return [each for each in unsure if each not in same], [e for e in unsure if e in same]

    def load(self, part: Sequence[Finished], progress: Callable[[int, int], None]) -> None:
        """Bring some shards in: all of their tables, or nothing."""
        lake = read_lake(self._path)
        with (
            self._lake(lake) as present,
            self._file(present, ("runs", "shards", "attributes")) as connection,
        ):
            embedded = set() if present is None else set(_all(present, "lake/embedded.sql"))
            boxed = {(encoder, regions, shard) for _, encoder, regions, shard in embedded}
            imaged = {(archive, shard) for archive, _, _, shard in embedded}
            before = self._images_before(present, part, imaged)
            connection.from_arrow(before).insert_into("images")
            loaded, images, refused = load_these(connection, self._news, part, {*boxed}, progress)
            fresh = self._fresh(connection, part)
            doubled = self._refuse_doubled(connection, present, fresh)
            note_versions(connection, self._news, part)
            new = NewFiles(self._path, lake, connection)
            anew = {(e.run, e.shard) for e in part if e.row is not None} & fresh.keys()
            for table in LARGE:
                if table == "images":
                    new.replace(table, _changed(connection, before), imaged)
                elif table == "regions":
                    new.replace(table, boxed & _keys_in(connection, table), set())
                else:
                    new.replace(table, anew, set())
            new.write_small(("runs", "shards", "attributes"))
            new.compact()
            write_lake(self._path, new.lake)
        self.counts.shards += loaded - len(doubled)
        self.counts.images += images
        self.counts.refused += refused + doubled
        self.counts.published = True

    def mark(self, same: Sequence[Finished]) -> None:
        """Bring listings, samples, judgements and truth up to date, and versions of markers."""
        lake = read_lake(self._path)
        with self._lake(lake) as present, self._file(present, SMALL) as connection:
            self.counts.unmarked = mark(connection, replace(self._news, listed={}))
            note_versions(connection, self._news, same)
            connection.from_arrow(self._unlisted(present)).insert_into(UNLISTED)
            new = NewFiles(self._path, lake, connection)
            if new.write_small((*SMALL, UNLISTED)):
                write_lake(self._path, new.lake)
                self.counts.published = True

    def _unlisted(self, present: Connection | None) -> pa.Table:
        """What is no longer listed: of archives of which nothing is new, as it was."""
        nothing = _no_rows(UNLISTED)
        if present is None:
            return nothing
        parts = [nothing]
        known = sqlfiles.table(present, "lake/unlisted_known.sql")
        marked = pa.array(list(self._news.listed), pa.string())
        others = pc.invert(pc.is_in(known["archive"], value_set=marked))
        parts.append(known.filter(others))
        for archive, listed in self._news.listed.items():
            with sqlfiles.registered(present, {"new_listed": listed}):
                parts.append(sqlfiles.table(present, "lake/unlisted.sql", archive=archive))
        return pa.concat_tables([part.cast(nothing.schema) for part in parts])

    def _images_before(
        self, present: Connection | None, part: Sequence[Finished], imaged: set[tuple[str, str]]
    ) -> pa.Table:
        """The images of these shards that the lake has, of another run for instance."""
        archives = {run: record["archive"] for run, record in self._news.records.items()}
        asked = sorted({(archives[each.run], each.shard) for each in part} & imaged)
        if present is None:
            return _no_rows("images")
        with sqlfiles.registered(present, {"asked": table_of_keys(("archive", "shard"), asked)}):
            return sqlfiles.table(present, "lake/known_images.sql")

    def _fresh(
        self, connection: Connection, part: Sequence[Finished]
    ) -> dict[tuple[str, str], pa.Table]:
        """The images of every shard (run, shard) that was loaded now."""
        shards: dict[tuple[str, str], pa.Table] = {}
        for run in sorted({each.run for each in part}):
            images = sqlfiles.table(connection, "lake/fresh.sql", run=run)
            for shard in map(str, images["shard"].unique().to_pylist()):
                of_shard: Any = pc.equal(images["shard"], pa.scalar(shard))
                shards[run, shard] = images.filter(of_shard)
        return shards

    def _refuse_doubled(
        self,
        connection: Connection,
        present: Connection | None,
        fresh: dict[tuple[str, str], pa.Table],
    ) -> list[str]:
        """Take out again what would bring an image into a run a second time."""
        sentences: list[str] = []
        if present is None:
            return sentences
        for run in sorted({run for run, _ in fresh}):
            images = pa.concat_tables([rows for (of, _), rows in fresh.items() if of == run])
            with sqlfiles.registered(present, {"fresh": images}):
                doubled = sqlfiles.run(present, "lake/doubled.sql", run=run).fetchall()
            sentences += [refuse_double(connection, self._news, run, *row) for row in doubled]
        return sentences

    @contextmanager
    def _lake(self, lake: Lake) -> Iterator[Connection | None]:
        """The lake as it is; None while it is empty."""
        if not any(lake.names.values()):
            yield None
            return
        with closing(open_tables(self._path)) as connection:
            # What is compared with all images of a lake waits on the disk beyond that.
            connection.execute("set memory_limit = '768MB'")
            yield connection

    @contextmanager
    def _file(self, present: Connection | None, tables: Sequence[str]) -> Iterator[Connection]:
        """The loader's file, which has of the lake these small tables alone."""
        self._remove_file()
        try:
            with closing(duckdb.connect(self._working, config=_WRITING)) as connection:
                # Together, or the disk is waited for after each of a hundred definitions.
                with sqlfiles.transaction(connection):
                    make_tables(connection)
                for table in tables if present is not None else ():
                    rows = present.table(table).to_arrow_reader()  # type: ignore[union-attr]
                    connection.from_arrow(rows).insert_into(table)
                yield connection
        finally:
            self._remove_file()

    def _remove_file(self) -> None:
        for file in self._path.glob(f"{self._working.name}*"):
            file.unlink()


@cache
def _no_rows(table: str) -> pa.Table:
    """No rows, with the columns of a table."""
    with closing(duckdb.connect(":memory:", config=CONFIG)) as connection:
        make_tables(connection)
        rows: pa.Table = connection.table(table).to_arrow_table()
        return rows


def _all(connection: Connection, name: str) -> list[Any]:
    return sqlfiles.run(connection, name).fetchall()


def _keys_in(connection: Connection, table: str) -> set[Any]:
    names = ", ".join(KEYS[table])
    return set(connection.table(table).project(names).distinct().fetchall())


def _changed(connection: Connection, before: pa.Table) -> set[Any]:
    """Shards (archive, shard) that the lake has, of which more is known of an image now."""
    if not len(before):
        return set()
    with sqlfiles.registered(connection, {"before": before}):
        return set(_all(connection, "lake/changed_images.sql"))
