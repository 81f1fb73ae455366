"""A shard's embeddings are scored: its tables are written, then the marker that says that it is
finished.

The step is done when its marker is there, so it can be killed, repeated or skipped.
"""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lazsl.errors import DamagedError, UserError
from lazsl.run.label_set_step import embedded_labels
from lazsl.run.run import Run, now
from lazsl.run.stored_embeddings import damaged_embeddings, read_embeddings, spent_on
from lazsl.run.todo import ToDo
from lazsl.scoring.tables import score_table
from lazsl.store import damage, paths


def finished(run: Run, shard: str) -> dict[str, Any] | None:
    """A shard's completion marker; None while this run has not finished it, or it is damaged."""
    try:
        name = paths.marker(run.key, shard)
        return run.workspace.read_record(name, paths.MARKER_FIELDS)
    except (FileNotFoundError, DamagedError):
        return None


def score_embedded(run: Run, work: ToDo) -> dict[str, Any]:
    """The completion marker of a shard that was worked on. Where rejects were tried again and
    nothing came of it, the scores are those that there are.

    Raises:
        UserError: as `score_shard`.
    """
    marker = finished(run, work.shard) if work.again else None
    return marker or score_shard(run, work.shard)


def score_shard(run: Run, shard: str) -> dict[str, Any]:
    """The shard's completion marker: its tables are written first, the marker last.

    Raises:
        UserError: the shard was never embedded, or its embeddings are damaged.
    """
    started = time.perf_counter()
    workspace = run.workspace
    images, regions = read_embeddings(run, shard)
    labels = embedded_labels(workspace, run.encoder, run.labels)
    settings = run.job.regions
    count = None if settings.doubt is None else settings.count
    tables = score_table(regions, labels, run.job.scoring, run.job.scoring_memory, count, run.tree)
    counts = _reconcile(run, shard, images, tables["predictions"])
    _check_finite(run, shard, tables)
    files = {
        name: workspace.write_table(name, table)
        for name, table in (
            (paths.run_table(run.key, kind, shard), table) for kind, table in tables.items()
        )
    }
    spent = spent_on(images)
    of_run = spent if spent.get("run") == run.key else {}
    marker = {
        "run": run.key,
        "shard": shard,
        **counts,
        "crops": of_run.get("crops", 0),
        "bytes": of_run.get("bytes", 0),
        "seconds": {
            "stage": of_run.get("stage", 0.0),
            "embed": of_run.get("embed", 0.0),
            "score": time.perf_counter() - started,
        },
        "finished": now(),
        "files": files,
    }
    workspace.write_record(paths.marker(run.key, shard), marker)
    return marker


def _reconcile(run: Run, shard: str, images: pa.Table, predictions: pa.Table) -> dict[str, int]:
    usable = images.filter(pc.is_null(images["reason"]))["image_id"]
    if usable.to_pylist() != predictions["image_id"].to_pylist():
        name = paths.images(run.encoder, run.regions, shard)
        why = f"{len(usable)} images for the embeddings of {predictions.num_rows}"
        damaged = DamagedError("", name, why)
        damage.set_aside(run.workspace, damaged)
        raise damaged_embeddings(shard, damaged)
    listed, labelled = images.num_rows, predictions.num_rows
    return {"listed": listed, "labelled": labelled, "rejected": listed - labelled}


def _check_finite(run: Run, shard: str, tables: dict[str, pa.Table]) -> None:
    """Raise UserError if a score is no number: nothing of the shard is written then."""
    for name, table in tables.items():
        for field in table.schema:
            if pa.types.is_floating(field.type):
                finite: Any = pc.all(pc.is_finite(table[field.name]))
                if finite.as_py() is False:
                    raise UserError(
                        f"column {field.name} of the {name} of shard {shard} is not a number "
                        "everywhere, so nothing of it was written; check the settings of scoring "
                        f"and the label set of run {run.key}"
                    )
