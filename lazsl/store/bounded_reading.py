"""Reading what may be endless: a stranger's server says how much it sends, and may lie."""

from __future__ import annotations

import io
from typing import Any

_PART = 2**20


def read_whole(fs: Any, path: str, most: int) -> bytes:
    """The bytes of a file; of one on a web server that is larger than `most`, one more than that.

    Web servers send what they like, whatever they say. Other stores give what they say of a file's
    size.
    """
    if not hasattr(fs, "encode_url"):
        return bytes(fs.cat_file(path))
    received, left = io.BytesIO(), most + 1
    with fs.open(path, block_size=0) as stream:  # as one stream: no part of it is asked for
        while left and (part := stream.read(min(left, _PART))):
            left -= received.write(part)
    return received.getvalue()
