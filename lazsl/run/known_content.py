"""Which pictures are embedded, by their bytes: an index in memory of 24 bytes a picture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_UNKNOWN = -1  # the size of what a container holds, which may be told by reading alone
_MERGED = 1 << 16

_ENTRY = np.dtype([("digest", "<u8"), ("rest", "<u8"), ("shard", "<i4"), ("row", "<i4")])

Place = tuple[str, int]
"""Shard, and row of its table of images."""


class KnownContent:
    """Where the picture of a SHA-256 is embedded, by the first 16 of its bytes: whoever takes
    embeddings from there compares the others. `copies` counts the pictures that were taken."""

    def __init__(self) -> None:
        self.copies = 0
        self._shards: list[str] = []
        self._sorted = np.empty(0, _ENTRY)
        self._sizes = np.empty(0, np.int64)
        self._waiting: dict[bytes, tuple[int, int]] = {}
        self._fresh_sizes: set[int] = set()

    def add(self, shard: str, images: pa.Table) -> None:
        """Take in the usable pictures of a shard: the columns digest, size and reason of
        `schemas.IMAGES`, all rows."""
        number = len(self._shards)
        self._shards.append(shard)
        usable = pc.and_(pc.is_null(images["reason"]), pc.is_valid(images["digest"]))
        rows = np.flatnonzero(np.asarray(usable))
        taken = images.take(pa.array(rows, pa.int64()))
        digests = (bytes.fromhex(str(text))[:16] for text in taken["digest"].to_pylist())
        for digest, row in zip(digests, rows.tolist(), strict=True):
            self._waiting.setdefault(digest, (number, row))
        sizes: Any = pc.fill_null(taken["size"], pa.scalar(_UNKNOWN, pa.int64()))
        self._fresh_sizes.update(sizes.unique().to_pylist())
        # A quarter more at a time: what is copied in all stays within a few times what there is.
        if len(self._waiting) > max(_MERGED, len(self._sorted) // 4):
            self._merge()

    def place(self, digest: bytes) -> Place | None:
        """Where the picture of a SHA-256 is embedded, if it is."""
        first, rest = (int.from_bytes(digest[at : at + 8], "big") for at in (0, 8))
        begin, end = (
            int(np.searchsorted(self._sorted["digest"], np.uint64(first), side))
            for side in ("left", "right")
        )
        for entry in self._sorted[begin:end]:
            if int(entry["rest"]) == rest:
                return self._shards[int(entry["shard"])], int(entry["row"])
        waiting = self._waiting.get(digest[:16])
        return None if waiting is None else (self._shards[waiting[0]], waiting[1])

    def may_hold(self, size: int | None) -> bool:
        """False where no picture of so many bytes is embedded; None is a size that nobody told."""
        if size is None:
            return bool(self._shards)
        return self._has_size(size) or self._has_size(_UNKNOWN)

    def _has_size(self, size: int) -> bool:
        at = int(np.searchsorted(self._sizes, size))
        return size in self._fresh_sizes or (at < len(self._sizes) and self._sizes[at] == size)

    def _merge(self) -> None:
        fresh = np.fromiter(_entries(self._waiting), _ENTRY, len(self._waiting))
        merged = np.concatenate([self._sorted, fresh])
        merged = merged[np.lexsort((merged["rest"], merged["digest"]))]
        content = merged[["digest", "rest"]]
        # Of what was embedded several times the first one stays.
        repeated = np.zeros(len(merged), bool)
        repeated[1:] = content[1:] == content[:-1]
        self._sorted = merged[~repeated]
        sizes = np.fromiter(self._fresh_sizes, np.int64, len(self._fresh_sizes))
        self._sizes = np.union1d(self._sizes, sizes)
        self._waiting.clear()
        self._fresh_sizes.clear()


def _entries(waiting: dict[bytes, tuple[int, int]]) -> Iterable[tuple[int, int, int, int]]:
    for digest, (shard, row) in waiting.items():
        yield int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big"), shard, row
