"""The 1,000 classes of ImageNet: their WordNet ids, and the names they go by.

CLIP's own names (which open_clip ships, and the public descriptor files use) come as a list without
ids, in the order of the class numbers; timm ships the ids in that order, with WordNet's words for
each. The list is joined to the ids only after the names have been compared with the words: 822 of
the 1,000 are one of them. In a list that is out of step by one, at most 2 are.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from importlib import resources
from typing import Any

from lazsl.datasets.class_names import Names
from lazsl.errors import UserError
from lazsl.labelset.text import spelling

_IN_STEP = 0.75
"""Share of names that must be among WordNet's words for a list to be the right one."""


@cache
def imagenet_ids() -> tuple[str, ...]:
    """WordNet ids of the 1,000 classes; a class's number is its position (ids are sorted)."""
    return tuple(_info().label_names())


@cache
def imagenet_names() -> Names:
    """Per WordNet id CLIP's name, then WordNet's words.

    CLIP calls two pairs of classes alike (missiles and sunglasses); there WordNet's words come
    first, which tell them apart.
    """
    from open_clip import IMAGENET_CLASSNAMES

    words = {wnid: _split(_info().label_name_to_description(wnid)) for wnid in imagenet_ids()}
    clip = dict(zip(imagenet_ids(), IMAGENET_CLASSNAMES, strict=True))
    check_names({wnid: (name,) for wnid, name in clip.items()}, words, "open_clip's list of names")
    several = Counter(clip.values())
    return {
        wnid: tuple(
            dict.fromkeys((*words[wnid], name) if several[name] > 1 else (name, *words[wnid]))
        )
        for wnid, name in clip.items()
    }


def subset(name: str) -> tuple[str, ...]:
    """WordNet ids of the 200 classes of ImageNet-A (`a`) or ImageNet-R (`r`), sorted."""
    file = resources.files("timm.data") / "_info" / f"imagenet_{name}_synsets.txt"
    return tuple(sorted(file.read_text(encoding="utf-8").split()))


def check_names(titles: Names, known: Names, where: str) -> None:
    """Raise if a file calls the classes by other names than they are known by.

    Raises:
        UserError: an id is unknown, or too many names are: the file is out of step.
    """
    if unknown := [wnid for wnid in titles if wnid not in known]:
        raise UserError(
            f"{where} has {len(unknown)} ids that are none of ImageNet's 1,000 classes, such as "
            f"{unknown[0]!r}; take the file that was published with the data set"
        )
    spelled = {wnid: {spelling(name) for name in known[wnid]} for wnid in titles}
    other = [wnid for wnid in titles if spelled[wnid].isdisjoint(map(spelling, titles[wnid]))]
    if len(other) > (1 - _IN_STEP) * len(titles):
        wnid = other[0]
        raise UserError(
            f"{where} is out of step with WordNet: {len(other)} of its {len(titles)} names are "
            f"other classes', such as {wnid}, which it calls {', '.join(titles[wnid])!r} and "
            f"which is {', '.join(known[wnid][:3])!r}; take the file that was published with the "
            "data set"
        )


@cache
def _info() -> Any:
    from timm.data.imagenet_info import ImageNetInfo

    return ImageNetInfo()


def _split(words: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split(","))
