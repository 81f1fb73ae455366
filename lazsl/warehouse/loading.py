"""Load what a workspace holds into the DuckDB warehouse.

DuckDB gives a file to one writer or to many readers. So the loader writes in a file of its own
(`loader_file.py`) and publishes it whole:

    warehouse.duckdb           what everybody reads; never changed in place, only replaced
    warehouse.loading.duckdb   the loader's; there only while a load is under way or was cut off
    .warehouse.duckdb.lock     held by the one loader

A load that finds the loader's file goes on in it; otherwise it starts from a copy of the published
file. When every finished shard is in, the loader's file is closed and renamed over the published
one. Readers keep the version they opened. A shard is one transaction, so a kill at any moment costs
the work on one shard at most. Disk: one file at rest, two during a load.

A warehouse may be a lake instead (`lake_loading.py`), a folder to which loads only add.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from lazsl.errors import DamagedError, UserError
from lazsl.store.folder import Folder
from lazsl.store.scratch import scratch_folder
from lazsl.warehouse.interruption import interruptible
from lazsl.warehouse.lake_loading import load_lake
from lazsl.warehouse.loader_file import (
    only_loader,
    open_file,
    prepare_file,
    publish_file,
    write_ahead_log,
)
from lazsl.warehouse.not_loaded import News, check_truth, mark, unloaded, would_mark
from lazsl.warehouse.opening import (
    Busy,
    current_definitions,
    definitions_of,
    is_damage,
    open_any_version,
)
from lazsl.warehouse.shard_loading import load_shards
from lazsl.warehouse.sqlfiles import first_line
from lazsl.warehouse.warehouse_presence import check_on_disk, is_lake
from lazsl.warehouse.workspace_contents import gather, keep_truth

PATIENCE = 900.0
"""Seconds that a load waits for another one."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """What one load did."""

    shards: int
    """Shards that were loaded now."""
    images: int
    """Images listed in these shards."""
    published: bool
    """False: nothing was new, and the published file was not touched."""


def load(
    workspace: Folder,
    path: Path,
    runs: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    listed: Mapping[str, pa.Table] | None = None,
    truth: pa.Table | None = None,
    archive: str | None = None,
    rebuild: bool = False,
    patience: float = PATIENCE,
) -> Loaded:
    """What was loaded: every finished shard of the workspace that the warehouse did not hold yet.

    Loading twice changes nothing; cut off at any moment and repeated, it ends in the same content.

    Args:
        workspace: where the runs are.
        path: the warehouse, on a local disk.
        runs: run keys to load; None loads all of the workspace.
        progress: called after every shard with the shards done and the shards to do.
        listed: per archive key, a table whose column `image_id` has everything that is listed now;
            the images of that archive are marked accordingly.
        truth: columns `key` and `label`; replaces what was known of `archive`.
        archive: key of the archive that `truth` speaks of; it is kept in the workspace.
        rebuild: start from an empty file; the one that is there is set aside.
        patience: seconds to wait for another load.

    What no argument says of listings and truth is taken from the workspace.

    Raises:
        UserError: another load takes longer; a run is unknown; truth contradicts itself; a finished
            shard does not add up or misses a file (all others are loaded and published first);
            the disk is full.
    """
    if truth is not None and archive is None:
        raise ValueError("truth needs the key of the archive it speaks of")
    check_on_disk(path)
    check_truth(truth)
    if truth is not None and archive is not None:
        keep_truth(workspace, archive, truth)
    path = path.resolve()
    lake = is_lake(path)
    working = path.with_name(f"{path.stem}.loading{path.suffix}")
    with (
        only_loader(path, patience),
        _in_words(path),
        interruptible(),
        scratch_folder(f"load-{uuid.uuid4().hex}") as scratch,
    ):
        news = gather(workspace, runs, dict(listed or {}), scratch)
        if lake:
            if rebuild:
                _set_lake_aside(path)
            counts = load_lake(path, news, progress)
            _complain(news, counts.unmarked, counts.shards, counts.refused)
            return Loaded(counts.shards, counts.images, counts.published)
        if rebuild:
            set_aside(path, working)
        elif _is_damaged(path):
            raise UserError(_damaged(path))
        if not working.exists():
            if path.exists() and not _is_behind(path, news):
                if news.damaged:
                    raise UserError("; ".join(news.damaged[:3]))
                return Loaded(shards=0, images=0, published=False)
            prepare_file(path, working)
        with closing(open_file(working)) as connection:
            loaded, images, refused = load_shards(connection, news, progress)
            unmarked = mark(connection, news)
            connection.checkpoint()
        publish_file(working, path)
    _complain(news, unmarked, loaded, refused)
    return Loaded(loaded, images, published=True)


def _complain(news: News, unmarked: list[str], loaded: int, refused: list[str]) -> None:
    """Raise UserError if something of the workspace could not be loaded; all else is."""
    wrong = [*news.damaged, *unmarked]
    if refused:
        wrong.append(
            f"{len(refused)} of {loaded + len(refused)} finished shards cannot be loaded: "
            + "; ".join(refused[:3])
            + ("; ..." if len(refused) > 3 else "")
            + " (all others are loaded; label or relabel again, and what is missing is made anew)"
        )
    if wrong:
        raise UserError("; ".join(wrong[:3]))


def _set_lake_aside(path: Path) -> None:
    """Rename a lake's folder, so that the next load makes it from the workspace alone."""
    if path.exists():
        aside = path.with_name(f"{path.stem}.before-rebuild{path.suffix}")
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(path, aside)
        log.warning("the lake that was there is kept as %s", aside)


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """What a disk without room, or without memory, makes of a load, in one sentence."""
    try:
        yield
    except (OSError, duckdb.Error) as error:
        if isinstance(error, duckdb.Error) and is_damage(error):
            raise UserError(_damaged(path)) from None
        if not isinstance(error, OSError | duckdb.OperationalError | duckdb.FatalException):
            raise
        raise UserError(
            f"the load into {path} was cut off ({first_line(error)}): make room on the disk, then "
            "load again; it resumes where it stopped"
        ) from None


def _damaged(path: Path) -> str:
    return (
        f"{path} is damaged: lazsl load --rebuild --warehouse {shlex.quote(str(path))} sets it "
        "aside and makes it anew from the workspace"
    )


def _is_damaged(path: Path) -> bool:
    """True when the published file cannot be opened for what it holds."""
    if not path.is_file():
        return False
    try:
        open_any_version(path).close()
    except Busy:
        return False
    except DamagedError:
        return True
    return False


def set_aside(path: Path, working: Path) -> None:
    """Rename a warehouse, so that the next load makes it from the workspace alone."""
    for leftover in (working, write_ahead_log(working), write_ahead_log(path)):
        leftover.unlink(missing_ok=True)
    if path.exists():
        aside = path.with_name(f"{path.stem}.before-rebuild{path.suffix}")
        os.replace(path, aside)
        log.warning("the warehouse that was there is kept as %s", aside)


def _is_behind(path: Path, news: News) -> bool:
    """True when the published warehouse lacks something."""
    try:
        connection = open_any_version(path)
    except Busy:
        return True
    with closing(connection):
        if definitions_of(connection, path) != current_definitions():
            return True
        return bool(unloaded(connection, news)) or would_mark(connection, news)
