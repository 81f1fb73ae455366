"""Load what a run has finished, and what is known of its archive: what is listed, what is true.

It needs neither the model nor the images, so it can run wherever the warehouse is.
"""

from __future__ import annotations

from pathlib import Path

from lazsl.archive.manifest import read_listed
from lazsl.archive.truth import FOLDERS, read_truth
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.reading import load_labelset
from lazsl.run.recorded_jobs import taken_over
from lazsl.settings import Job, make_job
from lazsl.store import paths
from lazsl.store.folder import Folder
from lazsl.warehouse import loading
from lazsl.warehouse.loading import Loaded


def load_run(workspace: Folder, job: Job, run: str, archive: str) -> Loaded:
    """What was loaded into the job's warehouse: the run's finished shards that were not in it yet.

    Args:
        workspace: where the run is.
        job: says where the warehouse is, and which truth is known.
        run: run key.
        archive: archive key; its images are marked as listed or no longer listed.

    Raises:
        UserError: as `read_truth` and `loading.load`.
    """
    truth = None
    if job.truth is not None:
        keys = _keys(workspace, archive)
        truth = read_truth(job.truth, load_labelset(job.labels), job.open_set, keys)
    return loading.load(
        workspace,
        job.warehouse_path,
        [run],
        truth=truth,
        archive=archive,
    )


def check_folders(workspace: Folder, job: Job, labels: LabelSet, archive: str) -> None:
    """Raise if the truth is the archive's folders and these are not named after classes.

    Raises:
        UserError: as `read_truth`.
    """
    if job.truth == FOLDERS:
        read_truth(FOLDERS, labels, job.open_set, _keys(workspace, archive))


def _keys(workspace: Folder, archive: str) -> list[str]:
    return [str(key) for key in read_listed(workspace, archive, ["key"])["key"].to_pylist()]


def recorded_job(folder: Folder, run: str, path: str | None = None) -> tuple[Job, str, str]:
    """A run's job as it was written down, with the run's and the archive's key.

    Args:
        folder: the workspace, wherever the caller reaches it.
        run: run key or its beginning.
        path: a warehouse instead of the workspace's own.

    Raises:
        UserError: no such run, or it was loaded into another warehouse and `path` does not say so.
    """
    record = paths.read_run_record(folder, run)
    given = {} if path is None else {"warehouse": str(Path(path))}
    fields = taken_over(record, folder, given)
    return make_job(**fields), record["run"], record["archive"]
