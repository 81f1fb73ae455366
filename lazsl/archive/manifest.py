"""What was listed -> manifest; what is new since the last time; cut into shards.

The manifest is a row of generations, each the images that appeared and those that went away since
the one before; the last event of an image is its state. A shard is a list of images that never
changes, so what is new goes into new shards. Neither a listing nor a manifest is in memory whole:
what is compared are the names of images, and files are read one after the other.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.generations import (
    Generation,
    Span,
    images_in,
    last_events,
    number_of,
    read_columns,
    read_events,
    read_generations,
    runs_of,
    spans_of_shards,
)
from lazsl.archive.known_images import (
    BACK,
    CURRENT,
    GONE,
    NEW,
    RETURNS,
    Compared,
    Names,
    compare,
    count_missing,
)
from lazsl.archive.listing import LISTING, Listing, look_through
from lazsl.archive.lost_manifest import lost_images
from lazsl.archive.selection import Selection
from lazsl.errors import DamagedError, UserError
from lazsl.settings import Links
from lazsl.store import damage, keys, schemas
from lazsl.store.folder import Folder
from lazsl.store.paths import manifests, passed_over
from lazsl.store.scratch import scratch_folder

_PLANNERS = 20  # times that another planner may be faster
_IN_A_FILE = 1 << 17  # images: whoever wants a shard reads the file that it is in
_TEXT = pa.string()

log = logging.getLogger(__name__)


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
            listed.add(_image_ids(images))
        for attempt in range(_PLANNERS):
            known = _mended(workspace, archive, scratch, f"known-{attempt}")
            compared = compare(listed, known.names)
            if (compared.listed == NEW).any():
                lost = lost_images(workspace, archive, known.generations)
                if len(lost):
                    _publish(workspace, archive, known.next, lost)
                    continue
            _check_lost(workspace, known, compared, listing, loss_ceiling, scratch, archive_url)
            cut = _Cut(archive, shard_size)
            changes = _changes(workspace, known, compared, listing, cut)
            if _publish_all(workspace, archive, known.next, changes):
                if known.generations or listing.passed_over:
                    note_passed_over(workspace, archive, listing.passed_over)
                fresh = int(np.count_nonzero(compared.listed))
                if fresh or compared.gone:
                    _last.pop((workspace, archive), None)
                return Plan(
                    archive=archive,
                    shards=(*_alive(known.shards, compared.now_listed), *cut.shards),
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


def note_passed_over(workspace: Folder, archive: str, kinds: dict[str, int]) -> None:
    """Keep what the last listing passed over, beside the manifest."""
    if kinds != read_passed_over(workspace, archive):
        workspace.write_record(passed_over(archive), {"kinds": kinds})


def read_passed_over(workspace: Folder, archive: str) -> dict[str, int]:
    """How many objects the last listing passed over, by kind; empty where that is not known."""
    try:
        kinds = workspace.read_record(passed_over(archive), ["kinds"])["kinds"]
        return {str(kind): int(count) for kind, count in kinds.items()}
    except (FileNotFoundError, DamagedError, AttributeError, TypeError, ValueError):
        return {}


def _before(workspace: Folder, archive: str, listed_keys: Sequence[str]) -> pa.Table:
    """Key, size and version of images of these keys that were listed before."""
    mend_manifest(workspace, archive)
    wanted = pa.array(listed_keys, _TEXT)
    parts = [schemas.MANIFEST.empty_table()]
    for generation in read_generations(workspace, archive):
        rows = read_columns(workspace, generation, schemas.MANIFEST.names)
        parts.append(rows.filter(pc.is_in(rows["key"], value_set=wanted)))
    return still_listed(last_events(pa.concat_tables(parts))).select(["key", "size", "version"])


def _image_ids(images: pa.Table) -> pa.Array[Any]:
    """Names of listed images."""
    columns = (images[name].to_pylist() for name in ("uri", "version"))
    return pa.array(map(keys.image_id, *columns), _TEXT)


def _check_lost(
    workspace: Folder,
    known: _Known,
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
    for images in _chosen(listing, compared.listed != 0):
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
    workspace: Folder, known: _Known, compared: Compared, listing: Listing, cut: _Cut
) -> Iterator[pa.Table]:
    """The next generation, a part at a time; whatever comes back is added last: it may be among
    what is gone under another version."""
    for images in _flagged(workspace, known.generations, compared.events, GONE):
        yield _with_event(images, "removed")
    for images in _chosen(listing, compared.listed == NEW):
        yield from cut.add(images)
    yield from cut.rest()
    if (compared.listed == BACK).any():
        for images in _flagged(workspace, known.generations, compared.events, RETURNS):
            yield _with_event(images, "added")


def _chosen(listing: Listing, chosen: np.ndarray) -> Iterator[pa.Table]:
    """Some of the listed images."""
    begin = 0
    for images in listing.tables() if chosen.any() else ():
        rows = chosen[begin : begin + len(images)]
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


class _Cut:
    """New images are cut into shards of one size, in the order in which they come."""

    def __init__(self, archive: str, shard_size: int) -> None:
        self._archive = archive
        self._size = shard_size
        self._waiting = LISTING.empty_table()
        self.shards: list[str] = []

    def add(self, images: pa.Table) -> Iterator[pa.Table]:
        """The shards that are full, as rows of `schemas.MANIFEST`."""
        images = pa.concat_tables([self._waiting, images])
        whole = len(images) // self._size * self._size
        self._waiting = images.slice(whole)
        if whole:
            yield self._cut(images.slice(0, whole))

    def rest(self) -> Iterator[pa.Table]:
        """The last shard, which is not full."""
        if len(self._waiting):
            yield self._cut(self._waiting)

    def _cut(self, images: pa.Table) -> pa.Table:
        ids = _image_ids(images)
        names = [str(name) for name in ids.to_pylist()]
        cuts = [names[begin : begin + self._size] for begin in range(0, len(names), self._size)]
        shards = [keys.shard_id(self._archive, cut) for cut in cuts]
        self.shards += shards
        numbers: Any = pa.array(np.repeat(np.arange(len(cuts)), [len(cut) for cut in cuts]))
        columns: dict[str, Any] = {name: images[name] for name in LISTING.names}
        columns |= {"image_id": ids, "shard": pa.array(shards, _TEXT).take(numbers)}
        columns["event"] = pa.repeat("added", len(ids))
        return pa.table([columns[n] for n in schemas.MANIFEST.names], schema=schemas.MANIFEST)


def _publish_all(workspace: Folder, archive: str, number: int, changes: Iterable[pa.Table]) -> bool:
    """Publish a generation as one file, or as several of whole shards where it is large.

    False where another planner was faster; what is published before that is right, because it holds
    whole shards.
    """
    waiting = schemas.MANIFEST.empty_table()
    for part in changes:
        waiting = pa.concat_tables([waiting, part])
        while end := _end_of_file(waiting):
            if not _publish(workspace, archive, number, waiting.slice(0, end).combine_chunks()):
                return False
            waiting, number = waiting.slice(end), number + 1
    return not len(waiting) or _publish(workspace, archive, number, waiting.combine_chunks())


def _end_of_file(rows: pa.Table) -> int:
    """How many of the rows fill a file: whole shards, as far as they are all there; or 0."""
    if len(rows) <= _IN_A_FILE:
        return 0
    begins = [begin for _, begin, _ in runs_of(rows["shard"].slice(_IN_A_FILE - 1))]
    return _IN_A_FILE - 1 + begins[1] if len(begins) > 1 else 0


def _publish(workspace: Folder, archive: str, number: int, generation: pa.Table) -> bool:
    """Publish a generation, unless another planner was faster; True if it was published."""
    return workspace.create_table(f"{manifests(archive)}/{number:06d}.parquet", generation)


@dataclass(frozen=True)
class _Known:
    """A manifest: its generations, the names of all of its events, and what shards they are of, a
    value per run of rows with its length."""

    generations: tuple[Generation, ...]
    names: Names
    shards: list[tuple[str, int]]

    @property
    def next(self) -> int:
        """The number of the next generation."""
        return len(self.generations) + 1


def mend_manifest(workspace: Folder, archive: str) -> list[str]:
    """Shards that hold at least one image that the last listing has, oldest first, after damaged
    generations were set aside and what was in them and in those that are gone was rebuilt from
    what finished shards know.

    It is told in the log.
    """
    with scratch_folder(f"mend-{uuid.uuid4().hex}") as scratch:
        known = _mended(workspace, archive, scratch, "known")
        events = compare(Names(scratch, "none"), known.names).events
        return _alive(known.shards, (events & CURRENT) > 0)


def _mended(workspace: Folder, archive: str, scratch: Path, kind: str) -> _Known:
    """The mended manifest; its names wait in a folder of this kind."""
    aside: list[int] = []
    while True:
        generations = read_generations(workspace, archive)
        numbers = [number_of(name) for name, _ in generations]
        known = _Known(generations, Names(scratch, f"{kind}-{len(aside)}"), [])
        try:
            for generation in generations:
                table = read_columns(workspace, generation, _NEEDED, every_byte=True)
                known.names.add(table["image_id"], pc.equal(table["event"], pa.scalar("added")))
                runs = runs_of(table["shard"])
                known.shards.extend((shard, count) for shard, _, count in runs)
        except DamagedError as error:
            damage.set_aside(workspace, error)
            aside.append(number_of(error.name))
            continue
        gone = set(range(1, max([*numbers, *aside], default=0) + 1)) - set(numbers)
        if not gone:
            _last[workspace, archive] = generations
            return known
        lost = lost_images(workspace, archive, generations)
        log.warning(
            "generation %d of the manifest of archive %s is gone; what finished shards know of it "
            "(%d images) was written down again",
            *(min(gone), archive, len(lost)),
        )
        for number in sorted(gone):
            _publish(workspace, archive, number, lost)
            lost = lost.slice(0, 0)


_NEEDED = ["image_id", "shard", "event"]


def _alive(shards: list[tuple[str, int]], listed: np.ndarray) -> list[str]:
    """Shards with a listed image, in the order in which they were made.

    Args:
        shards: of runs of events, with their lengths.
        listed: per event, whether its image is listed and it is the last one of it.
    """
    begin = 0
    alive = dict.fromkeys((shard for shard, _ in shards), False)
    for shard, count in shards:
        alive[shard] |= bool(listed[begin : begin + count].any())
        begin += count
    return [shard for shard, has_listed in alive.items() if has_listed]


def read_manifest(
    workspace: Folder, archive_key: str, columns: Sequence[str] = schemas.MANIFEST.names
) -> pa.Table:
    """The manifest as it stands: these columns of `schemas.MANIFEST`, one row per image ever
    listed.

    An image's event is its last. Images of a shard are consecutive, in the order they were cut;
    shards come in the order they were made. Empty before the first plan.
    """
    generations = read_generations(workspace, archive_key)
    rows = read_events(workspace, generations, columns)
    _last[workspace, archive_key] = generations
    return rows


def read_listed(
    workspace: Folder, archive_key: str, columns: Sequence[str] = schemas.MANIFEST.names
) -> pa.Table:
    """The manifest's images that the last listing has: these columns of `schemas.MANIFEST`."""
    rows = read_manifest(workspace, archive_key, [*columns, "event"])
    return still_listed(rows).select(list(columns))


