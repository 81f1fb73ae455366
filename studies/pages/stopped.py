"""How soon `regions.doubt` would have stopped in every world, and whose label that changes:
replayed on crops that are stored, for the paper's preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lazsl.evaluation.sections.section import table
from studies.guide import WORLDS
from studies.pages.forward_passes import DOUBTS, every_crop, interval, replay
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


def _together(rows: list[dict[str, float]]) -> dict[str, float]:
    images = sum(row["images"] for row in rows)
    return {
        "images": images,
        "changed": sum(row["changed"] for row in rows),
        "passes": sum(row["passes"] * row["images"] for row in rows) / images,
    }


def _cell(row: dict[str, float]) -> str:
    return f"{row['passes']:.1f}, {row['changed']:.0f}"
