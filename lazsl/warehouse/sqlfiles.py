"""The files of `sql/`, by name: `load/plans.sql`. They are the only place of SQL in the project.

An installed package carries them as `lazsl/sql`; a checkout has them at the root of the repository.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from lazsl.errors import UserError

Connection = duckdb.DuckDBPyConnection

DEFINITIONS = ("schema.sql", "views.sql", "macros.sql")
"""What makes an empty file a warehouse, in this order; each can be run again."""

CONFIG: dict[str, Any] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "memory_limit": "50%",
    "python_enable_replacements": False,
}
"""For every connection: nothing is fetched from a network, no Python variable stands in for a
missing table, and a question about millions of images leaves half of the machine's memory to other
programs (DuckDB's own default, 80 %, had the system kill one) and spills to the disk beyond."""


@cache
def folder() -> Path:
    """The folder the SQL files lie in.

    Raises:
        UserError: when they are in neither place, which means a broken installation.
    """
    package = Path(__file__).resolve().parent.parent
    # The package's own folder first: beside an installed package, `sql` may be anybody's.
    for place in (package / "sql", package.parent / "sql"):
        if (place / "schema.sql").is_file():
            return place
    raise UserError(f"the SQL files are missing from {package / 'sql'}; install lazsl again")


def names() -> list[str]:
    """Sorted names of all files, relative to the folder, with forward slashes."""
    return sorted(path.relative_to(folder()).as_posix() for path in folder().rglob("*.sql"))


@cache
def read(name: str) -> str:
    """The text of one file.

    Raises:
        UserError: when there is no such file; the sentence lists those there are.
    """
    path = folder() / name
    if name not in names():
        raise UserError(f"there is no SQL file {name!r}; there are {', '.join(names())}")
    return path.read_text(encoding="utf-8")


def run(connection: Connection, name: str, **parameters: Any) -> Connection:
    """The connection with the file's result ready to fetch.

    Values are bound, never written into the text. A file with several statements takes none.
    """
    with _confined():
        return connection.execute(read(name), parameters or None)


def rows(connection: Connection, name: str, **parameters: Any) -> list[dict[str, Any]]:
    """The file's whole result, a dict by column for each row."""
    return list(each_row(run(connection, name, **parameters)))


def each_row(result: Connection) -> Iterator[dict[str, Any]]:
    """The rows of a result as dicts by column, fetched a few at a time."""
    columns = [column[0] for column in result.description or []]
    while fetched := result.fetchmany(256):
        for row in fetched:
            yield dict(zip(columns, row, strict=True))


def table(connection: Connection, name: str, **parameters: Any) -> pa.Table:
    """The file's whole result, for what is small."""
    with _confined():
        rows: pa.Table = connection.sql(read(name), params=parameters or None).to_arrow_table()
    return rows


@contextmanager
def _confined() -> Iterator[None]:
    """A warehouse whose views or macros reach outside of it, in one sentence."""
    try:
        yield
    except duckdb.PermissionException as error:
        raise UserError(
            f"the warehouse reaches for something outside of it ({first_line(error)}), which none "
            "of lazsl does; do not use this file"
        ) from None


@contextmanager
def registered(connection: Connection, tables: Mapping[str, Any]) -> Iterator[None]:
    """SQL can read the Arrow tables, or datasets, under these names."""
    for name, table in tables.items():
        connection.register(name, table)
    try:
        yield
    finally:
        for name in tables:
            connection.unregister(name)


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """All of what is written in the block, or nothing of it."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def first_line(error: Exception) -> str:
    """What DuckDB complains of, without its drawing of the place."""
    return (str(error).splitlines() or [type(error).__name__])[0]
