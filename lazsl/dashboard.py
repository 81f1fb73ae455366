"""What an operator wants to see of a run at a glance, from the warehouse."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lazsl import sqlfiles, warehouse
from lazsl.warehouse import open_warehouse


@dataclass(frozen=True)
class Dashboard:
    """status: as `warehouse.status`. cost: what this run fetched and encoded itself. labels: the
    most frequent ones. shards: the slowest ones."""

    status: dict[str, Any]
    cost: dict[str, Any]
    labels: list[dict[str, Any]]
    shards: list[dict[str, Any]]


def read_dashboard(path: Path, run: str, labels: int = 20, shards: int = 500) -> Dashboard:
    """The dashboard of one run.

    Raises:
        UserError: there is no such warehouse, or no such run in it.
    """
    status = warehouse.status(path, run)
    with closing(open_warehouse(path)) as connection:

        def rows(name: str, **how_many: int) -> list[dict[str, Any]]:
            found = sqlfiles.run(connection, f"dashboard/{name}.sql", run=run, **how_many)
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

        return Dashboard(
            status,
            rows("cost")[0],
            rows("labels", how_many=labels),
            rows("shards", how_many=shards),
        )
