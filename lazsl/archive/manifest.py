"""What was listed -> manifest; what is new since the last time; cut into shards.

The manifest is a row of generations, each the images that appeared and those that went away since
the one before; the last event of an image is its state. A shard is a list of images that never
changes, so what is new goes into new shards.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.listing import LISTING, look_through
from lazsl.archive.lost_manifest import lost_images
from lazsl.archive.selection import Selection
from lazsl.archive.versions import version_of
from lazsl.errors import DamagedError, UserError
from lazsl.settings import Links
from lazsl.store import damage, keys, schemas
from lazsl.store.folder import Folder
from lazsl.store.paths import manifests, passed_over

_PLANNERS = 20  # times that another planner may be faster
_TOGETHER = 1 << 16  # images that are Python's objects at a time
_IN_A_FILE = 1 << 20  # images
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
    listing = look_through(archive_url, suffixes, only, links, exclude)
    listed = listing.images
    for _ in range(_PLANNERS):
        state, number = _mended(workspace, archive)
        current = still_listed(state)
        generation, fresh = _changes(archive, listed, state, current, shard_size)
        unknown = generation["image_id"].combine_chunks()
        known: Any = pc.is_in(unknown, value_set=state["image_id"].combine_chunks())
        if not pc.all(known, min_count=0).as_py():
            lost = lost_images(workspace, archive, state)
            if len(lost):
                _publish(workspace, archive, number, lost)
                continue
        lost_keys = _lost(current, listed)
        removed = generation.filter(pc.field("event") == "removed").num_rows
        if len(lost_keys) > loss_ceiling * len(current):
            raise UserError(
                f"{len(lost_keys)} of the {len(current)} images of archive {archive_url} "
                f"that were listed before are gone, such as {lost_keys[0]!r}, more than the share "
                f"of {loss_ceiling:g} that loss_ceiling allows; nothing was changed. If the "
                "listing is incomplete, run again; if they were deleted, run once with "
                "--set loss_ceiling=1"
            )
        if _publish_all(workspace, archive, number, generation):
            state = _replay(pa.concat_tables([state, generation])) if len(generation) else state
            if len(generation):
                _last.pop((workspace, archive), None)
            if number > 1 or listing.passed_over:
                note_passed_over(workspace, archive, listing.passed_over)
            return Plan(
                archive=archive,
                shards=tuple(_listed_shards(state)),
                listed=len(listed),
                added=fresh,
                removed=removed,
                unchanged=len(listed) - fresh,
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


def _changes(
    archive: str, listed: pa.Table, state: pa.Table, current: pa.Table, shard_size: int
) -> tuple[pa.Table, int]:
    """The next generation, which may be empty, and how many images are new or changed."""
    at: Any = pc.index_in(listed["uri"], value_set=current["uri"].combine_chunks())
    as_listed: Any = pc.equal(current["version"].take(at), listed["version"])
    same: Any = pc.fill_null(as_listed, False)
    gone = np.ones(len(current), dtype=bool)
    gone[pc.array_filter(at, same).to_numpy()] = False

    fresh = listed.filter(pc.invert(same))
    ids = _image_ids(fresh)
    known = pc.index_in(ids, value_set=state["image_id"].combine_chunks())
    unknown = pc.is_null(known)
    generation = pa.concat_tables(
        [
            # Whatever comes back is added last: it may be among what is gone under another version.
            _with_event(current.filter(pa.array(gone)), "removed"),
            _cut(archive, fresh.filter(unknown), ids.filter(unknown), shard_size),
            _with_event(state.take(known.drop_null()), "added"),
        ]
    )
    return generation, len(fresh)


def _image_ids(listed: pa.Table) -> pa.ChunkedArray[Any]:
    """Names of listed images, made a batch at a time: as Python's strings they take much memory."""
    made = [
        pa.array(map(keys.image_id, *(batch[n].to_pylist() for n in ("uri", "version"))), _TEXT)
        for batch in listed.select(["uri", "version"]).to_batches(_TOGETHER)
    ]
    return pa.chunked_array(made, _TEXT)


