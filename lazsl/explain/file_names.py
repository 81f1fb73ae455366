"""Names from archives and label sets, which may hold anything, fit to be shown."""

from __future__ import annotations

import re
import unicodedata

from lazsl.visible_text import short, visible

__all__ = ["file_name", "short", "visible"]


def file_name(text: str, longest: int = 80) -> str:
    """A part of a file name that reads like the text and is safe on every system; never empty."""
    safe = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFKC", text)).strip("-.")
    return safe[-longest:].strip("-.") or "image"
