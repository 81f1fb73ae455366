"""Whether a sentence made of a class and an attribute reads as English.

A parser would be surer than these patterns, and would object to half of the published sentences.
These are made to miss rather than to cry wolf: each names something that is wrong in nearly every
sentence it matches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lazsl.labelset.sentences import WHOLE

_SMALL = "a|an|the|has|have|is|are|with|of|and|in|on|or|to|which"
_DOUBLED = re.compile(rf"\b({_SMALL})\s+\1\b(?!-)", re.IGNORECASE)
_ARTICLES = re.compile(r"\b(a|an|the)\s+(a|an|the)\b(?![-.])", re.IGNORECASE)
_VERBS = re.compile(r"\bwhich\s+(is|are|has|have)\s+(is|are|has|have)\b", re.IGNORECASE)
_OWN_SENTENCE = re.compile(
    r"(?:the|each|every|its|their|it|they|there|this)\s+(?:(?!that|which|who|where|when)\w+\s+){0,4}?"
    r"(?:is|are|has|have|was|were|can|may)\b",
    re.IGNORECASE,
)
_ADVERB = re.compile(r"(often|typically|usually)\s+([\w-]+)", re.IGNORECASE)
_VERB_LIKE = re.compile(r"(has|have|is|are|can|may|\w+[^s]s)", re.IGNORECASE)
_PARTICIPLE = re.compile(
    r"(?!(?:red|bed|shed|seed|weed|wooden|golden)\b)(made|found|built|cut|worn|seen|\w{3,}ed)"
    r"\s+(with|of|from|in|into|by|on|for|to|as|at)\b",
    re.IGNORECASE,
)
_MIDDLE = re.compile(
    r"(with|and|or|but|then|of|from|in|on|at|by|between|under|near)\b(?![-/])", re.IGNORECASE
)
_A_VOWEL = re.compile(
    r"\ba\s+(?!(?:uni|eu|ewe|one|once|use|usu|ura|ute|uti|ubi|ukulele|u\b|u-)|o-|a-|e-|i-"
    r"|(?:is|are|and|or|of|in|on|as|at|if)\b)"  # "vitamin A is", "types A and B"
    r"[aeiou]\w+",
    re.IGNORECASE,
)
_AN_CONSONANT = re.compile(r"\ban\s+(?!hour|hono|heir|herb|x-|[fhlmnrsx]\b)[bcdfghj-np-tv-z]\w+")
_NO_NOUN = re.compile(r"an?\s+(?:is|are|has|have|and|or|of)\b", re.IGNORECASE)
_WORD = re.compile(r"[\w'’-]+")
_ENDINGS = ".,;:!?"

_STOPS = frozenset(
    "of with in on at by for from to that which who whose where when and or but near around along "
    "under over above below behind between into through without across like as is are has have "
    "made found used can may such similar next".split()
)
_PLURALS = frozenset(
    "antennae feet teeth mice geese men women children leaves wolves larvae vertebrae pupae "
    "fungi calves hooves halves scarves shelves knives loaves".split()
)
_SINGULAR_S = frozenset(
    "lens series species gas bus canvas iris atlas chassis mantis walrus albatross octopus cactus "
    "always perhaps process physics tennis trellis basis axis oasis texas christmas lotus crocus "
    "hibiscus abacus campus chorus circus corpus focus fungus genus iris mucus nucleus platypus "
    "radius rhinoceros status stimulus surplus thorax torus virus asparagus citrus biceps triceps "
    "headquarters crossroads barracks works means gallows pants-like swiss".split()
)


@dataclass(frozen=True)
class Complaint:
    """What is wrong with a sentence and what to do about it, as two clauses.

    `mended` is the attribute put right, where that is mechanical.
    """

    reason: str
    suggestion: str
    mended: str | None = None


def complaints(prompt: str, attribute: str, template: str | None) -> Iterator[Complaint]:
    """What is wrong with a sentence.

    Args:
        prompt: the sentence.
        attribute: what it says.
        template: how it was made, as in `LabelSet`; None for the default way.
    """
    if not re.search(r"\w", attribute):
        yield Complaint(
            f"{attribute!r} has no word in it", "write what is to be seen, or remove it", ""
        )
        return
    bare = attribute.rstrip(_ENDINGS)
    if bare != attribute and prompt != attribute:
        ending = attribute[len(bare) :]
        yield Complaint(
            f"{attribute!r} ends in {ending!r} inside {prompt!r}", f"write {bare!r}", bare
        )
    for pattern in (_DOUBLED, _ARTICLES, _VERBS):
        if match := pattern.search(prompt):
            once = _once(match)
            mended = attribute.replace(match[0], once) if match[0] in attribute else None
            yield Complaint(
                f"{match[0]!r} stands in {prompt!r}", f"write {once!r}, or say it anew", mended
            )
            break
    if match := _NO_NOUN.match(attribute):
        yield Complaint(f"{match[0]!r} lacks a noun in {attribute!r}", "write what it is")
    if (match := _A_VOWEL.search(attribute)) and not match[0][2:].isupper():  # "a US flag"
        yield _article(attribute, match, match[0][0] + "n" + match[0][1:])
    if match := _AN_CONSONANT.search(attribute):
        yield _article(attribute, match, "a" + match[0][2:])
    if template != WHOLE:  # in a sentence, what follows "A cannon" is a verb
        yield from _number(prompt, attribute)
    if template is None:
        yield from _published(prompt, attribute)


def _article(attribute: str, match: re.Match[str], right: str) -> Complaint:
    mended = attribute[: match.start()] + right + attribute[match.end() :]
    return Complaint(f"{match[0]!r} stands in {attribute!r}", f"write {right!r}", mended)


def _number(prompt: str, attribute: str) -> Iterator[Complaint]:
    if match := re.match(r"(an?)\s+(.*)", attribute, re.IGNORECASE | re.DOTALL):
        head = _head(match[2])
        if head is not None and _is_plural(head):
            yield Complaint(
                f"{match[1]!r} stands before the plural {head!r} in {attribute!r}",
                f"write {match[2]!r}",
                match[2],
            )
    elif _says_which_is(prompt, attribute) and (head := _head(attribute)) and _is_plural(head):
        yield Complaint(
            f"'which is' stands before the plural {head!r} in {prompt!r}", "write 'which has'"
        )


def _published(prompt: str, attribute: str) -> Iterator[Complaint]:
    """What goes wrong when the sentence is made in the published way."""
    if _OWN_SENTENCE.match(attribute):
        yield Complaint(
            f"{attribute!r} is a sentence of its own inside {prompt!r}",
            "write only what the class has, such as 'a wooden porch'",
        )
    if prompt.endswith(f", which has {attribute}."):
        if match := _PARTICIPLE.match(attribute):
            yield Complaint(
                f"'which has {match[0]}' stands in {prompt!r}",
                f"write {'is ' + attribute!r}",
                f"is {attribute}",
            )
        elif match := _MIDDLE.match(attribute):
            yield Complaint(
                f"'which has {match[0]}' stands in {prompt!r}",
                "begin with what is to be seen",
            )
    match = _ADVERB.match(attribute)
    if match and not _VERB_LIKE.fullmatch(match[2]):
        yield Complaint(
            f"{prompt!r} lacks a verb after {match[1]!r}",
            f"write {'is ' + attribute!r}",
            f"is {attribute}",
        )


def _once(match: re.Match[str]) -> str:
    return match[0].split()[-1] if match.re is not _VERBS else " ".join(match[0].split()[::2])


def _says_which_is(prompt: str, attribute: str) -> bool:
    return re.search(r"\b(is|are)\s+$", prompt.partition(attribute)[0]) is not None


def _head(phrase: str) -> str | None:
    """The noun that a phrase is about: the last word before anything is said of it."""
    head: str | None = None
    read = 0
    for word in _WORD.finditer(phrase):
        text = word[0]
        between = phrase[read : word.start()].rstrip()
        read = word.end()
        if text.lower() in _STOPS or (head is not None and text.lower().endswith(("ing", "ed"))):
            break
        if between.endswith((",", ";", ":", "(", ".", "/", '"')):
            break
        head = text
    return head


def _is_plural(word: str) -> bool:
    low = word.lower()
    if low in _PLURALS:
        return True
    return (
        len(low) > 3
        and low.endswith("s")
        and not low.endswith(("ss", "us", "is", "'s", "’s", "ous"))
        and low not in _SINGULAR_S
        and low.isalpha()
    )
