"""What attributes say that a picture cannot show, or shows of another class.

Patterns, made to miss rather than to cry wolf; see `grammar`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

_ABSENT = re.compile(
    r"\b(no(?! longer| (?:more|less|larger|smaller|bigger|wider|taller) than)|without|lacks?|"
    r"lacking|absence of|absent|(?:is|are|has|have|does|do|can)(?: not|n't|n’t)(?! only)|never)\b",
    re.IGNORECASE,
)
_UNSEEN = re.compile(
    r"^(?:(?:which |that |it |they )?(?:is|are|can be|may be|often|typically|usually|commonly|"
    r"mostly|mainly)\s+)*(?P<found>(?:found|native|endemic|indigenous)\s+(?:in|to|on|near|"
    r"throughout|across)|lives?\s+(?:in|on|near)|inhabits?|feeds?\s+on|eats|breeds?|migrates?|"
    r"hibernates?|nocturnal)\b"
    r"|\b(?P<sense>(?:sweet|salty|sour|bitter|strong|mild|savou?ry|loud|soft)[ -](?:taste|smell|"
    r"odou?r|aroma|flavou?r|sound|call|song)|(?:tastes?|smells?|sounds?)\s+(?:like|of)|life ?span|"
    r"life expectancy|weighs?)\b",
    re.IGNORECASE,
)
_COMPARED = re.compile(
    r"\b(?:similar to|like|than|resembl\w+|unlike|confused with)\s+"
    r"(?:(?:a|an|the|that of|those of)\s+)*$"
)
_WORDS = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")

_FUNCTION_WORDS = {
    "English": "the a an and of with in on is are has have that which or to for by at from",
    "German": "der die das ein eine einen einem einer und mit von im ist sind hat haben oder auf",
    "French": "le la les un une des et avec de du dans est sont qui ou sur pour au aux",
    "Spanish": "el los las un una unos unas y con de del en es son que o para por al",
    "Italian": "il lo gli un una e con di del della nel è sono che o per al alla",
    "Portuguese": "o os um uma e com de do da dos das em é são que ou para por ao",
    "Dutch": "de het een en met van op is zijn heeft hebben die dat of voor in",
}
_LANGUAGES = {language: frozenset(words.split()) for language, words in _FUNCTION_WORDS.items()}


def absent(attribute: str) -> str | None:
    """The word by which an attribute says that something is not there; None if it does not."""
    match = _ABSENT.search(attribute)
    return match[0] if match else None


def unseen(attribute: str) -> str | None:
    """The words by which an attribute speaks of what cannot be seen; None if it does not."""
    match = _UNSEEN.search(attribute)
    return (match["found"] or match["sense"]) if match else None


class ClassNames:
    """Finds the names of classes in texts, whatever their number."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._owners: dict[tuple[str, ...], str] = {}
        for label, name in names.items():
            if words := tuple(_WORDS.findall(name.casefold())):
                self._owners.setdefault(words, label)
        self._sizes: dict[str, set[int]] = {}
        for words in self._owners:
            self._sizes.setdefault(words[0], set()).add(len(words))

    def in_text(self, text: str, label: str) -> str | None:
        """Another class than `label` that the text names.

        A name of one word is often a part of something (a bow, a ring): it counts only where the
        text compares with it. A name inside the label's own does not count.
        """
        low = text.casefold()
        matches = list(_WORDS.finditer(low))
        words = [match[0] for match in matches]
        for at, word in enumerate(words):
            for size in sorted(self._sizes.get(word, ()), reverse=True):
                owner = self._owners.get(tuple(words[at : at + size]))
                if (
                    at + size > len(words)
                    or owner is None
                    or owner == label
                    or self._is_within(owner, label)
                ):
                    continue
                if size > 1 or _COMPARED.search(low[: matches[at].start()]):
                    return owner
        return None

    @staticmethod
    def _is_within(owner: str, label: str) -> bool:
        inner, outer = (f" {' '.join(_WORDS.findall(name.casefold()))} " for name in (owner, label))
        return inner in outer


def language(texts: Sequence[str]) -> str | None:
    """The language or script of most of the texts if it is not English; None if it may be.

    Scripts are told by letters; languages in Latin letters by their function words, and only where
    these say so in at least half of five texts or more.
    """
    scripts = Counter(script for text in texts if (script := _script(text)) not in ("", "LATIN"))
    if 2 * scripts.total() > len(texts):
        return f"{' and '.join(name.capitalize() for name, _ in scripts.most_common(2))} script"
    votes: Counter[str] = Counter()
    for text in texts:
        words = set(_WORDS.findall(text.casefold()))
        hits = {language: len(words & known) for language, known in _LANGUAGES.items()}
        best = max(hits.values())
        if best and hits["English"] < best:
            votes.update(language for language, number in hits.items() if number == best)
    best_language, number = max(votes.items(), key=lambda item: item[1], default=("", 0))
    return best_language if number >= 5 and 2 * number >= len(texts) else None


def _script(text: str) -> str:
    for character in text:
        if character.isalpha():
            return unicodedata.name(character, "").split(" ")[0]
    return ""
