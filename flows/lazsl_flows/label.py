"""Label an archive, and score it anew: one flow run per job, one task run per shard and step.

A flow run looks at the workspace, submits only what is not done, and ends Failed with a sentence
while anything is missing. So Retry (in the UI, or `prefect flow-run retry`) pays only for what
failed, also after a kill, a cancel, a code fix, or on another machine.
"""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from lazsl.errors import UserError
from lazsl.run import embed_step, plan_step
from lazsl.run.run import Run, open_relabelling, record_run
from lazsl.run.status import check_complete
from lazsl.settings import Job, ScoringSettings
from lazsl.store.folder import Folder
from lazsl.store.paths import embedding_run, read_run_record
from lazsl_flows.attempts import attempt
from lazsl_flows.loading import load
from lazsl_flows.shards import (
    RUNNER,
    Submit,
    Worked,
    embed_labels,
    label_shard,
    mending,
    numbered,
    prepare,
    score_shard,
    work,
)
from lazsl_flows.summary import failure_sentence, show_dashboard, show_evidence
from lazsl_flows.watching import watcher


@flow(name="label-archive", flow_run_name="label {job.archive}", task_runner=RUNNER)
@attempt
def label_archive(job: Job) -> State[Any]:
    """List, stage, embed, score and load an archive; ends Failed while any shard is missing.

    Args:
        job: Everything about the run; where nothing is filled in, the shown default is taken.
    """
    run, shards = prepare(job)
    return finish(run, shards, label_shard)


@flow(name="relabel", task_runner=RUNNER)
@attempt
def relabel(
    workspace: str,
    run: str,
    labels: str | None = None,
    scoring: ScoringSettings | None = None,
    warehouse: str | None = None,
    truth: str | None = None,
    open_set: bool | None = None,
    model: str | None = None,
) -> State[Any]:
    """Score the stored embeddings of a run with another label set or other settings.

    No image is read and no vision tower is loaded.

    Args:
        workspace: Where the run is: a path or any fsspec URL.
        run: Key of the run whose embeddings are used, or the beginning of it.
        labels: Another label set: path or URL of a JSON, YAML, CSV or text file (default: the
            run's own).
        scoring: Other settings (default: the run's own).
        warehouse: The DuckDB file on the worker's disk (default: the run's own).
        truth: What the images really show: CSV or Parquet of key,label (default: the run's own).
        open_set: Allow truth to name classes that the label set lacks.
        model: The run's model, if it is a folder, a file or on a hub, which no record decides.
    """
    given = {"labels": labels, "warehouse": warehouse, "truth": truth, "open_set": open_set}
    given["model"] = model
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if scoring is not None:
        changes["scoring"] = scoring.model_dump()
    folder = Folder(workspace)
    embedded = read_run_record(folder, embedding_run(folder, run))["run"]
    relabelled = open_relabelling(folder, embedded, changes)
    record_run(relabelled, embedded)
    embed_labels(relabelled, "text")
    return finish(relabelled, plan_step.archive_shards(relabelled), score_shard)


def finish(run: Run, shards: list[str], submit: Submit, ahead: int | None = None) -> State[Any]:
    """Do what is missing, load what is done, and say how it ended; arguments as of `work`.

    Raises:
        UserError: a shard is still missing, loading failed, or the counts of the run are wrong.
    """
    worked, loaded = mending(run, lambda: _work_and_load(run, shards, submit, ahead))
    news = ""
    if loaded.is_completed() and len(worked.failed) < len(shards):
        if worked.missing and not worked.failed:
            show_evidence(run.job, run.key)
        news = show_dashboard(run.job, run.key)
    if worked.failed:
        raise UserError(failure_sentence(worked.failed, len(shards), worked.reasons))
    if not loaded.is_completed():
        raise UserError(f"every shard is done, but loading failed: {loaded.message}")
    check_complete(run.workspace, run.key, run.job.warehouse_path)
    copies = embed_step.count_copies(run)
    saved = f"; {copies:,} images found by content, without a forward pass" if copies else ""
    done = f"{len(shards)} shards done, {len(worked.missing)} of them in this run{saved}"
    return Completed(message=f"{done}. {news}")


def _work_and_load(
    run: Run, shards: list[str], submit: Submit, ahead: int | None
) -> tuple[Worked, State[Any]]:
    worked = work(run, shards, numbered(shards), submit, ahead)
    watcher.get().waiting("loading the warehouse")
    loaded: Any = load(run.workspace, run.job, run.key, run.archive, return_state=True)
    return worked, loaded
