"""The forms in which a label set is written down, and what they mean.

Plain, as DCLIP and CuPL publish theirs:

    {"Kingfisher": ["a long straight beak", "blue wings"], ...}

Native (docs/labels.md describes every field), of which only `classes` is needed:

    {"template": "{class}, which has {attribute}.",
     "classes": {"Kingfisher": {"synonyms": ["Alcedo atthis"], "attributes": [...]}, ...}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lazsl.errors import UserError
from lazsl.labelset.document import Document, Place
from lazsl.labelset.finding import Finding
from lazsl.labelset.labels import NAME_TEMPLATE, PENDING, REVIEWED, WHOLE, LabelSet

FIELDS = ("description", "provenance", "review", "template", "name_templates", "classes")
CLASS_FIELDS = ("synonyms", "attributes", "provenance")
REVIEWS = (PENDING, REVIEWED)

Lines = Mapping[tuple[str, int | None], int]
"""The line of a class (label, None), and of its attribute j in the label set (label, j)."""


@dataclass(frozen=True)
class Read:
    """A label set as it was written down.

    `problems` are what had to be left out of it, `review_line` is where its state of review stands.
    """

    labels: LabelSet
    problems: tuple[Finding, ...] = ()
    lines: Lines = field(default_factory=dict)
    review_line: int | None = None


def parse_labelset(document: Any, name: str, where: str = "the label set") -> LabelSet:
    """A label set from parsed JSON of either form.

    Raises:
        UserError: the document has neither form, or a problem that only a person can solve.
    """
    return strict(interpret(Document(document), name, where), where)


def strict(read: Read, where: str) -> LabelSet:
    """The label set, if nothing had to be left out of it.

    Raises:
        UserError: the first of its problems.
    """
    for problem in read.problems:
        line = f" (line {problem.line})" if problem.line is not None else ""
        raise UserError(f"{where}: {problem.reason}{line}; {problem.suggestion}")
    return read.labels


def interpret(document: Document, name: str, where: str = "the label set") -> Read:
    """The label set that a document of either form means.

    Raises:
        UserError: it has neither form; the sentence gives the line.
    """
    reader = _Reader(document, where)
    value = document.value
    below: Place = ()
    about: dict[str, Any] = {}
    if isinstance(value, dict) and isinstance(value.get("classes"), dict):
        about, value, below = value, value["classes"], ("classes",)
        reader.check_about(about)
    elif isinstance(value, dict) and "classes" in value and set(value) <= set(FIELDS):
        raise UserError(
            f"{where}: classes must be an object of class -> list of attributes, but is "
            f"{_called(value['classes'])}{reader.at(('classes',))}; write "
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
        description=about.get("description"),
        provenance=about.get("provenance"),
        sources=reader.sources,
        review=about.get("review"),
    )
    if not labels.classes:
        raise UserError(f"{where} holds no class with a name; add at least one")
    return Read(labels, tuple(reader.problems), reader.lines, document.lines.get(("review",)))


def native_form(labels: LabelSet) -> dict[str, Any]:
    """The label set in the native form, without the fields that would say nothing."""
    about = {
        "description": labels.description,
        "provenance": labels.provenance,
        "review": labels.review,
        "template": labels.template,
        "name_templates": list(labels.name_templates) or None,
    }
    classes: dict[str, Any] = {}
    for label, attributes in zip(labels.classes, labels.attributes, strict=True):
        more = {
            "synonyms": list(labels.synonyms.get(label, ())) or None,
            "provenance": labels.sources.get(label),
        }
        more = {field: value for field, value in more.items() if value is not None}
        classes[label] = {**more, "attributes": list(attributes)} if more else list(attributes)
    return {field: value for field, value in about.items() if value is not None} | {
        "classes": classes
    }


def _called(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


class _Reader:
    """What is found class by class."""

    def __init__(self, document: Document, where: str) -> None:
        self.document = document
        self.where = where
        self.attributes: dict[str, tuple[str, ...]] = {}
        self.synonyms: dict[str, tuple[str, ...]] = {}
        self.sources: dict[str, Any] = {}
        self.problems: list[Finding] = []
        self.lines: dict[tuple[str, int | None], int] = {}

    def at(self, place: Place) -> str:
        line = self.document.lines.get(place)
        return "" if line is None else f" (line {line})"

    def check_about(self, about: dict[str, Any]) -> None:
        if unknown := sorted(set(about) - set(FIELDS)):
            raise UserError(
                f"{self.where} has unknown fields {unknown}; there are {', '.join(FIELDS)}"
            )
        template, review = about.get("template"), about.get("review")
        if template is not None and not (
            isinstance(template, str)
            and "{attribute}" in template
            and ("{class}" in template or template == WHOLE)
        ):
            raise UserError(
                f"{self.where}: the template {template!r} must be a sentence with {{class}} and "
                f"{{attribute}}, or {WHOLE!r} where attributes are whole prompts"
            )
        templates = about.get("name_templates", [NAME_TEMPLATE])
        if not (
            isinstance(templates, list)
            and templates
            and all(isinstance(one, str) and "{class}" in one for one in templates)
        ):
            raise UserError(
                f"{self.where}: name_templates must be a list of sentences with {{class}}, "
                f"but is {templates!r}"
            )
        if review is not None and review not in REVIEWS:
            raise UserError(f"{self.where}: review is {review!r}; it can be {' or '.join(REVIEWS)}")

    def add_class(self, label: str, entry: Any, place: Place, native: bool) -> None:
        line = self.document.lines.get(place)
        attributes, inner = entry, place
        synonyms: Any = []
        if native and isinstance(entry, dict):
            if unknown := sorted(set(entry) - set(CLASS_FIELDS)):
                raise UserError(
                    f"{self.where}: class {label!r} has unknown fields {unknown}{self.at(place)}; "
                    f"there are {', '.join(CLASS_FIELDS)}"
                )
            attributes, inner = entry.get("attributes", []), (*place, "attributes")
            synonyms = entry.get("synonyms", [])
        self.check_texts(label, "attributes", attributes, place)
        self.check_texts(label, "synonyms", synonyms, place)
        if not label.strip():
            self.problems.append(
                Finding(
                    "empty-class",
                    label,
                    "a class has no name",
                    "give it one or remove it",
                    line,
                )
            )
            return
        kept: list[str] = []
        if line is not None:
            self.lines[label, None] = line
        for index, attribute in enumerate(attributes):
            at = self.document.lines.get((*inner, index))
            if not attribute.strip():
                self.problems.append(
                    Finding(
                        "empty-attribute",
                        label,
                        f"class {label!r} has an empty attribute",
                        "write what is to be seen, or remove it",
                        at,
                        attribute,
                    )
                )
                continue
            if at is not None:
                self.lines[label, len(kept)] = at
            kept.append(attribute.strip())
        self.attributes[label] = tuple(kept)
        if synonyms:
            self.synonyms[label] = tuple(synonym.strip() for synonym in synonyms)
        if isinstance(entry, dict) and entry.get("provenance") is not None:
            self.sources[label] = entry["provenance"]

    def check_texts(self, label: str, what: str, texts: Any, place: Place) -> None:
        if not isinstance(texts, list):
            raise UserError(
                f"{self.where}: class {label!r} must have a list of {what}, "
                f"but has {_called(texts)}{self.at(place)}"
            )
        for text in texts:
            if not isinstance(text, str) or (what == "synonyms" and not text.strip()):
                raise UserError(
                    f"{self.where}: class {label!r} has the {what[:-1]} {text!r}"
                    f"{self.at(place)}; every {what[:-1]} must be a non-empty string"
                )

    def check_names(self, below: Place) -> None:
        """Names that stand twice: two entries of one class, or one name of two classes."""
        for place, line in self.document.repeated:
            label = str(place[-1])
            if place[:-1] == below:
                first = self.document.lines[place]
                self.problems.append(
                    Finding(
                        "repeated-class",
                        label,
                        f"class {label!r} stands twice, first at line {first} and again",
                        "merge the two entries",
                        line,
                    )
                )
            else:
                raise UserError(
                    f"{self.where}: the field {label!r} stands twice{self.at(place)}, again at "
                    f"line {line}; keep one"
                )
        owner = {label: label for label in self.attributes}
        for label, synonyms in self.synonyms.items():
            for synonym in synonyms:
                other = owner.setdefault(synonym, label)
                if other != label:
                    self.problems.append(
                        Finding(
                            "ambiguous-name",
                            label,
                            f"class {label!r} is also called {synonym!r}, which already means "
                            f"class {other!r}",
                            "a name must mean one class: remove one of them",
                            self.lines.get((label, None)),
                        )
                    )
