"""A shard's images are brought to the local disk, beside what the manifest has of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.manifest import shard_images, still_listed
from lazsl.archive.staged_images import Staged
from lazsl.archive.staging import stage
from lazsl.images.budget import largest_file
from lazsl.run.run import Run


@dataclass(frozen=True)
class StagedShard(Staged):
    """Images of a shard on the local disk: all of them, or those that are tried again.

    rows: of the whole shard, `schemas.MANIFEST`.
    """

    rows: pa.Table

    @property
    def is_whole(self) -> bool:
        """True when all of the shard's images were staged."""
        return len(self.table) == len(self.rows)

    @property
    def listed(self) -> set[str]:
        """Ids of the shard's images that the last listing has."""
        return {str(image) for image in still_listed(self.rows)["image_id"].to_pylist()}


def stage_shard(run: Run, shard: str, directory: Path, again: Sequence[str] = ()) -> StagedShard:
    """The shard's images on the local disk, with its rows of the manifest.

    Args:
        run: the run.
        shard: the shard.
        directory: where to.
        again: rejects that are tried again; none: all of the shard's images.

    Raises:
        UserError: the store kept failing.
    """
    rows = shard_images(run.workspace, run.archive, shard)
    to_stage = rows
    if again:
        to_stage = rows.filter(pc.is_in(rows["image_id"], value_set=pa.array(again, pa.string())))
    job = run.job
    largest = largest_file(job.max_pixels)
    staged = stage(to_stage, job.archive, directory, job.fetchers, links=job.links, largest=largest)
    return StagedShard(staged.directory, staged.table, rows)