def _lost(current: pa.Table, listed: pa.Table) -> list[str]:
    """Keys that were listed before and are not now, in no version."""
    present: Any = pc.is_in(current["uri"], value_set=listed["uri"].combine_chunks())
    return [str(key) for key in current.filter(pc.invert(present))["key"].unique().to_pylist()]


def _listed_shards(state: pa.Table) -> list[str]:
    return [str(shard) for shard in still_listed(state)["shard"].unique().to_pylist()]


def _publish_all(workspace: Folder, archive: str, number: int, generation: pa.Table) -> bool:
    """Publish a generation as one file, or as several where it is large: a file is made in memory.

    False where another planner was faster; what is published before that is right, because it holds
    whole shards.
    """
    shards = generation["shard"]
    begin = 0
    while begin < len(generation):
        end = begin + _IN_A_FILE
        while end < len(generation) and shards[end] == shards[end - 1]:
            end += 1
        if not _publish(workspace, archive, number, generation.slice(begin, end - begin)):
            return False
        begin, number = end, number + 1
    return True


def _publish(workspace: Folder, archive: str, number: int, generation: pa.Table) -> bool:
    """Publish a generation, unless another planner was faster; True if it was published."""
    return workspace.create_table(f"{manifests(archive)}/{number:06d}.parquet", generation)


def mend_manifest(workspace: Folder, archive: str) -> pa.Table:
    """The manifest as `read_manifest` has it, after damaged generations were set aside and what was
    in them and in those that are gone was rebuilt from what finished shards know.

    It is told in the log.
    """
    return _mended(workspace, archive)[0]


def _mended(workspace: Folder, archive: str) -> tuple[pa.Table, int]:
    """The mended manifest, and the number of its next generation."""
    aside: list[int] = []
    while True:
        generations = _generations(workspace, archive)
        numbers = [_number(name) for name, _ in generations]
        try:
            state = _read(workspace, generations)
        except DamagedError as error:
            damage.set_aside(workspace, error)
            aside.append(_number(error.name))
            continue
        gone = set(range(1, max([*numbers, *aside], default=0) + 1)) - set(numbers)
        if not gone:
            _last[workspace, archive] = generations
            return state, len(numbers) + 1
        lost = lost_images(workspace, archive, state)
        log.warning(
            "generation %d of the manifest of archive %s is gone; what finished shards know of it "
            "(%d images) was written down again",
            *(min(gone), archive, len(lost)),
        )
        for number in sorted(gone):
            _publish(workspace, archive, number, lost)
            lost = lost.slice(0, 0)


def _number(name: str) -> int:
    return int(PurePath(name).stem)


def read_manifest(workspace: Folder, archive_key: str) -> pa.Table:
    """The manifest as it stands: `schemas.MANIFEST`, one row per image ever listed.

    An image's event is its last. Images of a shard are consecutive, in the order they were cut;
    shards come in the order they were made. Empty before the first plan.
    """
    generations = _generations(workspace, archive_key)
    state = _read(workspace, generations)
    _last[workspace, archive_key] = generations
    return state


def read_listed(workspace: Folder, archive_key: str) -> pa.Table:
    """The manifest's images that the last listing has: `schemas.MANIFEST`."""
    return still_listed(read_manifest(workspace, archive_key))


def still_listed(manifest: pa.Table) -> pa.Table:
    """Those of a manifest's images that the last listing has."""
    added: Any = pc.equal(manifest["event"], pa.scalar("added"))
    return manifest if pc.all(added, min_count=0).as_py() else manifest.filter(added)


def _with_shards(
    workspace: Folder, archive_key: str, shards: Sequence[str]
) -> tuple[pa.Table, dict[str, list[tuple[int, int]]]]:
    """`_by_shard` of the manifest as this process read it last, if it knew these shards, whose
    images never change; otherwise as `read_manifest` has it. So a run lists the generations once,
    when it plans.
    """
    generations = _last.get((workspace, archive_key))
    try:
        if generations is not None:
            known = _by_shard(workspace, generations)
            if known[1].keys() >= set(shards):
                return known
    except (DamagedError, FileNotFoundError):
        pass  # no longer as it was read
    read_manifest(workspace, archive_key)
    return _by_shard(workspace, _last[workspace, archive_key])


