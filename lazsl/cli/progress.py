"""How long work is followed on standard error: a bar on a terminal, lines elsewhere.

Without a terminal a line is written whenever a shard is done, at most every five seconds, and at
least once a minute. `--log-json` writes the same as one JSON object a line, for other programs.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import IO, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

SHORTEST, LONGEST = 5.0, 60.0
"""Seconds between two lines: at least, at most."""


class Counts:
    """What is done so far. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_shard: dict[str, int] = {}
        self._finished = 0
        self.phase = "starting"
        self.began: float | None = None
        self.total = self.shards = self.shards_done = self.rejected = 0

    def waiting(self, for_what: str) -> None:
        self.phase = for_what

    def begin(self, images: int, shards: int) -> None:
        self.total, self.shards, self.began = images, shards, time.monotonic()

    def images(self, shard: str, done: int) -> None:
        with self._lock:
            self._of_shard[shard] = done

    def shard(self, marker: Mapping[str, Any]) -> None:
        with self._lock:
            self._of_shard.pop(str(marker["shard"]), None)
            self._finished += int(marker["listed"])
            self.shards_done += 1
            self.rejected += int(marker["rejected"])

    @property
    def done(self) -> int:
        """Images that are done, those of unfinished shards included."""
        with self._lock:
            return self._finished + sum(self._of_shard.values())

    def event(self) -> dict[str, Any]:
        """The state as plain values: `rate` in images a second, `left` in seconds or None."""
        done = self.done
        seconds = 0.0 if self.began is None else time.monotonic() - self.began
        rate = done / seconds if seconds > 0 else 0.0
        left = (self.total - done) / rate if rate > 0 else None
        return {
            "phase": self.phase,
            "images": done,
            "of": self.total,
            "shards": self.shards_done,
            "of_shards": self.shards,
            "rate": round(rate, 2),
            "left": None if left is None else round(left),
            "rejected": self.rejected,
        }


class Lines:
    """Follows a flow with lines of text, or of JSON. Use as a context manager."""

    def __init__(self, stream: IO[str], verb: str, as_json: bool = False) -> None:
        self._stream, self._verb, self._as_json = stream, verb, as_json
        self._counts = Counts()
        self._last = float("-inf")
        self._ended = threading.Event()
        self._clock = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Lines:
        self._clock.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._clock.join()

    def waiting(self, for_what: str) -> None:
        self._counts.waiting(for_what)
        self._write()

    def begin(self, images: int, shards: int) -> None:
        self._counts.begin(images, shards)
        self._counts.waiting(f"{self._verb} images")
        self._write()

    def images(self, shard: str, done: int) -> None:
        self._counts.images(shard, done)

    def shard(self, marker: Mapping[str, Any]) -> None:
        self._counts.shard(marker)
        if time.monotonic() - self._last >= SHORTEST or self._counts.done == self._counts.total:
            self._write()

    def _tick(self) -> None:
        while not self._ended.wait(min(1.0, LONGEST)):
            if time.monotonic() - self._last >= LONGEST:
                self._write()

    def _write(self) -> None:
        self._last = time.monotonic()
        event = self._counts.event()
        text = json.dumps(event) if self._as_json else as_text(event)
        print(text, file=self._stream, flush=True)


def as_text(event: Mapping[str, Any]) -> str:
    """One line about the state of a job, as `Counts.event` gives it."""
    text = f"lazsl: {event['phase']}"
    if not event["of"] or not event["phase"].endswith("images"):
        return text
    text += f": {event['images']:,} of {event['of']:,} ({event['images'] / event['of']:.0%})"
    text += f", shard {event['shards']:,} of {event['of_shards']:,}"
    if event["images"]:
        text += f", {event['rate']:,.1f} images/s"
    if event["left"]:
        text += f", {duration(event['left'])} left"
    return text + (f", {event['rejected']:,} rejected" if event["rejected"] else "")


def duration(seconds: float) -> str:
    """Seconds as a person would say them: `45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


class Bar:
    """Follows a flow with a progress bar on a terminal. Use as a context manager."""

    def __init__(self, console: Console, verb: str) -> None:
        self._verb, self._counts = verb, Counts()
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._bar = self._progress.add_task("starting", total=None)

    def __enter__(self) -> Bar:
        self._progress.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.__exit__(kind, error, trace)

    def waiting(self, for_what: str) -> None:
        self._progress.update(self._bar, description=for_what)

    def begin(self, images: int, shards: int) -> None:
        self._counts.begin(images, shards)
        self._show(total=images)

    def images(self, shard: str, done: int) -> None:
        self._counts.images(shard, done)
        self._show()

    def shard(self, marker: Mapping[str, Any]) -> None:
        self._counts.shard(marker)
        self._show()

    def _show(self, **changes: Any) -> None:
        rejected = self._counts.rejected
        note = f", {rejected:,} rejected" if rejected else ""
        self._progress.update(
            self._bar,
            description=f"{self._verb} images{note}",
            completed=self._counts.done,
            **changes,
        )


class Silent:
    """Follows a flow without a word. Use as a context manager."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def waiting(self, for_what: str) -> None: ...

    def begin(self, images: int, shards: int) -> None: ...

    def images(self, shard: str, done: int) -> None: ...

    def shard(self, marker: Mapping[str, Any]) -> None: ...


def follower(console: Console, verb: str, quiet: bool, log_json: bool) -> Bar | Lines | Silent:
    """The way to follow a job that suits the terminal and the options.

    Args:
        console: standard error.
        verb: what is done to images, such as `labelling`.
        quiet: nothing is written.
        log_json: one JSON object a line, terminal or not.
    """
    if quiet:
        return Silent()
    if console.is_terminal and not log_json:
        return Bar(console, verb)
    return Lines(console.file, verb, log_json)
