"""Whether there is a warehouse at all, which is asked before DuckDB is imported."""

from __future__ import annotations

import shlex
from pathlib import Path

from lazsl.errors import UserError

CATALOG = "lake.json"
"""In the folder of a lake: which files are the lake."""

SUFFIX = ".lake"
"""Of a folder that does not have to be there yet to be a lake."""


def is_lake(path: Path) -> bool:
    """Whether a warehouse of this name is a lake, or would become one."""
    if path.is_dir():
        return (
            path.suffix == SUFFIX
            or (path / CATALOG).exists()
            or any(path.glob("predictions.*.parquet"))
        )
    return path.suffix == SUFFIX and not path.exists()


def check_present(path: Path) -> None:
    """Raise UserError if the path names neither a file nor a lake."""
    if path.exists() and is_lake(path):
        return
    if path.is_dir():
        raise UserError(
            f"{path} is a folder and no lake; name the warehouse's file, such as {path}/w.duckdb, "
            f"or make a lake there: lazsl load --lake {shlex.quote(str(path))}"
        )
    if not path.is_file():
        raise UserError(
            f"there is no warehouse at {path}; label an archive first, or run `lazsl load`"
        )
