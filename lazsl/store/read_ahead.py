"""Threads of a generator that reads ahead of whoever asks it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import TracebackType


class AheadThreads(ThreadPoolExecutor):
    """Threads that a generator may be dropped with. Use as a context manager around its `yield`.

    A generator that nobody asks any more, as after an error, is closed by the collector, in
    whatever thread that runs: also in the one that a store's answers come through. To wait there
    for reads that wait for these answers would be to wait for ever; so nothing is waited for then.
    """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown(wait=kind is not GeneratorExit, cancel_futures=kind is not None)
