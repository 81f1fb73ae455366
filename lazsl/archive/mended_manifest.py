"""A manifest whose generations are all there: what is damaged or gone is rebuilt from what finished
shards know.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from lazsl.archive.generations import (
    Generation,
    is_added,
    number_of,
    read_columns,
    read_generations,
    runs_of,
)
from lazsl.archive.known_images import CURRENT, Names, compare
from lazsl.archive.lost_manifest import lost_images
from lazsl.archive.manifest import last_read
from lazsl.errors import DamagedError
from lazsl.store import damage
from lazsl.store.folder import Folder
from lazsl.store.paths import manifests
from lazsl.store.scratch import scratch_folder

log = logging.getLogger(__name__)


def publish_generation(workspace: Folder, archive: str, number: int, generation: pa.Table) -> bool:
    """Publish a generation, unless another planner was faster; True if it was published."""
    return workspace.create_table(f"{manifests(archive)}/{number:06d}.parquet", generation)


@dataclass(frozen=True)
class KnownManifest:
    """A manifest: its generations, the names of all of its events, and what shards they are of, a
    value per run of rows with its length."""

    generations: tuple[Generation, ...]
    names: Names
    shards: list[tuple[str, int]]

    @property
    def next(self) -> int:
        """The number of the next generation."""
        return len(self.generations) + 1


def mend_manifest(workspace: Folder, archive: str) -> list[str]:
    """Shards that hold at least one image that the last listing has, oldest first, after damaged
    generations were set aside and what was in them and in those that are gone was rebuilt from
    what finished shards know.

    It is told in the log.
    """
    with scratch_folder(f"mend-{uuid.uuid4().hex}") as scratch:
        known = mended(workspace, archive, scratch, "known")
        events = compare(Names(scratch, "none"), known.names).events
        return shards_with(known.shards, (events & CURRENT) > 0)


def mended(workspace: Folder, archive: str, scratch: Path, kind: str) -> KnownManifest:
    """The mended manifest; its names wait in a folder of this kind."""
    aside: list[int] = []
    while True:
        generations = read_generations(workspace, archive)
        numbers = [number_of(name) for name, _ in generations]
        known = KnownManifest(generations, Names(scratch, f"{kind}-{len(aside)}"), [])
        try:
            for generation in generations:
                table = read_columns(workspace, generation, _NEEDED, every_byte=True)
                known.names.add(table["image_id"], is_added(table["event"]))
                runs = runs_of(table["shard"])
                known.shards.extend((shard, count) for shard, _, count in runs)
        except DamagedError as error:
            damage.set_aside(workspace, error)
            aside.append(number_of(error.name))
            continue
        gone = set(range(1, max([*numbers, *aside], default=0) + 1)) - set(numbers)
        if not gone:
            last_read[workspace, archive] = generations
            return known
        lost = lost_images(workspace, archive, generations)
        log.warning(
            "generation %d of the manifest of archive %s is gone; what finished shards know of it "
            "(%d images) was written down again",
            *(min(gone), archive, len(lost)),
        )
        for number in sorted(gone):
            publish_generation(workspace, archive, number, lost)
            lost = lost.slice(0, 0)


_NEEDED = ["image_id", "shard", "event"]


def shards_with(shards: list[tuple[str, int]], listed: np.ndarray) -> list[str]:
    """Shards with a listed image, in the order in which they were made.

    Args:
        shards: of runs of events, with their lengths.
        listed: per event, whether its image is listed and it is the last one of it.
    """
    begin = 0
    alive = dict.fromkeys((shard for shard, _ in shards), False)
    for shard, count in shards:
        alive[shard] |= bool(listed[begin : begin + count].any())
        begin += count
    return [shard for shard, has_listed in alive.items() if has_listed]
