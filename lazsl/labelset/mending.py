"""What of a label set can be put right mechanically: articles, participles, repeats, blanks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lazsl.labelset.checks import check
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.native_form import Read
from lazsl.labelset.text import folded

_ROUNDS = 5
"""Corrections of one attribute, at most: one may uncover another."""

_DROPPED = {"empty-attribute", "empty-class"}


@dataclass(frozen=True)
class Mended:
    """A label set put right, what was changed (class, before, after; after is empty for what was
    removed), and what is left for a person, as it is read again."""

    labels: LabelSet
    changes: tuple[tuple[str, str, str], ...]
    read: Read


def mend(read: Read) -> Mended:
    """The label set with everything put right that is mechanical.

    Classes that stand twice are merged: their attributes follow each other. Nothing is guessed; an
    entry that is no list of attributes stays a problem.
    """
    labels = read.labels
    changes: list[tuple[str, str, str]] = []
    attributes = dict(zip(labels.classes, map(list, labels.attributes), strict=True))
    left = []
    repeats = dict.fromkeys(label for label, entry in read.again if entry is None)
    for problem in read.problems:
        merged = problem.kind == "repeated-class" and problem.label not in repeats
        if problem.kind not in _DROPPED and not merged:
            left.append(problem)
        else:
            changes.append((problem.label, problem.attribute or problem.label, ""))
    for label, further in read.again:
        attributes[label] += further or ()
    labels = replace(labels, attributes=tuple(map(tuple, attributes.values())))
    for _ in range(_ROUNDS):
        labels, changed = _once(labels)
        changes += changed
        if not changed:
            break
    return Mended(
        labels, tuple(changes), replace(read, labels=labels, problems=tuple(left), lines={})
    )


def _once(labels: LabelSet) -> tuple[LabelSet, list[tuple[str, str, str]]]:
    """One correction per attribute, and repeats removed."""
    mended = {
        (finding.label, finding.attribute): finding.mended
        for finding in reversed(check(Read(labels)))
        if finding.mended and finding.attribute is not None
    }
    changes: list[tuple[str, str, str]] = []
    rows: list[tuple[str, ...]] = []
    for label, attributes in zip(labels.classes, labels.attributes, strict=True):
        kept: dict[str, str] = {}
        for attribute in attributes:
            better = mended.get((label, attribute), attribute)
            if folded(better) in kept or not any(map(str.isalnum, better)):
                changes.append((label, attribute, ""))
                continue
            if better != attribute:
                changes.append((label, attribute, better))
            kept[folded(better)] = better
        rows.append(tuple(kept.values()))
    return replace(labels, attributes=tuple(rows)), changes
