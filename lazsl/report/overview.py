"""What the first page says: counts that add up, labels, margins, accuracy, rejects, throughput."""

from __future__ import annotations

from typing import Any

from lazsl.report.numbering import Names
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.sqlfiles import Connection

BINS = 36
LABELS = 16
CONFUSIONS = 8

METHODS = {
    "lazsl": "LaZSL: regions transported onto attributes",
    "crop_mean": "Plain mean over crops and attributes",
    "dclip": "DCLIP: attributes on the whole image",
    "clip": "CLIP: the class name on the whole image",
}


def overview(
    connection: Connection, about: dict[str, Any], shown: int, unpictured: int, names: Names
) -> dict[str, Any]:
    """Everything the page's template asks for.

    Args:
        about: the row of `report/run.sql`.
        shown: images that have a page.
        unpictured: of these, those without a preview.
        names: the numbers by which links name classes.
    """
    run = about["run"]
    labels = _rows(connection, "labels_given", run=run)
    seconds = {
        "fetching": about["stage_seconds"],
        "decoding, cropping and encoding": about["embed_seconds"],
        "scoring": about["score_seconds"],
    }
    spent = sum(value or 0 for value in seconds.values())
    return {
        "listed_labelled": about["labelled"] - about["unlisted"],
        "shown": shown,
        "unpictured": unpictured,
        "labels": [row for row in labels[:LABELS] if row["images"]],
        "classes_given": sum(row["images"] > 0 for row in labels),
        "most": max((row["images"] for row in labels), default=0),
        "margins": _margins(_rows(connection, "margins", run=run, bins=BINS)),
        "accuracy": [
            {**row, "name": METHODS.get(row["method"], row["method"])}
            for row in _rows(connection, "accuracy", run=run)
        ],
        "confusions": [
            {**row, "numbers": (names.number(row["label"]), names.number(row["truth"]))}
            for row in _rows(connection, "confusions", run=run, how_many=CONFUSIONS)
        ],
        "rejects": _rows(connection, "reject_reasons", run=run),
        "reviewed": _rows(connection, "reviewed", run=run)[0],
        "seconds": seconds,
        "spent": spent,
        "rate": about["listed"] / spent if spent else None,
        "crop_rate": (
            about["crops"] / about["embed_seconds"]
            if about["crops"] and about["embed_seconds"]
            else None
        ),
    }


def _margins(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The histogram with heights as parts of its tallest bar, empty bars included."""
    bars = {row["bin"]: row for row in rows}
    totals = {b: row["correct"] + row["wrong"] + row["unknown"] for b, row in bars.items()}
    tallest = max(totals.values(), default=0)
    width = rows[0]["width"] if rows else 0.0
    return {
        "bars": [
            {
                "bin": b,
                "from": b * width,
                "to": (b + 1) * width,
                "images": totals.get(b, 0),
                **{
                    kind: (bars[b][kind] if b in bars else 0)
                    for kind in ("correct", "wrong", "unknown")
                },
            }
            for b in range(BINS)
        ],
        "tallest": tallest,
        "width": width,
        "known": any(row["correct"] or row["wrong"] for row in rows),
    }


def _rows(connection: Connection, name: str, **parameters: Any) -> list[dict[str, Any]]:
    return sqlfiles.rows(connection, f"report/{name}.sql", **parameters)
