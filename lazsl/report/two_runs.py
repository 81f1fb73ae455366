"""The comparison of two runs: what changed its label, and which attributes moved it."""

from __future__ import annotations

from typing import Any

from lazsl.report.site import Site
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.sqlfiles import Connection

CHUNK = 500
"""Changed images per file."""

MOVED = 6
PAIRS = 12


def write_comparison(
    connection: Connection, site: Site, run: str, against: str, files: list[str]
) -> tuple[dict[str, Any], int]:
    """What the page says, with the number of images in each of its files, and their size in bytes.

    Labels are texts here, because the other run may have other classes.
    """
    numbers = {name: number for number, name in enumerate(files)}
    both = {"run": run, "against": against}
    found = sqlfiles.run(connection, "report/compared.sql", **both)
    columns = [column[0] for column in found.description or []]
    compared: dict[str, Any] = dict(zip(columns, found.fetchall()[0], strict=True))
    pairs = sqlfiles.run(connection, "report/changed_labels.sql", **both, how_many=PAIRS)
    compared |= {"against": against, "chunks": [], "pairs": pairs.fetchall()}
    found = sqlfiles.run(connection, "report/changed_images.sql", **both, how_many=MOVED)
    columns = [column[0] for column in found.description or []]
    written = 0
    while rows := found.fetchmany(CHUNK):
        changed = [dict(zip(columns, row, strict=True)) for row in rows]
        for row in changed:
            row["file"] = numbers.get(f"{row.pop('shard')}-{row.pop('part')}", -1)
        written += site.data(f"changed-{len(compared['chunks'])}", changed)
        compared["chunks"].append(len(changed))
    return compared, written
