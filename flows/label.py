"""Label an archive, and score it anew: one flow run per job, one task run per shard and step.

A flow run looks at the workspace, submits only what is not done, and ends Failed with a sentence
while anything is missing. So Retry (in the UI, or `prefect flow-run retry`) pays only for what
failed, also after a kill, a cancel, a code fix, or on another machine: what is done is what lies in
the workspace, not what Prefect remembers.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from prefect import State, flow, get_run_logger, task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.summary import failure_sentence, run_summary
from lazsl import run as steps
from lazsl import warehouse
from lazsl.encoder import Towers
from lazsl.errors import UserError
from lazsl.manifest import Plan, plan_shards, read_manifest
from lazsl.run import Run
from lazsl.settings import Job, ScoringSettings
from lazsl.staging import Staged, unstage
from lazsl.storage import masked
from lazsl.truth import read_truth

P = ParamSpec("P")
R = TypeVar("R")

on_progress: ContextVar[Callable[[str, int], None] | None] = ContextVar("on_progress", default=None)
"""Called with a shard and how many of its images are done, for whoever runs the flow in-process."""

on_shards: ContextVar[Callable[[int], None] | None] = ContextVar("on_shards", default=None)
"""Called once with the number of images that are still to be done."""

_RUNNER: Any = ThreadPoolTaskRunner(max_workers=256)
"""Threads only wait for each other: how much is done at a time is bounded by the flow."""

_model = threading.Lock()
"""One shard at a time has the model; several GPUs are several processes."""


def _in_words(function: Callable[P, R]) -> Callable[P, R | State[Any]]:
    """The task, failing with a sentence where the world went wrong and not the code."""

    @wraps(function)
    def step(*args: P.args, **kwargs: P.kwargs) -> R | State[Any]:
        try:
            return function(*args, **kwargs)
        except (UserError, OSError) as error:
            return Failed(message=masked(str(error) or type(error).__name__))

    return step


@task(name="plan", cache_policy=NO_CACHE)
@_in_words
def plan(run: Run) -> Plan:
    """List the archive and cut what is new into shards."""
    job = run.job
    return plan_shards(run.workspace, job.archive, job.suffixes, job.shard_size)


@task(name="attributes", cache_policy=NO_CACHE)
@_in_words
def attributes(run: Run, towers: Towers = "both") -> bool:
    """Embed the label set, unless it was embedded before."""
    return steps.embed_attributes(run, towers)


@task(name="stage", task_run_name="stage {number} ({shard})", cache_policy=NO_CACHE)
@_in_words
def stage(run: Run, number: int, shard: str, directory: Path) -> tuple[Staged, float]:
    """Fetch a shard's images to the local disk."""
    started = time.perf_counter()
    return steps.stage_shard(run, shard, directory), time.perf_counter() - started


@task(name="embed", task_run_name="embed {number} ({shard})", cache_policy=NO_CACHE)
@_in_words
def embed(run: Run, number: int, shard: str, staged: tuple[Staged, float]) -> State[Any]:
    """Cut regions and embed them. The staged images are removed afterwards."""
    images, seconds = staged
    total = len(images.table)
    report = on_progress.get()
    progress = None if report is None else partial(report, shard)
    with _model:
        steps.embed_shard(run, shard, images, seconds, progress)
    unstage(images.directory)
    return Completed(message=f"{total} images")


@task(name="score", task_run_name="score {number} ({shard})", cache_policy=NO_CACHE)
@_in_words
def score(run: Run, number: int, shard: str) -> State[Any]:
    """Align regions with attributes; write predictions, evidence, plans, and the done marker."""
    marker = steps.score_shard(run, shard)
    report = on_progress.get()
    if report is not None:
        report(shard, marker["listed"])
    return Completed(message=f"{marker['labelled']} labelled, {marker['rejected']} rejected")


@task(name="load", cache_policy=NO_CACHE)
@_in_words
def load(run: Run) -> State[Any]:
    """Load every finished shard that the warehouse does not hold yet."""
    manifest = read_manifest(run.workspace, run.archive)
    listed = manifest.filter(pc.equal(manifest["event"], pa.scalar("added")))
    truth = None if run.job.truth is None else read_truth(run.job.truth, run.labelset)
    loaded = warehouse.load(
        run.workspace,
        run.job.warehouse_path,
        [run.key],
        listed={run.archive: listed.select(["image_id"])},
        truth=truth,
        archive=run.archive,
    )
    return Completed(message=f"{loaded.shards} shards, {loaded.images} images")


