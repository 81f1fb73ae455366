"""What is done comes into the warehouse.

Neither model nor images are needed for that, and the libraries for them are not imported here: a
load starts several times as fast as a batch does.
"""

from __future__ import annotations

from typing import Any

from prefect import State, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from lazsl.errors import UserError
from lazsl.run.into_warehouse import load_run, recorded_job
from lazsl.run.status import check_complete, run_status
from lazsl.settings import Job
from lazsl.store.folder import Folder
from lazsl.store.paths import done_shards, runs
from lazsl_flows.attempts import attempt, in_words
from lazsl_flows.summary import show_dashboard, show_evidence


@task(name="load", task_run_name="load {run}", cache_policy=NO_CACHE)
@in_words
def load(workspace: Folder, job: Job, run: str, archive: str) -> State[Any]:
    """Load every finished shard of a run that the warehouse does not hold yet."""
    loaded = load_run(workspace, job, run, archive)
    return Completed(data=loaded, message=f"{loaded.shards} shards, {loaded.images} images")


@flow(name="load-warehouse")
@attempt
def load_warehouse(
    workspace: str, run: str | None = None, warehouse: str | None = None
) -> State[Any]:
    """Load every finished shard that the warehouse does not hold yet, and publish it.

    Args:
        workspace: Where the runs are: a path or any fsspec URL.
        run: Key of one run, or the beginning of it (default: every run of the workspace).
        warehouse: The DuckDB file on the worker's disk (default: the run's own).
    """
    folder = Folder(workspace)
    keys = [run] if run else runs(folder)
    if not keys:
        raise UserError(f"there is no run in {folder.url}; label an archive first")
    recorded = [recorded_job(folder, key, warehouse) for key in keys]
    loads: list[str] = []
    refused: list[str] = []
    for job, key, archive in recorded:
        loaded: Any = load(folder, job, key, archive, return_state=True)
        (loads if loaded.is_completed() else refused).append(f"{key}: {loaded.message}")
        if loaded.is_completed() and done_shards(folder, key):
            if (
                loaded.result().shards
                and not run_status(folder, key, job.warehouse_path)["missing"]
            ):
                show_evidence(job, key)
            show_dashboard(job, key)
            try:
                check_complete(folder, key, job.warehouse_path)
            except UserError as error:
                refused.append(f"{key}: {error}")
    if refused:
        raise UserError(f"{len(refused)} of {len(keys)} runs failed: {refused[0]}")
    return Completed(message="; ".join(loads[:3]) + ("; ..." if len(loads) > 3 else ""))
