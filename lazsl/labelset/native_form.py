"""The forms in which a label set is written down, and what they mean.

Plain, as DCLIP and CuPL publish theirs:

    {"Kingfisher": ["a long straight beak", "blue wings"], ...}

Native (docs/labels.md describes every field), of which only `classes` is needed:

    {"template": "{class}, which has {attribute}.",
     "classes": {"Kingfisher": {"synonyms": ["Alcedo atthis"], "attributes": [...]}, ...}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lazsl.errors import UserError
from lazsl.labelset.class_entries import FIELDS, Entries, kind_in_words
from lazsl.labelset.document import Document, Place
from lazsl.labelset.finding import Finding
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.sentences import NAME_TEMPLATE
from lazsl.labelset.spoken import spoken

Lines = Mapping[tuple[str, int | None], int]
"""The line of a class (label, None), and of its attribute j in the label set (label, j)."""


@dataclass(frozen=True)
class Read:
    """A label set as it was written down.

    `problems` are what had to be left out of it, `review_line` is where its state of review stands,
    `form` is which form it was written in. `again` has the attributes of entries of a class that
    stands there already, which `problems` name too; None where an entry is no list of attributes.
    """

    labels: LabelSet
    problems: tuple[Finding, ...] = ()
    lines: Lines = field(default_factory=dict)
    review_line: int | None = None
    form: str = "native"
    again: tuple[tuple[str, tuple[str, ...] | None], ...] = ()


def parse_labelset(document: Any, name: str, where: str = "the label set") -> LabelSet:
    """A label set from parsed JSON of either form.

    Raises:
        UserError: the document has neither form, or a problem that only a person can solve.
    """
    return strict(without_empty(interpret(Document(document), name, where)), where)


def without_empty(read: Read) -> Read:
    """The same, in which empty attributes, which had to be left out, are a note and no problem."""
    empty = sum(problem.kind == "empty-attribute" for problem in read.problems)
    if not empty:
        return read
    note = f"{empty} empty attribute{'s were' if empty > 1 else ' was'} left out"
    rest = tuple(problem for problem in read.problems if problem.kind != "empty-attribute")
    labels = replace(read.labels, notes=(*read.labels.notes, note))
    return replace(read, labels=labels, problems=rest)


def strict(read: Read, where: str) -> LabelSet:
    """The label set, if nothing had to be left out of it.

    Raises:
        UserError: the first of its problems, and how many others there are.
    """
    if not read.problems:
        return read.labels
    problem, others = read.problems[0], len(read.problems) - 1
    line = f" (line {problem.line})" if problem.line is not None else ""
    raise UserError(
        f"{where}: {problem.reason}{line}; {problem.suggestion}"
        + (f". {others:,} more like it: lazsl labels check lists them" if others else "")
    )


def interpret(document: Document, name: str, where: str = "the label set") -> Read:
    """The label set that a document of either form means.

    Raises:
        UserError: it has neither form; the sentence gives the line.
    """
    reader = Entries(document, where)
    value = document.value
    below: Place = ()
    about: dict[str, Any] = {}
    if isinstance(value, dict) and isinstance(value.get("classes"), dict):
        about, value, below = value, value["classes"], ("classes",)
        reader.check_about(about)
    elif isinstance(value, dict) and "classes" in value and set(value) <= set(FIELDS):
        raise UserError(
            f"{where}: classes must be an object of class -> list of attributes, but is "
            f"{kind_in_words(value['classes'])}{reader.at(('classes',))}; write "
            '{"classes": {"wren": ["a cocked tail"], ...}}'
        )
    if not isinstance(value, dict):
        raise UserError(
            f"{where} must be an object of class -> list of attributes, "
            f"but is a {type(value).__name__}"
        )
    if not value:
        raise UserError(f"{where} holds no class; add at least one")
    for label, entry in value.items():
        reader.add_class(label, entry, (*below, label), native=bool(about))
    reader.check_names(below)
    templates = tuple(about.get("name_templates", ()))
    labels = LabelSet(
        name=name,
        classes=tuple(reader.attributes),
        attributes=tuple(reader.attributes.values()),
        template=about.get("template"),
        name_templates=() if templates == (NAME_TEMPLATE,) else templates,
        synonyms=reader.synonyms,
        spoken_names=_spoken_names(tuple(reader.attributes), reader.spoken_names),
        parents=reader.tree(about.get("parents", {})),
        description=about.get("description"),
        provenance=about.get("provenance"),
        sources=reader.sources,
        review=about.get("review"),
    )
    if not labels.classes:
        raise UserError(f"{where} holds no class with a name; add at least one")
    form = "native" if about else "dclip"
    line = document.lines.get(("review",))
    again = tuple(
        (str(place[-1]), _attributes_again(entry))
        for place, entry in document.again
        if place[:-1] == below
    )
    return Read(labels, tuple(reader.problems), reader.lines, line, form, again)


def native_form(labels: LabelSet) -> dict[str, Any]:
    """The label set in the native form, without the fields that would say nothing."""
    about = {
        "description": labels.description,
        "provenance": labels.provenance,
        "review": labels.review,
        "template": labels.template,
        "name_templates": list(labels.name_templates) or None,
        "parents": {
            node: parent for node, parent in labels.parents.items() if node not in labels.classes
        }
        or None,
    }
    classes: dict[str, Any] = {}
    unasked = spoken(labels.classes)
    for label, attributes in zip(labels.classes, labels.attributes, strict=True):
        spoken_name = labels.spoken_names.get(label, label)
        extras = {
            "said": None if spoken_name == unasked.get(label, label) else spoken_name,
            "parent": labels.parents.get(label),
            "synonyms": list(labels.synonyms.get(label, ())) or None,
            "provenance": labels.sources.get(label),
        }
        extras = {field: value for field, value in extras.items() if value is not None}
        classes[label] = {**extras, "attributes": list(attributes)} if extras else list(attributes)
    return {field: value for field, value in about.items() if value is not None} | {
        "classes": classes
    }


def _attributes_again(entry: Any) -> tuple[str, ...] | None:
    if isinstance(entry, list) and all(isinstance(text, str) for text in entry):
        return tuple(text.strip() for text in entry if text.strip())
    return None


def _spoken_names(classes: tuple[str, ...], given: Mapping[str, str]) -> dict[str, str]:
    """The names that are not said as they are shown: as given, or as `spoken` has it."""
    every = {**spoken(classes), **given}
    return {label: spoken_name for label, spoken_name in every.items() if spoken_name != label}
