"""The comparison of two runs: what changed its label, and which attributes moved it."""

from __future__ import annotations

from itertools import islice
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
    compared: dict[str, Any] = sqlfiles.rows(connection, "report/compared.sql", **both)[0]
    pairs = sqlfiles.run(connection, "report/changed_labels.sql", **both, how_many=PAIRS)
    compared |= {"against": against, "chunks": [], "pairs": pairs.fetchall()}
    rows = sqlfiles.each_row(
        sqlfiles.run(connection, "report/changed_images.sql", **both, how_many=MOVED)
    )
    written = 0
    while changed := list(islice(rows, CHUNK)):
        for row in changed:
            row["file"] = numbers.get(f"{row.pop('shard')}-{row.pop('part')}", -1)
        written += site.data(f"changed-{len(compared['chunks'])}", changed)
        compared["chunks"].append(len(changed))
    return compared, written
