"""Classes of a data set joined with the classes of a label set: by name, never by position."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from lazsl.errors import UserError
from lazsl.labelset.text import spelling
from lazsl.nearest_names import nearest

Names = Mapping[str, tuple[str, ...]]
"""Per class of a data set, as its files call it, the names it goes by: its own first."""


def plain(name: str) -> str:
    """The spelling without an explanation in parentheses behind it."""
    return spelling(re.sub(r"\s*\([^()]*\)\s*$", "", name))


def join_classes(
    classes: Names,
    labels: Sequence[str],
    wanted: Iterable[str],
    aliases: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Per class its label, for all that were found; no two classes have one by their names.

    A class takes the label that is called like it; then the label that is called by another of its
    names, if no other class has it. Spelled alike is called alike when just one label and one class
    are. For a class with an alias only the alias counts.

    Args:
        classes: all classes whose names could be mistaken for each other.
        labels: the classes of the label set.
        wanted: the classes that must be found.
        aliases: per class, as the data set or one of its names calls it, the label it has; they may
            give several classes one label.

    Raises:
        UserError: a wanted class has no label; the sentence says what is nearest, or in its way.
    """
    by_alias = _by_alias(classes, labels, aliases or {})
    every = {key: names for key, names in classes.items() if key not in by_alias}
    first_names = {key: names[:1] for key, names in every.items()}
    label_of: dict[str, str] = {}
    for called in (first_names, every):
        for form in (str, spelling, plain):
            _claim(label_of, called, labels, form)
    label_of |= by_alias
    missing = [key for key in wanted if key not in label_of]
    if missing:
        described = "; ".join(
            _described(key, classes[key], labels, label_of) for key in missing[:3]
        )
        raise UserError(
            f"{len(missing)} classes of the data set have no class of their own in the label set: "
            f"{described}; name what belongs together in a file of aliases (CSV of class,label)"
        )
    return label_of


def _by_alias(classes: Names, labels: Sequence[str], aliases: Mapping[str, str]) -> dict[str, str]:
    by_alias = {}
    for name, label in aliases.items():
        keys = [key for key in classes if name == key]
        keys = keys or [key for key, names in classes.items() if name in names]
        if len(keys) != 1:
            spellings = [*classes, *(name for names in classes.values() for name in names)]
            fault = "is no class" if not keys else f"means {len(keys)} classes ({', '.join(keys)})"
            raise UserError(
                f"alias {name!r} {fault} of the data set{nearest(name, spellings, spelling)}"
            )
        if label not in labels:
            raise UserError(
                f"alias {name!r} has label {label!r}, which the label set does not have"
                f"{nearest(label, labels, spelling)}"
            )
        by_alias[keys[0]] = label
    return by_alias


def _claim(
    label_of: dict[str, str], names: Names, labels: Sequence[str], form: Callable[[str], str]
) -> None:
    """Give every class the one free label that a name of it means, where it alone claims it."""
    used = set(label_of.values())
    free: dict[str, set[str]] = {}
    for label in labels:
        if label not in used:
            free.setdefault(form(label), set()).add(label)
    claims: dict[str, list[str]] = {}
    for key, spellings in names.items():
        candidates = {label for name in spellings for label in free.get(form(name), ())}
        if key not in label_of and len(candidates) == 1:
            claims.setdefault(candidates.pop(), []).append(key)
    label_of.update({keys[0]: label for label, keys in claims.items() if len(keys) == 1})


def _described(
    key: str, names: tuple[str, ...], labels: Sequence[str], label_of: Mapping[str, str]
) -> str:
    """A class without a label, and what is in its way or near."""
    shown_name = repr(key) if names[0] == key else f"{key} ({', '.join(names)})"
    spelled = {plain(name) for name in names}
    owners = {label: other for other, label in label_of.items()}
    alike = [label for label in labels if plain(label) in spelled]
    ways = [f"{label!r} is {owners[label]}" for label in alike if label in owners]
    if ways:
        return f"{shown_name}, where {', '.join(ways)}"
    if alike:
        return f"{shown_name}, which could be {', '.join(map(repr, alike))} like another class"
    return f"{shown_name}{nearest(names[0], labels, spelling)}"
