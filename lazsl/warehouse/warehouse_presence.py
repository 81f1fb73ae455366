"""Whether there is a warehouse at all, which is asked before DuckDB is imported."""

from __future__ import annotations

from pathlib import Path

from lazsl.errors import UserError


def check_present(path: Path) -> None:
    """Raise UserError if the path names no file."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; name the warehouse's file, such as {path}/w.duckdb")
    if not path.is_file():
        raise UserError(
            f"there is no warehouse at {path}; label an archive first, or run `lazsl load`"
        )