@flow(name="label-archive", task_runner=_RUNNER)
def label_archive(job: Job) -> State[Any]:
    """List, stage, embed, score and load an archive; ends Failed while any shard is missing."""
    try:
        run = steps.open_run(job)
    except UserError as error:
        return Failed(message=str(error))
    for notice in steps.notices(job):
        get_run_logger().warning(notice)
    planned = plan(run, return_state=True)
    if not planned.is_completed():
        return Failed(message=planned.message)
    found: Any = planned.result()
    shards = list(found.shards)
    steps.record_run(run)
    embedded = attributes(run, return_state=True)
    if not embedded.is_completed():
        return Failed(message=embedded.message)
    return _finish(run, shards, _label_shard)


@flow(name="relabel", task_runner=_RUNNER)
def relabel(
    workspace: str,
    run: str,
    labels: str | None = None,
    scoring: ScoringSettings | None = None,
    warehouse: str | None = None,
    truth: str | None = None,
) -> State[Any]:
    """Score the stored embeddings of a run with another label set or other settings.

    No image is read and no vision tower is loaded.
    """
    given = {"labels": labels, "warehouse": warehouse, "truth": truth}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if scoring is not None:
        changes["scoring"] = scoring.model_dump()
    try:
        relabelled = steps.open_relabelling(workspace, run, changes)
    except UserError as error:
        return Failed(message=str(error))
    steps.record_run(relabelled)
    embedded = attributes(relabelled, "text", return_state=True)
    if not embedded.is_completed():
        return Failed(message=embedded.message)
    return _finish(relabelled, steps.archive_shards(relabelled), _score_shard)


Submit = Callable[[Run, int, str, Path], list[PrefectFuture[Any]]]
"""Submits what one shard needs: its tasks in order, each waiting for the one before."""


def _label_shard(run: Run, number: int, shard: str, scratch: Path) -> list[PrefectFuture[Any]]:
    if steps.is_embedded(run, shard):
        return _score_shard(run, number, shard, scratch)
    staged: Any = stage.submit(run, number, shard, scratch / shard)
    embedded = embed.submit(run, number, shard, staged)
    waiting: Any = score
    return [staged, embedded, waiting.submit(run, number, shard, wait_for=[embedded])]


def _score_shard(run: Run, number: int, shard: str, scratch: Path) -> list[PrefectFuture[Any]]:
    return [score.submit(run, number, shard)]


def _finish(run: Run, shards: list[str], submit: Submit) -> State[Any]:
    """Do what is missing, load what is done, and say how it ended."""
    missing = steps.missing_shards(run, shards)
    numbers = {shard: number for number, shard in enumerate(shards, start=1)}
    scratch = Path(run.job.scratch or tempfile.gettempdir()) / f"lazsl-{flow_run.id or run.key}"
    progress: Any = create_progress_artifact(
        progress=_percent(len(shards) - len(missing), len(shards)),
        key="lazsl-progress",
        description=f"shards of {run.key} that are done",
    )
    announce = on_shards.get()
    if announce is not None:
        announce(steps.count_images(run, missing))
    waiting: deque[list[PrefectFuture[Any]]] = deque()
    reasons: list[str] = []
    done = len(shards) - len(missing)
    try:
        for shard in missing:
            if len(waiting) > run.job.staged_shards:
                reasons += _reasons(waiting.popleft())
                done += 1
                update_progress_artifact(progress, progress=_percent(done, len(shards)))
            waiting.append(submit(run, numbers[shard], shard, scratch))
        for futures in waiting:
            reasons += _reasons(futures)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    failed = steps.missing_shards(run, shards)
    update_progress_artifact(progress, progress=_percent(len(shards) - len(failed), len(shards)))
    loaded = load(run, return_state=True)
    if loaded.is_completed():
        status = warehouse.status(run.job.warehouse_path, run.key)
        create_markdown_artifact(run_summary(run, status), key="lazsl-summary")
    if failed:
        names = [f"{numbers[shard]} ({shard})" for shard in failed]
        return Failed(message=failure_sentence(names, len(shards), reasons))
    if not loaded.is_completed():
        return Failed(message=f"every shard is done, but loading failed: {loaded.message}")
    return Completed(message=f"{len(shards)} shards done, {len(missing)} of them in this run")


def _reasons(futures: list[PrefectFuture[Any]]) -> list[str]:
    """Why a shard failed, in words, once its last task has ended; empty when it did not."""
    futures[-1].wait()
    ended = [future.state for future in futures]
    return [state.message or "no reason given" for state in ended if state.is_failed()][:1]


def _percent(done: int, total: int) -> float:
    return 100.0 * done / total if total else 100.0
