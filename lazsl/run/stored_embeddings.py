"""What the embedding of a shard left in the workspace, read for the next step."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from lazsl.errors import DamagedError, UserError
from lazsl.run.run import Run
from lazsl.store import damage, paths


def spent_on(images: pa.Table) -> dict[str, Any]:
    """What embedding a shard took, and which run spent it."""
    spent: dict[str, Any] = json.loads((images.schema.metadata or {}).get(b"spent", b"{}"))
    return spent


def read_embeddings(run: Run, shard: str) -> tuple[pa.Table, pa.Table]:
    """A shard's images and its regions."""
    marker = paths.images(run.encoder, run.regions, shard)
    regions = paths.region_embeddings(run.encoder, run.regions, shard)
    name = marker
    try:
        images = run.workspace.read_table(name)
        name = regions
        return images, run.workspace.read_table(name)
    except DamagedError as error:
        damaged = error
    except FileNotFoundError:
        if name == marker:
            raise UserError(
                f"shard {shard} has no embeddings; label the archive to make them"
            ) from None
        damaged = DamagedError("", regions, "missing")
    damage.set_aside(run.workspace, damaged)
    raise damaged_embeddings(shard, damaged)


def damaged_embeddings(shard: str, error: DamagedError) -> DamagedError:
    """What is said of embeddings that were set aside."""
    return DamagedError(
        f"the embeddings of shard {shard} were damaged ({error.name}: {error.why}) and are set "
        "aside; lazsl label makes them anew from the archive",
        *(error.name, error.why),
    )
