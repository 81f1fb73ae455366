"""Which run of a warehouse is meant, and how it stands."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from lazsl.archive.still_listed import Rows
from lazsl.errors import UserError
from lazsl.store import keys
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.opening import open_warehouse
from lazsl.warehouse.sqlfiles import Connection


def status(path: Path, run: str | None = None) -> dict[str, Any]:
    """Reconciled counts, rejects, accuracy and timings of a run, ready for JSON.

    Args:
        path: the warehouse.
        run: run key or its beginning; None means the latest.

    Raises:
        UserError: there is no such warehouse, or no such run in it.
    """
    with closing(open_warehouse(path)) as connection:
        _bounded(connection)
        return sqlfiles.rows(connection, "status.sql", run=find_run(connection, run))[0]


def status_of_listed(path: Path, run: str, images: Rows) -> dict[str, Any]:
    """The same, with the counts of the images that are listed now, and `versions`, of the
    completion markers that were loaded. While the warehouse has nothing of the run: these alone.

    Args:
        path: the warehouse.
        run: run key.
        images: columns image_id, shard, and done: whether the run has finished it.

    Raises:
        UserError: the warehouse cannot be read.
    """
    with (
        closing(open_warehouse(path)) as connection,
        sqlfiles.registered(connection, {"new_listed": images}),
    ):
        _bounded(connection)
        known = [row[0] for row in sqlfiles.run(connection, "runs.sql").fetchall()]
        (counts,) = sqlfiles.rows(connection, "status_listed.sql", run=run)
        counts["rejects"] = dict(sqlfiles.run(connection, "status_rejects.sql", run=run).fetchall())
        done = sqlfiles.run(connection, "load/shards_done.sql", run=run).fetchall()
        counts["versions"] = {row[0]: row[1] for row in done}
    return {**(status(path, run) if run in known else {}), **counts}


def _bounded(connection: Connection) -> None:
    """What is joined of all images waits on the disk, where it is more than this."""
    connection.execute("set memory_limit = '1GB'")


def find_run(connection: Connection, run: str | None = None) -> str:
    """Key of the run in the warehouse that begins like this; None means the latest.

    Raises:
        UserError: there is no such run, or there are several.
    """
    known = [str(row[0]) for row in sqlfiles.run(connection, "runs.sql").fetchall()]
    if not known:
        raise UserError("no run was loaded into the warehouse yet; run lazsl load")
    advice = " (lazsl load brings in what a workspace has)"
    return keys.begun(known[0] if run is None else run, known, "run", "in the warehouse", advice)
