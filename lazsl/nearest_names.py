"""What is guessed when a name is misspelt: the names most like it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from itertools import islice


def nearest(
    name: str, known: Collection[str], form: Callable[[str], str] = str, likeness: float = 0.5
) -> str:
    """The end of a sentence that refuses a name: ` (nearest: 'Wren', 'Rook')`; empty where no
    known name is like it.

    Args:
        name: what was asked for.
        known: what there is.
        form: how names are compared, such as without capitals.
        likeness: from 0 (any other name) to 1 (the same), as `difflib` has it.
    """
    by_form = {form(other): other for other in known}
    near = difflib.get_close_matches(form(name), by_form, n=3, cutoff=likeness)
    return _hint([by_form[other] for other in near])


def nearest_key(key: str, known: Collection[str]) -> str:
    """The same of the key of an image: of the same file name in another folder, or else spelled
    alike, in its own folder first."""
    folder, _, name = key.rpartition("/")
    near = list(islice((other for other in known if other.rpartition("/")[2] == name), 3))
    if near:
        return _hint(near)
    beside = list(islice((k for k in known if k.rpartition("/")[0] == folder), _COMPARED))
    return nearest(key, beside or list(islice(known, _COMPARED)))


_COMPARED = 5000  # spellings compared, of perhaps millions: about a second


def _hint(names: list[str]) -> str:
    return f" (nearest: {', '.join(map(repr, names))})" if names else ""
