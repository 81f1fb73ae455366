"""What is new in a workspace, against what the warehouse has: finished shards, listings, truth,
samples and judgements. All but the shards, which are `loading`'s, are brought in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from lazsl.archive.still_listed import Rows
from lazsl.archive.versions import version_of
from lazsl.errors import DamagedError, UserError
from lazsl.store import paths, schemas
from lazsl.store.folder import Folder
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.finished_shards import Refused, read_columns
from lazsl.warehouse.sqlfiles import CONFIG, Connection


@dataclass(frozen=True)
class News:
    """What a load was asked to bring in.

    `records` are those of the runs that are meant, by their key; `listed` (image_id) and `truth`
    are by archive key; `damaged` has a sentence for all of the workspace that cannot be read.
    """

    workspace: Folder
    records: Mapping[str, dict[str, Any]]
    listed: Mapping[str, Rows]
    truth: Mapping[str, pa.Table]
    damaged: Sequence[str] = ()


@dataclass(frozen=True)
class Finished:
    """A finished shard of a run: the version of its completion marker, and the row that the
    warehouse has of it, if any: what `load/shards_done.sql` says."""

    run: str
    shard: str
    version: str
    row: tuple[Any, ...] | None


def unloaded(connection: Connection, news: News) -> list[Finished]:
    """Everything that is finished and not in the warehouse, or there from another marker."""
    todo = []
    for run in sorted(news.records):
        done = sqlfiles.run(connection, "load/shards_done.sql", run=run).fetchall()
        rows = {row[0]: row for row in done}
        for shard, version in done_versions(news.workspace, run).items():
            row = rows.get(shard)
            if row is None or row[1] != version:
                todo.append(Finished(run, shard, version, row))
    return todo


def done_versions(workspace: Folder, run: str) -> dict[str, str]:
    """The finished shards of a run, each with what changes when it is made anew."""
    markers = workspace.details(f"runs/{run}/shards", ".json")
    return {
        name.rsplit("/", 1)[1].removesuffix(".json"): version_of(info)
        for name, info in sorted(markers.items())
    }


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
        key, first, other = conflicts[0]
        raise UserError(f"truth has two labels for {key!r}: {first!r} and {other!r}; keep one")


def would_mark(connection: Connection, news: News) -> bool:
    """True when listings, truth, samples or judgements differ from what the warehouse has."""
    if _new_audits(connection, news):
        return True
    for archive, table in news.listed.items():
        with sqlfiles.registered(connection, {"new_listed": table}):
            changes = sqlfiles.run(connection, "load/listed_changes.sql", archive=archive)
            if changes.fetchall()[0][0]:
                return True
    return any(_truth_differs(connection, news, archive) for archive in news.truth)


def _truth_differs(connection: Connection, news: News, archive: str) -> bool:
    with sqlfiles.registered(connection, {"new_truth": news.truth[archive]}):
        changes = sqlfiles.run(connection, "load/truth_changes.sql", archive=archive)
        return bool(changes.fetchall()[0][0])


def mark(connection: Connection, news: News) -> list[str]:
    """Bring listings, samples, judgements and truth up to date; a sentence for every file of a
    sample or of judgements that cannot be read."""
    refused = []
    for kind, archive, batch in _new_audits(connection, news):
        try:
            _load_audit(connection, news.workspace, kind, archive, batch)
        except Refused as error:
            refused.append(
                f"{kind} {batch}: {error}; restore it from a copy, or delete it, and draw or "
                "import it again"
            )
    for archive, table in news.listed.items():
        with sqlfiles.registered(connection, {"new_listed": table}):
            sqlfiles.run(connection, "load/listed.sql", archive=archive)
    for archive, table in news.truth.items():
        if _truth_differs(connection, news, archive):
            with (
                sqlfiles.registered(connection, {"new_truth": table}),
                sqlfiles.transaction(connection),
            ):
                sqlfiles.run(connection, "load/truth_remove.sql", archive=archive)
                sqlfiles.run(connection, "load/truth.sql", archive=archive)
    return refused


def _new_audits(connection: Connection, news: News) -> list[tuple[str, str, str]]:
    """Samples and judgements that the warehouse does not hold: of the whole workspace."""
    done = set(sqlfiles.run(connection, "load/audits_done.sql").fetchall())
    return [table for table in paths.audit_tables(news.workspace) if table not in done]


def _load_audit(
    connection: Connection, workspace: Folder, table: str, archive: str, batch: str
) -> None:
    name = paths.audit_table(table, archive, batch)
    try:
        read = read_columns(workspace, name, schemas.AUDIT_TABLES[table].names)
    except DamagedError as error:
        where = workspace.path(name)
        raise Refused(f"its file {where} is damaged: {error.why}") from None
    with sqlfiles.registered(connection, {f"new_{table}": read}), sqlfiles.transaction(connection):
        sqlfiles.run(connection, f"load/{table}.sql")
