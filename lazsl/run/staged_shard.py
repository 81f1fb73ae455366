"""A shard's images on the local disk, beside what the manifest has of all of them."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from lazsl.archive.manifest import still_listed
from lazsl.archive.staged_images import Staged


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
