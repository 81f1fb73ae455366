"""What the operator reads in the Prefect UI."""

from __future__ import annotations

from typing import Any

from lazsl.run import Run


def failure_sentence(failed: list[str], total: int, numbers: list[int]) -> str:
    """The sentence a flow run fails with: which shards, out of how many, and what to press."""
    shown = ", ".join(
        f"{number} ({shard})" for number, shard in list(zip(numbers, failed, strict=True))[:5]
    )
    more = ", ..." if len(failed) > 5 else ""
    plural = "shard" if len(failed) == 1 else "shards"
    return f"{len(failed)} of {total} {plural} failed: {shown}{more}; Retry runs only these"


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
