"""Texts of archives, label sets and strangers, which may hold anything, fit to be shown."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Collection
from itertools import islice

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


def nearest(
    name: str, known: Collection[str], form: Callable[[str], str] = str, likeness: float = 0.5
) -> str:
    """The end of a sentence that refuses a name: ` (nearest: 'Wren', 'Rook')`; empty where no
    known name is like it.

    Args:
        name: what was asked for.
        known: what there is.
        form: how names are compared, such as without capitals.
        likeness: from 0 (any other name) to 1 (the same), as `difflib` has it.
    """
    by_form = {form(other): other for other in known}
    near = difflib.get_close_matches(form(name), by_form, n=3, cutoff=likeness)
    return _hint([by_form[other] for other in near])


def nearest_key(key: str, known: Collection[str]) -> str:
    """The same of the key of an image: of the same file name in another folder, or else spelled
    alike, in its own folder first."""
    folder, _, name = key.rpartition("/")
    near = list(islice((other for other in known if other.rpartition("/")[2] == name), 3))
    if near:
        return _hint(near)
    beside = list(islice((k for k in known if k.rpartition("/")[0] == folder), _COMPARED))
    return nearest(key, beside or list(islice(known, _COMPARED)))


_COMPARED = 5000  # spellings compared, of perhaps millions: about a second


def _hint(names: list[str]) -> str:
    return f" (nearest: {', '.join(map(repr, names))})" if names else ""
