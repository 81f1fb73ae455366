"""What is new in a workspace, and how it gets into the loader's file (`warehouse.py`).

A shard is one transaction: read ahead, checked against its marker, then all of it or nothing.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from lazsl import records, sqlfiles
from lazsl import workspace as layout
from lazsl.errors import UserError
from lazsl.sqlfiles import CONFIG, Connection, first_line
from lazsl.storage import Folder, masked

_AHEAD = 2  # shards read while one is loaded; memory holds three at most
_READERS = 8  # files read at a time, which hides the latency of an object store
_BOXES = ["image_id", "region", "left", "top", "right", "bottom"]
_PROMPTS = ["class_index", "class", "attribute_index", "attribute", "prompt"]


@dataclass(frozen=True)
class News:
    """What a load was asked to bring in."""

    workspace: Folder
    runs: Sequence[str] | None
    listed: Mapping[str, pa.Table]
    truth: pa.Table | None
    archive: str | None


class _Refused(Exception):
    """Why one shard cannot be loaded."""


def unloaded(connection: Connection, news: News) -> list[tuple[str, str]]:
    """Run and shard of everything that is finished and not in the warehouse.

    Raises:
        UserError: a run that was asked for is not in the workspace.
    """
    known = layout.runs(news.workspace)
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
        finished = layout.done_shards(news.workspace, run)
        todo += [(run, shard) for shard in finished if shard not in done]
    return todo


def check_truth(truth: pa.Table | None) -> None:
    """Nothing, when no key has two labels.

    Raises:
        UserError: a key has two labels; the sentence names one such key.
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
    return [found for found in layout.audit_tables(news.workspace) if found not in done]


def _load_audit(
    connection: Connection, workspace: Folder, table: str, archive: str, batch: str
) -> None:
    name = layout.audit_table(table, archive, batch)
    try:
        read = _read(workspace, name, records.AUDIT_TABLES[table].names)
    except _Refused as error:
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
    loaded = images = 0
    refused = []
    boxed = set(sqlfiles.run(connection, "load/boxes_done.sql").fetchall())
    jobs = {run: news.workspace.read_json(layout.run_record(run)) for run, _ in todo}
    for done, (run, shard, files) in enumerate(_read_ahead(news, todo, jobs, boxed), start=1):
        try:
            images += _load_shard(connection, news.workspace, jobs[run], shard, files)
            loaded += 1
            boxed.add((jobs[run]["encoder"], jobs[run]["regions"], shard))
        except (_Refused, ValueError, duckdb.DataError) as error:
            refused.append(f"shard {shard} of run {run}: {first_line(error)}")
        except KeyError as error:
            refused.append(f"shard {shard} of run {run}: its marker or run.json lacks {error}")
        if progress is not None:
            progress(done, len(todo))
    return loaded, images, refused


def _read_ahead(
    news: News,
    todo: Sequence[tuple[str, str]],
    jobs: Mapping[str, dict[str, Any]],
    boxed: set[tuple[str, str, str]],
) -> Iterator[tuple[str, str, dict[str, Future[Any]]]]:
    """Run, shard and the shard's marker and tables, which are read while earlier ones are loaded.

    Boxes belong to the embeddings, which runs share: they are read once.
    """
    with ThreadPoolExecutor(_READERS) as pool:
        waiting: deque[tuple[str, str, dict[str, Future[Any]]]] = deque()
        for run, shard in todo:
            encoder, regions = jobs[run]["encoder"], jobs[run]["regions"]
            names = {"new_images": (layout.images(encoder, regions, shard), records.IMAGES.names)}
            for table, schema in records.RUN_TABLES.items():
                names[f"new_{table}"] = (layout.run_table(run, table, shard), schema.names)
            if (encoder, regions, shard) not in boxed:
                names["new_regions"] = (layout.region_embeddings(encoder, regions, shard), _BOXES)
            files: dict[str, Future[Any]] = {
                name: pool.submit(_read, news.workspace, file, columns)
                for name, (file, columns) in names.items()
            }
            files["marker"] = pool.submit(news.workspace.read_json, layout.marker(run, shard))
            waiting.append((run, shard, files))
            if len(waiting) > _AHEAD:
                yield waiting.popleft()
        yield from waiting


def _read(workspace: Folder, name: str, columns: list[str]) -> pa.Table:
    later = [c for c in columns if c in records.LATER or c == "passed_over"]
    try:
        table = workspace.read_table(name, None if later else columns)
    except FileNotFoundError:
        raise _Refused(f"its file {name} is missing") from None
    except pa.ArrowInvalid as error:
        raise _Refused(f"its file {name} cannot be read: {error}") from None
    for column in set(later) - set(table.column_names):
        known = records.PLANS if column == "passed_over" else records.PREDICTIONS
        value = pa.scalar(records.LATER.get(column), known.field(column).type)
        table = table.append_column(column, pa.repeat(value, len(table)))
    if missing := sorted(set(columns) - set(table.column_names)):
        raise _Refused(f"its file {name} lacks the column {missing[0]!r}")
    return table


def _load_shard(
    connection: Connection,
    workspace: Folder,
    job: dict[str, Any],
    shard: str,
    files: dict[str, Future[Any]],
) -> int:
    """Images in the shard, which is in the warehouse afterwards; after an exception nothing is."""
    read = {name: file.result() for name, file in files.items()}
    marker = read.pop("marker")
    run, archive = job["run"], job["archive"]
    if (marker["run"], marker["shard"]) != (run, shard):
        raise _Refused(f"its marker is that of shard {marker['shard']} of run {marker['run']}")
    counts = {name: int(marker[name]) for name in ("listed", "labelled", "rejected")}
    embedding = {"encoder": job["encoder"], "regions": job["regions"], "shard": shard}
    seconds = {
        f"{name}_seconds": marker["seconds"].get(name) for name in ("stage", "embed", "score")
    }
    with sqlfiles.registered(connection, read), sqlfiles.transaction(connection):
        problems = sqlfiles.run(connection, "load/check.sql", **counts).fetchall()
        if "new_regions" in read:
            problems += sqlfiles.run(connection, "load/check_regions.sql").fetchall()
        if problems:
            raise _Refused(
                "it does not add up: "
                + ", ".join(f"{what}: {expected} but {found}" for what, expected, found in problems)
            )
        _load_run(connection, workspace, job)
        sqlfiles.run(connection, "load/images.sql", archive=archive, shard=shard)
        sqlfiles.run(connection, "load/images_decoded.sql", archive=archive, shard=shard)
        if "new_regions" in read:
            sqlfiles.run(connection, "load/regions.sql", **embedding)
        for table in (*records.RUN_TABLES, "rejects"):
            sqlfiles.run(connection, f"load/{table}.sql", run=run, shard=shard)
        sqlfiles.run(
            connection,
            "load/shard.sql",
            run=run,
            shard=shard,
            **counts,
            **seconds,
            crops=marker["crops"],
            bytes=marker["bytes"],
            finished=marker["finished"],
        )
    return counts["listed"]


def _load_run(connection: Connection, workspace: Folder, job: dict[str, Any]) -> None:
    """The run's own row and its label set, with the first of its shards."""
    if sqlfiles.run(connection, "load/run_done.sql", run=job["run"]).fetchall()[0][0]:
        return
    attributes = _read(workspace, layout.attributes(job["encoder"], job["labels"]), _PROMPTS)
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
