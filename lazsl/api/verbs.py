"""Label an archive, or score its stored embeddings another way: from Python, in this process.

Both take the settings of `lazsl.Job`, and do what `lazsl label` and `lazsl relabel` do, without
Prefect. Whatever either way has finished, the other does not do again.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from typing import Any

from lazsl.api.results import Results
from lazsl.archive.archive_presence import check_archive
from lazsl.archive.truth import FOLDERS, read_truth
from lazsl.run.in_process import Progress, label_archive, relabel_archive
from lazsl.run.recorded_jobs import rescoring
from lazsl.run.run import Run, notices, open_relabelling, open_run
from lazsl.settings import DEFAULT_MODEL, make_job
from lazsl.store.folder import Folder
from lazsl.store.paths import embedding_run, read_run_record

Path = str | PathLike[str]


def label(
    archive: Path,
    labels: Path,
    *,
    model: str = DEFAULT_MODEL,
    workspace: Path = "workspace",
    truth: Path | None = None,
    progress: bool = True,
    **settings: Any,
) -> Results:
    """Label an archive, and return its results.

    Interrupt it at any time: the same call resumes where it stopped. Once the archive has grown, it
    labels only what is new or changed.

    Args:
        archive: where the images are: a path or any fsspec URL.
        labels: the label set, JSON or YAML: path or URL.
        model: an open_clip model: NAME:TAG, NAME:/file.safetensors, local-dir:/folder,
            hf-hub:org/name, or fieldguide (the embedded model, which knows only its drawn birds).
        workspace: where embeddings and results are kept: path or URL.
        truth: what is really shown, if you know: CSV or Parquet of key,label.
        progress: show a progress bar.
        **settings: any other field of `lazsl.Job`, such as `regions={"count": 40}`.

    Raises:
        UserError: a setting, the label set, the model or the archive cannot be used, or some shards
            failed; the sentence says what to do.
    """
    given = {"archive": archive, "labels": labels, "workspace": workspace, "truth": truth}
    paths = {name: fspath(path) for name, path in given.items() if path is not None}
    job = make_job(model=model, **paths, **settings)
    run = open_run(job)
    check_archive(job.archive)
    _check_truth(run)
    for notice in notices(job, run.labelset, run.source):
        warnings.warn(notice, stacklevel=2)
    with _bar("labelling images", progress) as show:
        label_archive(run, show)
    return Results(run.key, job.workspace, job.warehouse_path)


def relabel(
    run: Results | str,
    *,
    labels: Path | None = None,
    scoring: dict[str, Any] | None = None,
    workspace: Path = "workspace",
    truth: Path | None = None,
    progress: bool = True,
) -> Results:
    """Score the stored embeddings of a run another way, and return those results. No image is read.

    Args:
        run: results, or the key of a run in the workspace (its beginning is enough).
        labels: another label set; default: the run's own.
        scoring: settings of scoring to change, such as `{"theta": 0.5}`. A threshold to abstain
            below is not taken over: it was measured for the run's own label set and settings.
        workspace: where the run is, if it is given by its key.
        truth: what is really shown; default: the run's own.
        progress: show a progress bar.

    Raises:
        UserError: as `label`; or the label set needs embeddings that are not there.
    """
    key, url = (run.run, run.workspace) if isinstance(run, Results) else (run, fspath(workspace))
    given = {"labels": labels, "truth": truth}
    changes: dict[str, Any] = {name: fspath(path) for name, path in given.items() if path}
    if isinstance(run, Results):
        changes["warehouse"] = str(run.warehouse)
    workspace_folder = Folder(url)
    record = read_run_record(workspace_folder, embedding_run(workspace_folder, key))
    if scoring:
        changes["scoring"] = rescoring(record["job"]["scoring"], scoring)
    opened = open_relabelling(workspace_folder, record["run"], changes)
    _check_truth(opened)
    with _bar("scoring images", progress) as show:
        relabel_archive(opened, show, record["run"])
    return Results(opened.key, url, opened.job.warehouse_path)


def _check_truth(run: Run) -> None:
    """Read the truth before anything is started, so that a mistake in it is said first.

    Raises:
        UserError: as `read_truth`.
    """
    if run.job.truth not in (None, FOLDERS):
        read_truth(run.job.truth, run.labelset, run.job.open_set)


@contextmanager
def _bar(description: str, shown: bool) -> Iterator[Progress]:
    """A progress bar on standard error, as text: a notebook shows it without any widgets."""
    from tqdm import tqdm

    with tqdm(desc=description, unit="image", leave=False, disable=not shown) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            bar.refresh()

        yield show
