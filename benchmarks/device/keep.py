"""Keep what was measured and make its page anew: `python -m benchmarks.device.keep [device.json]`.

A record more in `benchmarks/device.jsonl`; the figures in `docs/research/device.md` are then the
latest of a GPU, of each card, and the latest of a processor. Without a file, only the page is made.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import history
from benchmarks.device import page

HERE = Path(__file__).resolve().parent
RECORDS = HERE.parent / "device.jsonl"
PAGE = HERE.parents[1] / "docs" / "research" / "device.md"

NOT_YET = (
    "No GPU has been measured yet. Of no card is known: how near half precision comes, whether "
    "bits stay, crops a second, memory, what keeps it from being faster, seconds to the first "
    "crop, images scored a second. Every decision above that needs one of these waits."
)


def main() -> int:
    """Keep the record and make the page; the exit status."""
    for file in sys.argv[1:]:
        history.append(json.loads(Path(file).read_text(encoding="utf-8")), RECORDS)
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), history.read(RECORDS)), "utf-8")
    print(f"{PAGE.name} is made anew")
    return 0


def filled(text: str, records: list[dict[str, Any]]) -> str:
    """The page with the figures of these records between its marks."""
    latest = {record["surroundings"]["card"]: record for record in records}
    processor = latest.pop(None, None)
    blocks = {
        "gpu": "\n\n".join(map(page.figures, latest.values())) or NOT_YET,
        "processor": page.figures(processor) if processor else "Not measured yet.",
    }
    for name, block in blocks.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        before, _, rest = text.partition(begin)
        if not rest or end not in rest:
            raise ValueError(f"the page needs one {begin} and one {end}")
        text = f"{before}{begin}\n{block}\n{end}{rest.partition(end)[2]}"
    return text


def measured_rates(records: list[dict[str, Any]]) -> list[tuple[str, str, str, float]]:
    """(card, model, regions, images a second) of every card's latest record, for pictures of the
    first size: what was measured on a GPU, and nothing else."""
    latest = {record["surroundings"]["card"]: record for record in records}
    latest.pop(None, None)
    rates = []
    for card, record in latest.items():
        rows = record["sections"].get("throughput", {"rows": []})["rows"]
        rows = [row for row in rows if "images_per_s" in row]
        for row in rows:
            if row["picture"] == rows[0]["picture"]:
                rates.append((card, row["model"], row["regions"], row["images_per_s"]))
    return rates


if __name__ == "__main__":
    sys.exit(main())
