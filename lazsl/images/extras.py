"""Formats that optional packages read: HEIC, JPEG XL and cameras' raw files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from lazsl.images.budget import OF_THE_DECODER, WORKING
from lazsl.images.colour import converts
from lazsl.images.depth import Deep, to_rgb
from lazsl.images.file_structure import jxl_size
from lazsl.images.pillow_files import open_pillow, opened_by_pillow
from lazsl.images.reader import Opened, Upright, per_pixel
from lazsl.images.reasons import KIND_NOT_READ, Rejected, extra_missing

PREVIEW = 1024
"""Pixels of the longer side that the preview in a raw file must have; with fewer, and fewer than
half of the sensor's, the raw file itself is developed."""

_MODES = {"L": (1, None), "LA": (1, 1), "RGB": (3, None), "RGBA": (3, 3)}
"""Colours, and the number of the channel that is opacity, by JPEG XL's mode."""

_FLIPS = {
    3: Image.Transpose.ROTATE_180,
    5: Image.Transpose.ROTATE_90,
    6: Image.Transpose.ROTATE_270,
}
_ORIENTATIONS = {0: 1, 3: 3, 5: 8, 6: 6}


def open_heic(data: bytes, notes: list[str]) -> Opened:
    """HEIC and HEIF, turned upright by what the file says of itself, not by EXIF."""
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise extra_missing("HEIC", "pillow-heif") from None
    image: Image.Image = HeifImageFile(io.BytesIO(data))  # type: ignore[no-untyped-call]
    return opened_by_pillow("HEIC", image, data, notes)


def open_jxl(data: bytes, notes: list[str]) -> Opened:
    """JPEG XL. One that a JPEG was packed into is unpacked, and is that JPEG's picture."""
    try:
        from pillow_jxl import Decoder
    except ImportError:
        raise extra_missing("JPEG XL", "pillow-jxl-plugin") from None
    width, height = jxl_size(data)

    def pixels(_: int) -> Upright:
        jpeg, info, levels, profile, _boxes = Decoder(num_threads=0)(data)
        if jpeg:
            inner = open_pillow("JPEG", levels, notes)
            if {inner.width, inner.height} != {width, height}:
                raise ValueError("the JPEG in it is of another size")
            return inner.pixels(1)
        return Upright(_jxl_image(info, levels, profile or None, data, notes))

    return Opened(
        "JXL", width, height, per_pixel(width, height, WORKING + OF_THE_DECODER["JXL"]), pixels
    )


def _jxl_image(
    info: Any, levels: bytes, profile: bytes | None, data: bytes, notes: list[str]
) -> Image.Image:
    mode = str(info.mode).partition(";")[0]
    channels = Image.getmodebands(mode) if mode in _MODES else 1
    size = (info.width, info.height)
    bits = 8 * len(levels) // (info.width * info.height * channels)
    if mode == "RGB" and bits == 8 and not converts(profile, 3, []):
        return Image.frombytes("RGB", size, levels)
    if mode in ("F", "I"):
        mode = "L"
    if mode not in _MODES:
        raise Rejected(KIND_NOT_READ, f"JPEG XL of channels {info.mode}")
    colours, alpha = _MODES[mode]
    if converts(profile, colours, []):
        # The plugin gives 8 bits of most pictures, of which some profiles make too few shades.
        import imagecodecs

        values = imagecodecs.jpegxl_decode(data, numthreads=1)
    else:
        kinds = {8: np.uint8, 16: np.uint16, 32: np.float32}
        floats = str(info.mode).startswith("F")
        kind = np.float16 if floats and bits == 16 else kinds[bits]
        values = np.frombuffer(levels, kind)
    values = values.reshape(info.height, info.width, -1)
    return Image.fromarray(to_rgb(Deep(values, colours, alpha), profile, notes))


def open_raw(data: bytes, notes: list[str]) -> Opened:
    """A camera's raw file: the preview that the camera made, or the picture developed as LibRaw
    does it where there is none of use."""
    try:
        import rawpy
    except ImportError:
        raise extra_missing("a camera's raw file", "rawpy") from None
    raw = rawpy.imread(io.BytesIO(data))
    sizes = raw.sizes
    width, height = int(sizes.width), int(sizes.height)

    def pixels(_: int) -> Upright:
        with raw:
            preview = _preview(raw, max(width, height), notes)
            if preview is not None:
                return preview
            notes.append("developed from the sensor's values: no preview of use")
            return Upright(Image.fromarray(raw.postprocess(use_camera_wb=True, output_bps=8)))

    def described(factor: int) -> Upright:
        try:
            return pixels(factor)
        except rawpy.LibRawFileUnsupportedError as error:
            raise Rejected(
                KIND_NOT_READ, f"a camera's raw file of a kind not read: {error}"
            ) from None

    amount = WORKING + OF_THE_DECODER["RAW"]
    memory = per_pixel(int(sizes.raw_width), int(sizes.raw_height), amount)
    return Opened("RAW", width, height, memory, described)


def _preview(raw: Any, longer: int, notes: list[str]) -> Upright | None:
    import rawpy

    try:
        thumbnail = raw.extract_thumb()
    except rawpy.LibRawError:
        return None
    if thumbnail.format == rawpy.ThumbFormat.BITMAP:
        image, turned = Image.fromarray(thumbnail.data), 1
    elif thumbnail.format == rawpy.ThumbFormat.JPEG:
        opened = open_pillow("JPEG", thumbnail.data, notes)
        if max(opened.width, opened.height) > longer * 2:
            return None
        jpeg = opened.pixels(1)
        image, turned = jpeg.image, jpeg.orientation
    else:
        return None
    if max(image.size) < min(PREVIEW, longer // 2):
        return None
    notes.append(f"the preview of {image.width} x {image.height} pixels in a raw file")
    flip = raw.sizes.flip
    if turned == 1 and flip in _FLIPS:
        return Upright(image.convert("RGB").transpose(_FLIPS[flip]), _ORIENTATIONS[flip])
    return Upright(image.convert("RGB"), turned)
