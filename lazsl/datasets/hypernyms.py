"""WordNet's parents for classes that have WordNet ids, such as ImageNet's.

WordNet itself is not shipped. Two files say which id is a kind of which: `data.noun` of WordNet 3.0
(in its folder `dict`, or in NLTK's corpus `wordnet`), and `wordnet.is_a.txt`, which ImageNet
publishes: a line `parent child` for each pair. ImageNet's ids are the offsets in `data.noun`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources

from lazsl.datasets.class_names import join_classes
from lazsl.datasets.wordnet import imagenet_names
from lazsl.errors import UserError
from lazsl.labelset.labels import LabelSet
from lazsl.store.named_files import read_given
from lazsl.store.urls import masked

_ID = re.compile(r"n\d{8}")
_PAIR = re.compile(r"(n\d{8})\s+(n\d{8})")
_NOUN = re.compile(r"(\d{8}) \d\d n ([0-9a-f]{2}) (.*)")
TELLING = 0.75
"""Part of the classes that a parent may be above, at most: `physical entity` is above 997 of
ImageNet's 1,000 classes, and a label that is no more than that tells nobody anything."""

_WANTED = "give data.noun of WordNet 3.0, or wordnet.is_a.txt of ImageNet"


@dataclass(frozen=True)
class Hypernyms:
    """What is a kind of what: by WordNet id its first hypernym, and the word for an id."""

    above: Mapping[str, str]
    words: Mapping[str, str]

    def chain(self, wnid: str) -> list[str]:
        """The ids above one, nearest first."""
        chain: list[str] = []
        while (above := self.above.get(chain[-1] if chain else wnid)) and above not in chain:
            chain.append(above)
        return chain


def read_hypernyms(url: str) -> Hypernyms:
    """The pairs in either of the two files.

    Raises:
        UserError: it is missing, or neither of them.
    """
    where = f"WordNet file {masked(url)!r}"
    text = read_given(url, where, _WANTED).decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and all(_PAIR.fullmatch(line.strip()) for line in lines):
        above: dict[str, str] = {}
        for line in lines:
            parent, child = line.split()
            above.setdefault(child, parent)
        return Hypernyms(above, _words())
    nouns = [noun for line in lines if (noun := _NOUN.match(line))]
    if not nouns:
        raise UserError(f"{where} holds no WordNet nouns and no pairs of ids; {_WANTED}")
    return _of_nouns(nouns)


def _of_nouns(nouns: list[re.Match[str]]) -> Hypernyms:
    """From lines of `data.noun`: offset, file, type, number of words in hexadecimal, the words,
    each with a number, then number of pointers and the pointers, of four fields each."""
    above: dict[str, str] = {}
    words: dict[str, str] = {}
    for noun in nouns:
        wnid = f"n{noun[1]}"
        fields = noun[3].split(" | ")[0].split()
        pointers = fields[2 * int(noun[2], 16) + 1 :]
        words[wnid] = fields[0].replace("_", " ")
        for symbol, offset in zip(pointers[::4], pointers[1::4], strict=False):
            if symbol in ("@", "@i"):
                above.setdefault(wnid, f"n{offset}")
    return Hypernyms(above, words)


def _words() -> dict[str, str]:
    """The first word of every id that timm knows."""
    file = resources.files("timm.data") / "_info" / "imagenet_synset_to_lemma.txt"
    pairs = (line.split("\t") for line in file.read_text(encoding="utf-8").splitlines())
    return {wnid: words.split(",")[0].strip() for wnid, words in pairs}


def with_hypernyms(labels: LabelSet, hypernyms: Hypernyms) -> LabelSet:
    """The label set with WordNet's parents of its classes, without those that tell little apart: a
    parent of nearly every class, and one with the same classes below as the one under it.

    A class is known by a WordNet id among its names, or by one of the names that ImageNet's 1,000
    classes go by.

    Raises:
        UserError: the label set has parents, or the file knows none of its classes.
    """
    if labels.parents:
        raise UserError("the label set has parents already; remove them to have others")
    ids = _ids(labels)
    chains = {label: hypernyms.chain(wnid) for label, wnid in ids.items()}
    counts = Counter(wnid for chain in chains.values() for wnid in chain)
    telling = {wnid for wnid, count in counts.items() if 1 < count <= TELLING * len(labels)}
    chains = {label: [w for w in chain if w in telling] for label, chain in chains.items()}
    chains = {
        label: [
            wnid
            for place, wnid in enumerate(chain)
            if place == 0 or counts[wnid] > counts[chain[place - 1]]
        ]
        for label, chain in chains.items()
    }
    if not any(chains.values()):
        raise UserError(
            f"{len(ids):,} of {len(labels):,} classes have a WordNet id, and the file has no "
            "parent that two of them share; give ids as synonyms (n01440764), or ImageNet's names"
        )
    names = _names(labels, hypernyms, dict.fromkeys(w for c in chains.values() for w in c))
    parents: dict[str, str] = {}
    for label, chain in chains.items():
        for node, above in zip([label, *(names[wnid] for wnid in chain)], chain, strict=False):
            parents[node] = names[above]
    return replace(labels, parents=parents)


def _ids(labels: LabelSet) -> dict[str, str]:
    """By class its WordNet id, for those that have one."""
    ids = {
        label: wnid[0]
        for label in labels.classes
        for name in reversed((label, *labels.synonyms.get(label, ())))
        if (wnid := _ID.match(name))
    }
    if len(ids) < len(labels):
        known = imagenet_names()
        rest = [label for label in labels.classes if label not in ids]
        ids |= {label: wnid for wnid, label in join_classes(known, rest, wanted=()).items()}
    return {label: ids[label] for label in labels.classes if label in ids}


def _names(labels: LabelSet, hypernyms: Hypernyms, wnids: Mapping[str, None]) -> dict[str, str]:
    """A name for every parent, which no class and no other parent has."""
    words = {wnid: hypernyms.words.get(wnid, wnid) for wnid in wnids}
    times = Counter(words.values()) + Counter(list(labels.called))
    return {wnid: word if times[word] == 1 else f"{word} ({wnid})" for wnid, word in words.items()}
