"""Class names as they are said to a model: without ids, underscores and further words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

WORDNET_ID = re.compile(r"n\d{8}\b[\s:,_-]*")
_NUMBER = re.compile(r"(\d+)\s*[.:)_]\s*(?=[^\W\d_])")


@dataclass(frozen=True)
class Name:
    """A name taken apart: how it is spoken, the id in front of it, and the words behind it."""

    spoken: str
    number: str | None = None
    others: tuple[str, ...] = ()


def spoken(classes: Sequence[str]) -> dict[str, str]:
    """What is said to a model for each class that is not said as it is written.

    `airplane_cabin` is said as "airplane cabin", `n01440764 tench, Tinca tinca` as "tench", and
    `001.Black_footed_Albatross` as "Black footed Albatross", where all classes are numbered.
    """
    names = taken_apart(classes)
    return {
        label: name.spoken
        for label, name in zip(classes, names, strict=True)
        if name.spoken != label
    }


def taken_apart(classes: Sequence[str]) -> list[Name]:
    """The parts of every name. A bare number in front counts as an id where all names have one."""
    numbered = len(classes) > 1 and all(_NUMBER.match(label) for label in classes)
    return [_parts(label, numbered) for label in classes]


def _parts(label: str, numbered: bool) -> Name:
    text = label
    number: str | None = None
    others: tuple[str, ...] = ()
    if match := WORDNET_ID.match(label):
        number = label[:9]
        text, *words = [part.strip() for part in label[match.end() :].split(",")]
        others = tuple(word for word in words if word)
    elif numbered and (match := _NUMBER.match(label)):
        number, text = match[1], label[match.end() :]
    if "_" in text:
        text = " ".join(text.replace("_", " ").split())
    return Name(text.strip() or label, number, others)
