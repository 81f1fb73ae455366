"""What is new in a workspace, and how it gets into the loader's file (`warehouse.py`).

Some shards are one transaction: read ahead, each checked against its marker, then all of them or
nothing. (Every statement and every commit costs the same for one shard as for many.)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from lazsl.errors import UserError
from lazsl.store import paths, schemas
from lazsl.store.folder import Folder
from lazsl.store.urls import masked
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.finished_shards import (
    TOGETHER,
    Reading,
    Refused,
    Shard,
    read_ahead,
    read_columns,
    relations,
)
from lazsl.warehouse.sqlfiles import CONFIG, Connection, first_line

_PROMPTS = ["class_index", "class", "attribute_index", "attribute", "prompt"]


@dataclass(frozen=True)
class News:
    """What a load was asked to bring in."""

    workspace: Folder
    runs: Sequence[str] | None
    listed: Mapping[str, pa.Table]
    truth: pa.Table | None
    archive: str | None


_WRONG = (Refused, KeyError, ValueError, pa.ArrowException, duckdb.DataError)
"""What is wrong with a shard and not with the disk."""


def unloaded(connection: Connection, news: News) -> list[tuple[str, str]]:
    """Run and shard of everything that is finished and not in the warehouse.

    Raises:
        UserError: a run that was asked for is not in the workspace.
    """
    known = paths.runs(news.workspace)
    wanted = known if news.runs is None else sorted(set(news.runs))
    if strangers := sorted(set(wanted) - set(known)):
        raise UserError(
            f"there is no run {strangers[0]!r} in {masked(news.workspace.url)}; "
            f"there are {', '.join(known) or 'none'}"
        )
    todo = []
    for run in wanted:
        rows = sqlfiles.run(connection, "load/shards_done.sql", run=run).fetchall()
        done = {row[0] for row in rows}
        finished = paths.done_shards(news.workspace, run)
        todo += [(run, shard) for shard in finished if shard not in done]
    return todo


def check_truth(truth: pa.Table | None) -> None:
    """Raise if a key has two labels.

    Raises:
        UserError: names one such key.
    """
    if truth is None:
        return
    with (
        closing(duckdb.connect(":memory:", config=CONFIG)) as connection,
        sqlfiles.registered(connection, {"new_truth": truth}),
    ):
        conflicts = sqlfiles.run(connection, "load/truth_conflicts.sql").fetchall()
    if conflicts:
        key, one, other = conflicts[0]
        raise UserError(f"truth has two labels for {key!r}: {one!r} and {other!r}; keep one")


def would_mark(connection: Connection, news: News) -> bool:
    """True when listings, truth, samples or judgements differ from what the warehouse has."""
    if _new_audits(connection, news):
        return True
    for archive, table in news.listed.items():
        with sqlfiles.registered(connection, {"new_listed": table}):
            found = sqlfiles.run(connection, "load/listed_changes.sql", archive=archive)
            if found.fetchall()[0][0]:
                return True
    if news.truth is None:
        return False
    with sqlfiles.registered(connection, {"new_truth": news.truth}):
        found = sqlfiles.run(connection, "load/truth_changes.sql", archive=news.archive)
        return bool(found.fetchall()[0][0])


def mark(connection: Connection, news: News) -> None:
    """Bring listings, samples, judgements and truth up to date.

    Raises:
        UserError: a file of a sample or of judgements cannot be read.
    """
    for kind, archive, batch in _new_audits(connection, news):
        _load_audit(connection, news.workspace, kind, archive, batch)
    for archive, table in news.listed.items():
        with sqlfiles.registered(connection, {"new_listed": table}):
            sqlfiles.run(connection, "load/listed.sql", archive=archive)
    if news.truth is None or not would_mark(connection, news):
        return
    with (
        sqlfiles.registered(connection, {"new_truth": news.truth}),
        sqlfiles.transaction(connection),
    ):
        sqlfiles.run(connection, "load/truth_remove.sql", archive=news.archive)
        sqlfiles.run(connection, "load/truth.sql", archive=news.archive)


def _new_audits(connection: Connection, news: News) -> list[tuple[str, str, str]]:
    """Samples and judgements that the warehouse does not hold: of the whole workspace."""
    done = set(sqlfiles.run(connection, "load/audits_done.sql").fetchall())
    return [found for found in paths.audit_tables(news.workspace) if found not in done]


def _load_audit(
    connection: Connection, workspace: Folder, table: str, archive: str, batch: str
) -> None:
    name = paths.audit_table(table, archive, batch)
    try:
        read = read_columns(workspace, name, schemas.AUDIT_TABLES[table].names)
    except Refused as error:
        raise UserError(
            f"{table} {batch} cannot be loaded: {error}; delete it, and draw or import it again"
        ) from None
    with sqlfiles.registered(connection, {f"new_{table}": read}), sqlfiles.transaction(connection):
        sqlfiles.run(connection, f"load/{table}.sql")


def load_shards(
    connection: Connection, news: News, progress: Callable[[int, int], None] | None
) -> tuple[int, int, list[str]]:
    """Shards loaded, images in them, and a sentence for every shard that was refused."""
    todo = unloaded(connection, news)
    boxed = set(sqlfiles.run(connection, "load/boxes_done.sql").fetchall())
    jobs = {run: paths.read_record(news.workspace, run) for run in {run for run, _ in todo}}
    done = images = 0
    refused: list[str] = []
    for read, unreadable in _batches(read_ahead(news.workspace, todo, jobs, boxed)):
        wrong = _load(connection, news.workspace, jobs, read)
        for shard in read:
            if shard not in wrong:
                images += shard.images
                job = jobs[shard.run]
                boxed.add((job["encoder"], job["regions"], shard.name))
        refused += [*unreadable, *wrong.values()]
        for _ in range(len(read) + len(unreadable)):
            done += 1
            if progress is not None:
                progress(done, len(todo))
    return done - len(refused), images, refused


def _batches(readings: Iterable[Reading]) -> Iterator[tuple[list[Shard], list[str]]]:
    """Shards of one run that are loaded together, and a sentence for each that cannot be read."""
    read: list[Shard] = []
    refused: list[str] = []
    for reading in readings:
        try:
            shard = reading.result()
        except _WRONG as error:
            refused.append(_sentence(reading.run, reading.name, error))
            continue
        # Boxes are read for all of them, or for none.
        alike = not read or (read[0].run, read[0].tables.keys()) == (shard.run, shard.tables.keys())
        if not alike or sum(s.images for s in read) + shard.images > TOGETHER:
            yield read, refused
            read, refused = [], []
        read.append(shard)
    yield read, refused


def _load(
    connection: Connection, workspace: Folder, jobs: Mapping[str, Any], shards: Sequence[Shard]
) -> dict[Shard, str]:
    """Why some of the shards were refused; the others are in the warehouse.

    They are loaded in one transaction; if that fails, each in its own.
    """
    if not shards:
        return {}
    try:
        _load_together(connection, workspace, jobs[shards[0].run], shards)
    except _WRONG as error:
        if len(shards) == 1:
            return {shards[0]: _sentence(shards[0].run, shards[0].name, error)}
        alone = [_load(connection, workspace, jobs, [shard]) for shard in shards]
        return {shard: why for refused in alone for shard, why in refused.items()}
    return {}


def _sentence(run: str, shard: str, error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"shard {shard} of run {run}: its marker or run.json lacks {error}"
    return f"shard {shard} of run {run}: {first_line(error)}"


def _load_together(
    connection: Connection, workspace: Folder, job: dict[str, Any], shards: Sequence[Shard]
) -> None:
    """Load shards of one run; after an exception nothing of any is in the warehouse."""
    read = relations(shards)
    run, archive = job["run"], job["archive"]
    with sqlfiles.registered(connection, read), sqlfiles.transaction(connection):
        problems = sqlfiles.run(connection, "load/check.sql").fetchall()
        if "new_regions" in read:
            problems += sqlfiles.run(connection, "load/check_regions.sql").fetchall()
        if problems:
            raise Refused(
                "it does not add up: "
                + ", ".join(f"{what}: {wanted} but {found}" for _, what, wanted, found in problems)
            )
        _load_run(connection, workspace, job)
        sqlfiles.run(connection, "load/images.sql", archive=archive)
        sqlfiles.run(connection, "load/images_decoded.sql", archive=archive)
        if "new_regions" in read:
            embedding = {"encoder": job["encoder"], "regions": job["regions"]}
            sqlfiles.run(connection, "load/regions.sql", **embedding)
        for table in (*schemas.RUN_TABLES, "rejects", "shards"):
            sqlfiles.run(connection, f"load/{table}.sql", run=run)


def _load_run(connection: Connection, workspace: Folder, job: dict[str, Any]) -> None:
    """The run's own row and its label set, with the first of its shards."""
    if sqlfiles.run(connection, "load/run_done.sql", run=job["run"]).fetchall()[0][0]:
        return
    attributes = read_columns(workspace, paths.attributes(job["encoder"], job["labels"]), _PROMPTS)
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
