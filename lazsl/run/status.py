"""How a run stands: what the workspace has, and what the warehouse says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.manifest import read_manifest
from lazsl.settings import make_job
from lazsl.store import paths
from lazsl.store.folder import Folder
from lazsl.warehouse import run_keys


def run_status(folder: Folder, run: str | None = None, path: Path | None = None) -> dict[str, Any]:
    """Reconciled counts of a run, its accuracy where truth is known, and its timings.

    `listed` counts the images of the archive's manifest as it stands, in shards that hold a listed
    image; `listed = labelled + rejected + missing`, where `missing` is in shards that are not done.
    `loaded` says whether the warehouse has every finished shard; accuracy, rejects and seconds are
    the warehouse's. `seen` is the mean number of crops an image's label was made from, out of
    `crops_asked`, and `doubt` the mean chance that the others change it (null where all were asked
    for).

    Args:
        folder: the workspace.
        run: key of a run or its beginning; None means the one started last.
        path: the warehouse; default: the run's own.

    Raises:
        UserError: there is no such run.
    """
    record = paths.read_run_record(folder, run)
    done = paths.done_shards(folder, record["run"])
    manifest = read_manifest(folder, record["archive"])
    listed = manifest.filter(pc.equal(manifest["event"], pa.scalar("added")))["shard"].unique()
    inside = manifest.filter(pc.is_in(manifest["shard"], value_set=listed))
    finished = pc.is_in(inside["shard"], value_set=pa.array(done, pa.string()))
    missing = inside.filter(pc.invert(finished))
    job = make_job(**{**record["job"], "workspace": folder.url})
    path = path or job.warehouse_path
    loaded = run_keys.status(path, record["run"]) if path.is_file() and done else {}
    counts = {
        "run": record["run"],
        "archive": record["archive_url"],
        "model": record["model"],
        "created": record["created"],
        "shards": len(listed),
        "shards_done": len(set(done) & set(listed.to_pylist())),
        "listed": inside.num_rows,
        "missing": missing.num_rows,
        "crops_asked": job.regions.count,
        "warehouse": str(path),
        "loaded": loaded.get("shards") == len(done),
    }
    return {**loaded, **counts}
