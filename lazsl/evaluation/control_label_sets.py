"""Label sets that say nothing of the images: shuffled, of another subject, or random words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lazsl.labelset.labels import LabelSet

FOREIGN = (
    "a cast-iron handle, a copper bottom, a non-stick coating, a glass lid, a wooden spoon, "
    "a row of burners, a marble worktop, a cutlery drawer, a bread bin, a tiled splashback, "
    "a steaming kettle, a serrated blade, a pepper mill, a dripping tap, a pastry brush, "
    "a measuring jug, an oven glove, a spice rack, a rolling pin, a wire whisk, "
    "a vaulted ceiling, a flying buttress, a Doric column, a slate roof, a spiral staircase, "
    "a bay window, a brick facade, a revolving door, a steel girder, a stone balustrade, "
    "a glass curtain wall, a gabled dormer, a timber frame, a mezzanine floor, a barrel vault, "
    "a concrete stairwell, a lift shaft, a rain gutter, a courtyard fountain, a parquet floor"
).split(", ")
"""Of kitchens and buildings: good English, and nothing that an animal, a dish or a place outdoors
has. A label set of kitchens or buildings needs another list."""

WORDS = (
    "ledger quarrel tuesday velocity permit anthem bargain syntax tariff weekend proverb quota "
    "seminar verdict alibi census dialect embargo fiction genre heresy idiom jargon keynote "
    "lullaby mandate nostalgia oath parody query rumour sequel theorem usage vendor wager "
    "yearning zeal audit brevity clause deadline essay forecast gossip hearsay invoice "
    "journal knack levy motto notion offset payroll quorum ransom slogan treaty upkeep"
).split()
"""Of things that cannot be seen."""


@dataclass(frozen=True)
class Control:
    """A way to make a label set say nothing of its classes."""

    name: str
    title: str
    make: Callable[[LabelSet, int], LabelSet]


def shuffled(labels: LabelSet, seed: int) -> LabelSet:
    """Every attribute dealt anew to some class; each class has as many as before."""
    pool = [text for texts in labels.attributes for text in texts]
    order = np.random.default_rng(seed).permutation(len(pool))
    return _with_attributes(
        labels, "shuffled", seed, iter([pool[i] for i in order]), labels.template
    )


def foreign(labels: LabelSet, seed: int) -> LabelSet:
    """Attributes of kitchens and buildings, drawn from `FOREIGN`."""
    rng = np.random.default_rng(seed)
    return _with_attributes(labels, "foreign", seed, _endlessly(FOREIGN, rng), _naming(labels))


def random_words(labels: LabelSet, seed: int) -> LabelSet:
    """Pairs of words that mean nothing together, drawn from `WORDS` (after WaffleCLIP,
    arXiv 2306.07282)."""
    rng = np.random.default_rng(seed)
    words = _endlessly(WORDS, rng)
    pairs = (f"{first} {second}" for first, second in zip(words, words, strict=False))
    return _with_attributes(labels, "words", seed, pairs, _naming(labels))


CONTROLS: tuple[Control, ...] = (
    Control("shuffled", "attributes shuffled between classes", shuffled),
    Control("foreign", "attributes of kitchens and buildings", foreign),
    Control("words", "random words", random_words),
)


def _with_attributes(
    labels: LabelSet, name: str, seed: int, texts: Iterator[str], template: str | None
) -> LabelSet:
    attributes = tuple(
        tuple(next(texts) for _ in class_attributes) for class_attributes in labels.attributes
    )
    return replace(
        labels,
        name=f"{labels.name}-{name}-{seed}",
        attributes=attributes,
        template=template,
        sources={},
    )


def _endlessly(texts: Sequence[str], rng: np.random.Generator) -> Iterator[str]:
    """All texts in random order, again and again."""
    while True:
        yield from (texts[i] for i in rng.permutation(len(texts)))


def _naming(labels: LabelSet) -> str | None:
    """The template, or where it leaves the class out (its name then stands in the attributes
    that are replaced), the common one."""
    template = labels.template
    return None if template is not None and "{class}" not in template else template
