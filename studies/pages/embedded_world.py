"""Pictures of one of the field guide's worlds, drawn and embedded, ready to be measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lazsl.archive.shard_planning import plan_shards
from lazsl.evaluation.known_truth import Known, join_truth
from lazsl.evaluation.stored import StoredRun, open_stored
from lazsl.run import embed_step, label_set_step, stage_step
from lazsl.run.run import Run, open_run, record_run
from lazsl.settings import make_job
from studies.guide import SEED, draw_world


def embedded_world(
    folder: Path,
    world: str,
    pictures: int,
    draw: int = SEED,
    model: str = "fieldguide",
    drawn: Callable[..., int] = draw_world,
    **settings: Any,
) -> tuple[Run, StoredRun, Known]:
    """The run over an archive of one world, what it stored, and what its pictures show.

    Args:
        folder: for the archive and a workspace, which worlds share. What is there is used.
        world: which.
        pictures: per species.
        draw: of the species.
        model: that sees them.
        drawn: draws an archive of a world: folder, world, pictures per species, draw.
        **settings: of the Job, where they are not the defaults.
    """
    archive = folder / f"{world}-{draw}-{pictures}"
    if not archive.exists():
        drawn(archive, world, pictures, draw)
    return embedded_archive(
        folder,
        archive / "images",
        archive / "labels.json",
        archive / "truth.csv",
        model,
        **settings,
    )


def embedded_archive(
    folder: Path,
    images: Path,
    labels: Path,
    truth: Path,
    model: str = "fieldguide",
    **settings: Any,
) -> tuple[Run, StoredRun, Known]:
    """The same of any archive with its label set and truth.

    Args:
        folder: for a workspace.
        images, labels, truth: where they are.
        model, **settings: as above.
    """
    job = make_job(
        archive=str(images),
        labels=str(labels),
        workspace=str(folder / "workspace"),
        model=model,
        device="cpu",
        truth=str(truth),
        **settings,
    )
    run = open_run(job)
    plan = plan_shards(run.workspace, job.archive, job.suffixes, job.shard_size)
    record_run(run)
    label_set_step.embed_attributes(run)
    for shard in plan.shards:
        if not embed_step.is_embedded(run, shard):
            embed_step.embed_shard(
                run, shard, stage_step.stage_shard(run, shard, folder / "stage" / shard)
            )
    stored = open_stored(job.workspace, run.key)
    return run, stored, join_truth(stored, str(truth))
