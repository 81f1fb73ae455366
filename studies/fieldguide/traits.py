"""What birds of the field guide are made of: parts, their values, and phrases that name them."""

from __future__ import annotations

from dataclasses import dataclass, fields

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (205, 38, 38),
    "orange": (240, 134, 24),
    "yellow": (245, 218, 52),
    "green": (46, 150, 62),
    "blue": (38, 88, 205),
    "violet": (134, 58, 176),
    "white": (242, 242, 238),
    "black": (28, 28, 32),
}
LIMB_COLOURS = ("red", "yellow", "blue", "black")
"""Beaks and legs come in fewer colours: they are thin, and the world should stay learnable."""

CRESTS = ("tall", "spiky", "curled")
BEAKS = ("hooked", "long straight", "conical", "curved", "spoon-shaped")
WINGS = ("plain", "barred", "spotted", "pale-edged")
TAILS = ("forked", "pointed", "fan-shaped", "square")
BELLIES = ("plain", "spotted", "streaked")
EYES = ("white eye ring", "red eye ring", "black eye stripe", "yellow eyebrow")


@dataclass(frozen=True)
class Traits:
    """One bird's look. Every field holds a value of the vocabulary above; None means absent."""

    crest: str | None
    crest_colour: str
    head_colour: str
    eye: str | None
    beak: str
    beak_colour: str
    wing: str
    wing_colour: str
    belly: str
    belly_colour: str
    tail: str
    tail_colour: str
    leg_colour: str


VALUES: dict[str, tuple[str | None, ...]] = {
    "crest": (*CRESTS, None),
    "crest_colour": tuple(COLOURS),
    "head_colour": tuple(COLOURS),
    "eye": (*EYES, None),
    "beak": BEAKS,
    "beak_colour": LIMB_COLOURS,
    "wing": WINGS,
    "wing_colour": tuple(COLOURS),
    "belly": BELLIES,
    "belly_colour": tuple(COLOURS),
    "tail": TAILS,
    "tail_colour": tuple(COLOURS),
    "leg_colour": LIMB_COLOURS,
}
assert list(VALUES) == [field.name for field in fields(Traits)]

PARTS = ("background", "crest", "head", "eye", "beak", "wing", "belly", "tail", "legs")
"""Names of the values in a scene's part map; the index is the pixel value."""


@dataclass(frozen=True)
class Phrase:
    """A noun phrase about one part, and the trait values that make it true."""

    text: str
    part: str
    requires: tuple[tuple[str, str | None], ...]

    def holds(self, traits: Traits) -> bool:
        """True when a bird with these traits is rightly described by the phrase."""
        return all(getattr(traits, name) == value for name, value in self.requires)


def article(noun: str) -> str:
    """The noun with its indefinite article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def attribute_phrases(traits: Traits) -> list[Phrase]:
    """The phrases a field guide prints for one bird: one per part, marks only where present."""
    t = traits
    phrases = [
        Phrase("a smooth crown", "head", (("crest", None),))
        if t.crest is None
        else Phrase(
            article(f"{t.crest} {t.crest_colour} crest"),
            "crest",
            (("crest", t.crest), ("crest_colour", t.crest_colour)),
        ),
        Phrase(article(f"{t.head_colour} head"), "head", (("head_colour", t.head_colour),)),
        Phrase(
            article(f"{t.beak} {t.beak_colour} beak"),
            "beak",
            (("beak", t.beak), ("beak_colour", t.beak_colour)),
        ),
        Phrase(
            f"{t.wing} {t.wing_colour} wings",
            "wing",
            (("wing", t.wing), ("wing_colour", t.wing_colour)),
        ),
        Phrase(
            article(f"{t.belly} {t.belly_colour} belly"),
            "belly",
            (("belly", t.belly), ("belly_colour", t.belly_colour)),
        ),
        Phrase(
            article(f"{t.tail} {t.tail_colour} tail"),
            "tail",
            (("tail", t.tail), ("tail_colour", t.tail_colour)),
        ),
        Phrase(f"{t.leg_colour} legs", "legs", (("leg_colour", t.leg_colour),)),
    ]
    if t.eye is not None:
        phrases.append(Phrase(article(t.eye), "eye", (("eye", t.eye),)))
    return phrases


def all_phrases() -> list[Phrase]:
    """Every phrase the vocabulary can form about one part: shape alone, colour alone, and both."""
    phrases: dict[str, Phrase] = {}

    def add(text: str, part: str, *requires: tuple[str, str | None]) -> None:
        phrases.setdefault(text, Phrase(text, part, requires))

    add("a smooth crown", "head", ("crest", None))
    for eye in EYES:
        add(article(eye), "eye", ("eye", eye))
    for colour in COLOURS:
        add(article(f"{colour} head"), "head", ("head_colour", colour))
    for colour in LIMB_COLOURS:
        add(f"{colour} legs", "legs", ("leg_colour", colour))
    shaped = (
        ("crest", CRESTS, tuple(COLOURS), "{} crest", article),
        ("beak", BEAKS, LIMB_COLOURS, "{} beak", article),
        ("wing", WINGS, tuple(COLOURS), "{} wings", str),
        ("belly", BELLIES, tuple(COLOURS), "{} belly", article),
        ("tail", TAILS, tuple(COLOURS), "{} tail", article),
    )
    for part, shapes, colours, noun, with_article in shaped:
        for shape in shapes:
            add(with_article(noun.format(shape)), part, (part, shape))
            for colour in colours:
                text = with_article(noun.format(f"{shape} {colour}"))
                add(text, part, (part, shape), (f"{part}_colour", colour))
        for colour in colours:
            add(with_article(noun.format(colour)), part, (f"{part}_colour", colour))
    return list(phrases.values())
