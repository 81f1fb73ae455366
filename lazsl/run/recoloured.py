"""Pictures that an older lazsl embedded in other colours, before it converted what is not sRGB.

Their embeddings have the names that they would have now: pictures in 8 bits of sRGB, which nearly
all are, look as they did. What tells them is that their shards have no notes of decoding.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lazsl.errors import DamagedError
from lazsl.store import paths, schemas
from lazsl.store.folder import Folder

NOTICE = (
    "this archive was begun by an older lazsl, which converted no colour profile and read CMYK and "
    "deep pictures otherwise: such pictures keep the labels of those colours; run once with "
    "--set recolour=true, and they are embedded again"
)
"""What a run says whose embeddings are that old."""

OLDER = "colours as an older lazsl read them"
"""Note of a picture that was embedded then, once its shard has notes."""


def is_older(workspace: Folder, encoder: str, regions: str, shard: str) -> bool:
    """True where images of a shard were embedded before there were notes of decoding."""
    try:
        name = paths.images(encoder, regions, shard)
        images = workspace.read_table(name, ["image_id", "notes"])
    except (DamagedError, FileNotFoundError):
        return False  # it is embedded anew
    return "notes" not in images.column_names or OLDER in images["notes"].unique().to_pylist()


def with_notes(images: pa.Table) -> pa.Table:
    """`schemas.IMAGES` of a shard; OLDER is the note of those that were embedded before there were
    notes."""
    if "notes" in images.column_names:
        return images
    notes = pc.if_else(pc.is_null(images["reason"]), OLDER, pa.scalar(None, pa.string()))
    return images.append_column(schemas.IMAGES.field("notes"), notes)


def is_noted(notes: Any) -> Any:
    """Which of some notes are OLDER: an array of bool without nulls."""
    return pc.fill_null(pc.equal(notes, pa.scalar(OLDER)), pa.scalar(False))


def as_now(images: pa.Table, looked_at: pa.ChunkedArray[Any]) -> pa.Table:
    """The same once those of these ids look as they would now."""
    images = with_notes(images)
    older = is_noted(images["notes"])
    settled = pc.and_(older, pc.is_in(images["image_id"], looked_at.combine_chunks()))
    notes = pc.if_else(settled, pa.scalar(None, pa.string()), images["notes"])
    at = images.schema.get_field_index("notes")
    return images.set_column(at, schemas.IMAGES.field("notes"), notes)
