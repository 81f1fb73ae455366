"""A whole job in this process, without Prefect: the same steps in the same order.

What one of the two ways has finished, the other does not do again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from lazsl.archive.staged_images import unstage
from lazsl.errors import UserError
from lazsl.run import embed_step, label_set_step, plan_step, score_step, stage_step, todo
from lazsl.run.into_warehouse import load_run
from lazsl.run.run import Run, record_run
from lazsl.run.stage_step import StagedShard
from lazsl.run.status import check_complete
from lazsl.run.todo import ToDo
from lazsl.store.folder import DAMAGED
from lazsl.store.scratch import scratch_folder

Progress = Callable[[int, int], None]
"""Called with the number of images that are done, and of how many."""


def label_archive(run: Run, progress: Progress | None = None) -> None:
    """List, stage, embed, score and load the run's archive, as far as that is not done.

    Raises:
        UserError: some shards failed; the others are done and loaded, and the same call does only
            what is missing. Or all are done, and not one image was labelled.
    """
    plan = plan_step.plan_archive(run)
    record_run(run)
    label_set_step.embed_attributes(run)
    _finish_mending(run, list(plan.shards), progress)


def relabel_archive(
    run: Run, progress: Progress | None = None, relabels: str | None = None
) -> None:
    """Score the archive's stored embeddings as this run does, and load what came of it.

    Args:
        run: how to score.
        progress: called as images are done.
        relabels: key of the run that has the embeddings.

    Raises:
        UserError: as `label_archive`; also where a shard was never embedded.
    """
    record_run(run, relabels)
    label_set_step.embed_attributes(run, "text")
    _finish_mending(run, plan_step.archive_shards(run), progress, with_images=False)


def _finish_mending(
    run: Run, shards: list[str], progress: Progress | None, with_images: bool = True
) -> None:
    """As `_finish`, and once more where damage was set aside on the way: it is missing now."""
    aside = len(run.workspace.names(DAMAGED))
    try:
        _finish(run, shards, progress, with_images)
    except UserError:
        if len(run.workspace.names(DAMAGED)) == aside:
            raise
        _finish(run, shards, progress, with_images)


def _finish(
    run: Run, shards: list[str], progress: Progress | None, with_images: bool = True
) -> None:
    missing = todo.to_label(run, shards) if with_images else todo.to_score(run, shards)
    counts = {work.shard: plan_step.count_images(run, [work.shard]) for work in missing}
    total, done = sum(counts.values()), 0
    failures: list[str] = []

    def show(more: int) -> None:
        if progress is not None:
            progress(done + more, total)

    show(0)
    with (
        scratch_folder(f"label-{uuid.uuid4().hex}", run.job.scratch) as scratch,
        ThreadPoolExecutor(1) as fetching,
    ):
        staged = _Ahead(run, missing, scratch, fetching)
        for work in missing:
            try:
                if work.embeds:
                    embed_step.embed_shard(run, work.shard, *staged.take(work.shard), show)
                score_step.score_embedded(run, work)
            except UserError as error:
                failures.append(str(error).rstrip("."))
            finally:
                unstage(scratch / work.shard)
            done += counts[work.shard]
            show(0)
    load_run(run.workspace, run.job, run.key, run.archive)
    if failures:
        raise UserError(
            f"{len(failures)} of {len(shards)} shards failed: {failures[0]}; the others are done "
            "and loaded, and the same call does only what is missing"
        )
    check_complete(run.workspace, run.key, run.job.warehouse_path)


class _Ahead:
    """Shards staged in another thread, a few ahead of the one that is embedded."""

    def __init__(
        self, run: Run, missing: list[ToDo], scratch: Path, pool: ThreadPoolExecutor
    ) -> None:
        self._run, self._scratch, self._pool = run, scratch, pool
        self._waiting = [work for work in missing if work.embeds]
        self._staging: dict[str, Future[tuple[StagedShard, float]]] = {}

    def take(self, shard: str) -> tuple[StagedShard, float]:
        """The shard's images on the local disk, and the seconds it took to fetch them.

        Raises:
            UserError: as `stage_step.stage_shard`.
        """
        while self._waiting and len(self._staging) <= self._run.job.staged_shards:
            work = self._waiting.pop(0)
            self._staging[work.shard] = self._pool.submit(self._stage, work)
        return self._staging.pop(shard).result()

    def _stage(self, work: ToDo) -> tuple[StagedShard, float]:
        started = time.perf_counter()
        where = self._scratch / work.shard
        staged = stage_step.stage_shard(self._run, work.shard, where, work.again)
        return staged, time.perf_counter() - started
