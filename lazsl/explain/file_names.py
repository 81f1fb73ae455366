"""Names from archives and label sets, which may hold anything, fit to be shown."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from PIL import Image as Pixels

from lazsl.store.keys import digest
from lazsl.visible_text import short, visible

__all__ = ["file_name", "mark_of", "picture_name", "short", "visible"]


def file_name(text: str, longest: int = 80) -> str:
    """A part of a file name that reads like the text and is safe on every system; never empty."""
    safe = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFKC", text)).strip("-.")
    return safe[-longest:].strip("-.") or "image"


def picture_name(key: str) -> Path:
    """The file in the current folder that a picture about an image goes to.

    Names of several keys may read alike (`a/b.jpg`, `a-b.png`): where a file of this name is not
    marked (`mark_of`) as a picture about this image, it stays, and the name ends in the mark.
    """
    stem = f"explanation-{file_name(key.rpartition('.')[0] or key)}"
    plain = Path(f"{stem}.png")
    if not plain.exists() or _mark(plain) == mark_of(key):
        return plain
    return Path(f"{stem}-{mark_of(key)}.png")


def mark_of(key: str) -> str:
    """What the PNG file of a picture about an image says of itself, under "Source"."""
    return digest("picture", key, length=8)


def _mark(file: Path) -> str | None:
    try:
        with Pixels.open(file, formats=["PNG"]) as picture:
            return picture.info.get("Source")
    except (OSError, SyntaxError, ValueError, Pixels.DecompressionBombError):  # no picture of ours
        return None
