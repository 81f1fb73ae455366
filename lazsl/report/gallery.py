"""The gallery's index: a few columns of every image, in files that are loaded one after the other.

Images lie least certain first, so that the first file has the first page.
"""

from __future__ import annotations

from typing import Any

from lazsl.report.numbering import Names
from lazsl.report.site import Site, exact
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.sqlfiles import Connection

CHUNK = 5000
"""Images per file."""

ABSTAINED, UNPICTURED = 1, 2
NO_MARGIN = -1


def write_gallery(
    connection: Connection, site: Site, names: Names, files: list[str], unpictured: bytearray
) -> tuple[int, int]:
    """How many files the index has, and their size in bytes."""
    numbers = {name: number for number, name in enumerate(files)}
    index = sqlfiles.run(connection, "report/index.sql")
    chunks = written = 0
    while rows := index.fetchmany(CHUNK):
        first = chunks * CHUNK
        written += site.data(
            f"index-{chunks}", _columns(rows, names, numbers, unpictured[first : first + CHUNK])
        )
        chunks += 1
    return chunks, written


def _columns(
    rows: list[tuple[Any, ...]], names: Names, files: dict[str, int], unpictured: bytearray
) -> dict[str, Any]:
    (
        ids, keys, guesses, truths, abstained, scores, margins, surer_than, strongest, judged,
        shards, parts,
    ) = zip(*rows, strict=True)  # fmt: skip
    return {
        "ids": "".join(ids),
        "keys": keys,
        "exact": exact(keys),
        "guess": [names.number(guess) for guess in guesses],
        "truth": [names.number(truth) for truth in truths],
        # -1: nobody judged it; otherwise 1 + the class that it was judged to be, 0 for none of them
        "judged": [-1 if j is None else 1 + names.number(j["label"]) for j in judged],
        "flags": [
            ABSTAINED * a + UNPICTURED * bool(u) for a, u in zip(abstained, unpictured, strict=True)
        ],
        "score": [round(score * 10_000) for score in scores],
        "margin": [NO_MARGIN if m is None else round(m * 100_000) for m in margins],
        # per mille of the run's images with a smaller margin
        "surer": [NO_MARGIN if s is None else int(1000 * s) for s in surer_than],
        "strongest": [n for three in strongest for n in (*three, -1, -1, -1)[:3]],
        "file": [files[f"{shard}-{part}"] for shard, part in zip(shards, parts, strict=True)],
    }
