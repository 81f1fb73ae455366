"""A whole job in this process, without Prefect: the same steps in the same order.

What one of the two ways has finished, the other does not do again.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from lazsl.archive.staging import Staged, unstage
from lazsl.errors import UserError
from lazsl.run import steps
from lazsl.run.into_warehouse import load_run
from lazsl.run.run import Run, record_run

Progress = Callable[[int, int], None]
"""Called with the number of images that are done, and of how many."""


def label_archive(run: Run, progress: Progress | None = None) -> None:
    """List, stage, embed, score and load the run's archive, as far as that is not done.

    Raises:
        UserError: some shards failed; the others are done and loaded, and the same call does only
            what is missing.
    """
    plan = steps.plan_archive(run)
    record_run(run)
    steps.embed_attributes(run)
    _finish(run, list(plan.shards), progress)


def relabel_archive(run: Run, progress: Progress | None = None) -> None:
    """Score the archive's stored embeddings as this run does, and load what came of it.

    Raises:
        UserError: as `label_archive`; also where a shard was never embedded.
    """
    record_run(run)
    steps.embed_attributes(run, "text")
    _finish(run, steps.archive_shards(run), progress, with_images=False)


def _finish(
    run: Run, shards: list[str], progress: Progress | None, with_images: bool = True
) -> None:
    missing = steps.missing_shards(run, shards)
    to_stage = [s for s in missing if with_images and not steps.is_embedded(run, s)]
    counts = {shard: steps.count_images(run, [shard]) for shard in missing}
    total, done = sum(counts.values()), 0
    failures: list[str] = []

    def show(more: int) -> None:
        if progress is not None:
            progress(done + more, total)

    show(0)
    if run.job.scratch is not None:
        Path(run.job.scratch).mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="lazsl-", dir=run.job.scratch) as scratch,
        ThreadPoolExecutor(1) as fetching,
    ):
        staged = _Ahead(run, to_stage, Path(scratch), fetching)
        for shard in missing:
            try:
                if shard in to_stage:
                    steps.embed_shard(run, shard, *staged.take(shard), show)
                steps.score_shard(run, shard)
            except UserError as error:
                failures.append(str(error).rstrip("."))
            finally:
                unstage(Path(scratch) / shard)
            done += counts[shard]
            show(0)
    load_run(run.workspace, run.job, run.key, run.archive)
    if failures:
        raise UserError(
            f"{len(failures)} of {len(shards)} shards failed: {failures[0]}; the others are done "
            "and loaded, and the same call does only what is missing"
        )


class _Ahead:
    """Shards staged in another thread, a few ahead of the one that is embedded."""

    def __init__(
        self, run: Run, shards: list[str], scratch: Path, pool: ThreadPoolExecutor
    ) -> None:
        self._run, self._scratch, self._pool = run, scratch, pool
        self._waiting = list(shards)
        self._staging: dict[str, Future[tuple[Staged, float]]] = {}

    def take(self, shard: str) -> tuple[Staged, float]:
        """The shard's images on the local disk, and the seconds it took to fetch them.

        Raises:
            UserError: as `steps.stage_shard`.
        """
        while self._waiting and len(self._staging) <= self._run.job.staged_shards:
            name = self._waiting.pop(0)
            self._staging[name] = self._pool.submit(self._stage, name)
        return self._staging.pop(shard).result()

    def _stage(self, shard: str) -> tuple[Staged, float]:
        started = time.perf_counter()
        staged = steps.stage_shard(self._run, shard, self._scratch / shard)
        return staged, time.perf_counter() - started
