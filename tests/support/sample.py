"""Small jobs over a few files of the embedded sample archive, and what came out of them."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

from lazsl import fieldguide
from lazsl.archive import named_archives
from lazsl.archive.selection import select
from lazsl.archive.shard_planning import plan_shards
from lazsl.archive.truth import read_truth
from lazsl.run import embed_step, label_set_step, score_step, stage_step, todo
from lazsl.run.run import Run, open_run, record_run
from lazsl.settings import Job, make_job
from lazsl.warehouse import loading
from lazsl.warehouse.opening import open_warehouse

USABLE_ODD = 7
UNUSABLE_ODD = 7
TABLES = ("images", "regions", "predictions", "scores", "evidence", "plans", "rejects")


def sample_files(birds: int, odd: bool = True) -> list[Path]:
    """The first `birds` pictures of the sample archive, and its odd files."""
    plates = sorted(fieldguide.IMAGES_DIR.glob("18*/*.jpg"))[:birds]
    return plates + (sorted((fieldguide.IMAGES_DIR / "odd").iterdir()) if odd else [])


def copy_sample(folder: Path, birds: int, odd: bool = True) -> Path:
    """An archive of its own on the local disk; what is there already is left as it is."""
    for source in sample_files(birds, odd):
        target = folder / source.relative_to(fieldguide.IMAGES_DIR)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copyfile(source, target)
    return folder


def small_job(archive: Path | str, workspace: Path | str, **changes: Any) -> Job:
    """A job of the embedded model with few regions, so that it takes a second or two."""
    values: dict[str, Any] = {
        "archive": str(archive),
        "labels": str(fieldguide.LABELS_FILE),
        "workspace": str(workspace),
        "model": "fieldguide",
        "regions": {"count": 12},
        "shard_size": 8,
        "decoders": 2,
        "device": "cpu",
        # Shards of so few images may well be rubbish.
        "reject_ceiling": 1.0,
    }
    return make_job(**{**values, **changes})


def label_plainly(job: Job, scratch: Path) -> Run:
    """The whole job without Prefect: the same steps in the same order, one after the other."""
    run = open_run(job)
    only = select(job.only)
    named_archives.note(job.archive)
    plan = plan_shards(run.workspace, job.archive, job.suffixes, job.shard_size, only, job.links)
    record_run(run)
    label_set_step.embed_attributes(run)
    scratch.mkdir(exist_ok=True)
    for work in todo.to_label(run, list(plan.shards)):
        if work.embeds:
            staged = stage_step.stage_shard(run, work.shard, scratch / work.shard, work.again)
            embed_step.embed_shard(run, work.shard, staged)
        score_step.score_embedded(run, work)
    truth = None if job.truth is None else read_truth(job.truth, run.labelset)
    loading.load(run.workspace, job.warehouse_path, [run.key], truth=truth, archive=run.archive)
    return run


def content(path: Path, by_shard: bool = True) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the warehouse's tables in a fixed order; without shards if they may differ."""
    rows_of = {}
    with closing(open_warehouse(path)) as connection:
        for table in TABLES:
            left_out = "" if by_shard else "exclude (shard)"
            rows = connection.execute(f"select * {left_out} from {table}").fetchall()
            rows_of[table] = sorted(rows, key=repr)
    return rows_of
