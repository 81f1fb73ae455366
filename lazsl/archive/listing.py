"""What lies in object storage: every image of an archive, as its store tells it.

An image is one version of one object.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.archive_presence import open_archive
from lazsl.archive.containers import Container, advice
from lazsl.archive.entries import each_entry
from lazsl.archive.litter import AS_LITTER, EXCLUDED, Excluded, is_litter, kind_of_key
from lazsl.archive.selection import Selection
from lazsl.archive.versions import version_of
from lazsl.errors import UserError
from lazsl.settings import Links
from lazsl.store import schemas
from lazsl.store.urls import canonical_url

LISTING = pa.schema([schemas.MANIFEST.field(n) for n in ("key", "uri", "size", "version")])
"""What `list_archive` returns: these columns of `schemas.MANIFEST`."""


@dataclass(frozen=True)
class Listing:
    """What an archive holds: `images` has the schema LISTING; `passed_over` counts what else is
    there, by the end of the name (`.txt`), or as `litter` or `excluded`."""

    images: pa.Table
    passed_over: dict[str, int]


def list_archive(
    url: str,
    suffixes: tuple[str, ...],
    only: Selection | None = None,
    links: Links = "inside",
    exclude: tuple[str, ...] = (),
) -> pa.Table:
    """The images of `look_through`."""
    return look_through(url, suffixes, only, links, exclude).images


def look_through(
    url: str,
    suffixes: tuple[str, ...],
    only: Selection | None = None,
    links: Links = "inside",
    exclude: tuple[str, ...] = (),
) -> Listing:
    """The images below a folder, bucket or prefix, in bytewise order of the key, and how much else
    is there.

    `key` is the path below `url`; `uri` is `url` without credentials, or `file://` and the absolute
    path, followed by `/` and the key as it is (nothing is percent-encoded). `version` is
    `version_of` the object. Links to files are followed, links to folders are not (and said so in
    the log); other special files, folders and placeholders of folders are left out. In a name that
    is not UTF-8, other bytes are written as `\\xe9`; staging rejects it.

    Args:
        url: a path or any fsspec URL.
        suffixes: ends of the names that count as images, in any case.
        only: leaves all other images out.
        links: which links of a local archive are followed. One that leads elsewhere is listed as
            what it is itself, and staging rejects it.
        exclude: globs of keys that are left out, as `litter.Excluded` has them.

    Raises:
        UserError: the archive is missing, a file, out of reach or partly unreadable, or holds no
            image, or not all of those that `only` names.
    """
    archive = open_archive(url)
    if isinstance(archive.fs, Container):
        archive.fs.asks_outside = links == "anywhere"
    # Paths in a container are keys already.
    start = len(archive.root) + 1 if archive.root else 0
    any_name = isinstance(archive.fs, Container) and archive.fs.any_name
    ends = ("",) if any_name else tuple(suffix.lower() for suffix in suffixes)
    left_out = Excluded(exclude)
    rows = _Rows()
    passed_over: Counter[str] = Counter()
    for path, info in each_entry(archive, links):
        if path.endswith("/"):
            continue  # a placeholder of a folder
        key = path[start:]
        if not any_name and is_litter(key):
            passed_over[AS_LITTER] += 1
        elif key in left_out:
            passed_over[EXCLUDED] += 1
        elif not key.lower().endswith(ends):
            passed_over[kind_of_key(in_utf8(key))] += 1
        else:
            rows.add(in_utf8(key), info)
    images = rows.in_order()
    if not len(images):
        raise UserError(_no_image(archive.url, passed_over, ends))
    if only is not None:
        only.check([str(key) for key in images["key"].to_pylist()], url)
        images = images.filter(pc.is_in(images["key"], value_set=pa.array(sorted(only.keys))))
    base: Any = pa.scalar(f"{canonical_url(archive.url)}/")
    uris: Any = pc.binary_join_element_wise(base, images["key"], pa.scalar(""))
    return Listing(images.add_column(1, LISTING.field("uri"), uris), dict(passed_over))


class _Rows:
    """Rows of a listing without `uri`, kept as Arrow keeps them: a tenth of Python's objects."""

    _SCHEMA = pa.schema([LISTING.field(name) for name in ("key", "size", "version")])
    _TOGETHER = 1 << 16

    def __init__(self) -> None:
        self._batches: list[pa.RecordBatch] = []
        self._rows: list[tuple[str, int | None, str]] = []

    def add(self, key: str, info: dict[str, Any]) -> None:
        """Add an object, of which fsspec says this."""
        self._rows.append((key, info["size"], version_of(info)))
        if len(self._rows) == self._TOGETHER:
            self._flush()

    def in_order(self) -> pa.Table:
        """All rows in bytewise order of the key; of several with one key the last."""
        self._flush()
        table = pa.Table.from_batches(self._batches, self._SCHEMA)
        # Buckets are listed in this order, and sorting copies everything.
        if not _in_order(table["key"], pc.less_equal):
            table = table.sort_by("key")
        if not _in_order(table["key"], pc.less):
            last: Any = pc.not_equal(table["key"].slice(0, len(table) - 1), table["key"].slice(1))
            table = table.filter(pa.chunked_array([*last.chunks, pa.array([True])]))
        return table

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else ((), (), ())
        arrays = [
            pa.array(column, field.type)
            for column, field in zip(columns, self._SCHEMA, strict=True)
        ]
        self._batches.append(pa.record_batch(arrays, schema=self._SCHEMA))
        self._rows = []


def _in_order(keys: pa.ChunkedArray[Any], compare: Callable[..., Any]) -> bool:
    """Whether every key compares so with the next one."""
    ordered = pc.all(compare(keys.slice(0, max(0, len(keys) - 1)), keys.slice(1)), min_count=0)
    return bool(ordered.as_py())


def in_utf8(name: str) -> str:
    """A file name as text; bytes that are none, which Python keeps as surrogates, as `\\xe9`."""
    try:
        name.encode()
        return name
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _no_image(url: str, passed_over: Counter[str], ends: tuple[str, ...]) -> str:
    if not passed_over:
        return f"archive {url} is empty; check the path"
    others = Counter(
        {
            kind if kind in (AS_LITTER, EXCLUDED) else f"with {kind}": count
            for kind, count in passed_over.items()
        }
    )
    kinds = ", ".join(f"{count} {kind}" for kind, count in others.most_common(5))
    return (
        f"no image in archive {url}: {passed_over.total()} other files ({kinds}), none "
        f"ends with {', '.join(ends)}; check the path, or add to the suffixes that count as images"
        + advice(passed_over, url)
    )
