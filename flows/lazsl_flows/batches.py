"""The same job on as many machines as there are: a planner, batches of shards, one loader.

    plan-archive     lists the archive, embeds the label set, starts one label-batch per batch
    label-batch      does its shards on whichever worker takes it; has a Retry button of its own
    cancel-batches   cancels the batches of a run that have not ended
    load-warehouse   loads every finished shard that is not loaded yet; one at a time (loading.py)

They share nothing but the workspace. The planner does not wait for its batches: it would hold a
worker, and could not turn green when a batch is retried later. Each batch asks for a load when it
is through, and a load takes whatever is done by then.
"""

from __future__ import annotations

from typing import Annotated, Any

from prefect import State, flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment
from prefect.states import Cancelling, Completed
from pydantic import Field

from lazsl.errors import UserError
from lazsl.run import plan_step
from lazsl.run.run import open_run
from lazsl.run.todo import to_label
from lazsl.settings import Job
from lazsl_flows.attempts import attempt
from lazsl_flows.shards import RUNNER, label_shard, mending, numbered, prepare, work
from lazsl_flows.summary import failure_sentence

LABEL_BATCH = "label-batch/label-batch"
LOAD_WAREHOUSE = "load-warehouse/load-warehouse"

_WAITING = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED]


@flow(name="plan-archive", flow_run_name="plan {job.archive}", task_runner=RUNNER)
@attempt
def plan_archive(
    job: Job,
    batch_shards: Annotated[int, Field(ge=1, le=10_000)] = 16,
) -> State[Any]:
    """List an archive and start a label-batch run for every batch of shards that is missing.

    Shards of batches that still wait or run are left to them, so planning again does no work twice.
    Cancelling the plan leaves its batches alone: cancel-batches stops them.

    Args:
        job: Everything about the run; where nothing is filled in, the shown default is taken.
        batch_shards: Shards per batch: what one worker takes at a time.
    """
    run, shards = prepare(job, "text")
    missing = [work.shard for work in to_label(run, shards)]
    under_way = _under_way(run.key)
    free = [shard for shard in missing if shard not in under_way]
    batches = [free[start : start + batch_shards] for start in range(0, len(free), batch_shards)]
    numbers = numbered(shards)
    for batch in batches:
        run_deployment(
            LABEL_BATCH,
            # The run's own job: its precision is settled, so every machine makes the same vectors.
            # What nobody set (such as threads) is each machine's own affair.
            parameters={
                "job": run.job.model_dump(mode="json", exclude_unset=True),
                "run": run.key,
                "shards": batch,
            },
            flow_run_name=f"{run.key} {_span([numbers[shard] for shard in batch])}",
            tags=["lazsl", run.key],
            timeout=0,
            as_subflow=False,
        )
    if not batches and not under_way:
        _ask_for_load(run.job, run.key)
    stopping = f"; to stop them, run cancel-batches with {run.key}"
    return Completed(
        message=f"{len(shards)} shards, {len(missing)} missing: {len(batches)} batches "
        f"started, {len(under_way & set(missing))} shards are under way already"
        + (stopping if batches or under_way else "")
    )


@flow(name="label-batch", task_runner=RUNNER)
@attempt
def label_batch(job: Job, run: str, shards: list[str]) -> State[Any]:
    """Stage, embed and score some shards of a planned run; ends Failed while one is missing.

    Args:
        job: The planned run's job.
        run: The planned run's key.
        shards: What this batch sees to.
    """
    opened = open_run(job)
    if opened.key != run:
        raise UserError(
            f"this batch was planned for run {run}, but its job is now {opened.key}: the label "
            "set, the model or its precision here differs; plan the archive again"
        )
    numbers = numbered(plan_step.archive_shards(opened))
    if strays := [shard for shard in shards if shard not in numbers]:
        raise UserError(
            f"{len(strays)} of the {len(shards)} shards of this batch are in no manifest of the "
            "archive any more; plan the archive again"
        )
    worked = mending(opened, lambda: work(opened, shards, numbers, label_shard))
    _ask_for_load(job, run)
    if worked.failed:
        raise UserError(failure_sentence(worked.failed, len(shards), worked.reasons))
    done_now = len(worked.missing)
    return Completed(message=f"{len(shards)} shards done, {done_now} of them in this run")


@flow(name="cancel-batches", flow_run_name="cancel batches of {run}")
@attempt
def cancel_batches(run: str) -> State[Any]:
    """Cancel the batches of a run that wait or run. What is done stays done.

    Args:
        run: Key of the run: the tag of its batches.
    """
    batches = _unended(run)
    if not batches:
        raise UserError(f"no batch of run {run!r} waits or runs; give the key that is their tag")
    with get_client(sync_client=True) as client:
        for batch in batches:
            client.set_flow_run_state(batch.id, Cancelling())
    return Completed(message=f"{len(batches)} batches of {run} are being cancelled")


def _under_way(run: str) -> set[str]:
    """Shards of a run that are in a batch which has not ended."""
    return {shard for batch in _unended(run) for shard in batch.parameters["shards"]}


def _unended(run: str) -> list[FlowRun]:
    """Batches of a run that have not ended."""
    of_run = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[run]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_WAITING)),
    )
    batches: list[FlowRun] = []
    seen = 0
    with get_client(sync_client=True) as client:
        while page := client.read_flow_runs(flow_run_filter=of_run, limit=200, offset=seen):
            batches += [flow_run for flow_run in page if "shards" in flow_run.parameters]
            seen += len(page)
    return batches


def _ask_for_load(job: Job, run: str) -> None:
    """Start a load; the deployment runs one at a time, wherever the warehouse is."""
    run_deployment(
        LOAD_WAREHOUSE,
        parameters={"workspace": job.workspace, "run": run, "warehouse": job.warehouse},
        flow_run_name=f"load {run}",
        tags=["lazsl", run],
        timeout=0,
        as_subflow=False,
    )


def _span(numbers: list[int]) -> str:
    """The numbers of a batch's shards, as a person says them: 3 to 18, or 7."""
    return f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else str(numbers[0])
