"""Bytes -> RGB pixels, or a Reject with a reason.

Only formats of the allowlist are ever parsed, the size is read from the header and checked before
pixels are decoded, and whatever a decoder says about broken bytes becomes a Reject.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import (
    BmpImagePlugin,  # noqa: F401  (an imported plugin is a known format)
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from lazsl.errors import in_one_line
from lazsl.images.budget import MEMORY, PEAK, SCANNED, SCANS, bands, scans

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
"""Pillow's names of the formats that are read; MPO files (JPEGs with more behind) count as JPEG."""

EMPTY = "empty"
NOT_AN_IMAGE = "not-an-image"
FORMAT_NOT_ALLOWED = "format-not-allowed"
TRUNCATED = "truncated"
CORRUPT = "corrupt"
TOO_MANY_PIXELS = "too-many-pixels"
TOO_SMALL = "too-small"
TOO_MUCH_WORK = "too-much-work"
UNREADABLE = "unreadable"
MISSING = "missing"
CHANGED = "changed"
OUTSIDE = "outside-the-archive"
NOT_FINITE = "not-finite"

REASONS = {
    EMPTY: "the object has no bytes",
    NOT_AN_IMAGE: "the bytes begin like no image format, whatever the name says",
    FORMAT_NOT_ALLOWED: "an image, but of a format that is not read",
    TRUNCATED: "an image whose end is missing",
    CORRUPT: "an image of a format that is read, but damaged or of a kind no decoder knows",
    TOO_MANY_PIXELS: "width x height in the header is above the limit; it was not decoded",
    TOO_MUCH_WORK: "a JPEG whose scans go over it so often that decoding would take minutes",
    TOO_SMALL: "a side is shorter than 2 pixels, so there is nothing to see",
    UNREADABLE: "the store gives this one object to nobody with these credentials, or never whole",
    MISSING: "the object was deleted since it was listed",
    CHANGED: "the object was replaced since it was listed; the next run finds its new version",
    OUTSIDE: "a link that leads out of the archive, or a path that does; links=anywhere follows it",
    NOT_FINITE: "the model gives values for it that are no numbers, as half precision can",
}
"""Every stable reason code and what it means."""

OF_THE_MOMENT = frozenset({UNREADABLE, MISSING, CHANGED})
"""Reasons that may be gone another time: the next run tries these images again."""

SMALLEST_SIDE = 2

