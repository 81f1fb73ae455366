"""How much decoding may take, in memory and in work: small files can ask for very much of both.

Work is bounded by what a file's header and markers say, not by a clock: whether an image is a
reject must not depend on the machine.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

PEAK = 16
"""Bytes that a pixel takes at most while it is decoded: its own mode (4), RGBA (4), RGB (4, as
Pillow keeps it), and the same turned upright; wider values are worked through in bands."""

TOGETHER = 2 * 2**30
"""Bytes that all threads of this process may hold while they decode. A larger picture is decoded
alone."""

BAND = 2**22
"""Pixels that are worked through at a time where every step makes a copy."""

SCANS = 500
"""Scans of a progressive JPEG, at most; usual ones have about ten."""

SCANNED = 4_000_000_000
"""Scans of a progressive JPEG times its pixels, at most: each goes over the whole picture."""


class Budget:
    """An amount that threads share: each waits until there is room for what it needs."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._used = 0
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
            with self._room:
                self._used -= amount
                self._room.notify_all()


MEMORY = Budget(TOGETHER)


def scans(data: bytes) -> int:
    """Scans of a JPEG: its start-of-scan markers, those of an embedded preview included."""
    return data.count(b"\xff\xda")


def bands(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Rows of a picture, top and bottom, BAND pixels at a time."""
    rows = max(1, BAND // max(1, width))
    for top in range(0, height, rows):
        yield top, min(height, top + rows)
