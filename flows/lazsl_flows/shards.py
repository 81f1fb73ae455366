"""The tasks that every flow is made of, and how a flow works through shards.

A task is submitted only where its artifact is missing: what is done is what lies in the workspace,
not what Prefect remembers. So any flow can be killed and run again, anywhere.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from prefect import State, get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from lazsl.archive.litter import passed_over_sentence
from lazsl.archive.shard_planning import Plan
from lazsl.archive.staged_images import unstage
from lazsl.model.towers import Towers
from lazsl.run import embed_step, label_set_step, plan_step, score_step, stage_step
from lazsl.run.run import Run, notices, open_run, record_run
from lazsl.run.stage_step import StagedShard
from lazsl.run.todo import ToDo, missing_shards, to_label, to_score
from lazsl.settings import Job
from lazsl.store.folder import DAMAGED
from lazsl.store.scratch import scratch_folder, sweep_workspace
from lazsl_flows.attempts import in_words
from lazsl_flows.watching import watcher

R = TypeVar("R")

RUNNER: Any = ThreadPoolTaskRunner(max_workers=256)
"""Threads only wait for each other: how much is done at a time is bounded by the flow."""

_SHOWN_EVERY = 2.0
"""Seconds between two requests that say how far a flow is: small shards are done faster."""

_model = threading.Lock()
"""One shard at a time has the model; several GPUs are several processes."""


@task(name="plan", task_run_name="plan", cache_policy=NO_CACHE)
@in_words
def plan(run: Run) -> Plan:
    """List the archive and cut what is new into shards."""
    return plan_step.plan_archive(run)


@task(name="attributes", task_run_name="attributes", cache_policy=NO_CACHE)
@in_words
def attributes(run: Run, towers: Towers = "both") -> bool:
    """Embed the label set, unless it was embedded before."""
    return label_set_step.embed_attributes(run, towers)


@task(name="stage", task_run_name="stage {number} ({shard})", cache_policy=NO_CACHE)
@in_words
def stage(
    run: Run, number: int, shard: str, directory: Path, again: tuple[str, ...] = ()
) -> tuple[StagedShard, float]:
    """Fetch a shard's images to the local disk, or those that are tried again."""
    started = time.perf_counter()
    return stage_step.stage_shard(run, shard, directory, again), time.perf_counter() - started


@task(name="embed", task_run_name="embed {number} ({shard})", cache_policy=NO_CACHE)
@in_words
def embed(run: Run, number: int, shard: str, staged: tuple[StagedShard, float]) -> State[Any]:
    """Cut regions and embed them. The staged images are removed afterwards."""
    images, seconds = staged
    total = len(images.table)
    with _model:
        embed_step.embed_shard(run, shard, images, seconds, partial(watcher.get().images, shard))
    unstage(images.directory)
    return Completed(message=f"{total} images")


@task(name="score", task_run_name="score {number} ({work.shard})", cache_policy=NO_CACHE)
@in_words
def score(run: Run, number: int, work: ToDo) -> State[Any]:
    """Align regions with attributes; write predictions, evidence, plans, and the done marker."""
    marker = score_step.score_embedded(run, work)
    watcher.get().shard(marker)
    return Completed(message=f"{marker['labelled']} labelled, {marker['rejected']} rejected")


def prepare(job: Job, towers: Towers = "both") -> tuple[Run, list[str]]:
    """The run of a job and all its shards, once the archive is planned and the labels embedded.

    Raises:
        UserError: one of these failed; it is the error of its task.
    """
    run = open_run(job)
    for notice in notices(job, run.labelset, run.source):
        get_run_logger().warning(notice)
    watcher.get().waiting("listing the archive")
    planned: Any = plan(run, return_state=True)
    result = planned.result()
    if left_out := passed_over_sentence(result.passed_over):
        get_run_logger().info(left_out)
    shards = list(result.shards)
    if older := embed_step.older_colours(run, shards):
        get_run_logger().warning(older)
    record_run(run)
    embed_labels(run, towers)
    return run, shards


def embed_labels(run: Run, towers: Towers = "both") -> None:
    """Have the label set embedded.

    Raises:
        UserError: the error of the task.
    """
    if notice := label_set_step.cut_sentences(run):
        get_run_logger().warning(notice)
    watcher.get().waiting("embedding the label set")
    embedded: Any = attributes(run, towers, return_state=True)
    embedded.result()


