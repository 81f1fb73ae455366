"""The pixels of an image as they were labelled, read from its archive once more."""

from __future__ import annotations

import uuid

import pyarrow as pa
from PIL import Image as Pixels

from lazsl.archive.named_archives import check_named
from lazsl.archive.staging import stage
from lazsl.errors import UserError
from lazsl.explain.lookup import Image
from lazsl.images.budget import largest_file
from lazsl.images.decoding import decode
from lazsl.images.reasons import Reject
from lazsl.store import schemas
from lazsl.store.scratch import scratch_folder

_ATTEMPTS = 2  # a person waits, and the maps can be drawn without the image


def read_pixels(image: Image, max_pixels: int) -> Pixels.Image | str:
    """The image, RGB and upright; or, where it cannot be had as it was labelled, why.

    Args:
        image: as found in the warehouse.
        max_pixels: larger images are not decoded.
    """
    row = {name: getattr(image, name) for name in ("image_id", "key", "uri", "size", "version")}
    table = pa.Table.from_pylist([row], schema=_ROW)
    with scratch_folder(f"explain-{uuid.uuid4().hex}") as folder:
        try:
            archive = image.uri.removesuffix(f"/{image.key}")
            check_named(archive)
            largest = largest_file(max_pixels)
            data = stage(table, archive, folder, 1, attempts=_ATTEMPTS, largest=largest).read(0)
        except (UserError, OSError) as error:
            return str(error)
    picture = data if isinstance(data, Reject) else decode(data, max_pixels=max_pixels)
    if isinstance(picture, Reject):
        return picture.detail
    if picture.image.size != (image.width, image.height):
        width, height = picture.image.size
        return f"it was {image.width} x {image.height} pixels and is now {width} x {height}"
    return picture.image


_ROW = pa.schema(
    [schemas.MANIFEST.field(name) for name in ("image_id", "key", "uri", "size", "version")]
)
