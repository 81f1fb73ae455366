"""What would an image have been called with other words? Edits of a label set, and what follows.

An edit is a sentence:

    drop a red crest                         an attribute of the class the image was called
    drop Kingfisher: a red crest             ... of any other class
    add Kingfisher: a blue tail
    rewrite a red crest => a scarlet crest
    drop class Kingfisher
    add class Roller: blue wings; a stout bill

An attribute that is there may be named by any part of it that only it has, or by its number within
the class (1 is the first). Scores are made anew from stored embeddings with the run's settings;
only sentences that the run did not have go through the text tower.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import torch

from lazsl.embedding.label_set import Remembering, embed_labels
from lazsl.errors import UserError
from lazsl.explain.evidence import Evidence
from lazsl.explain.explanation import find_class
from lazsl.explain.recomputed import StoredImage, align
from lazsl.labelset.labels import LabelSet
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.scoring.tables import score_table
from lazsl.settings import ScoringSettings

HOW = (
    "write 'drop ATTRIBUTE', 'add ATTRIBUTE' or 'rewrite ATTRIBUTE => ATTRIBUTE', with 'CLASS: ' "
    "before the attribute of another class, or 'drop class CLASS', 'add class CLASS: ATTRIBUTE; "
    "ATTRIBUTE'"
)

Embed = Callable[[list[str]], torch.Tensor]
"""Sentences to unit vectors, float32 (N, D): the text tower."""


@dataclass(frozen=True)
class Scored:
    """What an image is called by a label set.

    Attributes:
        label: None where it abstains.
        top: the best classes with their scores, best first.
        confidence: None without a temperature.
    """

    label: str | None
    top: tuple[tuple[str, float], ...]
    confidence: float | None

    @property
    def margin(self) -> float | None:
        """The best score minus the second best; None when there is one class."""
        return self.top[0][1] - self.top[1][1] if len(self.top) > 1 else None


@dataclass(frozen=True)
class Moved:
    """What an attribute contributed before and after; None where its class does not have it."""

    label: str
    attribute: str
    before: float | None
    after: float | None

    @property
    def change(self) -> float:
        """After minus before, what is not there counting 0; over a class, the score's change."""
        return (self.after or 0.0) - (self.before or 0.0)


@dataclass(frozen=True)
class WhatIf:
    """An image before and after some edits.

    Attributes:
        before, after: what it is called.
        moved: per class that led before or after, or was edited: every attribute, as the class
            lists it.
        labels: the edited label set.
    """

    before: Scored
    after: Scored
    moved: tuple[Moved, ...]
    labels: LabelSet


def what_if(
    stored: StoredImage,
    embedded: pa.Table,
    labels: LabelSet,
    edits: Sequence[str],
    scoring: ScoringSettings,
    embed: Embed,
    memory_bytes: int = 512 * 2**20,
) -> WhatIf:
    """What the image is called with the edited label set, and how every attribute moved.

    Args:
        stored: the image's embeddings.
        embedded: the run's `records.attributes(D)`.
        labels: the label set they were made of, as `stored_labelset` finds it.
        edits: see the top of this file; made one after the other.
        scoring: the run's settings.
        embed: embeds sentences that the run does not have; not called when there are none.
        memory_bytes: bound of the working memory.

    Raises:
        UserError: an edit cannot be understood, or speaks of what is not there.
    """
    before_labels = EmbeddedLabels.from_table(embedded)
    before = _scored(stored, before_labels, scoring, memory_bytes)
    label = before.top[0][0]
    edited, touched = labels, [label]
    for text in edits:
        edited, name = edit(edited, text, label)
        touched.append(name)
    after_labels = EmbeddedLabels.from_table(_embedded(edited, embedded, embed))
    after = _scored(stored, after_labels, scoring, memory_bytes)
    names = list(dict.fromkeys([*touched, after.top[0][0]]))
    sides = [
        {
            evidence.label: evidence
            for evidence in align(
                stored,
                side,
                scoring,
                [name for name in names if name in side.classes],
                memory_bytes,
            )
        }
        for side in (before_labels, after_labels)
    ]
    moved = [m for name in names for m in _moved(name, sides[0].get(name), sides[1].get(name))]
    return WhatIf(before, after, tuple(moved), edited)


