"""How large an endpoint's reply may be: it is another's server, and may send for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

LARGEST = 8 * 2**20
"""Bytes of a reply; the attributes of one class take some kilobytes."""


class TooLarge(Exception):
    """The endpoint sends more than any answer takes."""


async def bound(response: Any) -> None:
    """Have a response end with an error when it is larger than LARGEST. A hook of the client."""
    stream = response.stream
    # The client brings its own httpx, whose class of streams it insists on.
    base: Any = next(c for c in type(stream).__mro__ if c.__name__ == "AsyncByteStream")

    class Bounded(base):  # type: ignore[misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            received = 0
            async for part in stream:
                received += len(part)
                if received > LARGEST:
                    raise TooLarge(f"its reply is larger than {LARGEST // 2**20} MiB")
                yield part

        async def aclose(self) -> None:
            await stream.aclose()

    # Packed, a small reply would become a large one.
    if response.headers.get("content-encoding", "identity") != "identity":
        raise TooLarge("its reply is packed, which was not asked for")
    response.stream = Bounded()
