"""The manifest of an archive, read: every image ever listed, and the shard it is in.

The manifest is a row of generations, each the images that appeared and those that went away since
the one before; the last event of an image is its state. A shard is a list of images that never
changes.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.generations import (
    Generation,
    Span,
    images_in,
    is_added,
    read_events,
    read_generations,
    spans_of_shards,
)
from lazsl.errors import DamagedError, UserError
from lazsl.store import schemas
from lazsl.store.folder import Folder
from lazsl.store.paths import passed_over


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
    last_read[workspace, archive_key] = generations
    return rows


def read_listed(
    workspace: Folder, archive_key: str, columns: Sequence[str] = schemas.MANIFEST.names
) -> pa.Table:
    """The manifest's images that the last listing has: these columns of `schemas.MANIFEST`."""
    rows = read_manifest(workspace, archive_key, [*columns, "event"])
    return still_listed(rows).select(list(columns))


def still_listed(manifest: pa.Table) -> pa.Table:
    """Those of a manifest's images that the last listing has."""
    added = is_added(manifest["event"])
    return manifest if pc.all(added, min_count=0).as_py() else manifest.filter(added)


def _with_shards(
    workspace: Folder, archive_key: str, shards: Sequence[str]
) -> tuple[tuple[Generation, ...], dict[str, list[Span]]]:
    """The generations and `spans_of_shards` of the manifest as this process read it last, if it
    knew these shards, whose images never change; otherwise as it is now. So a run lists the
    generations once, when it plans.
    """
    generations = last_read.get((workspace, archive_key))
    try:
        if generations is not None:
            spans = spans_of_shards(workspace, generations)
            if spans.keys() >= set(shards):
                return generations, spans
    except (DamagedError, FileNotFoundError):
        pass  # no longer as it was read
    generations = read_generations(workspace, archive_key)
    last_read[workspace, archive_key] = generations
    return generations, spans_of_shards(workspace, generations)


last_read: dict[tuple[Folder, str], tuple[Generation, ...]] = {}
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
