"""A lake: a warehouse beyond the size of a file, as Parquet files in a folder.

    lake.json                    the catalog: which files are the lake now
    {table}.load-{number}.parquet   what a load brought in; never changed
    {table}.{name}.parquet       what an older lazsl exported; there was no catalog then

A load adds files and then replaces the catalog, so that a reader sees all of it or nothing, and
goes on reading the files that were the lake when it came. The tables are views over the files, and
everything that is asked of a warehouse is asked of them.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import duckdb

from lazsl.errors import DamagedError, UserError
from lazsl.store.folder import Folder
from lazsl.store.scratch import spill_folder
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.interruption import watched
from lazsl.warehouse.sqlfiles import CONFIG, Connection, first_line
from lazsl.warehouse.warehouse_presence import CATALOG, is_lake

LARGE = ("images", "regions", "predictions", "scores", "evidence", "plans", "rejects")
"""Tables to which every load adds files."""

SMALL = ("runs", "shards", "attributes", "truth", "samples", "reviews")
"""Tables that a load that changes them writes whole."""

UNLISTED = "unlisted"
TABLES = (*LARGE, *SMALL, UNLISTED)
VERSION = 1


@dataclass(frozen=True)
class Lake:
    """Which files are a lake.

    Attributes:
        names: of every table, the middle parts of its files' names, oldest first.
        columns: digest of the tables' definitions when the last load was.
        mixed: files of earlier loads may have other columns.
        loads: how many there were.
        digests: of the small tables, what they held when they were last written.
        taken_in: middle parts of the names that an older lazsl's exports had.
    """

    names: Mapping[str, Sequence[str]]
    columns: str = ""
    mixed: bool = False
    loads: int = 0
    digests: Mapping[str, str] = field(default_factory=dict)
    taken_in: Sequence[str] = ()


def begin_lake(path: Path) -> None:
    """Make a folder a lake, which is empty, unless it is one already.

    Raises:
        UserError: it is a file, or holds something else.
    """
    if is_lake(path) and path.exists():
        return
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise UserError(f"{path} holds something else; name a new folder for the lake")
    write_lake(path, Lake({table: () for table in TABLES}))


def read_lake(path: Path) -> Lake:
    """The lake in a folder, with what an older lazsl exported there; empty where there is none.

    Raises:
        UserError: a newer lazsl made it, or its catalog is damaged.
    """
    try:
        record = Folder(str(path.absolute())).read_record(CATALOG, ["version", "names"])
    except FileNotFoundError:
        return _with_exports(path, Lake({table: () for table in TABLES}))
    except DamagedError as error:
        raise UserError(
            f"{path} is damaged: its {error.name} {error.why}; delete that folder and load again: "
            "everything is made anew from the workspace"
        ) from None
    if record["version"] > VERSION:
        raise UserError(f"{path} was made by a newer lazsl: upgrade lazsl, or load into another")
    known = {name: record[name] for name in Lake.__dataclass_fields__ if name in record}
    return _with_exports(path, Lake(**known))


def _with_exports(path: Path, lake: Lake) -> Lake:
    """The lake with what was exported into its folder since the last load."""
    exported = sorted(
        name
        for file in path.glob("predictions.*.parquet")
        if not is_own(name := file.name.split(".", 1)[1].removesuffix(".parquet"))
        and name not in lake.taken_in
    )
    if not exported:
        return lake
    names = {
        table: [*known, *(e for e in exported if file_of(path, table, e).exists())]
        for table, known in lake.names.items()
    }
    return Lake(names, lake.columns, True, lake.loads, {}, [*lake.taken_in, *exported])


def write_lake(path: Path, lake: Lake) -> None:
    """Make these files the lake: readers that come later see them."""
    fields = {name: getattr(lake, name) for name in Lake.__dataclass_fields__}
    Folder(str(path.absolute())).write_record(CATALOG, {"version": VERSION, **fields})


def file_of(path: Path, table: str, name: str) -> Path:
    """A file of a lake."""
    return path / f"{table}.{name}.parquet"


def is_own(name: str) -> bool:
    """Whether a load gave a file this middle part of its name."""
    return re.fullmatch(r"load-\d{6}", name) is not None


def open_lake(
    path: Path, definitions: str, version: int, folders: Iterable[Path] = ()
) -> Connection:
    """A connection that reads the lake as it is now, as if it were a warehouse.

    It reaches neither the network nor any file, except the lake's and those below `folders`.

    Args:
        path: the lake's folder.
        definitions: digest of the views and macros.
        version: of the tables.
        folders: whose files may be read besides.

    Raises:
        UserError: there is no lake, or one of its files is missing or damaged.
    """

    def define(connection: Connection) -> None:
        for name in ("views.sql", "macros.sql"):
            sqlfiles.run(connection, name)
        sqlfiles.run(connection, "lake/about.sql", version=version, definitions=definitions)
        _comment(connection)

    return _opened(path, define, folders)


def open_tables(path: Path) -> Connection:
    """The same with the lake's tables alone, in a third of the time: what a load needs."""
    return _opened(path, lambda _: None, ())


