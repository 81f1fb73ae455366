"""How a run stands: what the workspace has, and what the warehouse says of it."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.manifest import read_passed_over
from lazsl.archive.still_listed import listed_tables, waiting
from lazsl.errors import UserError
from lazsl.run import recoloured
from lazsl.settings import make_job
from lazsl.store import paths, schemas
from lazsl.store.folder import Folder
from lazsl.store.scratch import scratch_folder
from lazsl.warehouse import run_keys
from lazsl.warehouse.not_loaded import done_versions

_IMAGES = pa.schema(
    [*(schemas.MANIFEST.field(n) for n in ("image_id", "shard")), pa.field("done", pa.bool_())]
)


@dataclass
class _Seen:
    """What was counted of the listed images as they went by: how many there are, those of finished
    shards, and their shards, oldest first."""

    images: int = 0
    done: int = 0
    shards: dict[str, None] = field(default_factory=dict)

    def marked(self, tables: Iterable[pa.Table], done: Collection[str]) -> Iterator[pa.Table]:
        """The images with a column `done`: whether their shard is finished."""
        finished = pa.array(list(done), pa.string())
        for images in tables:
            is_done: Any = pc.is_in(images["shard"], value_set=finished)
            self.images += len(images)
            self.done += pc.sum(is_done).as_py() or 0
            self.shards |= dict.fromkeys(map(str, images["shard"].unique().to_pylist()))
            yield pa.table([images["image_id"], images["shard"], is_done], schema=_IMAGES)


def run_status(folder: Folder, run: str | None = None, path: Path | None = None) -> dict[str, Any]:
    """Reconciled counts of a run, its accuracy where truth is known, and its timings.

    `listed` counts the images that the last listing has. At every moment `listed = labelled +
    rejected + waiting + missing`: `waiting` is finished and not loaded, `missing` is not finished;
    `reconciled` says whether that holds. `no_longer_listed` are loaded images besides,
    `passed_over` counts by kind what the last listing left out, and `older_colours` says whether
    the oldest shard was embedded in other colours than it would be now (`recoloured`). `loaded`
    says whether the warehouse has every finished shard as it is; accuracy and seconds are the
    warehouse's. `seen` is the mean number of crops an image's label was made from, out of
    `crops_asked`, and `doubt` the mean chance that the others change it (null where all were asked
    for).

    Args:
        folder: the workspace.
        run: key of a run or its beginning; None means the one started last.
        path: the warehouse; default: the run's own.

    Raises:
        UserError: there is no such run, or its manifest or the warehouse is damaged.
    """
    record = paths.read_run_record(folder, run)
    key = record["run"]
    done = done_versions(folder, key)
    where = (folder, record["encoder"], record["regions"])
    job = make_job(**{**record["job"], "workspace": folder.url})
    path = path or job.warehouse_path
    seen = _Seen()
    with scratch_folder(f"status-{uuid.uuid4().hex}") as scratch:
        listed = listed_tables(folder, record["archive"], ["image_id", "shard"], scratch / "known")
        images = waiting(seen.marked(listed, done), _IMAGES, scratch / "images")
        loaded = run_keys.status_of_listed(path, key, images) if path.exists() else {}
    counts: dict[str, Any] = {"labelled": 0, "rejected": 0, "waiting": seen.done} | loaded
    counts["missing"] = seen.images - seen.done
    parts = ("labelled", "rejected", "waiting", "missing")
    return {
        **counts,
        "run": key,
        "archive": record["archive_url"],
        "model": record["model"],
        "created": record["created"],
        "shards": len(seen.shards),
        "shards_done": len(seen.shards.keys() & done.keys()),
        "listed": seen.images,
        "passed_over": read_passed_over(folder, record["archive"]),
        "older_colours": any(recoloured.is_older(*where, shard) for shard in list(seen.shards)[:1]),
        "reconciled": sum(counts[part] for part in parts) == seen.images
        and not counts.get("unreconciled_shards"),
        "crops_asked": job.regions.count,
        "warehouse": str(path),
        "loaded": counts.pop("versions", {}).items() >= done.items(),
    }


def check_complete(folder: Folder, run: str, path: Path) -> None:
    """Raise UserError if a run is a failure although all of its shards are finished and loaded."""
    status = run_status(folder, run, path)
    if not status["reconciled"]:
        raise UserError(
            f"the counts of run {status['run']} do not add up; run lazsl load --rebuild"
        )
    if status["listed"] and not status["labelled"] and not status["missing"]:
        why = ", ".join(f"{images} {reason}" for reason, images in status["rejects"].items())
        raise UserError(
            f"not one of {status['listed']} images was labelled ({why}): look at the archive"
        )