_last: dict[tuple[Folder, str], tuple[tuple[str, str], ...]] = {}
"""The generations of every archive that were read last."""


def shard_images(workspace: Folder, archive_key: str, shard: str) -> pa.Table:
    """All images of one shard, those that were removed since included: `schemas.MANIFEST`.

    Raises:
        UserError: when the manifest knows no such shard.
    """
    manifest, spans = _with_shards(workspace, archive_key, [shard])
    if shard not in spans:
        raise UserError(
            f"no shard {shard!r} in the manifest of archive {archive_key!r}, which has "
            f"{len(spans)} shards; plan the archive first"
        )
    return pa.concat_tables([manifest.slice(start, count) for start, count in spans[shard]])


def listed_images(workspace: Folder, archive_key: str, shard: str) -> set[str]:
    """Images of a shard that the last listing has; none of a shard that the manifest lacks."""
    manifest, spans = _with_shards(workspace, archive_key, [shard])
    rows = [still_listed(manifest.slice(*span)) for span in spans.get(shard, ())]
    return {str(image) for part in rows for image in part["image_id"].to_pylist()}


def count_images(workspace: Folder, archive_key: str, shards: Sequence[str]) -> int:
    """Images in these shards, those that were removed since included."""
    _, spans = _with_shards(workspace, archive_key, shards)
    return sum(count for shard in shards for _, count in spans.get(shard, ()))


def _cut(archive: str, listing: pa.Table, ids: pa.ChunkedArray[Any], shard_size: int) -> pa.Table:
    """New images with the shards they are cut into."""
    shards = []
    together = max(1, _TOGETHER // shard_size) * shard_size
    for begin in range(0, len(ids), together):
        names = [str(name) for name in ids.slice(begin, together).to_pylist()]
        cuts = [names[start : start + shard_size] for start in range(0, len(names), shard_size)]
        of_each = [keys.shard_id(archive, cut) for cut in cuts]
        numbers = np.repeat(np.arange(len(cuts)), [len(cut) for cut in cuts])
        shards.append(pa.array(of_each, _TEXT).take(pa.array(numbers, pa.int64())))
    columns: dict[str, Any] = {"image_id": ids, "shard": pa.chunked_array(shards, _TEXT)}
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
    if len(last) == len(codes):
        return history.combine_chunks()
    last[codes] = np.arange(len(codes))
    rows: Any = pa.array(last)
    return history.take(rows).combine_chunks()


def _generations(workspace: Folder, archive_key: str) -> tuple[tuple[str, str], ...]:
    """Names of the manifest generations, oldest first, each with its own version."""
    folder = manifests(archive_key)
    entries = workspace.details(folder, ".parquet").items()
    versions = [(name, version_of(info)) for name, info in entries]
    return tuple(sorted(item for item in versions if re.search(r"/\d{6}\.parquet$", item[0])))


@lru_cache(maxsize=4)
def _by_shard(
    workspace: Folder, generations: tuple[tuple[str, str], ...]
) -> tuple[pa.Table, dict[str, list[tuple[int, int]]]]:
    """The manifest, and where in it the images of each shard are: row and number. They are in one
    place, or in a few where a generation was lost."""
    manifest = _read(workspace, generations)
    compute: Any = pc  # whose types lack this function
    runs = compute.run_end_encode(manifest["shard"].combine_chunks())
    ends = runs.run_ends.to_numpy()
    starts = np.concatenate([[0], ends[:-1]])
    spans: dict[str, list[tuple[int, int]]] = {}
    rows = zip(runs.values.to_pylist(), starts.tolist(), (ends - starts).tolist(), strict=True)
    for shard, start, count in rows:
        spans.setdefault(shard, []).append((start, count))
    return manifest, spans


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
