"""Names from archives and label sets, which may hold anything, fit to be shown."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from lazsl.store.keys import digest
from lazsl.visible_text import short, visible

__all__ = ["file_name", "picture_name", "short", "visible"]


def file_name(text: str, longest: int = 80) -> str:
    """A part of a file name that reads like the text and is safe on every system; never empty."""
    safe = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFKC", text)).strip("-.")
    return safe[-longest:].strip("-.") or "image"


def picture_name(key: str, picture: bytes) -> Path:
    """The file in the current folder that a picture about an image goes to.

    Names of several keys may read alike (`a/b.jpg`, `a-b.png`): where a file of this name holds
    something else already, that stays, and the name ends in a digest of the key.
    """
    stem = f"explanation-{file_name(key.rpartition('.')[0] or key)}"
    plain = Path(f"{stem}.png")
    if not plain.exists() or plain.read_bytes() == picture:
        return plain
    return Path(f"{stem}-{digest('picture', key, length=8)}.png")
