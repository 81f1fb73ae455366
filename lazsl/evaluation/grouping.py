"""Groups of the images whose truth is known: by folder, by class, or as a file says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lazsl.archive.truth import read_keyed
from lazsl.errors import UserError
from lazsl.nearest_names import nearest_key

FOLDER, CLASS = "folder", "class"
_MISSING = "(none)"


def read_groups(spec: str, keys: Sequence[str], labels: Sequence[str], what: str) -> list[str]:
    """The group of every image, (B,); `(none)` for one that has none.

    Args:
        spec: `folder` (the one that an image lies in), `class` (what it shows), or a CSV or Parquet
            file with columns key and group, or another column as in `sites.csv:camera`.
        keys: (B,) of the images, paths below the archive's root.
        labels: (B,) what they show.
        what: the groups are for, in errors.

    Raises:
        UserError: the file is missing or has other columns, gives one key two groups, or knows none
            of the keys.
    """
    if spec == FOLDER:
        return [key.rpartition("/")[0] or _MISSING for key in keys]
    if spec == CLASS:
        return list(labels)
    table = read_keyed(spec, what, "group")
    groups: dict[str, str] = {}
    rows = zip(table["key"].to_pylist(), table["group"].to_pylist(), strict=True)
    for key, group in ((str(key), group or "") for key, group in rows):
        if groups.setdefault(key, group) != group:
            raise UserError(
                f"{what} {spec!r} gives {key!r} two groups, {groups[key]!r} and {group!r}; "
                "leave one row of each key"
            )
    if not any(key in groups for key in keys):
        raise UserError(_strange(spec, what, groups, keys))
    return [groups.get(key) or _MISSING for key in keys]


def _strange(spec: str, what: str, groups: Mapping[str, str], keys: Sequence[str]) -> str:
    if not groups:
        return f"{what} {spec!r} has no rows; give a row of key,group for every image"
    key = next(iter(groups))
    return (
        f"{what} {spec!r} knows none of the {len(keys)} images with truth; it has {key!r}"
        f"{nearest_key(key, keys)}; write keys as paths below the archive's root"
    )


def numbered(groups: Sequence[str]) -> np.ndarray:
    """(B,) int, the number of each image's group; an image without one is one by itself."""
    names = [name if name != _MISSING else f"{_MISSING} {row}" for row, name in enumerate(groups)]
    return np.asarray(np.unique(names, return_inverse=True)[1])
