"""The entries of a label set, read and checked class by class."""

from __future__ import annotations

from typing import Any

from lazsl.errors import UserError
from lazsl.labelset.document import Document, Place
from lazsl.labelset.finding import Finding
from lazsl.labelset.labels import PENDING, REVIEWED
from lazsl.labelset.sentences import NAME_TEMPLATE, PUBLISHED, PUBLISHED_STOPPED, WHOLE

FIELDS = (
    "description",
    "provenance",
    "review",
    "template",
    "name_templates",
    "parents",
    "classes",
)
CLASS_FIELDS = ("name", "said", "synonyms", "parent", "attributes", "provenance")
REVIEWS = (PENDING, REVIEWED)


class Entries:
    """What a document says, class by class; methods raise UserError where a person must decide."""

    def __init__(self, document: Document, where: str) -> None:
        self.document = document
        self.where = where
        self.attributes: dict[str, tuple[str, ...]] = {}
        self.synonyms: dict[str, tuple[str, ...]] = {}
        self.spoken_names: dict[str, str] = {}
        self.parents: dict[str, str] = {}
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
            and (
                template in (WHOLE, PUBLISHED, PUBLISHED_STOPPED)
                or ("{attribute}" in template and "{class}" in template)
            )
        ):
            raise UserError(
                f"{self.where}: the template {template!r} must be a sentence with {{class}} and "
                f"{{attribute}}, {WHOLE!r} where attributes are whole prompts, or {PUBLISHED!r} "
                f"({PUBLISHED_STOPPED!r} for ImageNet) for the published script's sentences"
            )
        templates = about.get("name_templates", [NAME_TEMPLATE])
        if not (
            isinstance(templates, list)
            and templates
            and all(isinstance(template, str) and "{class}" in template for template in templates)
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
            texts = {name: self.text(label, name, entry, place) for name in CLASS_FIELDS[:2]}
            if texts["name"] is not None and texts["name"] != label:
                self.check_texts(label, "synonyms", synonyms, place)
                synonyms = [label, *synonyms]
                label = self.renamed(label, texts["name"], place)
            if texts["said"] is not None:
                self.spoken_names[label] = texts["said"]
            if (parent := self.text(label, "parent", entry, place)) is not None:
                self.parents[label] = parent
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

    def text(self, label: str, field: str, entry: dict[str, Any], place: Place) -> str | None:
        value = entry.get(field)
        if value is not None and not (isinstance(value, str) and value.strip()):
            raise UserError(
                f"{self.where}: class {label!r} has the {field} {value!r}{self.at(place)}; it must "
                "be a non-empty string"
            )
        return None if value is None else str(value).strip()

    def renamed(self, key: str, name: str, place: Place) -> str:
        if name in self.attributes:
            raise UserError(
                f"{self.where}: {key!r} and another class are both named {name!r}{self.at(place)}; "
                "a name must mean one class: add what tells them apart, and set said to what both "
                "are called"
            )
        return name

    def tree(self, inner: Any) -> dict[str, str]:
        """Parents of classes and of parents.

        Raises:
            UserError: a class is a parent, a parent is among its own ancestors, or one has two.
        """
        if not (
            isinstance(inner, dict)
            and all(isinstance(parent, str) and parent.strip() for parent in inner.values())
        ):
            raise UserError(
                f"{self.where}: parents must be an object of parent -> its own parent, such as "
                '{"finch": "songbird"}'
            )
        parents = {**{node: parent.strip() for node, parent in inner.items()}, **self.parents}
        for node, parent in parents.items():
            if parent in self.attributes:
                raise UserError(
                    f"{self.where}: class {parent!r} is the parent of {node!r}, but a class has "
                    "no kinds; give the parent another name"
                )
            above, walked = parent, {node}
            while above in parents:
                if above in walked:
                    raise UserError(
                        f"{self.where}: {above!r} is among its own parents; break the circle"
                    )
                walked.add(above)
                above = parents[above]
        return parents

    def check_texts(self, label: str, what: str, texts: Any, place: Place) -> None:
        if not isinstance(texts, list):
            raise UserError(
                f"{self.where}: class {label!r} must have a list of {what}, "
                f"but has {kind_in_words(texts)}{self.at(place)}"
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


def kind_in_words(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
