"""What lies in object storage: every image of an archive, as its store tells it.

An image is one version of one object.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.archive_presence import open_archive
from lazsl.archive.containers import Container, advice
from lazsl.archive.entries import each_entry
from lazsl.archive.listed_files import SILENT
from lazsl.archive.litter import AS_LITTER, EXCLUDED, Excluded, is_litter, kind_of_key, most_first
from lazsl.archive.selection import Selection
from lazsl.archive.spool import Spool
from lazsl.archive.versions import version_of
from lazsl.errors import UserError
from lazsl.settings import Links
from lazsl.store import schemas
from lazsl.store.scratch import scratch_folder, spill_folder
from lazsl.store.urls import canonical_url

LISTING = pa.schema([schemas.MANIFEST.field(n) for n in ("key", "uri", "size", "version")])
"""What `list_archive` returns: these columns of `schemas.MANIFEST`."""


@dataclass(frozen=True)
class Listing:
    """What an archive holds: `passed_over` counts what is there besides images, by the end of the
    name (`.txt`), or as `litter` or `excluded`."""

    root: str
    rows: Spool
    only: frozenset[str] | None
    passed_over: dict[str, int]
    silent: tuple[str, ...] = ()
    """Keys of entries that nobody answered for."""
    before: pa.Table | None = None
    """Key, size and version of those of them that were listed before: so they are still."""

    def tables(self) -> Iterator[pa.Table]:
        """The images in bytewise order of the key, some at a time: LISTING."""
        begin: Any = pa.scalar(f"{self.root}/")
        wanted = None if self.only is None else pa.array(sorted(self.only), pa.string())
        for rows in self.rows.tables():
            if wanted is not None:
                rows = rows.filter(pc.is_in(rows["key"], value_set=wanted))
            if self.before is not None:
                rows = _as_before(rows, self.before)
            uris: Any = pc.binary_join_element_wise(begin, rows["key"], pa.scalar(""))
            yield rows.add_column(1, LISTING.field("uri"), uris)

    @property
    def images(self) -> pa.Table:
        """All of them at once."""
        return pa.concat_tables([LISTING.empty_table(), *self.tables()]).combine_chunks()

    def check(self, only: Selection, url: str) -> None:
        """Raise UserError if a key of the selection is not among the images."""
        listed = sum(len(rows) for rows in self.tables())
        if listed < len(only.keys):
            each = (rows["key"].to_pylist() for rows in self.rows.tables())
            only.check([str(key) for keys in each for key in keys], url)


def _as_before(rows: pa.Table, before: pa.Table) -> pa.Table:
    """Rows of a listing, with size and version from before where these are known."""
    at = pc.index_in(rows["key"], value_set=before["key"].combine_chunks())
    for name in ("size", "version"):
        column: Any = pc.if_else(pc.is_valid(at), before[name].take(at), rows[name])
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), column)
    return rows


def list_archive(
    url: str,
    suffixes: tuple[str, ...],
    only: Selection | None = None,
    links: Links = "inside",
    exclude: tuple[str, ...] = (),
) -> pa.Table:
    """All images of `look_through` at once: LISTING."""
    with scratch_folder(f"list-{uuid.uuid4().hex}") as scratch:
        return look_through(url, suffixes, only, links, exclude, scratch).images


def look_through(
    url: str,
    suffixes: tuple[str, ...],
    only: Selection | None = None,
    links: Links = "inside",
    exclude: tuple[str, ...] = (),
    scratch: Path | None = None,
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
        scratch: a folder for what does not fit into memory, as long as the listing is read; None:
            one that is there until the process ends.

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
    rows = Spool(scratch or spill_folder())
    passed_over: Counter[str] = Counter()
    silent: list[str] = []
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
            rows.add(in_utf8(key), info["size"], version_of(info))
            if info.get(SILENT):
                silent.append(in_utf8(key))
    rows.done()
    if not rows.count:
        raise UserError(_no_image(archive.url, passed_over, ends))
    keys = None if only is None else only.keys
    listing = Listing(canonical_url(archive.url), rows, keys, dict(passed_over), tuple(silent))
    if only is not None:
        listing.check(only, url)
    return listing


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
    others = {
        kind if kind in (AS_LITTER, EXCLUDED) else f"with {kind}": count
        for kind, count in passed_over.items()
    }
    kinds = ", ".join(f"{count} {kind}" for kind, count in most_first(others)[:5])
    return (
        f"no image in archive {url}: {passed_over.total()} other files ({kinds}), none "
        f"ends with {', '.join(ends)}; check the path, or add to the suffixes that count as images"
        + advice(passed_over, url)
    )
