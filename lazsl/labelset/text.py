"""Texts that people and models write: how they are compared, and what does not belong in them."""

from __future__ import annotations

import re
import unicodedata

_JOINERS = "\u200c\u200d"  # how Persian, Hindi and other scripts spell
_INVISIBLE = {
    "Cc": "a control character",
    "Cf": "an invisible or direction-changing character",
    "Cs": "half a character",
    "Co": "a character without a meaning",
    "Zl": "a line break",
    "Zp": "a line break",
}
_SENTENCE = re.compile(r"^\W*[^\W\d_a-z].*[.!?]\W*$|[。！？]$", re.DOTALL)
_MARKUP = re.compile(r"</?[a-z!][^<>]*>|&#?\w+;|```|\]\(", re.IGNORECASE)


def folded(text: str) -> str:
    """A text as it is compared: case and white space do not count."""
    return " ".join(text.casefold().split())


def spelling(name: str) -> str:
    """A name without what files and folders differ in: capitals, and signs where others have
    spaces."""
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFC", name).casefold()).strip()


def is_sentence(text: str) -> bool:
    """True for a text that begins and ends like a sentence."""
    return _SENTENCE.search(text) is not None and len(text.split()) > 2


def oddity(text: str) -> str | None:
    """What a name or an attribute holds that belongs in neither, in words; None is well.

    Escape sequences of terminals begin with a control character, marks that turn the direction of
    writing are invisible ones, and U+FFFD stands where a text was read in a wrong encoding.
    """
    for character in text:
        kind = _INVISIBLE.get(unicodedata.category(character))
        if character in "\n\r":
            kind = "a line break"
        if kind is not None and character not in _JOINERS:
            return f"{kind} (U+{ord(character):04X})"
        if character == "\ufffd":
            return "a broken character (U+FFFD)"
    if match := _MARKUP.search(text):
        return f"markup ({match[0]!r})"
    return None
