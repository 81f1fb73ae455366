"""Which images a manifest knows, by their names alone, in bounded memory.

A name has 128 bits, so twenty-five bytes say what became of an image. Those of many images wait on
the disk in buckets by the first byte of the name, and a listing is compared bucket by bucket.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_IN_MEMORY = 1 << 20  # events
_BUCKETS = 256
_EVENT = np.dtype([("id", np.uint8, 16), ("row", np.int64), ("added", np.bool_)])

CURRENT, GONE, RETURNS = 1, 2, 4
"""Of an event: it is an image's last, and says that it was listed; the listing lacks the image; it
is the last of an image that was not listed and now is."""

UNCHANGED, NEW, BACK = 0, 1, 2
"""Of a listed image: as the manifest has it; unknown to it; known, and not listed before."""


@dataclass(frozen=True)
class Compared:
    """A listing against a manifest.

    Attributes:
        listed: per image of the listing in its order, UNCHANGED, NEW or BACK.
        events: per event of the manifest in its order, which of CURRENT, GONE and RETURNS hold.
    """

    listed: np.ndarray
    events: np.ndarray

    @property
    def current(self) -> int:
        """Images that the manifest had as listed."""
        return int(np.count_nonzero(self.events & CURRENT))

    @property
    def gone(self) -> int:
        """Those of them that the listing lacks, in this version."""
        return int(np.count_nonzero(self.events & GONE))

    @property
    def now_listed(self) -> np.ndarray:
        """Per event, whether it is the last of an image that the listing has."""
        # (np.isin makes eight bytes of every event.)
        listed: np.ndarray = (self.events == CURRENT) | (self.events == RETURNS)
        return listed


class Names:
    """Names of images, each with a row number and whether it was added then."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder = folder / kind
        self._waiting: list[np.ndarray] = []
        self._count = 0
        self.rows = 0
        """How many there are; the row of the next one."""
        self.spilled = False

    def add(self, ids: Any, added: Any = None) -> None:
        """Add images in their order.

        Args:
            ids: Arrow strings.
            added: Arrow booleans; None: all of them.
        """
        events = np.empty(len(ids), _EVENT)
        events["id"] = bits_of(ids)
        events["row"] = np.arange(self.rows, self.rows + len(ids))
        events["added"] = True if added is None else added.to_numpy()
        self.rows += len(ids)
        self._count += len(ids)
        self._waiting.append(events)
        if self._count > _IN_MEMORY:
            self.spill()

    def spill(self) -> None:
        """Put what waits in memory into the buckets."""
        self.spilled = True
        events, self._waiting, self._count = self._all(), [], 0
        self._folder.mkdir(exist_ok=True)
        first = events["id"][:, 0]
        events = events[np.argsort(first, kind="stable")]
        ends = np.cumsum(np.bincount(first, minlength=_BUCKETS))
        for number, part in enumerate(np.split(events, ends[:-1])):
            if len(part):
                with (self._folder / str(number)).open("ab") as file:
                    part.tofile(file)

    def bucket(self, number: int) -> np.ndarray:
        """Events whose names begin with this byte; all of them where nothing was spilled."""
        if not self.spilled:
            return self._all()
        path = self._folder / str(number)
        return np.fromfile(path, _EVENT) if path.exists() else np.empty(0, _EVENT)

    def _all(self) -> np.ndarray:
        return np.concatenate([np.empty(0, _EVENT), *self._waiting])


def compare(listed: Names, known: Names) -> Compared:
    """What became of every image that is listed or known."""
    compared = Compared(np.full(listed.rows, NEW, np.uint8), np.zeros(known.rows, np.uint8))
    for names, others in _buckets(listed, known):
        _compare(names, others, compared)
    return compared


def count_missing(names: Names, others: Names) -> tuple[int, int]:
    """How many of the names are not among the others, and the row of the first of these."""
    missing, first = 0, names.rows
    for part, other in _buckets(names, others):
        absent = pc.is_null(pc.index_in(_as_arrow(part), value_set=_as_arrow(other)))
        rows = part["row"][absent.to_numpy(zero_copy_only=False)]
        missing += len(rows)
        first = min(first, int(rows.min(initial=first)))
    return missing, first


def _buckets(names: Names, others: Names) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if not (names.spilled or others.spilled):
        yield names.bucket(0), others.bucket(0)
        return
    names.spill()
    others.spill()
    for number in range(_BUCKETS):
        yield names.bucket(number), others.bucket(number)


def _compare(listed: np.ndarray, known: np.ndarray, compared: Compared) -> None:
    # Codes of a dictionary are numbered by first appearance; of several events that go to one code
    # the last stays.
    encoded = _as_arrow(known).dictionary_encode()
    last = np.zeros(len(encoded.dictionary), np.int64)
    last[encoded.indices.to_numpy()] = np.arange(len(known))
    rows, added = known["row"][last], known["added"][last]
    at = pc.index_in(_as_arrow(listed), value_set=encoded.dictionary)
    has: Any = pc.is_valid(at).to_numpy(zero_copy_only=False)
    image = at.drop_null().to_numpy()
    compared.listed[listed["row"][has]] = np.where(added[image], UNCHANGED, BACK)
    here = np.zeros(len(last), bool)
    here[image] = True
    compared.events[rows[added]] |= CURRENT
    compared.events[rows[added & ~here]] |= GONE
    compared.events[rows[~added & here]] |= RETURNS


def _as_arrow(events: np.ndarray) -> pa.Array[Any]:
    ids: Any = np.ascontiguousarray(events["id"])
    return pa.Array.from_buffers(pa.binary(16), len(ids), [None, pa.py_buffer(ids)])


def bits_of(ids: pa.ChunkedArray[Any] | pa.Array[Any]) -> np.ndarray:
    """The (n, 16) bytes of names of images, which have 32 hexadecimal digits; of any other text
    those of its digest."""
    whole: Any = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    lengths: Any = pc.equal(pc.binary_length(whole), pa.scalar(32, pa.int32()))
    if pc.all(lengths, min_count=0).as_py() and len(whole):
        _, offsets, texts = whole.buffers()
        begin = np.frombuffer(offsets, np.int32, 1, 4 * whole.offset)[0]
        digits = np.frombuffer(texts, np.uint8, 32 * len(whole), begin)
        if (((digits >= 48) & (digits <= 57)) | ((digits >= 97) & (digits <= 102))).all():
            values = (digits & 15) + 9 * (digits >> 6)
            return (values[0::2] << 4 | values[1::2]).reshape(-1, 16)
    bits = b"".join(_bits(str(text)) for text in whole.to_pylist())
    return np.frombuffer(bits, np.uint8).reshape(-1, 16)


def _bits(text: str) -> bytes:
    if re.fullmatch("[0-9a-f]{32}", text):
        return bytes.fromhex(text)
    return hashlib.sha256(text.encode()).digest()[:16]