def _opened(
    path: Path, define: Callable[[Connection], None], folders: Iterable[Path]
) -> Connection:
    """A connection that reads a lake's tables, and what is defined on top of them."""
    lake = read_lake(path)
    if not any(lake.names.values()):
        raise UserError(f"there is no lake at {path}; make one with lazsl load --lake {path}")
    spill = spill_folder() / uuid.uuid4().hex
    config = {**CONFIG, "temp_directory": str(spill)}
    connection = watched(duckdb.connect(":memory:", config=config))
    try:
        sqlfiles.run(connection, "lake/begin.sql")
        templates = _templates()
        mixed = lake.mixed or lake.columns != columns_now()
        connection.execute("set variable lake_mixed = $1", [mixed])
        for table in TABLES:
            files = [file_of(path, table, name) for name in lake.names.get(table, ())]
            every = [str(file.absolute()) for file in (file_of(templates, table, "none"), *files)]
            connection.execute(f"set variable lake_{table} = $1", [every])
        sqlfiles.run(connection, "lake/views.sql")
        define(connection)
        reached = [str(f.resolve()) for f in (path, templates, *folders)]
        sqlfiles.run(connection, "open/folders.sql", folders=reached)
        sqlfiles.run(connection, "open/confine.sql")
    except duckdb.Error as error:
        connection.close()
        raise UserError(
            f"{path} cannot be read as a lake: {first_line(error)}; delete that folder and load "
            "again: everything is made anew from the workspace"
        ) from None
    return connection


def columns_now() -> str:
    """Digest of the tables' definitions."""
    return hashlib.sha256(sqlfiles.read("schema.sql").encode()).hexdigest()


@cache
def _templates() -> Path:
    """A folder with an empty file per table, which has the columns that this version knows."""
    folder = spill_folder() / f"templates-{uuid.uuid4().hex}"
    folder.mkdir()
    with closing(duckdb.connect(":memory:", config=CONFIG)) as connection:
        make_tables(connection)
        for table in TABLES:
            connection.table(table).write_parquet(str(file_of(folder, table, "none")))
    return folder


_COMMENT = re.compile(r"^comment on [^;']*'(?:[^']|'')*';", re.M)


def make_tables(connection: Connection) -> None:
    """Make a lake's tables, without the comments, which take longer and which nobody sees."""
    connection.execute(_COMMENT.sub("", sqlfiles.read("schema.sql")))
    sqlfiles.run(connection, "lake/unlisted_table.sql")


def _comment(connection: Connection) -> None:
    """Say of the views what `schema.sql` says of the tables."""
    for comment in _COMMENT.findall(sqlfiles.read("schema.sql")):
        if "schema_version" not in comment:
            connection.execute(comment.replace("comment on table", "comment on view"))
