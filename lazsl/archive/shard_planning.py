"""What was listed -> what is new since the last time, cut into new shards.

Neither a listing nor a manifest is in memory whole: what is compared are the names of images, and
files are read one after the other.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.generations import (
    Generation,
    last_events,
    read_columns,
    read_generations,
    runs_of,
)
from lazsl.archive.known_images import (
    BACK,
    GONE,
    NEW,
    RETURNS,
    Compared,
    Names,
    compare,
    count_missing,
)
from lazsl.archive.listing import Listing, look_through
from lazsl.archive.lost_manifest import lost_images
from lazsl.archive.manifest import last_read, note_passed_over, still_listed
from lazsl.archive.mended_manifest import (
    KnownManifest,
    mend_manifest,
    mended,
    publish_generation,
    shards_with,
)
from lazsl.archive.new_shards import NewShards, image_ids
from lazsl.archive.selection import Selection
from lazsl.errors import UserError
from lazsl.settings import Links
from lazsl.store import keys, schemas
from lazsl.store.folder import Folder
from lazsl.store.scratch import scratch_folder

_PLANNERS = 20  # times that another planner may be faster
_IN_A_FILE = 1 << 17  # images: whoever wants a shard reads the file that it is in


@dataclass(frozen=True)
class Plan:
    """What there is to label. A changed object counts as removed and as added.

    `shards` are those that hold at least one listed image, oldest first, each in key order;
    `listed` = `added` + `unchanged`. `passed_over` is that of `listing.Listing`.
    """

    archive: str
    shards: tuple[str, ...]
    listed: int
    added: int
    removed: int
    unchanged: int
    passed_over: dict[str, int] = field(default_factory=dict)


def plan_shards(
    workspace: Folder,
    archive_url: str,
    suffixes: tuple[str, ...],
    shard_size: int,
    only: Selection | None = None,
    links: Links = "inside",
    loss_ceiling: float = 1.0,
    exclude: tuple[str, ...] = (),
) -> Plan:
    """What there is to label now, after one new manifest generation if anything has changed.

    New and changed images are cut into new shards of `shard_size` in key order; an image that comes
    back as it was returns to the shard it had. Killed at any moment and planned again, the manifest
    is the same. Of several planners at once, one publishes a generation and the others plan again
    on top of it. A generation that is damaged or gone is rebuilt from what its shards know.

    What `only` selects has a manifest and shards of its own: images beyond it are not removed, they
    are no part of that archive.

    Args:
        workspace: where the manifest is.
        archive_url: what is listed.
        suffixes: ends of the names that count as images.
        shard_size: images per new shard.
        only: leaves all other images out.
        links: which links to files are followed.
        loss_ceiling: share of the images listed before that may be gone.
        exclude: globs of keys that are left out.

    Raises:
        UserError: as `list_archive`; or more is gone than `loss_ceiling` allows, and nothing is
            written.
    """
    archive = keys.archive_key(archive_url, only.digest if only else None)
    with scratch_folder(f"plan-{uuid.uuid4().hex}") as scratch:
        listing = look_through(archive_url, suffixes, only, links, exclude, scratch)
        if listing.silent:
            listing = replace(listing, before=_before(workspace, archive, listing.silent))
        listed = Names(scratch, "listed")
        for images in listing.tables():
            listed.add(image_ids(images))
        for attempt in range(_PLANNERS):
            known = mended(workspace, archive, scratch, f"known-{attempt}")
            compared = compare(listed, known.names)
            if (compared.listed == NEW).any():
                lost = lost_images(workspace, archive, known.generations)
                if len(lost):
                    publish_generation(workspace, archive, known.next, lost)
                    continue
            _check_lost(workspace, known, compared, listing, loss_ceiling, scratch, archive_url)
            new_shards = NewShards(archive, shard_size)
            changes = _changes(workspace, known, compared, listing, new_shards)
            if _publish_all(workspace, archive, known.next, changes):
                if known.generations or listing.passed_over:
                    note_passed_over(workspace, archive, listing.passed_over)
                fresh = int(np.count_nonzero(compared.listed))
                if fresh or compared.gone:
                    last_read.pop((workspace, archive), None)
                return Plan(
                    archive=archive,
                    shards=(*shards_with(known.shards, compared.now_listed), *new_shards.shards),
                    listed=listed.rows,
                    added=fresh,
                    removed=compared.gone,
                    unchanged=listed.rows - fresh,
                    passed_over=listing.passed_over,
                )
    raise UserError(
        f"{_PLANNERS} times another planner of archive {archive_url} was faster; run again "
        "when the others are done"
    )


def _before(workspace: Folder, archive: str, listed_keys: Sequence[str]) -> pa.Table:
    """Key, size and version of images of these keys that were listed before."""
    mend_manifest(workspace, archive)
    wanted = pa.array(listed_keys, pa.string())
    parts = [schemas.MANIFEST.empty_table()]
    for generation in read_generations(workspace, archive):
        rows = read_columns(workspace, generation, schemas.MANIFEST.names)
        parts.append(rows.filter(pc.is_in(rows["key"], value_set=wanted)))
    return still_listed(last_events(pa.concat_tables(parts))).select(["key", "size", "version"])


def _check_lost(
    workspace: Folder,
    known: KnownManifest,
    compared: Compared,
    listing: Listing,
    ceiling: float,
    scratch: Path,
    archive_url: str,
) -> None:
    """Raise UserError if more keys than the ceiling allows were listed before and are not now, in
    no version."""
    if compared.gone <= ceiling * compared.current:
        return
    gone, fresh = Names(scratch, "gone"), Names(scratch, "fresh")
    for images in _flagged(workspace, known.generations, compared.events, GONE):
        gone.add(images["key"])
    for images in _images_where(listing, compared.listed != 0):
        fresh.add(images["key"])
    lost, first = count_missing(gone, fresh)
    if lost <= ceiling * compared.current:
        return
    for images in _flagged(workspace, known.generations, compared.events, GONE):
        if first < len(images):
            raise UserError(
                f"{lost} of the {compared.current} images of archive {archive_url} that were "
                f"listed before are gone, such as {images['key'][first].as_py()!r}, more than the "
                f"share of {ceiling:g} that loss_ceiling allows; nothing was changed. If the "
                "listing is incomplete, run again; if they were deleted, run once with "
                "--set loss_ceiling=1"
            )
        first -= len(images)


def _changes(
    workspace: Folder,
    known: KnownManifest,
    compared: Compared,
    listing: Listing,
    new_shards: NewShards,
) -> Iterator[pa.Table]:
    """The next generation, a part at a time; whatever comes back is added last: it may be among
    what is gone under another version."""
    for images in _flagged(workspace, known.generations, compared.events, GONE):
        yield _with_event(images, "removed")
    for images in _images_where(listing, compared.listed == NEW):
        yield from new_shards.add(images)
    yield from new_shards.rest()
    if (compared.listed == BACK).any():
        for images in _flagged(workspace, known.generations, compared.events, RETURNS):
            yield _with_event(images, "added")


def _images_where(listing: Listing, mask: np.ndarray) -> Iterator[pa.Table]:
    """The listed images where the mask is true."""
    begin = 0
    for images in listing.tables() if mask.any() else ():
        rows = mask[begin : begin + len(images)]
        begin += len(images)
        if rows.any():
            yield images if rows.all() else images.filter(pa.array(rows))


def _flagged(
    workspace: Folder, generations: Sequence[Generation], events: np.ndarray, flag: int
) -> Iterator[pa.Table]:
    """Events of a manifest that have a flag, as rows of `schemas.MANIFEST`."""
    begin = 0
    for generation in generations if (events & flag).any() else ():
        table = read_columns(workspace, generation, schemas.MANIFEST.names)
        rows = (events[begin : begin + len(table)] & flag) > 0
        begin += len(table)
        if rows.any():
            yield table.filter(pa.array(rows))


def _publish_all(workspace: Folder, archive: str, number: int, changes: Iterable[pa.Table]) -> bool:
    """Publish a generation as one file, or as several of whole shards where it is large.

    False where another planner was faster; what is published before that is right, because it holds
    whole shards.
    """
    waiting = schemas.MANIFEST.empty_table()
    for part in changes:
        waiting = pa.concat_tables([waiting, part])
        while end := _end_of_file(waiting):
            if not publish_generation(
                workspace, archive, number, waiting.slice(0, end).combine_chunks()
            ):
                return False
            waiting, number = waiting.slice(end), number + 1
    return not len(waiting) or publish_generation(
        workspace, archive, number, waiting.combine_chunks()
    )


def _end_of_file(rows: pa.Table) -> int:
    """How many of the rows fill a file: whole shards, as far as they are all there; or 0."""
    if len(rows) <= _IN_A_FILE:
        return 0
    begins = [begin for _, begin, _ in runs_of(rows["shard"].slice(_IN_A_FILE - 1))]
    return _IN_A_FILE - 1 + begins[1] if len(begins) > 1 else 0


def _with_event(images: pa.Table, event: str) -> pa.Table:
    at = schemas.MANIFEST.get_field_index("event")
    return images.set_column(at, schemas.MANIFEST.field(at), pa.repeat(event, len(images)))
