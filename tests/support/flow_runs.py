"""Flow runs in tests: what became of their tasks, and how a shard of theirs is made to fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterFlowRunId

from lazsl.archive.shard_planning import plan_shards
from lazsl.run import plan_step
from lazsl.run.run import open_run
from lazsl.settings import Job
from lazsl.store import paths
from lazsl.store.folder import Folder


def task_runs(flow_run_id: Any) -> dict[str, list[str]]:
    """States of the task runs of a flow run, by task and number: {"embed 2": ["Completed"]}."""
    of_flow_run = TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(task_run_filter=of_flow_run)
    states: dict[str, list[str]] = {}
    for run in sorted(runs, key=lambda run: str(run.start_time)):
        states.setdefault(run.name.split(" (")[0], []).append(run.state_name or "")
    return states


def flow_run_of(state: Any) -> Any:
    """Id of the flow run that ended in a state."""
    return state.state_details.flow_run_id


def block(job: Job, number: int) -> Path:
    """Make one shard impossible to write: a folder lies where its embeddings belong."""
    run = open_run(job)
    shard = plan_step.archive_shards(run)[number - 1]
    name = paths.region_embeddings(run.encoder, run.regions, shard)
    poison = Path(job.workspace) / name
    poison.mkdir(parents=True)
    return poison


def plan_only(job: Job) -> None:
    """Cut a job's archive into shards, and no more."""
    run = open_run(job)
    plan_shards(run.workspace, job.archive, job.suffixes, job.shard_size)


def put_into(archive: Path, url: str) -> None:
    """Copy an archive into a bucket."""
    whole = Folder(url)
    for file in archive.rglob("*"):
        if file.is_file():
            whole.write_bytes(str(file.relative_to(archive)), file.read_bytes())
