"""What the operator reads in the Prefect UI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from lazsl.dashboard import Dashboard, read_dashboard


def failure_sentence(failed: Sequence[str], total: int, reasons: Sequence[str]) -> str:
    """The sentence a flow run fails with: which shards, out of how many, why, and what to press.

    Args:
        failed: the shards, as their tasks are named.
        total: shards of the archive.
        reasons: what the failed tasks said; the first one is passed on.
    """
    shown = ", ".join(failed[:5]) + (", ..." if len(failed) > 5 else "")
    plural = "shard" if total == 1 else "shards"
    why = f": {reasons[0].rstrip('.')}" if reasons else ""
    return f"{len(failed)} of {total} {plural} failed: {shown}{why}; Retry runs only these"


def show_dashboard(warehouse: Path, run: str) -> None:
    """Leave a summary and a table of shards with the flow run, as artifacts."""
    found = read_dashboard(warehouse, run)
    create_markdown_artifact(
        run_summary(warehouse, found), key="lazsl-summary", description=f"how {run} stands"
    )
    create_table_artifact(found.shards, key="lazsl-shards", description="slowest shards first")


def run_summary(warehouse: Path, found: Dashboard) -> str:
    """The summary artifact of a run, in Markdown: counts, accuracy, cost, labels, rejects."""
    status = found.status
    counts = {f"images {name}": f"{status[name]:,}" for name in _COUNTS if name in status}
    for method, value in (status.get("accuracy") or {}).items():
        if isinstance(value, float):
            counts[f"accuracy, {method}"] = f"{value:.1%}"
    labels = [
        (row["label"] or "(abstained)", f"{row['images']:,}", row["mean_margin"])
        for row in found.labels
    ]
    rejects = [(reason, f"{images:,}") for reason, images in (status["rejects"] or {}).items()]
    parts = [f"# {status['run']}", _table(("", ""), list((counts | _cost(found.cost)).items()))]
    if labels:
        parts += ["## Labels", _table(("label", "images", "mean margin"), labels)]
    if rejects:
        parts += ["## Rejects", _table(("reason", "images"), rejects)]
    return "\n\n".join([*parts, f"Warehouse: `{warehouse}`"]) + "\n"


_COUNTS = ("listed", "labelled", "abstained", "rejected", "missing", "no_longer_listed")


def _cost(cost: dict[str, Any]) -> dict[str, str]:
    """What this run spent, and how fast it went; nothing where all was there before."""
    seconds = cost["embed_seconds"]
    if not seconds:
        return {}
    return {
        "MB fetched": f"{cost['bytes'] / 1e6:,.1f}",
        "crops encoded": f"{cost['crops']:,}",
        "seconds fetching": f"{cost['stage_seconds']:,.1f}",
        "seconds embedding": f"{seconds:,.1f}",
        "seconds scoring": f"{cost['score_seconds']:,.1f}",
        "images per second": f"{cost['images'] / seconds:,.1f}",
        "crops per second": f"{cost['crops'] / seconds:,.0f}",
    }


def _table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    """Text as Markdown shows it literally, whatever a label set or an archive holds."""
    text = "" if value is None else str(value)
    for character in "\\|<>`[]*_":
        text = text.replace(character, f"&#{ord(character)};")
    return " ".join(text.split())
