"""What the operator reads in the Prefect UI."""

from __future__ import annotations

from typing import Any

from lazsl.run import Run


def failure_sentence(failed: list[str], total: int, reasons: list[str]) -> str:
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


def run_summary(run: Run, status: dict[str, Any]) -> str:
    """The summary artifact of a run, in Markdown, from `warehouse.status`."""
    lines = [f"# {run.key}", "", "| | |", "| --- | ---: |"]
    for name in ("listed", "labelled", "rejected", "missing"):
        lines.append(f"| images {name} | {status[name]:,} |")
    for method, value in (status.get("accuracy") or {}).items():
        if isinstance(value, float):
            lines.append(f"| accuracy, {method} | {value:.1%} |")
    lines += ["", f"Warehouse: `{run.job.warehouse_path}`", ""]
    return "\n".join(lines)
