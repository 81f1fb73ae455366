"""What would an image have been called with other words? A label set is edited, and what follows.

Scores are made anew from stored embeddings with the run's settings; only sentences that the run did
not have go through the text tower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import torch

from lazsl.embedding.label_set import Remembering, embed_labels
from lazsl.errors import UserError
from lazsl.explain.evidence import Evidence
from lazsl.explain.label_set_edits import edit
from lazsl.explain.recomputed import StoredImage, align
from lazsl.labelset.labels import LabelSet
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.scoring.tables import score_table
from lazsl.settings import ScoringSettings

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
        embedded: the run's `schemas.attributes(D)`.
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


def _embedded(labels: LabelSet, known: pa.Table, embed: Embed) -> pa.Table:
    """`schemas.attributes(D)` of the label set, its known sentences as they were embedded."""

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
