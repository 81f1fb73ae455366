"""What was listed -> manifest; what is new since the last time; cut into shards.

The manifest is a row of generations, each the images that appeared and those that went away since
the one before; the last event of an image is its state. A shard is a list of images that never
changes, so what is new goes into new shards.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.listing import LISTING, list_archive
from lazsl.archive.selection import Selection
from lazsl.archive.versions import version_of
from lazsl.errors import UserError
from lazsl.settings import Links
from lazsl.store import keys, schemas
from lazsl.store.folder import Folder
from lazsl.store.paths import manifests


@dataclass(frozen=True)
class Plan:
    """What there is to label. A changed object counts as removed and as added.

    `shards` are those that hold at least one listed image, oldest first, each in key order;
    `listed` = `added` + `unchanged`.
    """

    archive: str
    shards: tuple[str, ...]
    listed: int
    added: int
    removed: int
    unchanged: int


def plan_shards(
    workspace: Folder,
    archive_url: str,
    suffixes: tuple[str, ...],
    shard_size: int,
    only: Selection | None = None,
    links: Links = "inside",
) -> Plan:
    """What there is to label now, after one new manifest generation if anything has changed.

    New and changed images are cut into new shards of `shard_size` in key order; an image that comes
    back as it was returns to the shard it had. Killed at any moment and planned again, the manifest
    is the same. One planner at a time: of two at once, the later overwrites the earlier.

    What `only` selects has a manifest and shards of its own: images beyond it are not removed, they
    are no part of that archive.

    Raises:
        UserError: as `list_archive`.
    """
    archive = keys.archive_key(archive_url, only.digest if only else None)
    listed = list_archive(archive_url, suffixes, only, links)
    generations = _generations(workspace, archive)
    state = _read(workspace, generations)
    current = state.filter(pc.field("event") == "added")

    at: Any = pc.index_in(listed["uri"], value_set=current["uri"].combine_chunks())
    as_listed: Any = pc.equal(current["version"].take(at), listed["version"])
    same: Any = pc.fill_null(as_listed, False)
    gone = np.ones(len(current), dtype=bool)
    gone[pc.array_filter(at, same).to_numpy()] = False

    fresh = listed.filter(pc.invert(same))
    names: list[list[Any]] = [fresh["uri"].to_pylist(), fresh["version"].to_pylist()]
    ids = pa.array(map(keys.image_id, *names), pa.string())
    known = pc.index_in(ids, value_set=state["image_id"].combine_chunks())
    unknown = pc.is_null(known)
    generation = pa.concat_tables(
        [
            _cut(archive, fresh.filter(unknown), ids.filter(unknown), shard_size),
            _with_event(state.take(known.drop_null()), "added"),
            _with_event(current.filter(pa.array(gone)), "removed"),
        ]
    )
    if len(generation):
        number = 1 + int(PurePath(generations[-1][0]).stem) if generations else 1
        workspace.write_table(f"{manifests(archive)}/{number:06d}.parquet", generation)
        state = _replay(pa.concat_tables([state, generation]))
    shards: list[Any] = state.filter(pc.field("event") == "added")["shard"].unique().to_pylist()
    return Plan(
        archive=archive,
        shards=tuple(shards),
        listed=len(listed),
        added=len(fresh),
        removed=int(gone.sum()),
        unchanged=len(listed) - len(fresh),
    )


def read_manifest(workspace: Folder, archive_key: str) -> pa.Table:
    """The manifest as it stands: `schemas.MANIFEST`, one row per image ever listed.

    An image's event is its last. Images of a shard are consecutive, in the order they were cut;
    shards come in the order they were made. Empty before the first plan.
    """
    return _read(workspace, _generations(workspace, archive_key))


def shard_images(workspace: Folder, archive_key: str, shard: str) -> pa.Table:
    """All images of one shard, those that were removed since included: `schemas.MANIFEST`.

    Raises:
        UserError: when the manifest knows no such shard.
    """
    state = read_manifest(workspace, archive_key)
    images = state.filter(pc.field("shard") == shard)
    if not len(images):
        raise UserError(
            f"no shard {shard!r} in the manifest of archive {archive_key!r}, which has "
            f"{len(state['shard'].unique())} shards; plan the archive first"
        )
    return images


def _cut(archive: str, listing: pa.Table, ids: pa.StringArray, shard_size: int) -> pa.Table:
    """New images with the shards they are cut into."""
    names: list[Any] = ids.to_pylist()
    cuts = [names[start : start + shard_size] for start in range(0, len(names), shard_size)]
    shards = np.repeat([keys.shard_id(archive, cut) for cut in cuts], [len(cut) for cut in cuts])
    columns: dict[str, Any] = {"image_id": ids, "shard": pa.array(shards.tolist(), pa.string())}
    columns |= {name: listing[name] for name in LISTING.names}
    columns["event"] = pa.repeat("added", len(ids))
    return pa.table([columns[n] for n in schemas.MANIFEST.names], schema=schemas.MANIFEST)


def _with_event(images: pa.Table, event: str) -> pa.Table:
    at = schemas.MANIFEST.get_field_index("event")
    return images.set_column(at, schemas.MANIFEST.field(at), pa.repeat(event, len(images)))


def _replay(history: pa.Table) -> pa.Table:
    """One row per image, in order of first appearance, with its last event."""
    # Codes of a dictionary are numbered by first appearance. Rows of an image differ in the event
    # only, and of several rows that go to one code the last stays.
    codes = history["image_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    last = np.empty(codes.max(initial=-1) + 1, dtype=np.int64)
    last[codes] = np.arange(len(codes))
    rows: Any = pa.array(last)
    return history.take(rows).combine_chunks()


def _generations(workspace: Folder, archive_key: str) -> tuple[tuple[str, str], ...]:
    """Names of the manifest generations, oldest first, each with its own version."""
    folder = manifests(archive_key)
    found = workspace.details(folder, ".parquet").items()
    versions = [(name, version_of(info)) for name, info in found]
    return tuple(sorted(item for item in versions if re.search(r"/\d{6}\.parquet$", item[0])))


@lru_cache(maxsize=4)
def _read(workspace: Folder, generations: tuple[tuple[str, str], ...]) -> pa.Table:
    # Cached, because every shard of a run asks; the versions tell a workspace that was made anew.
    with ThreadPoolExecutor(max_workers=8) as pool:
        tables = list(pool.map(workspace.read_table, [name for name, _ in generations]))
    history = _replay(pa.concat_tables([schemas.MANIFEST.empty_table(), *tables]))
    for name in ("image_id", "shard"):  # which become names of files
        column: Any = history[name]
        safe = pc.fill_null(pc.match_substring_regex(column, keys.SAFE), False)
        for value in column.filter(pc.invert(safe)).slice(0, 1).to_pylist():
            keys.checked("an image" if name == "image_id" else "a shard", value)
    return history
