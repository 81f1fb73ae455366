"""Edits of a label set, each a sentence:

    drop a red crest                         an attribute of the class the image was called
    drop Kingfisher: a red crest             ... of any other class
    add Kingfisher: a blue tail
    rewrite a red crest => a scarlet crest
    drop class Kingfisher
    add class Roller: blue wings; a stout bill

An attribute that is there may be named by any part of it that only it has, or by its number within
the class (1 is the first).
"""

from __future__ import annotations

import re
from dataclasses import replace

from lazsl.errors import UserError
from lazsl.explain.explanation import find_class
from lazsl.labelset.labels import LabelSet

EDITS = (
    "write 'drop ATTRIBUTE', 'add ATTRIBUTE' or 'rewrite ATTRIBUTE => ATTRIBUTE', with 'CLASS: ' "
    "before the attribute of another class, or 'drop class CLASS', 'add class CLASS: ATTRIBUTE; "
    "ATTRIBUTE'"
)


def edit(labels: LabelSet, text: str, called: str) -> tuple[LabelSet, str]:
    """The label set after one edit, and the class that was edited.

    Args:
        labels: before.
        text: the edit.
        called: the class that an attribute without a class belongs to.

    Raises:
        UserError: the edit cannot be understood, or speaks of what is not there.
    """
    match = re.fullmatch(r"\s*(drop|add|rewrite)\s+(class\s+)?(.+?)\s*", text, re.I | re.S)
    if match is None:
        raise UserError(f"cannot understand {text!r}; {EDITS}")
    verb, of_class, rest = match[1].lower(), bool(match[2]), match[3]
    if of_class and verb == "drop":
        return _drop_class(labels, rest)
    if of_class and verb == "add":
        return _add_class(labels, rest, text)
    if of_class:
        raise UserError(f"cannot understand {text!r}: a class has no other words; {EDITS}")
    label, attribute = _owner(labels, rest, called)
    attributes = list(labels.attributes[labels.classes.index(label)])
    if verb == "add":
        attributes.append(attribute)
    elif verb == "drop":
        attributes.pop(_place_of(attributes, attribute, label))
    else:
        old, arrow, new = (part.strip() for part in attribute.partition("=>"))
        if not arrow or not new:
            raise UserError(f"cannot understand {text!r}: what should it become? {EDITS}")
        attributes[_place_of(attributes, old, label)] = new
    return _with_attributes(labels, label, tuple(attributes)), label


def _drop_class(labels: LabelSet, name: str) -> tuple[LabelSet, str]:
    label = find_class(list(labels.classes), name)
    if len(labels) == 1:
        raise UserError(f"{label!r} is the only class; an image must be called something")
    keep = [index for index, label_of_class in enumerate(labels.classes) if label_of_class != label]
    return replace(
        labels,
        classes=tuple(labels.classes[index] for index in keep),
        attributes=tuple(labels.attributes[index] for index in keep),
    ), label


def _add_class(labels: LabelSet, rest: str, text: str) -> tuple[LabelSet, str]:
    name, _, listed = (part.strip() for part in rest.partition(":"))
    if not name:
        raise UserError(f"cannot understand {text!r}: the class has no name; {EDITS}")
    if name in labels.classes:
        raise UserError(
            f"there is a class {name!r} already; write 'add {name}: ATTRIBUTE' to describe it more"
        )
    attributes = tuple(attribute.strip() for attribute in listed.split(";") if attribute.strip())
    return replace(
        labels,
        classes=(*labels.classes, name),
        attributes=(*labels.attributes, attributes),
    ), name


def _with_attributes(labels: LabelSet, label: str, attributes: tuple[str, ...]) -> LabelSet:
    place = labels.classes.index(label)
    before, behind = labels.attributes[:place], labels.attributes[place + 1 :]
    return replace(labels, attributes=(*before, attributes, *behind))


def _owner(labels: LabelSet, text: str, called: str) -> tuple[str, str]:
    """The class an edit speaks of, and the rest. Names of classes may hold colons themselves."""
    for colon in re.finditer(":", text):
        name = text[: colon.start()].strip().casefold()
        for label in labels.classes:
            if label.casefold() == name:
                return label, text[colon.end() :].strip()
    if called not in labels.classes:
        raise UserError(
            f"the image was called {called!r}, which is dropped; say whose attribute {text!r} is"
        )
    return called, text


def _place_of(attributes: list[str], text: str, label: str) -> int:
    """The place of an attribute given by its words, some of them, or its number."""
    folded_text = text.strip().casefold()
    folded = [attribute.casefold() for attribute in attributes]
    if folded_text in folded:
        return folded.index(folded_text)
    if folded_text.isdecimal() and 1 <= int(folded_text) <= len(attributes):
        return int(folded_text) - 1
    holding = [place for place, attribute in enumerate(folded) if folded_text in attribute]
    if len(holding) == 1:
        return holding[0]
    listed = "; ".join(
        f"{number} {attribute}" for number, attribute in enumerate(attributes, start=1)
    )
    holders = "several attributes with" if holding else "no attribute"
    raise UserError(f"class {label!r} has {holders} {text!r}; it has: {listed or 'none'}")