def stored_labelset(embedded: pa.Table, name: str) -> LabelSet:
    """The label set that an embedded one was made of. The file it came from is not needed: the
    sentences themselves tell how they were made.

    Raises:
        UserError: they were made in a way that is not known here.
    """
    rows = embedded.select(["class", "attribute_index", "attribute", "prompt"]).to_pylist()
    names = {row["class"]: row["prompt"] for row in rows if row["attribute_index"] < 0}
    attributes: dict[str, list[str]] = {label: [] for label in names}
    prompts: dict[str, list[str]] = {label: [] for label in names}
    templates: dict[str | None, None] = {None: None}
    for row in rows:
        if row["attribute_index"] >= 0:
            prompts[row["class"]].append(row["prompt"])
            if row["prompt"] != names[row["class"]]:
                attributes[row["class"]].append(row["attribute"])
                templates[_holes(row)] = None
    for template in list(templates)[:50]:
        labels = LabelSet(name, tuple(attributes), tuple(map(tuple, attributes.values())), template)
        if labels.prompts == tuple(map(tuple, prompts.values())):
            return labels
    raise UserError(
        f"the sentences of label set {name} were made in a way that this lazsl does not know, so "
        "new ones cannot be; edit the label set's file and use lazsl relabel"
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
        raise UserError(f"cannot understand {text!r}; {HOW}")
    verb, of_class, rest = match[1].lower(), bool(match[2]), match[3]
    if of_class and verb == "drop":
        return _drop_class(labels, rest)
    if of_class and verb == "add":
        return _add_class(labels, rest, text)
    if of_class:
        raise UserError(f"cannot understand {text!r}: a class has no other words; {HOW}")
    label, attribute = _owner(labels, rest, called)
    attributes = list(labels.attributes[labels.classes.index(label)])
    if verb == "add":
        attributes.append(attribute)
    elif verb == "drop":
        attributes.pop(_which(attributes, attribute, label))
    else:
        old, arrow, new = (part.strip() for part in attribute.partition("=>"))
        if not arrow or not new:
            raise UserError(f"cannot understand {text!r}: what should it become? {HOW}")
        attributes[_which(attributes, old, label)] = new
    return _with(labels, label, tuple(attributes)), label


# Edits


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
        raise UserError(f"cannot understand {text!r}: the class has no name; {HOW}")
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


def _with(labels: LabelSet, label: str, attributes: tuple[str, ...]) -> LabelSet:
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


def _which(attributes: list[str], text: str, label: str) -> int:
    """The place of an attribute given by its words, some of them, or its number."""
    wanted = text.strip().casefold()
    folded = [attribute.casefold() for attribute in attributes]
    if wanted in folded:
        return folded.index(wanted)
    if wanted.isdecimal() and 1 <= int(wanted) <= len(attributes):
        return int(wanted) - 1
    holding = [place for place, folded_attribute in enumerate(folded) if wanted in folded_attribute]
    if len(holding) == 1:
        return holding[0]
    listed = "; ".join(
        f"{number} {attribute}" for number, attribute in enumerate(attributes, start=1)
    )
    holders = "several attributes with" if holding else "no attribute"
    raise UserError(f"class {label!r} has {holders} {text!r}; it has: {listed or 'none'}")


# Scores


def _embedded(labels: LabelSet, known: pa.Table, embed: Embed) -> pa.Table:
    """`records.attributes(D)` of the label set, its known sentences as they were embedded."""

    class Given:
        def encode_sentences(self, sentences: Sequence[str]) -> torch.Tensor:
            return embed(list(sentences))

    return embed_labels(labels, Remembering(Given, [known]))


def _scored(
    stored: StoredImage, labels: EmbeddedLabels, scoring: ScoringSettings, memory_bytes: int
) -> Scored:
    tables = score_table(stored.regions, labels, scoring, memory_bytes)
    prediction = tables["predictions"].to_pylist()[0]
    best = tables["scores"].select(["class", "score"]).to_pylist()
    top = tuple((row["class"], row["score"]) for row in best)
    return Scored(prediction["label"], top, prediction["confidence"])


def _moved(label: str, before: Evidence | None, after: Evidence | None) -> list[Moved]:
    sides = [_contributions(before), _contributions(after)]
    texts = dict.fromkeys([*sides[0], *sides[1]])
    return [Moved(label, text, sides[0].get(text), sides[1].get(text)) for text in texts]


def _contributions(evidence: Evidence | None) -> dict[str, float]:
    sums: dict[str, float] = {}
    if evidence is not None:
        totals = evidence.contributions.sum(axis=0).tolist()
        for text, total in zip(evidence.attributes, totals, strict=True):
            sums[text] = sums.get(text, 0.0) + total
    return sums


def _holes(row: dict[str, str]) -> str:
    """A sentence with holes where its class and its attribute stand."""
    return row["prompt"].replace(row["attribute"], "{attribute}").replace(row["class"], "{class}")