_QUOTED = re.compile(r"b'(?:[^'\\]|\\.)*'|b\"(?:[^\"\\]|\\.)*\"")
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 258
_PHOTOMETRIC = 262
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Decoders warn of bad metadata on nearly every archive. Set once for the process, because
# warnings.catch_warnings is not safe in threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True)
class Picture:
    """A decoded image: `image` is RGB, 8 bits, upright; `orientation` is what EXIF said, 1..8.

    `factor` is how many times smaller than the source `image` was decoded: 1, 2, 4 or 8.
    """

    image: Image.Image
    format: str
    orientation: int
    factor: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the source, upright."""
        return self.image.width * self.factor, self.image.height * self.factor


@dataclass(frozen=True)
class Reject:
    """Why an image cannot be used: a code of REASONS, and a sentence with what was found."""

    reason: str
    detail: str


def decode(
    data: bytes, *, max_pixels: int, shrink: Callable[[int], int] | None = None
) -> Picture | Reject:
    """The picture in the bytes, upright and RGB, or why there is none. Safe in threads.

    The first frame of animations and of files with many pages. Transparency lies on white. Grey of
    16 bits is scaled by its full range, so that a picture stored with 8 and with 16 bits is the
    same; 32-bit integers and floats, which have no agreed range, are taken as 0..1 (floats), 0..255
    or 0..65535 if they fit, and stretched from their least to their greatest value if not.

    Args:
        data: the whole file.
        max_pixels: width x height above which the image is rejected undecoded.
        shrink: by which factor (1, 2, 4 or 8) a picture with this shorter side may be decoded
            smaller, where its format can do so at once and both sides are multiples of it. JPEG
            can: fewer coefficients of each block are transformed.

    Raises:
        MemoryError: as the only error, since it says nothing about the image.
    """
    if not data:
        return Reject(EMPTY, "the file has 0 bytes")
    # Pillow's own limit is one number per process and guards what its plugins allocate while they
    # open a file; it is only ever raised, to let through what is allowed here.
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        return _decode(data, max_pixels, shrink)
    except MemoryError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        claimed = re.search(r"\d+", str(error))
        return Reject(
            TOO_MANY_PIXELS,
            f"{_allowed_format(data)} of {claimed[0] if claimed else 'too many'} pixels by its "
            f"header; at most {max_pixels} are decoded",
        )
    except UnidentifiedImageError:
        return _unidentified(data)
    except Exception as error:  # decoders raise nearly anything on damaged bytes
        return _broken(_allowed_format(data) or "image", data, error)


def _decode(data: bytes, max_pixels: int, shrink: Callable[[int], int] | None) -> Picture | Reject:
    image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    width, height = image.size
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    if width * height > max_pixels:
        return Reject(
            TOO_MANY_PIXELS,
            f"{kind} of {width} x {height} = {width * height} pixels; "
            f"at most {max_pixels} are decoded",
        )
    if min(width, height) < SMALLEST_SIDE:
        return Reject(TOO_SMALL, f"{kind} of {width} x {height} pixels")
    if kind == "JPEG":
        times = scans(data)
        if times > SCANS or times * width * height > SCANNED:
            return Reject(
                TOO_MUCH_WORK,
                f"JPEG of {width} x {height} pixels in {times} scans, each of which goes over the "
                "whole picture",
            )
    # Pillow turns a TIFF while it loads it and then forgets the tag; PNG may have it at the end.
    declared = _orientation(image) if kind == "TIFF" else 1
    factor = 1 if shrink is None or kind != "JPEG" else shrink(min(width, height))
    if width % factor or height % factor:
        factor = 1
    if factor > 1:
        image.draft(None, (width // factor, height // factor))
    with MEMORY.take(PEAK * image.width * image.height):
        image.load()
        remaining = _orientation(image)
        image = _to_rgb(image)
        if remaining in _TRANSPOSE:
            image = image.transpose(_TRANSPOSE[remaining])
    return Picture(image, kind, declared if remaining == 1 else remaining, factor)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 where there is none or none that makes sense."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
        return int(value) if value in range(1, 9) else 1
    except MemoryError:
        raise
    except Exception:  # malformed EXIF is common, and no reason to lose the pixels
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_eight_bits(image)).convert("RGB")
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """An RGBA picture on white, as RGB."""
    whole = Image.new("RGB", image.size)
    for top, bottom in bands(*image.size):
        over = image.crop((0, top, image.width, bottom))
        white = Image.new("RGBA", over.size, "white")
        whole.paste(Image.alpha_composite(white, over).convert("RGB"), (0, top))
    return whole


def _eight_bits(image: Image.Image) -> np.ndarray:
    """Grey levels as uint8, shape (height, width), from any deeper single band."""
    values: np.ndarray = np.asarray(image)
    grey: np.ndarray
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    if image.mode.startswith("I;16"):
        bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
        white = 2 ** min(int(bits), 16) - 1
        grey = np.empty(values.shape, dtype=np.uint8)
        for top, bottom in bands(*image.size):
            wide = values[top:bottom].astype(np.uint32) * 255 + white // 2
            grey[top:bottom] = (wide // white).astype(np.uint8)
        if tags.get(_PHOTOMETRIC) == 0:  # white is zero, which Pillow inverts in 8 bits only
            grey = 255 - grey
        return grey
    rows = list(bands(*image.size))
    extremes = [(_levels(values[a:b]).min(), _levels(values[a:b]).max()) for a, b in rows]
    low, high = float(min(e[0] for e in extremes)), float(max(e[1] for e in extremes))
    if low < 0 or high > 65535:
        scale = 255 / ((high - low) or 1)
    elif high > 255:
        low, scale = 0.0, 255 / 65535
    else:
        low, scale = 0.0, 255.0 if image.mode == "F" and high <= 1 else 1.0
    grey = np.empty(values.shape, dtype=np.uint8)
    for top, bottom in rows:
        scaled = (_levels(values[top:bottom]) - np.float32(low)) * np.float32(scale)
        grey[top:bottom] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return grey


def _levels(values: np.ndarray) -> np.ndarray:
    """As float32; what is no number is 0, and no difference of two overflows."""
    levels = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(levels, -1e30, 1e30)


def _unidentified(data: bytes) -> Reject:
    """Why Pillow did not open the bytes, judged by how they begin."""
    allowed = _allowed_format(data)
    if allowed is not None:
        try:
            Image.OPEN[allowed][0](io.BytesIO(data), "")
        except MemoryError:
            raise
        except Exception as error:
            return _broken(allowed, data, error)
        return Reject(CORRUPT, f"{allowed} that cannot be opened")
    Image.init()
    for name in Image.OPEN:
        if _begins_like(name, data):
            return Reject(
                FORMAT_NOT_ALLOWED,
                f"the bytes begin like {name}, which is none of {', '.join(FORMATS)}",
            )
    return Reject(NOT_AN_IMAGE, f"{len(data)} bytes that begin like no image format")


def _allowed_format(data: bytes) -> str | None:
    return next((name for name in FORMATS if _begins_like(name, data)), None)


def _begins_like(name: str, data: bytes) -> bool:
    """True when the first bytes are the format's signature; nothing more is parsed."""
    accept = Image.OPEN[name][1]
    try:
        return accept is not None and bool(accept(data[:16]))
    except (IndexError, ValueError, struct.error):  # shorter than the signature
        return False


def _broken(kind: str, data: bytes, error: Exception) -> Reject:
    # Decoders quote bytes, and what an archive's file holds may be nobody else's affair.
    said = _QUOTED.sub("…", in_one_line(error))
    if "truncated" in said.lower() or _ends_early(kind, data):
        return Reject(TRUNCATED, f"{kind} of {len(data)} bytes that ends too early: {said}")
    return Reject(CORRUPT, f"{kind} of {len(data)} bytes that cannot be decoded: {said}")


def _ends_early(kind: str, data: bytes) -> bool:
    """True when the format says how it ends, or how long it is, and the bytes stop before that."""
    tail = data[-1024:]
    if kind == "JPEG":
        return b"\xff\xd9" not in tail
    if kind == "PNG":
        return b"IEND" not in tail
    if kind == "GIF":
        return not tail.rstrip(b"\0").endswith(b";")
    if kind == "WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if kind == "BMP":
        return len(data) < int.from_bytes(data[2:6], "little")
    if kind == "TIFF":
        order = "little" if data[:2] == b"II" else "big"
        return len(data) < int.from_bytes(data[4:8], order)  # type: ignore[arg-type]
    return False
