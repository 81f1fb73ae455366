"""Texts of archives, label sets and strangers, which may hold anything, fit to be shown."""

from __future__ import annotations

import unicodedata

_HIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}


def visible(text: str) -> str:
    """The text on one line, with characters that steer instead of being seen (line breaks, escape
    sequences, right-to-left marks) written out as `‹U+202E›`."""
    return "".join(
        f"‹U+{ord(one):04X}›" if unicodedata.category(one) in _HIDDEN else one for one in text
    )


def short(text: str, longest: int = 48) -> str:
    """The visible text, cut off with … where it is longer than this many characters."""
    seen = visible(text)
    return seen if len(seen) <= longest else seen[: longest - 1].rstrip() + "…"
