"""The first step of a run: its archive is listed, and what is new is cut into shards."""

from __future__ import annotations

from lazsl.archive import named_archives
from lazsl.archive.manifest import count_images as count_shard_images
from lazsl.archive.mended_manifest import mend_manifest
from lazsl.archive.selection import select
from lazsl.archive.shard_planning import Plan, plan_shards
from lazsl.errors import UserError
from lazsl.run.into_warehouse import check_folders
from lazsl.run.run import Run


def plan_archive(run: Run) -> Plan:
    """List the archive and cut what is new into shards.

    Raises:
        UserError: as `plan_shards` and `check_folders`; or the file of keys was changed meanwhile.
    """
    job = run.job
    only = select(job.only)
    ceiling = job.loss_ceiling
    named_archives.note(job.archive)
    plan = plan_shards(
        *(run.workspace, job.archive, job.suffixes, job.shard_size, only, job.links, ceiling),
        exclude=job.exclude,
    )
    if plan.archive != run.archive:
        raise UserError(f"the keys in {job.only} were changed while the run began; run it again")
    check_folders(run.workspace, job, run.labelset, run.archive)
    return plan


def archive_shards(run: Run) -> list[str]:
    """Shards of the archive as last planned that hold a listed image, oldest first.

    A manifest that is damaged is mended first.
    """
    return mend_manifest(run.workspace, run.archive)


def count_images(run: Run, shards: list[str]) -> int:
    """Images in these shards of the manifest."""
    return count_shard_images(run.workspace, run.archive, shards)
