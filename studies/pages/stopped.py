"""Fewer forward passes of the paper's preset in every world: how soon `regions.doubt` would have
stopped and whose label that changes, replayed on crops that are stored; and how right regions are
that are pooled from one look (`regions.source=dense`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lazsl.evaluation.sections.section import table
from lazsl.run import models
from studies.guide import WORLDS
from studies.pages.forward_passes import DOUBTS, dense, every_crop, interval, replay
from studies.pages.ways import DRAWS, PAPER, drawn

CHOSEN = 0.02
"""The doubt that was chosen on the first field guide; `forward_passes` says how."""


def stopped(folder: Path) -> dict[str, Any]:
    """What the section on it in `worlds.md` is filled with; the folder is that of `ways.drawn`."""
    by_world = {
        world: [replay(every_crop(*drawn(folder, world, PAPER, draw))) for draw in DRAWS]
        for world in WORLDS
    }
    rows = []
    for number, doubt in enumerate(DOUBTS):
        each = [_together([rows_of[number] for rows_of in draws]) for draws in by_world.values()]
        total = _together(each)
        rows.append((f"{doubt:g}", *map(_cell, each), _cell(total)))
        if doubt == CHOSEN:
            chosen = total
    same = chosen["images"] - chosen["changed"]
    low, high = interval(int(same), int(chosen["images"]))
    return {
        "stopped": table(("doubt", *WORLDS, "all"), rows),
        "chosen": CHOSEN,
        "chosen_passes": chosen["passes"],
        "chosen_changed": chosen["changed"],
        "chosen_images": chosen["images"],
        "chosen_same": f"{100 * low:.2f} to {100 * high:.2f} %",
    }


def pooled(folder: Path) -> dict[str, str]:
    """The same for dense regions: how often the label is right, by scale."""
    rows: dict[float, list[tuple[float, float]]] = {}
    for world in WORLDS:
        by_draw = []
        for draw in DRAWS:
            run, stored, known = drawn(folder, world, PAPER, draw)
            encoder = models.load_model(run, "vision")
            by_draw.append(dense(every_crop(run, stored, known), encoder))
        for same in zip(*by_draw, strict=True):
            passes, right = (np.mean([row[n] for row in same]) for n in ("passes", "accuracy"))
            rows.setdefault(same[0]["scale"], []).append((float(passes), float(right)))
    return {
        "pooled": table(
            ("regions", "forward passes", *WORLDS),
            [
                (
                    f"dense, scale {scale:g}" if scale else "all crops",
                    f"{np.mean([passes for passes, _ in cells]):.1f}",
                    *(f"{100 * right:.0f}" for _, right in cells),
                )
                for scale, cells in rows.items()
            ],
        )
    }


def _together(rows: list[dict[str, float]]) -> dict[str, float]:
    images = sum(row["images"] for row in rows)
    return {
        "images": images,
        "changed": sum(row["changed"] for row in rows),
        "passes": sum(row["passes"] * row["images"] for row in rows) / images,
    }


def _cell(row: dict[str, float]) -> str:
    return f"{row['passes']:.1f}, {row['changed']:.0f}"
