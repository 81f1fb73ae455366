"""Image pages: what is known of every image, a data file per part of a shard."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lazsl.explain.evidence import Evidence, every_region, read_shard_evidence
from lazsl.explain.side_by_side import Spoken, pair
from lazsl.explain.words import reasons
from lazsl.report.numbering import Names
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.sqlfiles import Connection

PART = 48
"""Images per data file: one is loaded when one of its images is looked at."""

Row = dict[str, Any]


def image_rows(connection: Connection, run: str, shard: str) -> Iterator[Row]:
    """The shown images of a shard by column, in the order of their parts."""
    yield from sqlfiles.each_row(
        sqlfiles.run(connection, "report/images.sql", run=run, shard=shard)
    )


def with_plans(
    rows: Iterator[Row],
    connection: Connection,
    run: str,
    shard: str,
    images: Sequence[str] | None = None,
) -> Iterator[tuple[Row, list[Evidence]]]:
    """Every image with its kept plans, best class first.

    Args:
        rows: of `image_rows`, in the order of the image_id.
        connection: not the one the rows are read from, since both are read at once.
        images: the image_ids in `rows`, when they are not all of the shard.
    """
    plans = read_shard_evidence(connection, run, shard, images)
    plan = next(plans, None)
    for row in rows:
        plans_of_image = []
        while plan is not None and plan.image_id <= row["image_id"]:
            if plan.image_id == row["image_id"]:
                plans_of_image.append(plan)
            plan = next(plans, None)
        yield row, plans_of_image


def image_data(row: Row, plans: list[Evidence], names: Names, missing: str | None) -> Row:
    """What the page of one image shows, as JSON.

    Boxes are in source pixels, those of the kept `regions` first, then those passed over. `plans`
    has, per kept plan, the similarity of every region to every attribute, row by row: little-endian
    int16 in base64, to be multiplied by `scale`. `pairs` are attributes of the best two classes
    that say alike, as positions within their classes (-1: none) and what they add to the margin,
    those that tell the classes apart first.
    """
    first = plans[0] if plans else None
    second = plans[1] if len(plans) > 1 else None
    pairs = [] if first is None else pair(first, second)
    return {
        "id": row["image_id"],
        "key": row["key"],
        "uri": row["uri"],
        "bytes": row["size"],
        "format": row["format"],
        "size": [row["width"], row["height"]],
        "orientation": row["orientation"],
        "at": row["position"],
        "missing": missing,
        "abstained": row["abstained"],
        "margin": _rounded(row["margin"]),
        "surer": _rounded(row["surer_than"]),
        "truth": names.number(row["truth"]),
        "kept": row["kept"],
        "confidence": _rounded(row["confidence"]),
        "there": _rounded(row["presence"]),
        "parent": row["parent_label"] and [row["parent_label"], _rounded(row["parent_chance"])],
        "answers": [
            [answer["reviewer"], names.number(answer["judged_label"]), answer["comment"]]
            for answer in row["answers"]
        ],
        "baselines": {
            method: [names.number(baseline["class"]), _rounded(baseline["score"])]
            for method, baseline in row["baselines"].items()
        },
        "classes": [
            {
                "class": names.number(ranked["class"]),
                "scores": [_rounded(score) for score in ranked["scores"]],
                "contributions": [
                    _rounded(e["contribution"]) for e in row["evidence"] if e["rank"] == rank
                ],
            }
            for rank, ranked in enumerate(row["classes"], start=1)
        ],
        "regions": [] if first is None else first.regions.tolist(),
        "boxes": [] if first is None else every_region(first)[0].ravel().tolist(),
        "because": None if second is None else reasons(second.label, pairs),
        "pairs": [
            [_index(p.this), _index(p.other), _rounded(p.difference)]
            for p in sorted(pairs, key=lambda p: (p.shared, -abs(p.difference)))
        ],
        "presence": [
            None if plan.presence is None else [_rounded(part) for part in plan.presence]
            for plan in plans[:2]
        ],
        "plans": [_packed(every_region(plan)[1]) for plan in plans],
    }


def _index(spoken: Spoken | None) -> int:
    return -1 if spoken is None else spoken.index


def _packed(values: np.ndarray) -> Row:
    scale = float(np.abs(values).max(initial=0)) / 32767 or 1.0
    cells = np.rint(values / scale).astype("<i2").tobytes()
    return {"scale": float(f"{scale:.8g}"), "cells": base64.b64encode(cells).decode()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
