"""Whether there is a warehouse at all, which is asked before DuckDB is imported."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from lazsl.errors import UserError

CATALOG = "lake.json"
"""In the folder of a lake: which files are the lake."""

SUFFIX = ".lake"
"""Of a folder that does not have to be there yet to be a lake."""


def check_on_disk(path: Path) -> None:
    """Raise UserError if what was named as a warehouse or a lake is a URL, whose parts would become
    folders: DuckDB locks and maps its file, and the catalog of a lake is replaced in one step."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):
        url = re.sub(":/+", "://", str(path), count=1)
        raise UserError(
            f"{url} is a URL; a warehouse, or a lake, lies on a local or mounted disk: name a path "
            "there (the workspace may stay in a bucket, and what is loaded can be copied into one: "
            f"first the Parquet files of a lake, then its {CATALOG})"
        )


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
