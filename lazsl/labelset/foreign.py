"""A label set that was not written for lazsl, as a document of the native form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lazsl.errors import UserError
from lazsl.labelset.document import Document, Place
from lazsl.labelset.spoken import taken_apart

TEMPLATE = re.compile(r"\{(c|class|)\}")
LONG_LIST = 30
"""Texts per entry, in the mean, from which they are taken for names of classes."""


@dataclass(frozen=True)
class Foreign:
    """A document of the native form, which form it was read from, and what had to be decided."""

    document: Document
    form: str
    notes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()


def named(names: Iterable[tuple[str, int | None]]) -> Document:
    """The document of bare names, in which ids and further words have become synonyms.

    A name that stands twice is repeated in the document, so that its readers say so.
    """
    names = [(name, line) for name, line in names if name.strip()]
    unique = list(dict.fromkeys(name for name, _ in names))
    parts = dict(zip(unique, taken_apart(unique), strict=True))
    classes: dict[str, Any] = {}
    lines: dict[Place, int] = {}
    repeated: list[tuple[Place, int]] = []
    called = _labels(parts)
    owners: dict[str, int] = {}
    for part in parts.values():
        for other in (part.spoken, *part.others):
            owners[other] = owners.get(other, 0) + 1
    for name, line in names:
        label, part = called[name], parts[name]
        if label in classes:
            repeated.append((("classes", label), line or 0))
            continue
        others = [other for other in part.others if owners[other] == 1 and other != label]
        number = [part.number] if part.number and label != name else []
        synonyms = [*number, *others]
        classes[label] = {"attributes": []} | ({"synonyms": synonyms} if synonyms else {})
        if line is not None:
            lines["classes", label] = line
    return Document({"classes": classes}, lines, tuple(repeated))


def _labels(parts: Mapping[str, Any]) -> dict[str, str]:
    """The class that each name becomes: without its WordNet id where that leaves it unique."""
    short = {name: part.spoken if part.number else name for name, part in parts.items()}
    counts: dict[str, int] = {}
    for label in short.values():
        counts[label] = counts.get(label, 0) + 1
    return {
        name: label
        if counts[label] == 1
        else ", ".join((label, *parts[name].others))
        if parts[name].others
        else name
        for name, label in short.items()
    }


def refuse_templates(texts: list[str], where: str) -> None:
    templates = [text for text in texts if TEMPLATE.search(text)]
    if texts and 2 * len(templates) > len(texts):
        raise UserError(
            f"{where} holds {len(templates)} templates such as {templates[0]!r}, not names of "
            "classes; give a list of names, and these as name_templates with {class} in the "
            "native form, or both in a folder as classnames.txt and "
            "zeroshot_classification_templates.txt"
        )
