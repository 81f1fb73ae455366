"""The report of a run, made where its warehouse is."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from lazsl.report.make import make_report
from lazsl.report.site import in_bytes
from lazsl.run.into_warehouse import recorded_job
from lazsl.run.status import run_status
from lazsl.store.folder import Folder
from lazsl_flows.attempts import attempt
from lazsl_flows.summary import show_dashboard


@flow(name="report")
@attempt
def report(
    workspace: str,
    run: str | None = None,
    against: str | None = None,
    images: int | None = None,
    warehouse: str | None = None,
    archive: str | None = None,
) -> State[Any]:
    """Make the pages to look through a run: every label, and the pixels that spoke for it.

    Args:
        workspace: Where the run is: a path or any fsspec URL.
        run: Key of the run, or the beginning of it (default: the one started last).
        against: Key of another run of the same archive to compare with.
        images: Include only this many images: half least certain, half random (default: all).
        warehouse: The DuckDB file on the worker's disk (default: the run's own).
        archive: Where the pictures lie, if this worker's user never labelled it.
    """
    folder = Folder(workspace)
    job, key, _ = recorded_job(folder, run or run_status(folder)["run"], warehouse)
    other = None if against is None else recorded_job(folder, against)[1]
    output = f"{folder.url}/reports/{key}"
    made = make_report(
        job.warehouse_path, key, output, against=other, images=images, archive=archive
    )
    show_dashboard(job, key)
    message = f"{made.images} images, {in_bytes(made.bytes)}"
    if made.missing:
        message += f"; {made.missing} could not be read again and have no picture"
    return Completed(message=f"{message}; open {made.index}")
