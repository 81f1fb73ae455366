"""What the shell offers for a half-typed argument: runs of a workspace, classes of a label set.

Whatever goes wrong, nothing is offered: a completion must not write into the line being typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

_PLAIN = re.compile(r"[\w .,:+=@%/-]+")
"""What a shell takes as it is: it puts an offer into the line without quotes, and runs the line."""


def run_keys(context: typer.Context, incomplete: str) -> list[str]:
    """Keys of the workspace's runs that begin with what was typed, newest first."""
    from lazsl.store.folder import Folder
    from lazsl.store.paths import run_records

    try:
        records = run_records(Folder(context.params.get("workspace") or "workspace"))
    except Exception:  # see the module's docstring
        return []
    return _plain(str(r["run"]) for r in records if str(r["run"]).startswith(incomplete))


def class_names(context: typer.Context, incomplete: str) -> list[str]:
    """Classes that the warehouse's runs know, beginning with what was typed."""
    return _first_column(context, "complete/classes.sql", incomplete)


def image_keys(context: typer.Context, incomplete: str) -> list[str]:
    """Keys of images that begin with what was typed."""
    return _first_column(context, "complete/images.sql", incomplete)


def _first_column(context: typer.Context, file: str, begin: str) -> list[str]:
    from lazsl.cli.options import warehouse_of
    from lazsl.warehouse import sqlfiles
    from lazsl.warehouse.opening import open_warehouse

    named: Path | None = context.params.get("warehouse")
    workspace = context.params.get("workspace") or "workspace"
    try:
        with closing(open_warehouse(warehouse_of(workspace, named))) as connection:
            rows = sqlfiles.run(connection, file, begin=begin).fetchall()
    except Exception:  # see the module's docstring
        return []
    return _plain(str(row[0]) for row in rows)


def _plain(names: Iterable[str]) -> list[str]:
    """The names that are offered; others may be a stranger's command."""
    return [name for name in names if _PLAIN.fullmatch(name)]


_RUN: dict[str, Any] = {
    "help": "Key of a run, or the beginning of it (default: the latest).",
    "autocompletion": run_keys,
}
RunKey = Annotated[str | None, typer.Argument(**_RUN)]
RunOption = Annotated[str | None, typer.Option("--run", **_RUN)]
