"""Previews: one small picture per version of an image, made once."""

from __future__ import annotations

import io
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
from PIL import Image

from lazsl.archive.staged_images import unstage
from lazsl.archive.staging import stage
from lazsl.errors import UserError
from lazsl.images.budget import FILES, largest_file
from lazsl.images.decoding import decoded
from lazsl.images.reasons import Reject
from lazsl.report.site import Site
from lazsl.store import schemas
from lazsl.store.scratch import scratch_folder

LONGEST = 400
"""Pixels of a preview's longer side; smaller images are kept as they are."""

_QUALITY = 74
_LISTED = pa.schema(
    [schemas.MANIFEST.field(name) for name in ("image_id", "key", "uri", "size", "version")]
)


def make_previews(
    site: Site,
    shard: str,
    images: list[dict[str, Any]],
    archive_url: str,
    max_pixels: int,
    fetchers: int,
) -> dict[str, str]:
    """Why images have no preview now: image_id -> sentence; every other image has one.

    Those that are there already are left as they are, and their images are not fetched.

    Args:
        images: image_id, key, uri, size and version of images of one shard.
        max_pixels: larger images are not decoded.
        fetchers: objects fetched at a time.

    Raises:
        UserError: the store kept failing, or the site cannot be written.
    """
    present = site.previews(shard)
    wanted = [image for image in images if image["image_id"] not in present]
    if not wanted:
        return {}
    listed = pa.Table.from_pylist(wanted, schema=_LISTED)
    with scratch_folder(f"report-{uuid.uuid4().hex}") as folder:
        directory = folder / "staged"
        try:
            largest = largest_file(max_pixels)
            staged = stage(listed, archive_url, directory, fetchers, largest=largest)
        except UserError as error:
            raise UserError(f"{error} (or make the report without pictures: --no-previews)") from (
                None
            )

        def why_none(row: int) -> str | None:
            with FILES.take(staged.size(row)):
                data = staged.read(row)
                if isinstance(data, Reject):
                    return data.detail
                with decoded(data, max_pixels=max_pixels) as picture:
                    if isinstance(picture, Reject):
                        return picture.detail
                    preview = _encode(picture.image)
            site.write_preview(shard, wanted[row]["image_id"], preview)
            return None

        with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="preview") as pool:
            reasons = list(pool.map(why_none, range(len(wanted))))
        unstage(directory)
    pairs = zip(wanted, reasons, strict=True)
    return {image["image_id"]: reason for image, reason in pairs if reason is not None}


def _encode(image: Image.Image) -> bytes:
    # A line of pixels must keep a height of one.
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    image.save(written, "WEBP", quality=_QUALITY, method=4)
    return written.getvalue()
