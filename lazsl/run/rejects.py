"""Rejects of the moment: noted beside a shard's embeddings, and tried again by the next run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.manifest import read_listed
from lazsl.errors import DamagedError
from lazsl.images.reasons import OF_THE_MOMENT
from lazsl.store import damage, paths
from lazsl.store.folder import Folder

Which = Literal["moment", "all", "none"]


def of_the_moment(images: pa.Table) -> list[str]:
    """Images of `schemas.IMAGES` that were rejected for a reason that may be gone another time."""
    reasons: Any = pc.is_in(images["reason"], value_set=pa.array(sorted(OF_THE_MOMENT)))
    return [str(image) for image in images.filter(reasons)["image_id"].to_pylist()]


def note(workspace: Folder, encoder: str, regions: str, shard: str, images: pa.Table) -> None:
    """Write down which images of a shard are to be tried again, if any are."""
    if ids := of_the_moment(images):
        workspace.write_record(paths.again(encoder, regions, shard), {"images": ids})


def listed_images(workspace: Folder, archive: str, shard: str) -> set[str]:
    """Images of a shard that the last listing has."""
    images = read_listed(workspace, archive).filter(pc.field("shard") == shard)
    return {str(image) for image in images["image_id"].to_pylist()}


@dataclass(frozen=True)
class Embeddings:
    """Where an archive's embeddings are, and which rejects are tried again: those of the moment, as
    they were noted; all; or none."""

    workspace: Folder
    archive: str
    encoder: str
    regions: str
    which: Which = "moment"

    def shards(self) -> list[str]:
        """Shards that have rejects to be tried again."""
        if self.which == "none":
            return []
        ends = ".again.json" if self.which == "moment" else ".images.parquet"
        names = self.workspace.names(f"embeddings/{self.encoder}/{self.regions}", ends)
        shards = [name.rsplit("/", 1)[1].removesuffix(ends) for name in names]
        return [shard for shard in shards if self.images(shard)]

    def images(self, shard: str) -> list[str]:
        """Rejected images of a shard that are to be tried again and are listed."""
        if self.which == "none":
            return []
        rejected = self._rejected(shard)
        listed = listed_images(self.workspace, self.archive, shard) if rejected else set()
        return [image for image in rejected if image in listed]

    def _rejected(self, shard: str) -> list[str]:
        """Rejected images of a shard that `which` means."""
        where = (self.encoder, self.regions, shard)
        if self.which == "moment" and (noted := self._noted(shard)) is not None:
            return noted
        try:
            images = self.workspace.read_table(paths.images(*where))
        except (DamagedError, FileNotFoundError):
            return []  # whoever reads the embeddings tells it
        if self.which == "moment":
            note(self.workspace, *where, images)
            return of_the_moment(images)
        rejected = images.filter(pc.is_valid(images["reason"]))
        return [str(image) for image in rejected["image_id"].to_pylist()]

    def _noted(self, shard: str) -> list[str] | None:
        """Rejects of the moment as they were noted; None where the note is damaged."""
        name = paths.again(self.encoder, self.regions, shard)
        try:
            return [str(image) for image in self.workspace.read_record(name, ["images"])["images"]]
        except FileNotFoundError:
            return []
        except DamagedError as error:
            damage.set_aside(self.workspace, error)
            return None


def forget_scores(workspace: Folder, encoder: str, regions: str, shard: str) -> None:
    """Have every run that shares a shard's embeddings score it again, and its sketch made anew."""
    workspace.remove(paths.sketch(encoder, regions, shard))
    for record in paths.run_records(workspace):
        if (record["encoder"], record["regions"]) == (encoder, regions):
            workspace.remove(paths.marker(record["run"], shard))
