"""Opening a warehouse to read it, and which version of the schema it has."""

from __future__ import annotations

import glob
import hashlib
import re
import shlex
import uuid
from collections.abc import Sequence
from pathlib import Path

import duckdb

from lazsl.errors import DamagedError, UserError
from lazsl.store.scratch import spill_folder
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.interruption import watched
from lazsl.warehouse.lake import open_lake
from lazsl.warehouse.sqlfiles import CONFIG, Connection, first_line
from lazsl.warehouse.warehouse_presence import check_present, is_lake

SCHEMA_VERSION = 5
"""Raised, as in `sql/schema.sql`, when tables change so that older code cannot read them."""


class Busy(UserError):
    """Another program holds the published file for writing."""


_DAMAGE = re.compile(
    "corrupt|checksum|not a valid duckdb|could not read enough|could not read all|serializ|"
    "deserializ|invalidated|unexpected end of",
    re.IGNORECASE,
)


def is_damage(error: duckdb.Error) -> bool:
    """True when DuckDB complains of what it read, not of the query, the disk or the memory."""
    if isinstance(error, duckdb.SerializationException | duckdb.InternalException):
        return True
    # What a query or a setting is blamed for may quote any word.
    of_query = isinstance(error, duckdb.ProgrammingError)
    return not of_query and bool(_DAMAGE.search(str(error)))


def hint(error: Exception) -> str:
    """What to do besides, where a query failed because the warehouse is damaged; else nothing."""
    damaged = is_damage(error) if isinstance(error, duckdb.Error) else _DAMAGE.search(str(error))
    if not damaged:
        return ""
    return " (the warehouse is damaged: lazsl load --rebuild makes it anew from the workspace)"


def open_warehouse(path: Path, folders: Sequence[Path] = ()) -> Connection:
    """A connection that reads the warehouse as it is now, and goes on reading this version.

    It cannot write to the warehouse (it can make temporary tables), and it reaches neither the
    network nor any file, except below `folders`.

    Raises:
        UserError: the file is missing, is no warehouse, is from a newer lazsl or an older one, or
            is open for writing elsewhere.
    """
    connection = open_any_version(path, folders)
    version, _ = sqlfiles.run(connection, "about.sql").fetchall()[0]
    if version < SCHEMA_VERSION:
        connection.close()
        raise UserError(
            f"{path} was made by an older lazsl (its tables are version {version}, this one reads "
            f"{SCHEMA_VERSION}); to bring it up to date: lazsl load --warehouse "
            f"{shlex.quote(str(path))}"
        )
    return connection


def open_any_version(path: Path, folders: Sequence[Path] = ()) -> Connection:
    """The same, also of an older version."""
    if is_lake(path):
        return open_lake(path, current_definitions(), SCHEMA_VERSION, folders)
    check_present(path)
    check_no_log(path)
    quoted = shlex.quote(str(path))
    if not path.stat().st_size:
        raise DamagedError(
            f"{path} is damaged: it is empty; lazsl load --rebuild --warehouse {quoted} makes it "
            "anew from the workspace"
        )
    # Attached to an empty database: a plain connection would be handed the version that another
    # connection of this process has open, even after a newer one was published.
    # What does not fit in memory goes to a folder of its own, which is made when it is needed.
    spill = spill_folder() / uuid.uuid4().hex
    config = {**CONFIG, "temp_directory": str(spill)}
    connection = watched(duckdb.connect(":memory:", config=config))
    try:
        sqlfiles.run(connection, "open/attach.sql", path=str(path.resolve()))
        sizes = sqlfiles.run(connection, "open/size.sql").fetchall()
        if sizes and path.stat().st_size < int(sizes[0][0]):
            raise DamagedError(
                f"{path} is damaged: its end is missing; lazsl load --rebuild --warehouse {quoted} "
                "makes it anew from the workspace"
            )
        sqlfiles.run(connection, "open/folders.sql", folders=[str(f.resolve()) for f in folders])
        sqlfiles.run(connection, "open/restrict.sql")
        definitions_of(connection, path)
    except duckdb.Error as error:
        connection.close()
        if "Could not set lock" in str(error):
            raise Busy(
                f"another program has {path} open for writing; close it there, or open it read-only"
            ) from None
        if is_damage(error):
            raise DamagedError(
                f"{path} is damaged or no DuckDB file ({first_line(error)}); if it is a warehouse, "
                f"lazsl load --rebuild --warehouse {quoted} makes it anew from the workspace"
            ) from None
        raise UserError(f"cannot read {path} as a warehouse: {first_line(error)}") from None
    except UserError:
        connection.close()
        raise
    return connection


def check_no_log(path: Path) -> None:
    """Raise Busy when changes lie beside a published warehouse, which never has any.

    DuckDB believes such a log, whoever wrote it, even where the file itself is write-protected.
    """
    logs = sorted(path.parent.glob(f"{glob.escape(path.name)}.wal*"))
    if logs:
        raise Busy(
            f"{logs[0]} lies beside the warehouse, with changes that lazsl did not make: another "
            f"program has {path} open for writing, or somebody left it there; close that program "
            "without saving, delete the log, and nothing of the warehouse is lost"
        )


def current_definitions() -> str:
    text = "".join(sqlfiles.read(name) for name in sqlfiles.DEFINITIONS)
    return hashlib.sha256(text.encode()).hexdigest()


def definitions_of(connection: Connection, path: Path) -> str | None:
    """Digest of the definitions that a warehouse has; refuses one of a newer lazsl."""
    version, definitions = sqlfiles.run(connection, "about.sql").fetchall()[0]
    if version > SCHEMA_VERSION:
        raise UserError(
            f"{path} was made by a newer lazsl (its tables are version {version}, this one knows "
            f"{SCHEMA_VERSION}): upgrade lazsl, or load into another file"
        )
    return definitions if definitions is None else str(definitions)
