"""Texts of archives, label sets and strangers, which may hold anything, fit to be shown."""

from __future__ import annotations

import re
import unicodedata

_HIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}


def visible(text: str) -> str:
    """The text on one line, with characters that steer instead of being seen (line breaks, escape
    sequences, right-to-left marks) written out as `‹U+202E›`."""
    return "".join(
        f"‹U+{ord(character):04X}›" if unicodedata.category(character) in _HIDDEN else character
        for character in text
    )


def short(text: str, longest: int = 48) -> str:
    """The visible text, cut off with … where it is longer than this many characters."""
    seen = visible(text)
    return seen if len(seen) <= longest else seen[: longest - 1].rstrip() + "…"


_FORMULA = re.compile(r"[\s']*[=+\-@＝＋－＠]|[\t\r]")


def guarded(text: str) -> str:
    """The text with an apostrophe in front where a spreadsheet would calculate it (=, +, -, @)."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """The text that was `guarded`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text