def still_listed(manifest: pa.Table) -> pa.Table:
    """Those of a manifest's images that the last listing has."""
    added: Any = pc.equal(manifest["event"], pa.scalar("added"))
    return manifest if pc.all(added, min_count=0).as_py() else manifest.filter(added)


def _with_shards(
    workspace: Folder, archive_key: str, shards: Sequence[str]
) -> tuple[tuple[Generation, ...], dict[str, list[Span]]]:
    """The generations and `spans_of_shards` of the manifest as this process read it last, if it
    knew these shards, whose images never change; otherwise as it is now. So a run lists the
    generations once, when it plans.
    """
    generations = _last.get((workspace, archive_key))
    try:
        if generations is not None:
            spans = spans_of_shards(workspace, generations)
            if spans.keys() >= set(shards):
                return generations, spans
    except (DamagedError, FileNotFoundError):
        pass  # no longer as it was read
    generations = read_generations(workspace, archive_key)
    _last[workspace, archive_key] = generations
    return generations, spans_of_shards(workspace, generations)


_last: dict[tuple[Folder, str], tuple[Generation, ...]] = {}
"""The generations of every archive that were read last."""


def shard_images(workspace: Folder, archive_key: str, shard: str) -> pa.Table:
    """All images of one shard, those that were removed since included: `schemas.MANIFEST`.

    Raises:
        UserError: when the manifest knows no such shard.
    """
    generations, spans = _with_shards(workspace, archive_key, [shard])
    if shard not in spans:
        raise UserError(
            f"no shard {shard!r} in the manifest of archive {archive_key!r}, which has "
            f"{len(spans)} shards; plan the archive first"
        )
    return images_in(workspace, generations, spans[shard])


def listed_images(workspace: Folder, archive_key: str, shard: str) -> set[str]:
    """Images of a shard that the last listing has; none of a shard that the manifest lacks."""
    generations, spans = _with_shards(workspace, archive_key, [shard])
    if shard not in spans:
        return set()
    images = still_listed(images_in(workspace, generations, spans[shard]))
    return {str(image) for image in images["image_id"].to_pylist()}


def count_images(workspace: Folder, archive_key: str, shards: Sequence[str]) -> int:
    """Images in these shards, those that were removed since included."""
    generations, spans = _with_shards(workspace, archive_key, shards)
    return sum(
        places[0][2] if len(places) == 1 else len(images_in(workspace, generations, places))
        for places in (spans[shard] for shard in shards if shard in spans)
    )


def _with_event(images: pa.Table, event: str) -> pa.Table:
    at = schemas.MANIFEST.get_field_index("event")
    return images.set_column(at, schemas.MANIFEST.field(at), pa.repeat(event, len(images)))
