"""The attributes of two classes side by side, so that one sees what tells them apart."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np

from lazsl.explain.evidence import Evidence

_ALIKE = 0.5
"""How alike two attributes must be to be set side by side; the same last word is alike enough."""


@dataclass(frozen=True)
class Spoken:
    """What one attribute of a class says of an image.

    Attributes:
        index: position within the class.
        text: the attribute as given.
        contribution: to the class's score; these add up to it.
        similarity: transported mean similarity; the score is the mean of these.
        share: of all that speaks for or against the class, with its sign; where nothing speaks
            against it, this is the share of the score.
        box: left, top, right, bottom of the region that contributes most.
        presence: chance that the attribute is there rather than one of its rivals, 0..1; None
            where it was not measured.
    """

    index: int
    text: str
    contribution: float
    similarity: float
    share: float
    box: tuple[int, int, int, int]
    presence: float | None = None

    @property
    def unseen(self) -> bool:
        """Whether a rival is likelier to be there than the attribute."""
        return self.presence is not None and self.presence < 0.5


@dataclass(frozen=True)
class Pair:
    """Two attributes that say alike, of one class and of the other; either may be missing."""

    this: Spoken | None
    other: Spoken | None

    @property
    def difference(self) -> float:
        """What the pair adds to the margin; over all pairs these add up to it."""
        return (self.this.contribution if self.this else 0.0) - (
            self.other.contribution if self.other else 0.0
        )

    @property
    def shared(self) -> bool:
        """Whether both classes have the same attribute."""
        return self.this is not None and self.other is not None and same(self.this, self.other)


def same(first: Spoken, other: Spoken) -> bool:
    """Whether two attributes are the same text, but for letter case."""
    return first.text.casefold() == other.text.casefold()


def spoken(evidence: Evidence) -> list[Spoken]:
    """What every attribute of a class says, strongest first."""
    parts = evidence.contributions
    totals = parts.sum(axis=0)
    everything = np.abs(totals).sum() or 1.0
    # As in `schemas.EVIDENCE`: where nothing adds to an attribute, its mass says where it looked.
    best = np.where((parts > 0).any(axis=0), parts, evidence.mass).argmax(axis=0)
    attributes = [
        Spoken(
            index,
            text,
            float(totals[index]),
            float(totals[index] * len(totals)),
            float(totals[index] / everything),
            tuple(evidence.boxes[best[index]].tolist()),
            None if evidence.presence is None else evidence.presence[index],
        )
        for index, text in enumerate(evidence.attributes)
    ]
    return sorted(attributes, key=lambda attribute: (-attribute.contribution, attribute.index))


def pair(this: Evidence, other: Evidence | None) -> list[Pair]:
    """Every attribute of both classes once: the same ones together, then those that share most
    words, then what is left; each group in order of what it says for `this`."""
    left, right = spoken(this), [] if other is None else spoken(other)
    partners: dict[int, Spoken] = {}
    for attribute in left:
        match = next((two for two in right if same(attribute, two)), None)
        if match is not None:
            partners[attribute.index] = match
            right.remove(match)
    likenesses = sorted(
        (-_likeness(attribute.text, two.text), attribute.index, two.index)
        for attribute in left
        for two in right
        if attribute.index not in partners
    )
    waiting = {two.index: two for two in right}
    for likeness, index, other_index in likenesses:
        if -likeness >= _ALIKE and index not in partners and other_index in waiting:
            partners[index] = waiting.pop(other_index)
    paired = [Pair(attribute, partners.get(attribute.index)) for attribute in left]
    return paired + [Pair(None, two) for two in right if two.index in waiting]


def decisive(pairs: list[Pair], most: int = 3, enough: float = 0.6) -> list[Pair]:
    """The pairs that made the difference to the other class, strongest first: as few as account
    for this part of the lead, `most` at most. Without another class: what speaks most."""
    ahead = sorted((p for p in pairs if p.difference > 0), key=lambda p: -p.difference)
    margin = sum(p.difference for p in pairs)
    chosen: list[Pair] = []
    for candidate in ahead[:most]:
        chosen.append(candidate)
        if sum(p.difference for p in chosen) >= enough * margin:
            break
    return chosen


def _likeness(first: str, other: str) -> float:
    words = (first.casefold().split(), other.casefold().split())
    noun = words[0][-1:] == words[1][-1:]
    return difflib.SequenceMatcher(None, *words, autojunk=False).ratio() + noun * _ALIKE
