"""Class pages: what carries a class, where it sits, and what the class is taken for."""

from __future__ import annotations

import base64
from collections import defaultdict
from typing import Any

import numpy as np

from lazsl.explain.evidence import Evidence
from lazsl.explain.maps import place_maps
from lazsl.report.numbering import Names
from lazsl.report.site import Site
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.sqlfiles import Connection

GRID = 24
"""Cells of an average map, across and down: every image is stretched to the same square."""

EXEMPLARS = 8
RIVALS = 8

Row = dict[str, Any]


class AverageMaps:
    """Where the attributes of every class lie on average, over the images whose best class it is.

    Held in memory for every class that occurs: N x GRID x GRID float32, whatever the archive.
    """

    def __init__(self) -> None:
        self._sums: dict[str, np.ndarray] = {}
        self._images: dict[str, int] = defaultdict(int)

    def add(self, best: Evidence) -> None:
        """Count one image's plan of its best class."""
        maps = place_maps(best, (GRID, GRID))
        if best.label not in self._sums:
            self._sums[best.label] = np.zeros(maps.shape, np.float32)
        self._sums[best.label] += maps
        self._images[best.label] += 1

    def packed(self, label: str) -> Row | None:
        """The maps as bytes in base64, each from nothing or less (0) to its greatest (255)."""
        if label not in self._sums:
            return None
        maps = np.maximum(self._sums[label], 0)
        most = maps.max(axis=(1, 2), keepdims=True)
        levels = np.rint(255 * maps / np.where(most > 0, most, 1)).astype(np.uint8)
        return {
            "grid": GRID,
            "images": self._images[label],
            "levels": [base64.b64encode(level.tobytes()).decode() for level in levels],
        }


def write_classes(
    connection: Connection, site: Site, run: str, names: Names, maps: AverageMaps, files: list[str]
) -> int:
    """Size in bytes of the class data, a file per class and one that lists them all."""
    given = _by_class(connection, "report/labels_given.sql", run=run)
    strength = _by_class(connection, "report/strength.sql", run=run)
    rivals = _by_class(connection, "report/rivals.sql", run=run, how_many=RIVALS)
    exemplars = _by_class(connection, "report/exemplars.sql", how_many=EXEMPLARS)
    numbers = {name: number for number, name in enumerate(files)}
    written = 0
    for label, (row,) in given.items():
        value = {
            **{name: row[name] for name in ("images", "margin", "correct", "known", "in_truth")},
            "attributes": [
                [s["attribute_index"], s["contribution"], s["similarity"], s["lift"]]
                for s in strength.get(label, [])
            ],
            "maps": maps.packed(label),
            "rivals": [
                {
                    "class": names.number(r["rival"]),
                    "runner_up": int(r["runner_up"]),
                    "margin": r["margin"],
                    "taken": int(r["rival_called_class"]),
                    "lost": int(r["class_called_rival"]),
                    "because": [r["attribute"], r["rival_attribute"]],
                }
                for r in rivals.get(label, [])
            ],
            **_exemplars(exemplars.get(label, []), names, numbers),
        }
        written += site.data(f"class-{names.number(label)}", value)
    listed = [
        [names.number(label), row["images"], row["margin"], row["correct"], row["known"]]
        for label, (row,) in given.items()
    ]
    return written + site.data("classes", listed)


def _exemplars(rows: list[Row], names: Names, files: dict[str, int]) -> dict[str, list[Row]]:
    def cards(kind: str) -> list[Row]:
        chosen = sorted((row for row in rows if row[kind] <= EXEMPLARS), key=lambda r: r[kind])
        return [
            {
                "id": row["image_id"],
                "at": row["position"],
                "file": files[f"{row['shard']}-{row['part']}"],
                "key": row["key"],
                "guess": names.number(row["guess"]),
                "truth": names.number(row["truth"]),
                "margin": row["margin"],
                "surer": row["surer_than"],
                "abstained": row["abstained"],
            }
            for row in chosen
        ]

    # A class of few images shows each of them once.
    typical = cards("typical")[: max(1, (len(rows) + 1) // 2)]
    shown = {card["id"] for card in typical}
    return {"typical": typical, "odd": [card for card in cards("odd") if card["id"] not in shown]}


def _by_class(connection: Connection, name: str, **parameters: Any) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = {}
    for row in sqlfiles.rows(connection, name, **parameters):
        label = row.get("class") if "class" in row else row["guess"]
        grouped.setdefault(str(label), []).append(row)
    return grouped
