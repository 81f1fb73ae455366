"""Make the tables and plots of `docs/performance.md` anew: `python -m benchmarks.page`.

The prose of the page is written by hand; what stands between `<!-- begin NAME -->` and
`<!-- end NAME -->` comes from `history.jsonl` and from the models themselves, and so do the plots
beside it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import history, plots

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
PICTURES = PAGE.parent / "performance"

Records = list[dict[str, Any]]


def main() -> int:
    """Make it; the exit status."""
    make(Console())
    return 0


def make(out: Console) -> None:
    """Write the plots and what of the page is made; the rest of the page stays as it is."""
    records = history.read()
    PICTURES.mkdir(exist_ok=True)
    plots.over_time(history.whole(records), PICTURES / "targets.png")
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(filled(text, records), encoding="utf-8")
    out.print(f"{PAGE} and its plots are made anew", highlight=False, soft_wrap=True)


def filled(text: str, records: Records) -> str:
    """The page with its made parts as these records have them."""
    for name, made in BLOCKS.items():
        marks = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        pattern = re.compile(f"{re.escape(marks[0])}.*?{re.escape(marks[1])}", re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise ValueError(f"the page needs one {marks[0]} and one {marks[1]}")
        block = f"{marks[0]}\n{made(records)}\n{marks[1]}"
        text = pattern.sub(lambda _, block=block: block, text)
    return text


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """A Markdown table; all columns but the first are right-aligned."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    lines = [head, tuple(rule), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def targets(records: Records) -> str:
    """What every benchmark found last, against what is wanted of it."""
    rows: list[tuple[object, ...]] = []
    names = sorted({name for record in history.whole(records) for name in record["benchmarks"]})
    for name in names:
        found, record = history.latest(name, records)
        for figure in found["figures"]:
            wanted = "" if figure["target"] is None else f"{figure['sense']} {figure['target']:g}"
            verdict = {True: "met", False: "**missed**", None: ""}[figure["met"]]
            what = f"{figure['name']}, over {figure['over']}"
            rows.append((name, what, f"{figure['ratio']:.3g}", wanted, verdict, record["commit"]))
    head = ("benchmark", "figure", "reached", "wanted", "", "at")
    return table(head, rows).replace("| --- | ---: |", "| --- | --- |", 1)


def machine(records: Records) -> str:
    """On what the latest records were made."""
    record = history.whole(records)[-1]
    return (
        f"Measured last on {record['date'][:10]} at commit {record['commit']}: "
        f"{record['processor']}, {record['cores']} cores, {record['threads']} threads, device "
        f"{record['device']}, torch {record['torch']}, DuckDB {record['duckdb']}, load "
        f"{record['load']} when it began."
    )


BLOCKS: dict[str, Callable[[Records], str]] = {"targets": targets, "machine": machine}


if __name__ == "__main__":
    sys.exit(main())
