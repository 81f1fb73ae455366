"""The labelling job on a Dask cluster, for those who have one: a task per shard, on any machine.

    LAZSL_DASK=tcp://scheduler:8786 prefect ... deploy flows/lazsl_flows/cluster.py:label_on_cluster
    python -c "from lazsl_flows.cluster import label_on_cluster; label_on_cluster(job)"

Without LAZSL_DASK, a cluster of two processes is started on this machine. A shard's images are
staged on the machine that embeds them. Dask's workers need the package and the store's credentials,
and one thread each: `dask worker ADDRESS --nthreads 1`, per GPU.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

from prefect import State, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.states import Completed
from prefect_dask.task_runners import DaskTaskRunner

from lazsl.run import embed_step, score_step, stage_step
from lazsl.run.run import Run
from lazsl.run.todo import ToDo
from lazsl.settings import Job
from lazsl.store.scratch import scratch_folder
from lazsl_flows.attempts import attempt, in_words
from lazsl_flows.label import finish
from lazsl_flows.shards import prepare

_AHEAD = 256
"""Shards handed to the cluster at a time: enough for as many workers."""


def _runner() -> Any:
    address = os.environ.get("LAZSL_DASK")
    if address:
        return DaskTaskRunner(address=address)
    return DaskTaskRunner(cluster_kwargs={"n_workers": 2, "threads_per_worker": 1})


@task(name="label", task_run_name="label {number} ({work.shard})", cache_policy=NO_CACHE)
@in_words
def label(run: Run, number: int, work: ToDo) -> State[Any]:
    """Stage, embed and score one shard, wherever this runs."""
    if work.embeds:
        # The machine may be another than the flow's, where nothing of the flow's scratch folder is.
        with scratch_folder(f"shard-{uuid.uuid4().hex}", run.job.scratch) as scratch:
            staged = stage_step.stage_shard(run, work.shard, scratch / work.shard, work.again)
            embed_step.embed_shard(run, work.shard, staged)
    marker = score_step.score_embedded(run, work)
    return Completed(message=f"{marker['labelled']} labelled, {marker['rejected']} rejected")


@flow(name="label-on-cluster", flow_run_name="label {job.archive}", task_runner=_runner())
@attempt
def label_on_cluster(job: Job) -> State[Any]:
    """List, label and load an archive; shards are spread over a Dask cluster."""
    run, shards = prepare(job)
    return finish(run, shards, _submit, ahead=_AHEAD)


def _submit(run: Run, number: int, work: ToDo, scratch: Path) -> list[PrefectFuture[Any]]:
    return [label.submit(run, number, work)]
