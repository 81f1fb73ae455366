"""What changes when an object does, as far as its store tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNVERSIONED = "unversioned"
"""Version of an object whose store tells neither an etag nor a time: its changes go unseen."""

_ETAGS = ("ETag", "etag", "e_tag")
_TIMES = (
    "mtime",
    "LastModified",
    "last_modified",
    "Last-Modified",
    "updated",
    "modified",
    "created",
)


def version_of(info: Mapping[str, Any]) -> str:
    """What changes when an object does: its etag, a zip member's checksum and size, or else the
    time of its last change and its size.

    Args:
        info: an object as fsspec's `info` or `find(detail=True)` tells it.
    """
    for name in _ETAGS:
        if info.get(name):
            return str(info[name]).removeprefix("W/").strip('"')
    if info.get("CRC") is not None:
        return f"{info['CRC']:08x}-{info.get('size')}"
    for name in _TIMES:
        moment = info.get(name)
        if moment is not None:
            seconds = moment.timestamp() if hasattr(moment, "timestamp") else moment
            # Microseconds, because stores and Python's floats keep no more.
            stamp = round(seconds * 1e6) if isinstance(seconds, int | float) else seconds
            return f"{stamp}-{info.get('size')}"
    return UNVERSIONED
