"""What the operator reads in the Prefect UI."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from typing import Any

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from lazsl.archive.litter import passed_over_sentence
from lazsl.archive.manifest import read_passed_over
from lazsl.errors import UserError
from lazsl.report.dashboard import Dashboard, draw_evidence, news, read_dashboard, report_of
from lazsl.settings import Job
from lazsl.store.folder import Folder
from lazsl.store.paths import read_run_record


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


def show_dashboard(job: Job, run: str) -> str:
    """Leave a summary and a table of shards with the flow run; the news of the run.

    Prefect's pages show the latest artifact first, so the summary is made last.
    """
    dashboard = read_dashboard(job.warehouse_path, run)
    create_table_artifact(dashboard.shards, key="lazsl-shards", description="slowest shards first")
    folder = Folder(job.workspace)
    kinds = read_passed_over(folder, read_run_record(folder, run)["archive"])
    create_markdown_artifact(
        run_summary(job, dashboard, passed_over_sentence(kinds)),
        key="lazsl-summary",
        description=f"how {run} stands",
    )
    return f"{news(dashboard)} {_report(job, run)}"


def show_evidence(job: Job, run: str) -> None:
    """Leave a few explained images with the flow run, as an artifact that holds the pictures.

    LAZSL_EVIDENCE=off leaves it out: the pictures lie in Prefect's database.
    """
    if os.environ.get("LAZSL_EVIDENCE") == "off":
        return
    try:
        pictures = draw_evidence(job.warehouse_path, run, job.workspace)
    except UserError as error:
        get_run_logger().warning(f"no pictures of evidence: {error}")
        return
    parts = [f"# {run}"]
    for picture in pictures:
        source = f"data:image/webp;base64,{base64.b64encode(picture.webp).decode()}"
        parts.append(f"## {_TITLES[picture.name]}\n\n{_text(picture.title)}\n\n![]({source})")
    create_markdown_artifact(
        "\n\n".join(parts) + "\n",
        key="lazsl-evidence",
        description="why a few images were called what they were called",
    )


_TITLES = {"surest": "The surest", "usual": "One like most", "closest": "The closest call"}


def run_summary(job: Job, dashboard: Dashboard, left_out: str = "") -> str:
    """The summary artifact of a run, in Markdown: counts, accuracy, cost, labels, rejects, and a
    sentence on what was not listed."""
    status = dashboard.status
    counts = {
        f"images {name.replace('_', ' ')}": f"{status[name]:,}"
        for name in _COUNTS
        if name in status
    }
    for method, value in (status.get("accuracy") or {}).items():
        if isinstance(value, float):
            counts[f"accuracy, {method}"] = f"{value:.1%}"
    labels = [
        (row["label"] or "(abstained)", f"{row['images']:,}", row["mean_margin"])
        for row in dashboard.labels
    ]
    rejects = [(reason, f"{images:,}") for reason, images in (status["rejects"] or {}).items()]
    parts = [
        f"# {status['run']}",
        _text(news(dashboard)),
        table(("", "now"), list((counts | _cost(dashboard.cost)).items())),
    ]
    if labels:
        parts += ["## Labels", table(("label", "images", "mean margin"), labels)]
    if rejects:
        parts += ["## Rejects", table(("reason", "images"), rejects)]
    if left_out:
        parts.append(_text(f"{left_out}."))
    where = [f"Warehouse: `{job.warehouse_path}`", _report(job, status["run"])]
    return "\n\n".join([*parts, *where]) + "\n"


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
        "seconds embedding (of the GPU, where there is one)": f"{seconds:,.1f}",
        "seconds scoring": f"{cost['score_seconds']:,.1f}",
        "images per second": f"{cost['images'] / seconds:,.1f}",
        "crops per second": f"{cost['crops'] / seconds:,.0f}",
    }


def _report(job: Job, run: str) -> str:
    """Where the report is; a link, where LAZSL_WORKSPACE_LINK says how browsers get there."""
    page = report_of(job.workspace, run)
    if page is None:
        return "No report yet: run the deployment `report`."
    served = os.environ.get("LAZSL_WORKSPACE_LINK")
    if served:
        return f"[Report]({served.rstrip('/')}/{page})"
    return f"Report: `{job.workspace.rstrip('/')}/{page}`"


def table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table whose cells are shown as they are."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_text(value) for value in line) + " |" for line in lines)


def _text(value: object) -> str:
    """Text that Markdown shows as it is, whatever a label set or an archive holds."""
    text = "" if value is None else " ".join(str(value).split())
    return re.sub(r"([\\|<>`\[\]*_&~:!#$])", r"\\\1", text)
