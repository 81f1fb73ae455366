"""Rejects of the moment: noted beside a shard's embeddings, and tried again by the next run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.manifest import listed_images
from lazsl.errors import DamagedError
from lazsl.images.reasons import OF_THE_MOMENT
from lazsl.run.recoloured import is_older
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


def note_again(workspace: Folder, name: str, images: pa.Table, noted: list[str]) -> None:
    """Write down anew what a shard's note should say where it is gone, and add the shard's name.

    Args:
        workspace: where the artifact is.
        name: of any artifact; only tables of a shard's images are looked at.
        images: what it holds.
        noted: shards of which that was done.
    """
    _, *where = name.removesuffix(".images.parquet").split("/")
    if not name.endswith(".images.parquet") or len(where) != 3 or not of_the_moment(images):
        return
    encoder, regions, shard = where
    if not workspace.exists(paths.again(encoder, regions, shard)):
        note(workspace, encoder, regions, shard, images)
        noted.append(shard)


@dataclass(frozen=True)
class Embeddings:
    """Where an archive's embeddings are, and which rejects are tried again: those of the moment, as
    they were noted; all; or none. `recolour`: also every image of shards that an older lazsl made.
    """

    workspace: Folder
    archive: str
    encoder: str
    regions: str
    which: Which = "moment"
    recolour: bool = False

    @property
    def shards(self) -> set[str]:
        """Shards whose embeddings are complete."""
        return self._with_ending(".images.parquet")

    def again(self, shards: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Images that are to be tried again and are listed, by shard.

        Args:
            shards: whose embeddings are complete.
        """
        older = self._older(shards) if self.recolour else {}
        if self.which == "none":
            return older
        ends = ".again.json" if self.which == "moment" else ".images.parquet"
        images_of = {s: self._again(s) for s in sorted(self._with_ending(ends) & set(shards))}
        return {shard: images for shard, images in images_of.items() if images} | older

    def _older(self, shards: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The listed images of shards that an older lazsl embedded."""
        where = (self.workspace, self.encoder, self.regions)
        names = [shard for shard in sorted(shards) if is_older(*where, shard)]
        listed = (listed_images(self.workspace, self.archive, shard) for shard in names)
        images_of = dict(zip(names, (tuple(sorted(ids)) for ids in listed), strict=True))
        return {shard: images for shard, images in images_of.items() if images}

    @cached_property
    def _names(self) -> list[str]:
        return self.workspace.names(f"embeddings/{self.encoder}/{self.regions}")

    def _with_ending(self, ending: str) -> set[str]:
        names = [name.rsplit("/", 1)[1] for name in self._names if name.endswith(ending)]
        return {name.removesuffix(ending) for name in names}

    def _again(self, shard: str) -> tuple[str, ...]:
        rejected = self._rejected(shard)
        listed = listed_images(self.workspace, self.archive, shard) if rejected else set()
        return tuple(image for image in rejected if image in listed)

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


def forget_scores(workspace: Folder, encoder: str, regions: str, shards: Collection[str]) -> None:
    """Have every run that shares these shards' embeddings score them again, and their sketches
    made anew."""
    for shard in sorted(shards):
        workspace.remove(paths.sketch(encoder, regions, shard))
    for record in paths.run_records(workspace) if shards else []:
        if (record["encoder"], record["regions"]) == (encoder, regions):
            for shard in sorted(shards):
                workspace.remove(paths.marker(record["run"], shard))