Submit = Callable[[Run, int, ToDo, Path], list[PrefectFuture[Any]]]
"""Submits what one shard needs: its tasks in order, each waiting for the one before."""


def label_shard(run: Run, number: int, work: ToDo, scratch: Path) -> list[PrefectFuture[Any]]:
    """A `Submit`: stage, embed and score, or score alone where the shard was embedded before.

    Rejects that are to be tried again are staged and embedded, and the shard is scored anew.
    """
    if not work.embeds:
        return score_shard(run, number, work, scratch)
    # Prefect looks for results of other tasks in whatever it is given: in a run it would go through
    # every sentence of the label set, several times a task.
    quoted: Any = quote(run)
    staged: Any = stage.submit(quoted, number, work.shard, scratch / work.shard, work.again)
    embedded = embed.submit(quoted, number, work.shard, staged)
    waiting: Any = score
    return [staged, embedded, waiting.submit(quoted, number, work, wait_for=[embedded])]


def score_shard(run: Run, number: int, work: ToDo, scratch: Path) -> list[PrefectFuture[Any]]:
    """A `Submit`: score alone."""
    quoted: Any = quote(run)
    return [score.submit(quoted, number, work)]


@dataclass(frozen=True)
class Worked:
    """What became of some shards.

    missing: those that were not done before. failed: those that are still not done, as their tasks
    are named. reasons: what the failed tasks said, in order.
    """

    missing: tuple[str, ...]
    failed: tuple[str, ...]
    reasons: tuple[str, ...]


def work(
    run: Run, shards: list[str], numbers: dict[str, int], submit: Submit, ahead: int | None = None
) -> Worked:
    """Do those of the shards that are missing, a few at a time, and say what became of them.

    Args:
        run: the run.
        shards: the shards to see to.
        numbers: of every shard of the archive, as its tasks show it.
        submit: what one shard needs.
        ahead: shards submitted beyond the one that is waited for; default: what may be staged.
    """
    ahead = run.job.staged_shards if ahead is None else ahead
    missing = to_score(run, shards) if submit is score_shard else to_label(run, shards)
    progress: Any = create_progress_artifact(
        progress=_percent(len(shards) - len(missing), len(shards)),
        key="lazsl-progress",
        description=f"shards of {run.key} that are done",
    )
    names = [work.shard for work in missing]
    watcher.get().begin(plan_step.count_images(run, names), len(missing))
    waiting: deque[list[PrefectFuture[Any]]] = deque()
    reasons: list[str] = []
    done = len(shards) - len(missing)
    shown = time.monotonic()
    sweep_workspace(run.workspace)
    with scratch_folder(str(flow_run.id or run.key), run.job.scratch) as scratch:
        for work in missing:
            if len(waiting) > ahead:
                reasons += _reasons(waiting.popleft())
                done += 1
                if time.monotonic() > shown + _SHOWN_EVERY:
                    update_progress_artifact(progress, progress=_percent(done, len(shards)))
                    shown = time.monotonic()
            waiting.append(submit(run, numbers[work.shard], work, scratch))
        for futures in waiting:
            reasons += _reasons(futures)
    left = missing_shards(run, shards)
    update_progress_artifact(progress, progress=_percent(len(shards) - len(left), len(shards)))
    failed = tuple(f"{numbers[shard]} ({shard})" for shard in left)
    return Worked(tuple(names), failed, tuple(reasons))


def mending(run: Run, attempt: Callable[[], R]) -> R:
    """What an attempt comes to; what a second one does, where the first set damaged artifacts
    aside, which are missing then."""
    aside = len(run.workspace.names(DAMAGED))
    outcome = attempt()
    return attempt() if len(run.workspace.names(DAMAGED)) > aside else outcome


def numbered(shards: list[str]) -> dict[str, int]:
    """Every shard of an archive with its number, from 1, in the order they were cut."""
    return {shard: number for number, shard in enumerate(shards, start=1)}


def _reasons(futures: list[PrefectFuture[Any]]) -> list[str]:
    """Why a shard failed, in words, once its last task has ended; empty when it did not."""
    futures[-1].wait()
    ended = [future.state for future in futures]
    return [state.message or "no reason given" for state in ended if state.is_failed()][:1]


def _percent(done: int, total: int) -> float:
    return 100.0 * done / total if total else 100.0
