"""What finished shards know of a manifest generation that was lost."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lazsl.errors import DamagedError
from lazsl.store import keys, paths, schemas
from lazsl.store.folder import Folder


def lost_images(workspace: Folder, archive: str, state: pa.Table) -> pa.Table:
    """Images of an archive's finished shards that its manifest does not know: `schemas.MANIFEST`.

    Their event is `removed`: whether they are still listed is for the next listing to say. A shard
    that shares an image with the manifest is left out, because an image is in one shard only.
    """
    known = {str(shard) for shard in state["shard"].unique().to_pylist()}
    ids = state["image_id"].combine_chunks()
    parts = [schemas.MANIFEST.empty_table()]
    for shard, name in sorted(_finished(workspace, archive, known).items()):
        try:
            images = workspace.read_table(name)
        except (DamagedError, FileNotFoundError):
            continue  # its images are listed again and embedded anew
        # A shard's name is made from the archive and the images: others' shards do not pass.
        if keys.shard_id(archive, [str(i) for i in images["image_id"].to_pylist()]) != shard:
            continue
        shared: Any = pc.any(pc.is_in(images["image_id"], value_set=ids))
        if not shared.as_py():
            parts.append(_as_manifest(images, shard))
            ids = pa.concat_arrays([ids, images["image_id"].combine_chunks()])
    return pa.concat_tables(parts)


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
