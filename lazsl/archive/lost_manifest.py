"""What finished shards know of a manifest generation that was lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.generations import Generation, read_columns, spans_of_shards
from lazsl.errors import DamagedError
from lazsl.store import keys, paths, schemas
from lazsl.store.folder import Folder


def lost_images(workspace: Folder, archive: str, generations: Sequence[Generation]) -> pa.Table:
    """Images of an archive's finished shards that its manifest does not know: `schemas.MANIFEST`.

    Their event is `removed`: whether they are still listed is for the next listing to say. A shard
    that shares an image with the manifest is left out, because an image is in one shard only.
    """
    known = set(spans_of_shards(workspace, tuple(generations)))
    candidates: dict[str, pa.Table] = {}
    for shard, name in sorted(_finished(workspace, archive, known).items()):
        try:
            images = workspace.read_table(name)
        except (DamagedError, FileNotFoundError):
            continue  # its images are listed again and embedded anew
        # A shard's name is made from the archive and the images: others' shards do not pass.
        if keys.shard_id(archive, [str(i) for i in images["image_id"].to_pylist()]) == shard:
            candidates[shard] = _as_manifest(images, shard)
    lost = pa.concat_tables([schemas.MANIFEST.empty_table(), *candidates.values()])
    taken = _known(workspace, generations, lost["image_id"])
    parts = [lost.slice(0, 0)]
    for images in candidates.values():
        names = set(images["image_id"].to_pylist())
        if not names & taken:
            parts.append(images)
            taken |= names
    return pa.concat_tables(parts)


def _known(
    workspace: Folder, generations: Sequence[Generation], ids: pa.ChunkedArray[Any]
) -> set[Any]:
    """Those of the images that a manifest has."""
    wanted = ids.combine_chunks()
    known: set[Any] = set()
    for generation in generations if len(wanted) else ():
        names: Any = read_columns(workspace, generation, ["image_id"])["image_id"]
        known |= set(names.filter(pc.is_in(names, value_set=wanted)).to_pylist())
    return known


def _finished(workspace: Folder, archive: str, known: set[str]) -> dict[str, str]:
    """The table of images of every finished shard of the archive that is not known."""
    tables: dict[str, str] = {}
    for record in paths.run_records(workspace):
        if record["archive"] == archive:
            for shard in set(paths.done_shards(workspace, record["run"])) - known:
                name = paths.images(record["encoder"], record["regions"], shard)
                tables.setdefault(shard, name)
    return tables


def _as_manifest(images: pa.Table, shard: str) -> pa.Table:
    columns: dict[str, Any] = {name: images[name] for name in ("image_id", "key", "uri", "size")}
    columns |= {"version": images["version"]}
    columns |= {"shard": pa.repeat(shard, len(images)), "event": pa.repeat("removed", len(images))}
    return pa.table([columns[n] for n in schemas.MANIFEST.names], schema=schemas.MANIFEST)
