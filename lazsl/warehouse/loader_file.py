"""The file that the one loader writes: made, opened, and put in the place of the published one."""

from __future__ import annotations

import logging
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from lazsl.errors import UserError
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.opening import current_definitions, definitions_of, open_any_version
from lazsl.warehouse.sqlfiles import CONFIG, Connection, first_line

log = logging.getLogger(__name__)

# Rows wait in the log up to this size before they are packed into the file: the default of 16 MB
# packs the same last rows again and again. The limit keeps it from caching all of a large file.
_WRITING = {**CONFIG, "checkpoint_threshold": "256MB", "memory_limit": "1GB"}

FORMAT = {"storage_compatibility_version": "v1.4.0"}
"""Of a new warehouse's file: what DuckDB 1.4 (its long-term release) and all later ones open."""


@contextmanager
def only_loader(path: Path, patience: float) -> Iterator[None]:
    # The system drops this lock with the process, however it ends.
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.warning("another load into %s is under way; waiting for it", path)
            lock.acquire(timeout=patience)
    except Timeout:
        raise UserError(
            f"another load into {path} is under way for more than {patience:.0f} s; load again "
            "when it is done, nothing is lost"
        ) from None
    except OSError as error:
        raise UserError(f"cannot write beside {path}: {error}; name another warehouse") from None
    try:
        yield
    finally:
        lock.release()


def prepare_file(path: Path, working: Path) -> None:
    """Make the loader's file, whole or not at all: a copy of the published one, or an empty one."""
    part = working.with_name(f"{working.name}.part")
    for leftover in (part, write_ahead_log(part)):
        leftover.unlink(missing_ok=True)
    if path.exists():
        _copy(path, part)
        open_any_version(part).close()
    else:
        with closing(duckdb.connect(part, config={**CONFIG, **FORMAT})) as connection:
            define(connection)
            connection.checkpoint()  # closing says nothing of what it could not write
    os.replace(part, working)


def _copy(source: Path, target: Path) -> None:
    """Copy a file that others read, and that a stray writer might be changing."""
    for _ in range(3):
        before = source.stat()
        try:
            with source.open("rb") as read, target.open("wb") as written:
                # Shares the blocks instead of copying them where the file system can.
                while os.copy_file_range(read.fileno(), written.fileno(), 2**30):
                    pass
        except (AttributeError, OSError):
            shutil.copyfile(source, target)
        after = source.stat()
        if (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns):
            return
    raise UserError(f"another program keeps writing to {source}; close it there and load again")


def open_file(working: Path) -> Connection:
    """A writing connection to the loader's file, with this version's tables, views and macros.

    What its views and macros say when another made it reaches nothing outside of it.
    """
    for file in [working, *filter(os.path.lexists, [write_ahead_log(working)])]:
        status = file.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise UserError(
                f"{file} is a link or another user's, so no load of yours left it behind; delete "
                "it to start again from the published warehouse"
            )
    try:
        connection = duckdb.connect(working, config=_WRITING)
        sqlfiles.run(connection, "open/confine.sql")
    except duckdb.Error as error:
        raise UserError(
            f"cannot open {working}, which a load left behind: {first_line(error)} "
            "(delete it to start again from the published warehouse)"
        ) from None
    try:
        if definitions_of(connection, working) != current_definitions():
            define(connection)
    except duckdb.CatalogException as error:
        connection.close()
        raise UserError(
            f"{working}, which a load left behind, is no warehouse: {first_line(error)} "
            "(delete it to start again from the published warehouse)"
        ) from None
    except BaseException:
        connection.close()
        raise
    return connection


def publish_file(working: Path, path: Path) -> None:
    """Put the closed loader's file in the place of the published one."""
    if write_ahead_log(working).exists():
        raise RuntimeError(f"{working} was closed with changes still in its log; load again")
    # Opened for writing by mistake it would shut every reader out.
    working.chmod(working.stat().st_mode & ~0o222)
    _to_disk(working)
    # The log of a stray writer belongs to the file that goes; it must not meet the new one.
    write_ahead_log(path).unlink(missing_ok=True)
    os.replace(working, path)
    _to_disk(path.parent)


def write_ahead_log(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def define(connection: Connection) -> None:
    with sqlfiles.transaction(connection):
        for name in sqlfiles.DEFINITIONS:
            sqlfiles.run(connection, name)
        sqlfiles.run(connection, "load/defined.sql", definitions=current_definitions())
