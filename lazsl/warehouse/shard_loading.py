"""How finished shards get into the loader's file.

Some shards are one transaction: read ahead, each checked against its marker, then all of them or
nothing. (Every statement and every commit costs the same for one shard as for many.)
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

from lazsl.errors import DamagedError, UserError
from lazsl.store import damage, paths, schemas
from lazsl.store.folder import Folder
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.finished_shards import (
    MOST_SHARDS,
    READERS,
    TOGETHER,
    Reading,
    Refused,
    RunRefused,
    Shard,
    read_ahead,
    read_columns,
    relations,
)
from lazsl.warehouse.not_loaded import Finished, News, unloaded
from lazsl.warehouse.sqlfiles import Connection, first_line

log = logging.getLogger(__name__)

_PROMPTS = ["class_index", "class", "attribute_index", "attribute", "prompt"]


_WRONG = (
    *(Refused, KeyError, ValueError, TypeError, AttributeError),
    *(DamagedError, FileNotFoundError, pa.ArrowException, duckdb.DataError),
)
"""What is wrong with a shard and not with the disk."""


def load_shards(
    connection: Connection, news: News, progress: Callable[[int, int], None] | None
) -> tuple[int, int, list[str]]:
    """Shards loaded, images in them, and a sentence for every shard that was refused.

    A shard that was made anew replaces what was loaded of it. What of a refused shard is damaged is
    set aside, so that it counts as missing and is made anew.
    """
    unsure = unloaded(connection, news)
    same = unchanged(news.workspace, unsure)
    todo = [finished for finished in unsure if finished not in same]
    boxed = set(sqlfiles.run(connection, "load/boxes_done.sql").fetchall())
    loaded, images, refused = load_these(connection, news, todo, boxed, progress)
    note_versions(connection, news, unsure)
    return loaded, images, refused


def load_these(
    connection: Connection,
    news: News,
    todo: Sequence[Finished],
    boxed: set[tuple[str, str, str]],
    progress: Callable[[int, int], None] | None,
) -> tuple[int, int, list[str]]:
    """What `load_shards` returns, of these shards.

    Args:
        connection: to the loader's file.
        news: what they are of.
        todo: the shards.
        boxed: encoder, regions and shard of boxes that are there already.
        progress: called after every shard with the shards done and the shards to do.
    """
    jobs = news.records
    anew = {(finished.run, finished.shard) for finished in todo if finished.row is not None}
    for finished in todo:
        if finished.row is not None:
            boxed.discard(
                (jobs[finished.run]["encoder"], jobs[finished.run]["regions"], finished.shard)
            )
    done = images = 0
    refused: list[str] = []
    names = [(finished.run, finished.shard) for finished in todo]
    for read, unreadable in _batches(read_ahead(news.workspace, names, jobs, boxed)):
        wrong = _load(connection, news.workspace, jobs, read, anew)
        for shard in read:
            if shard not in wrong:
                images += shard.images
                job = jobs[shard.run]
                boxed.add((job["encoder"], job["regions"], shard.name))
        for run, name, error in [*unreadable, *wrong.values()]:
            refused.append(_sentence(run, name, error))
            _set_aside(news.workspace, run, name, error)
        for _ in range(len(read) + len(unreadable)):
            done += 1
            if progress is not None:
                progress(done, len(todo))
    loaded = done - len(refused)
    doubled = [sentence for run in jobs for sentence in _refuse_doubled(connection, news, run)]
    return loaded - len(doubled), images, refused + doubled


def note_versions(connection: Connection, news: News, finished: Sequence[Finished]) -> None:
    """Remember as which versions the markers of these shards were looked at."""
    for run in news.records:
        rows = [
            {"shard": each.shard, "version": each.version} for each in finished if each.run == run
        ]
        versions = pa.Table.from_pylist(rows, schema=_VERSIONS)
        with sqlfiles.registered(connection, {"new_versions": versions}):
            sqlfiles.run(connection, "load/versions.sql", run=run)


_VERSIONS = pa.schema([("shard", pa.string()), ("version", pa.string())])


def unchanged(workspace: Folder, unsure: Sequence[Finished]) -> set[Finished]:
    """Those of the shards whose marker says what the warehouse has, whatever file it is in now."""

    def same(finished: Finished) -> bool:
        if finished.row is None:
            return False
        try:
            name = paths.marker(finished.run, finished.shard)
            marker = workspace.read_record(name, paths.MARKER_FIELDS)
            moment = round(datetime.fromisoformat(marker["finished"]).timestamp() * 1e6)
        except (DamagedError, FileNotFoundError, TypeError, ValueError):
            return False
        counts = tuple(marker[name] for name in ("listed", "labelled", "rejected"))
        return bool((moment, *counts) == finished.row[2:])

    with ThreadPoolExecutor(READERS) as pool:
        known = list(pool.map(same, unsure))
    return {finished for finished, is_same in zip(unsure, known, strict=True) if is_same}


def _set_aside(workspace: Folder, run: str, shard: str, error: Exception) -> None:
    """Have a refused shard made anew: what is damaged, or else its completion marker, goes."""
    damaged = error.__cause__ if isinstance(error, RunRefused) else error
    try:
        if isinstance(damaged, DamagedError) and workspace.exists(damaged.name):
            damage.set_aside(workspace, damaged)
        if not isinstance(error, RunRefused):
            workspace.set_aside(paths.marker(run, shard))
    except UserError as trouble:
        log.warning("%s", trouble)  # a workspace that may only be read


def _refuse_doubled(connection: Connection, news: News, run: str) -> list[str]:
    """Take out again what brought an image into the run a second time; a sentence for each."""
    sentences = []
    while doubled := sqlfiles.run(connection, "load/doubled.sql", run=run).fetchall():
        sentences.append(refuse_double(connection, news, run, *doubled[0]))
    return sentences


def refuse_double(
    connection: Connection, news: News, run: str, shard: str, images: int, example: str, other: str
) -> str:
    """Take out again a shard that brought images into the run a second time; a sentence on it."""
    with sqlfiles.transaction(connection):
        forget(connection, run, pa.table({"shard": [shard]}))
    return (
        f"shard {shard} of run {run}: {images} of its images, such as {example}, are in shard "
        f"{other} already (two planners once cut the archive at the same time?); to leave it "
        f"out, delete {news.workspace.path(paths.marker(run, shard))}"
    )


def forget(connection: Connection, run: str, shards: pa.Table) -> None:
    """Take out what was loaded of some shards of a run."""
    with sqlfiles.registered(connection, {"forgotten": shards}):
        for table in (*schemas.RUN_TABLES, "rejects", "shards"):
            sqlfiles.run(connection, f"load/forget_{table}.sql", run=run)


Wrong = tuple[str, str, Exception]
"""Run and shard that cannot be loaded, and why."""


def _batches(readings: Iterable[Reading]) -> Iterator[tuple[list[Shard], list[Wrong]]]:
    """Shards of one run that are loaded together, and those that cannot be read."""
    read: list[Shard] = []
    refused: list[Wrong] = []
    for reading in readings:
        try:
            shard = reading.result()
        except _WRONG as error:
            refused.append((reading.run, reading.name, error))
            continue
        # Boxes are read for all of them, or for none.
        alike = not read or (read[0].run, read[0].tables.keys()) == (shard.run, shard.tables.keys())
        images = sum(s.images for s in read) + shard.images
        if not alike or images > TOGETHER or len(read) >= MOST_SHARDS:
            yield read, refused
            read, refused = [], []
        read.append(shard)
    yield read, refused


def _load(
    connection: Connection,
    workspace: Folder,
    jobs: Mapping[str, Any],
    shards: Sequence[Shard],
    anew: Collection[tuple[str, str]],
) -> dict[Shard, Wrong]:
    """Why some of the shards were refused; the others are in the warehouse.

    They are loaded in one transaction; if that fails, each in its own.
    """
    if not shards:
        return {}
    try:
        _load_together(connection, workspace, jobs[shards[0].run], shards, anew)
    except _WRONG as error:
        if len(shards) == 1:
            return {shards[0]: (shards[0].run, shards[0].name, error)}
        alone = [_load(connection, workspace, jobs, [shard], anew) for shard in shards]
        return {shard: why for refused in alone for shard, why in refused.items()}
    return {}


def _sentence(run: str, shard: str, error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"shard {shard} of run {run}: its marker or run.json lacks {error}"
    if isinstance(error, DamagedError):
        return f"shard {shard} of run {run}: its file {error.name} is damaged: {error.why}"
    return f"shard {shard} of run {run}: {first_line(error)}"


def _load_together(
    connection: Connection,
    workspace: Folder,
    job: dict[str, Any],
    shards: Sequence[Shard],
    anew: Collection[tuple[str, str]],
) -> None:
    """Load shards of one run; after an exception nothing of any is in the warehouse, but what was
    there before of those in `anew` (run, shard)."""
    read = relations(shards)
    run, archive = job["run"], job["archive"]
    replaced = pa.table({"shard": [s.name for s in shards if (run, s.name) in anew]})
    with sqlfiles.registered(connection, read), sqlfiles.transaction(connection):
        problems = sqlfiles.run(connection, "load/check.sql").fetchall()
        if "new_regions" in read:
            problems += sqlfiles.run(connection, "load/check_regions.sql").fetchall()
        if problems:
            raise Refused(
                "it does not add up: "
                + ", ".join(
                    f"{what}: {wanted} but {actual}" for _, what, wanted, actual in problems
                )
            )
        if len(replaced):
            forget(connection, run, replaced)
        _load_run(connection, workspace, job)
        sqlfiles.run(connection, "load/images.sql", archive=archive)
        sqlfiles.run(connection, "load/images_decoded.sql", archive=archive)
        if "new_regions" in read:
            embedding = {"encoder": job["encoder"], "regions": job["regions"]}
            if len(replaced):
                with sqlfiles.registered(connection, {"forgotten": replaced}):
                    sqlfiles.run(connection, "load/forget_regions.sql", **embedding)
            sqlfiles.run(connection, "load/regions.sql", **embedding)
        for table in (*schemas.RUN_TABLES, "rejects", "shards"):
            sqlfiles.run(connection, f"load/{table}.sql", run=run)


def _load_run(connection: Connection, workspace: Folder, job: dict[str, Any]) -> None:
    """The run's own row and its label set, with the first of its shards."""
    if sqlfiles.run(connection, "load/run_done.sql", run=job["run"]).fetchall()[0][0]:
        return
    name = paths.attributes(job["encoder"], job["labels"])
    try:
        attributes = read_columns(workspace, name, _PROMPTS)
    except DamagedError as error:
        raise RunRefused(f"the label set in {name} is damaged: {error.why}") from error
    except Refused:
        raise RunRefused(f"the label set in {name} is missing") from None
    plain = ("run", "archive", "archive_url", "encoder", "regions", "labels", "model")
    sqlfiles.run(
        connection,
        "load/run.sql",
        **{name: job[name] for name in plain},
        classes=job["classes"],
        attributes=job["attributes"],
        job=json.dumps(job["job"], ensure_ascii=False),
        software=json.dumps(job["software"], ensure_ascii=False),
        created=job["created"],
    )
    with sqlfiles.registered(connection, {"new_attributes": attributes}):
        sqlfiles.run(connection, "load/attributes.sql", labels=job["labels"])
