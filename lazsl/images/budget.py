"""How much decoding may take, in memory and in work: small files can ask for very much of both.

Work is bounded by what a file's header and markers say, not by a clock: whether an image is a
reject must not depend on the machine.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WORKING = 12
"""Bytes per pixel of every picture while it is decoded and cut: its own mode (4), RGB (4, as Pillow
keeps it), and a third copy of either, turned upright or on its way to the crops."""

WIDE = 12
"""Bytes per pixel more where values of more than 8 bits are worked with outside of Pillow."""

OF_THE_DECODER = {"WEBP": 16, "AVIF": 16, "HEIC": 16, "JPEG2000": 20, "JXL": 36, "RAW": 20}
"""Bytes per pixel more that libraries hold: canvases, planes, whole numbers, what they hand out."""

BAND = 2**20
"""Pixels that are worked through at a time where every step makes a copy."""

OF_A_BAND = 20
"""Bytes per pixel of these copies."""

OF_A_FILE = 16
"""Bytes of a file per pixel that is decoded at most: four channels of 32 bits, not compressed."""

BESIDE_PIXELS = 2**28
"""Bytes that a file may have besides: profiles, previews, other pages."""

SCANS = 500
"""Scans of a progressive JPEG, at most; usual ones have about ten."""

SCANNED = 4_000_000_000
"""Scans of a progressive JPEG times its pixels, at most: each goes over the whole picture."""

# No markers in the data of a scan: a stuffed byte, a restart, bytes that fill up.
_MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd8])")
_START_OF_SCAN, _END = b"\xda", b"\xd9"

LEAST = 2**30
TRIMMED = 2**26
"""Bytes that may be freed before the C library is asked to give them back to the system: glibc
keeps what threads free, as much again as they hold, in an arena for each of them."""


def working_bytes(
    kind: str,
    size: tuple[int, int],
    data: bytes,
    factor: int = 1,
    *,
    channels: int = 4,
    in_bands: bool = True,
    tile: int = 0,
    deep: bool = False,
) -> int:
    """Bytes that decoding and cutting a picture take at most, by what its header says.

    Args:
        kind: its format.
        size: width and height.
        data: the file.
        factor: that it is decoded smaller by.
        channels: that it has.
        in_bands: it is worked through in bands, as transparent ones are.
        tile: bytes of a tile or strip, which is unpacked whole whatever part of it is shown.
        deep: its values are worked with outside of Pillow.
    """
    width, height = size
    pixels = width * height
    amount = WORKING * -(-width // factor) * -(-height // factor)
    amount += 2 * len(data) + tile + OF_THE_DECODER.get(kind, 0) * pixels
    if kind == "JPEG" and scans(data) > 1:
        # All coefficients, 16 bits each, are kept until the last scan.
        amount += 2 * channels * pixels
    return (
        amount + (OF_A_BAND * min(pixels, BAND) if in_bands else 0) + (WIDE * pixels if deep else 0)
    )


class Budget:
    """An amount that threads share: each waits until there is room for what it needs."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._used = 0
        self._freed = 0
        self._room = threading.Condition()

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Hold an amount for the time of a block; more than there is means all of it."""
        amount = min(amount, self.total)
        with self._room:
            self._room.wait_for(lambda: self._used + amount <= self.total)
            self._used += amount
        try:
            yield
        finally:
            self._trim(amount)
            self.give_back(amount)

    def take_at_once(self, amount: int) -> bool:
        """Whether there is room; if so it is held until `give_back`."""
        with self._room:
            fits = self._used + amount <= self.total
            self._used += amount if fits else 0
        return fits

    def give_back(self, amount: int) -> None:
        """No longer hold an amount."""
        with self._room:
            self._used -= amount
            self._room.notify_all()

    def _trim(self, amount: int) -> None:
        with self._room:
            self._freed += amount
            due = self._freed >= TRIMMED
            self._freed = 0 if due else self._freed
        if due and _malloc_trim is not None:
            _malloc_trim(0)


def _trimming() -> Callable[[int], int] | None:
    """glibc's way to give freed memory back; None with other C libraries, which have no need."""
    if sys.platform != "linux":
        return None
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim


def _memory() -> int:
    """Bytes that this process may have: the machine's, or what its container is given."""
    amounts = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(limit).read_text(encoding="ascii").strip()
        except OSError:
            continue
        amounts += [int(text)] if text.isdigit() else []
    return min(amounts)


_malloc_trim = _trimming()

MEMORY = Budget(max(LEAST, _memory() // 4))
"""Bytes that all threads of this process may hold while they decode and cut: a quarter of what the
process may have. A picture that needs more is decoded alone; `max_pixels` bounds it."""

FILES = Budget(max(LEAST, _memory() // 8))
"""Bytes of files that all threads of this process may hold as they are stored, while they are
fetched and until their picture is decoded. One that is larger is held alone; `largest_file` bounds
it."""

UNCUT = Budget(max(LEAST, _memory() // 4))
"""Bytes of decoded pictures on their way to a device that cuts them. What has no room is decoded
again when its turn comes."""

KEPT = Budget(LEAST)
"""Bytes of decoded pictures that wait for their next round. What has no room is decoded again."""


def largest_file(max_pixels: int) -> int:
    """Bytes above which no file is read, where a picture may have so many pixels."""
    return BESIDE_PIXELS + OF_A_FILE * max_pixels


def scans(data: bytes) -> int:
    """Scans of a JPEG: its start-of-scan markers up to its end. What lies inside of a segment, such
    as a preview, or after the end, such as a film, is not decoded."""
    count, at = 0, 2
    while (marker := _MARKER.search(data, at)) is not None and marker[1] != _END:
        count += marker[1] == _START_OF_SCAN
        at = marker.end() + max(2, int.from_bytes(data[marker.end() : marker.end() + 2], "big"))
    return count


def bands(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Rows of a picture, top and bottom, BAND pixels at a time."""
    rows = max(1, BAND // max(1, width))
    for top in range(0, height, rows):
        yield top, min(height, top + rows)
