"""What lies in archives and is no part of them: what systems and programs leave behind, and what
the operator leaves out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from functools import lru_cache

LITTER = (
    "._*",
    "@eaDir",
    ".ipynb_checkpoints",
    "$RECYCLE.BIN",
    "#recycle",
    "System Volume Information",
    "__MACOSX",
    ".AppleDouble",
    ".Trash",
    ".Trash-*",
    ".Trashes",
    ".thumbnails",
    ".Spotlight-V100",
    ".fseventsd",
    ".git",
)
"""Names of files and folders that are left out wherever they are, in any case."""

AS_LITTER = "litter"
EXCLUDED = "excluded"

_FIRST = frozenset(name[0].lower() for name in LITTER)
_NAMES = "|".join(re.escape(name).replace(r"\*", "[^/]*") for name in LITTER)
_LITTER = re.compile(f"(?:^|/)(?:{_NAMES})(?:/|$)", re.IGNORECASE)


def is_litter(key: str) -> bool:
    """Whether a key, or a folder on its way, is one of LITTER."""
    folder, _, name = key.rpartition("/")
    if name[:1].lower() in _FIRST and _LITTER.search(name):
        return True
    return _is_litter(folder)


@lru_cache(maxsize=4096)
def _is_litter(folder: str) -> bool:
    return _LITTER.search(folder) is not None


class Excluded:
    """Globs (`*`, `?`, `[a-z]`) of keys that are left out: of the whole key, of a folder with all
    that is below it, or, without a slash, of any name on the way."""

    def __init__(self, globs: Iterable[str]) -> None:
        paths = [glob.strip("/") for glob in globs]
        self._paths = [re.compile(translate(glob)) for glob in paths if "/" in glob]
        self._names = [re.compile(translate(glob)) for glob in paths if "/" not in glob]

    def __contains__(self, key: object) -> bool:
        if not self._names and not self._paths:
            return False
        parts = str(key).split("/")
        if any(glob.match(part) for glob in self._names for part in parts):
            return True
        above = ["/".join(parts[: end + 1]) for end in range(len(parts))] if self._paths else []
        return any(glob.match(path) for glob in self._paths for path in above)


def kind_of_key(key: str) -> str:
    """By what objects that are no images are counted: the end of their names."""
    suffix = os.path.splitext(key)[1].lower()
    return suffix if 1 < len(suffix) <= 12 else "no suffix"


def most_first(kinds: Mapping[str, int]) -> list[tuple[str, int]]:
    """Kinds and their counts, the same whatever the order in which a disk lists its files."""
    return sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))


def passed_over_sentence(kinds: Mapping[str, int], most: int = 6) -> str:
    """How many objects were not listed, and of which kinds; empty where all were."""
    if not kinds:
        return ""
    ordered = most_first(kinds)
    parts = [f"{count:,} {kind}" for kind, count in ordered[:most]]
    if len(ordered) > most:
        parts.append(f"{sum(count for _, count in ordered[most:]):,} of other kinds")
    total = sum(kinds.values())
    were = "object was" if total == 1 else "objects were"
    return f"{total:,} other {were} not listed: {', '.join(parts)}"
