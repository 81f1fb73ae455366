"""New images, cut into shards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from lazsl.archive.listing import LISTING
from lazsl.store import keys, schemas


def image_ids(images: pa.Table) -> pa.Array[Any]:
    """Names of listed images."""
    columns = (images[name].to_pylist() for name in ("uri", "version"))
    return pa.array(map(keys.image_id, *columns), pa.string())


class NewShards:
    """New images are cut into shards of one size, in the order in which they come."""

    def __init__(self, archive: str, shard_size: int) -> None:
        self._archive = archive
        self._size = shard_size
        self._waiting = LISTING.empty_table()
        self.shards: list[str] = []

    def add(self, images: pa.Table) -> Iterator[pa.Table]:
        """The shards that are full, as rows of `schemas.MANIFEST`."""
        images = pa.concat_tables([self._waiting, images])
        whole = len(images) // self._size * self._size
        self._waiting = images.slice(whole)
        if whole:
            yield self._cut(images.slice(0, whole))

    def rest(self) -> Iterator[pa.Table]:
        """The last shard, which is not full."""
        if len(self._waiting):
            yield self._cut(self._waiting)

    def _cut(self, images: pa.Table) -> pa.Table:
        ids = image_ids(images)
        names = [str(name) for name in ids.to_pylist()]
        cuts = [names[begin : begin + self._size] for begin in range(0, len(names), self._size)]
        shards = [keys.shard_id(self._archive, cut) for cut in cuts]
        self.shards += shards
        numbers: Any = pa.array(np.repeat(np.arange(len(cuts)), [len(cut) for cut in cuts]))
        columns: dict[str, Any] = {name: images[name] for name in LISTING.names}
        columns |= {"image_id": ids, "shard": pa.array(shards, pa.string()).take(numbers)}
        columns["event"] = pa.repeat("added", len(ids))
        return pa.table([columns[n] for n in schemas.MANIFEST.names], schema=schemas.MANIFEST)
