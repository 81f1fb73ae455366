"""TIFF: what Pillow reads rightly is read by Pillow, every other kind by tifffile.

Pillow makes noise of planes of 16 bits, black of some colour maps, and refuses most pictures with
more than one channel of more than 8 bits.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from lazsl.errors import in_one_line
from lazsl.images.cielab import lab_to_srgb
from lazsl.images.decoder_warnings import unquoting
from lazsl.images.depth import Deep, to_rgb
from lazsl.images.extras import open_raw
from lazsl.images.pillow_files import check_tile, opened_by_pillow, white_level
from lazsl.images.reader import Opened, Upright, orientation_of, per_pixel, upright
from lazsl.images.reasons import KIND_NOT_READ, Rejected

_SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 258, 259, 262
_SAMPLES, _PLANAR, _LARGEST, _FORMAT, _SUBIFDS = 277, 284, 281, 339, 330
_ORIENTATION, _PROFILE, _DNG, _INK_SET = 274, 34675, 50706, 332
_CFA, _LINEAR_RAW = 32803, 34892
_CMYK = 1
_PILLOW_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB"}

_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3, 9: 3}
"""Channels that are colour, by the photometric interpretation."""

_COMPRESSIONS = {
    1, 5, 7, 8, 32773, 32946,  # none, LZW, JPEG, Deflate, PackBits
    33003, 33004, 33005, 34712,  # JPEG 2000
    34925, 34926, 50000,  # LZMA, Zstandard
    34927, 50001,  # WebP
    50002, 52546,  # JPEG XL
    34887,  # LERC
}  # fmt: skip
"""Ways of compression that are undone; no other codec is ever called."""


def open_tiff(data: bytes, notes: list[str]) -> Opened:
    """The header of a TIFF, and of a raw file that begins like one."""
    try:
        image = Image.open(io.BytesIO(data), formats=["TIFF"])
    except MemoryError:
        raise
    except Exception as error:
        return _open_tifffile(data, notes, unquoting(in_one_line(error)))
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if _is_raw(image.tag_v2):
            return open_raw(data, notes)
        if not _pillow_reads(image):
            return _open_tifffile(data, notes)
    return opened_by_pillow("TIFF", image, data, notes)


def _pillow_reads(image: TiffImagePlugin.TiffImageFile) -> bool:
    tags = image.tag_v2
    bits = set(_all(tags.get(_BITS, 1)))
    formats = set(_all(tags.get(_FORMAT, 1)))
    samples = int(tags.get(_SAMPLES, 1))
    if int(tags.get(_COMPRESSION, 1)) in _COMPRESSIONS - {1, 5, 7, 8, 32773, 32946}:
        return False
    if tags.get(_INK_SET, _CMYK) != _CMYK:
        return False
    if samples == 1 and image.mode.partition(";")[0] in ("I", "F"):
        # Pillow takes unsigned long integers for signed ones.
        return bits <= {12, 16, 32} and not (bits == {32} and formats == {1})
    return image.mode in _PILLOW_MODES and max(bits) <= 8 and formats == {1}


def _is_raw(tags: Any) -> bool:
    """Whether a directory is that of a raw file, which has a small picture in front."""
    reduced = isinstance(tags.get(_SUBFILE), int) and tags.get(_SUBFILE) & 1 == 1
    return (
        _DNG in tags
        or tags.get(_PHOTOMETRIC) in (_CFA, _LINEAR_RAW)
        or (reduced and _SUBIFDS in tags)
    )


def _all(value: Any) -> tuple[int, ...]:
    return tuple(int(v) for v in value) if isinstance(value, tuple) else (int(value),)


def _open_tifffile(data: bytes, notes: list[str], complaint: str = "") -> Opened:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages.first
        tags = {tag.code: tag.value for tag in page.tags}
    if _is_raw(tags):
        return open_raw(data, notes)
    width, height = int(page.imagewidth), int(page.imagelength)
    samples = int(page.samplesperpixel)
    _check(page, tags, complaint)
    pixel_bytes = page.dtype.itemsize * samples

    def pixels(_: int) -> Upright:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            values = _values(file.pages.first)
        orientation = orientation_of(tags.get(_ORIENTATION, 1))
        if tags.get(_PHOTOMETRIC) == 8:
            rgb = lab_to_srgb(values)
        else:
            profile = tags.get(_PROFILE)
            rgb = to_rgb(_deep(values, tags, page), bytes(profile) if profile else None, notes)
        return Upright(upright(Image.fromarray(rgb), orientation), orientation)

    # The values, once more while their planes are put beside each other, and the picture twice.
    return Opened("TIFF", width, height, per_pixel(width, height, 2 * pixel_bytes + 12), pixels)


def _check(page: Any, tags: dict[int, Any], complaint: str) -> None:
    """Raise Rejected where the kind of a page is not read."""
    photometric = tags.get(_PHOTOMETRIC, 1)
    compression = int(page.compression)
    kind = None
    if compression not in _COMPRESSIONS:
        kind = f"compression {compression}"
    elif page.dtype is None or page.dtype.kind not in "uif":
        kind = f"samples of {page.bitspersample} bits and format {page.sampleformat}"
    elif photometric not in _COLOURS:
        kind = f"colours {photometric}"
    elif photometric == 5 and tags.get(_INK_SET, _CMYK) != _CMYK:
        kind = "inks other than CMYK"
    elif photometric == 6 and compression != 7:
        kind = "YCbCr colours of this layout"
    elif photometric == 3:
        kind = "a palette of this layout"
    elif page.samplesperpixel < _COLOURS[photometric]:
        kind = f"{page.samplesperpixel} channels and colours {photometric}"
    elif page.imagedepth != 1:
        kind = "volumes"
    if kind is not None:
        raise Rejected(
            KIND_NOT_READ,
            f"TIFF of a kind that is not read ({kind}{'; ' + complaint if complaint else ''})",
        )
    if page.is_tiled:
        tile = int(page.tilewidth) * int(page.tilelength)
        check_tile(tile, int(page.imagewidth) * int(page.imagelength))


def _values(page: Any) -> np.ndarray:
    """(height, width, channels)."""
    values: np.ndarray = page.asarray(maxworkers=1)
    shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
    if int(page.planarconfig) == 2 and page.samplesperpixel > 1:
        planes = values.reshape(shape[2], *shape[:2])
        return np.ascontiguousarray(np.moveaxis(planes, 0, -1))
    return values.reshape(shape)


def _deep(values: np.ndarray, tags: dict[int, Any], page: Any) -> Deep:
    photometric = int(tags.get(_PHOTOMETRIC, 1))
    colours = _COLOURS[photometric]
    extras = [int(kind) for kind in page.extrasamples]
    opacities = [place for place, kind in enumerate(extras) if kind in (1, 2)]
    alpha = colours + opacities[0] if opacities else None
    if alpha is not None and alpha >= values.shape[2]:
        alpha = None
    bits = int(page.bitspersample)
    largest = tags.get(_LARGEST)
    white = largest[0] if isinstance(largest, tuple) else largest
    whole = bits in (8, 16, 32, 64)
    return Deep(
        values,
        colours,
        alpha=alpha,
        premultiplied=alpha is not None and extras[alpha - colours] == 1,
        white_is_zero=photometric == 0,
        white=white_level(white, values) if whole else 2**bits - 1,
        guess=whole,
    )
