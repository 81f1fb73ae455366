"""Invented species: families whose members differ in one to three local traits."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np

from studies.fieldguide.traits import VALUES, Traits

_ONSETS = [
    "b",
    "br",
    "c",
    "cl",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gr",
    "h",
    "k",
    "kr",
    "l",
    "m",
    "n",
    "p",
    "pl",
    "qu",
    "r",
    "s",
    "sk",
    "st",
    "t",
    "tr",
    "v",
    "w",
    "z",
]
_VOWELS = ["a", "e", "i", "o", "u", "ae", "ei", "ou", "ia"]
_CODAS = ["n", "l", "r", "s", "th", "x", "m", "nd", "rk", "lt"]


@dataclass(frozen=True)
class Species:
    """A named kind of bird. The name is invented and says nothing about the look."""

    name: str
    family: int
    traits: Traits


def invent_name(rng: np.random.Generator) -> str:
    """A pronounceable word of two or three syllables that means nothing."""
    syllables = [rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.integers(2, 4))]
    return "".join(syllables) + str(rng.choice(_CODAS))


def random_traits(rng: np.random.Generator) -> Traits:
    """A bird drawn uniformly from the vocabulary, trait by trait."""
    drawn: dict[str, Any] = {
        name: values[rng.integers(len(values))] for name, values in VALUES.items()
    }
    return Traits(**drawn)


def mutate(traits: Traits, changes: int, rng: np.random.Generator) -> Traits:
    """The same bird with this many of its traits set to other, visible values."""
    visible = [name for name in VALUES if not (name == "crest_colour" and traits.crest is None)]
    for name in rng.choice(visible, size=changes, replace=False):
        others = [value for value in VALUES[name] if value != getattr(traits, name)]
        changed: dict[str, Any] = {name: others[rng.integers(len(others))]}
        traits = replace(traits, **changed)
    return traits


def look(traits: Traits) -> tuple[str | None, ...]:
    """What can be seen of the traits: the colour of an absent crest does not count."""
    seen = replace(traits, crest_colour="") if traits.crest is None else traits
    return astuple(seen)


def make_species(families: int, members: int, seed: int) -> list[Species]:
    """`families * members` species with distinct names and looks, a pure function of the seed.

    Each family shares a random look; every member but the first differs from it in one to three
    traits, so that telling members apart needs the right parts of the picture.
    """
    rng = np.random.default_rng(seed)
    names: set[str] = set()
    looks: set[tuple[str | None, ...]] = set()
    species: list[Species] = []
    for family in range(families):
        base = random_traits(rng)
        member = 0
        while member < members:
            traits = mutate(base, int(rng.integers(1, 4)), rng) if member else base
            name = invent_name(rng).capitalize()
            if look(traits) in looks or name in names:
                base = base if member else random_traits(rng)
                continue
            looks.add(look(traits))
            names.add(name)
            species.append(Species(name, family, traits))
            member += 1
    return species
