"""The rejects page: everything that could not be used, and why."""

from __future__ import annotations

from typing import Any

from lazsl.report.site import Site
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.sqlfiles import Connection

CHUNK = 1000
"""Rejects per file."""


def write_rejects(connection: Connection, site: Site, run: str) -> tuple[list[list[Any]], int]:
    """Reason and number of the rejects in each file, and the size of the files in bytes.

    A file holds rejects of one reason.
    """
    rejects = sqlfiles.run(connection, "report/rejects.sql", run=run)
    chunks: list[list[Any]] = []
    written = 0
    waiting: list[tuple[Any, ...]] = []

    def publish() -> int:
        nonlocal waiting
        size = site.data(f"rejects-{len(chunks)}", [row[1:] for row in waiting])
        chunks.append([waiting[0][0], len(waiting)])
        waiting = []
        return size

    while rows := rejects.fetchmany(CHUNK):
        for row in rows:
            if waiting and (row[0] != waiting[0][0] or len(waiting) == CHUNK):
                written += publish()
            waiting.append(row)
    if waiting:
        written += publish()
    return chunks, written
