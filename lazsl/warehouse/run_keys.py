"""Which run of a warehouse is meant, and how it stands."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from lazsl.errors import UserError
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
        return sqlfiles.rows(connection, "status.sql", run=find_run(connection, run))[0]


def find_run(connection: Connection, run: str | None = None) -> str:
    """Key of the run in the warehouse that begins like this; None means the latest.

    Raises:
        UserError: there is no such run, or there are several.
    """
    known = [str(row[0]) for row in sqlfiles.run(connection, "runs.sql").fetchall()]
    if not known:
        raise UserError("no run was loaded into the warehouse yet; run lazsl load")
    wanted = known[0] if run is None else run
    matching = [wanted] if wanted in known else [key for key in known if key.startswith(wanted)]
    if len(matching) != 1:
        found = "no run" if not matching else f"{len(matching)} runs"
        begins = "begins" if not matching else "begin"
        raise UserError(
            f"{found} in the warehouse {begins} with {wanted!r}; there are {', '.join(known)} "
            "(lazsl load brings in what a workspace has)"
        )
    return matching[0]
