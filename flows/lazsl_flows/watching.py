"""What a flow tells whoever runs it in the same process, as it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Protocol


class Watcher(Protocol):
    """Is called as work goes on, from any thread."""

    def waiting(self, for_what: str) -> None:
        """Something that takes a while begins, such as `listing the archive`."""

    def begin(self, images: int, shards: int) -> None:
        """This many images in this many shards are still to be done."""

    def images(self, shard: str, done: int) -> None:
        """So many images of a shard are done."""

    def shard(self, marker: Mapping[str, Any]) -> None:
        """A shard is done, with its counts `listed`, `labelled` and `rejected`."""


class _Nobody:
    def waiting(self, for_what: str) -> None: ...

    def begin(self, images: int, shards: int) -> None: ...

    def images(self, shard: str, done: int) -> None: ...

    def shard(self, marker: Mapping[str, Any]) -> None: ...


watcher: ContextVar[Watcher] = ContextVar("watcher", default=_Nobody())  # noqa: B039 (stateless)
"""Who watches the flow that runs in this context."""
