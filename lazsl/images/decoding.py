"""Bytes -> RGB pixels, or a Reject with a reason.

Only formats of the allowlist are ever parsed, the size is read from the header and checked before
pixels are decoded, and whatever a decoder says about broken bytes becomes a Reject.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from PIL import Image

from lazsl.errors import in_one_line
from lazsl.images.budget import MEMORY, SCANNED, SCANS
from lazsl.images.decoder_warnings import collected, joined, unquoting
from lazsl.images.extras import open_heic, open_jxl, open_raw
from lazsl.images.file_structure import without_metadata
from lazsl.images.pillow_files import open_jpeg2000, open_pillow, open_webp
from lazsl.images.reader import Opened
from lazsl.images.reasons import (
    CORRUPT,
    EMPTY,
    FORMAT_NOT_ALLOWED,
    NOT_AN_IMAGE,
    TOO_MANY_PIXELS,
    TOO_MUCH_WORK,
    TOO_SMALL,
    TRUNCATED,
    Reject,
    Rejected,
)
from lazsl.images.signatures import FORMATS, format_of, other_format
from lazsl.images.tiffs import open_tiff

SMALLEST_SIDE = 2

_OPENERS: dict[str, Callable[[bytes, list[str]], Opened]] = {
    "TIFF": open_tiff,
    "WEBP": open_webp,
    "JPEG2000": open_jpeg2000,
    "HEIC": open_heic,
    "JXL": open_jxl,
    "RAW": open_raw,
}
"""How the header of a format is read; of all others, by Pillow."""

_SHORT = re.compile(r"truncated|failed to read \d+ bytes, got \d+", re.IGNORECASE)
"""What decoders say of bytes that end too early; the second is tifffile's."""


@dataclass(frozen=True)
class Picture:
    """A decoded image: `image` is RGB in sRGB, 8 bits, upright; `orientation` is what EXIF said,
    1..8.

    `factor` is how many times smaller than the source `image` was decoded: 1, 2, 4 or 8; `notes`
    says what was converted or set right, and what the decoder complained of, if anything.
    """

    image: Image.Image
    format: str
    orientation: int
    factor: int = 1
    notes: str | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the source, upright."""
        return self.image.width * self.factor, self.image.height * self.factor


def decode(
    data: bytes, *, max_pixels: int, shrink: Callable[[int], int] | None = None
) -> Picture | Reject:
    """The picture in the bytes, upright and in sRGB, or why there is none. Safe in threads, which
    wait for each other where their pictures together would take more than `budget.MEMORY`.

    The first frame of animations and of files with many pages. Transparency lies on white. How
    deeper levels become 8 bits says `depth.to_rgb`, what becomes of colour profiles `colour`. What
    else is in a PNG or JPEG costs no pixels: where it is damaged or too large, it is left out.

    Args:
        data: the whole file.
        max_pixels: width x height above which the image is rejected undecoded.
        shrink: by which factor (1, 2, 4 or 8) a picture with this shorter side may be decoded
            smaller, where its format can do so at once and both sides are multiples of it. JPEG
            can: fewer coefficients of each block are transformed.

    Raises:
        MemoryError: as the only error, since it says nothing about the image.
    """
    with decoded(data, max_pixels=max_pixels, shrink=shrink) as picture:
        return picture


@contextmanager
def decoded(
    data: bytes, *, max_pixels: int, shrink: Callable[[int], int] | None = None
) -> Iterator[Picture | Reject]:
    """What `decode` returns, with its share of `budget.MEMORY` held for the time of a block: for
    what is cut from the picture."""
    with ExitStack() as held:
        yield _decode(data, max_pixels, shrink, held)


def _decode(
    data: bytes, max_pixels: int, shrink: Callable[[int], int] | None, held: ExitStack
) -> Picture | Reject:
    if not data:
        return Reject(EMPTY, "the file has 0 bytes")
    # Pillow's own limit is one number per process and guards what its plugins allocate while they
    # open a file; it is only ever raised, to let through what is allowed here.
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels
    kind = format_of(data)
    if kind is None:
        return _unknown(data)
    outcome = _attempt(kind, data, max_pixels, shrink, held)
    if isinstance(outcome, Reject):
        held.close()
    if isinstance(outcome, Reject) and outcome.reason in (CORRUPT, TRUNCATED):
        bare = without_metadata(kind, data)
        if bare is not None and bare != data:
            again = _attempt(kind, bare, max_pixels, shrink, held)
            if isinstance(again, Picture):
                left_out = f"metadata left out: {outcome.detail}"
                return replace(again, notes=joined([left_out, *filter(None, [again.notes])]))
            if again.reason not in (CORRUPT, TRUNCATED):
                return again
    return outcome


def _attempt(
    kind: str,
    data: bytes,
    max_pixels: int,
    shrink: Callable[[int], int] | None,
    held: ExitStack,
) -> Picture | Reject:
    notes: list[str] = []
    try:
        with collected(notes):
            picture = _picture(kind, data, max_pixels, shrink, held, notes)
        return replace(picture, notes=joined(notes))
    except MemoryError:
        raise
    except Rejected as error:
        return error.reject
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        claimed = re.search(r"\d+", str(error))
        return Reject(
            TOO_MANY_PIXELS,
            f"{kind} of {claimed[0] if claimed else 'too many'} pixels by its header; at most "
            f"{max_pixels} are decoded",
        )
    except Exception as error:  # decoders raise nearly anything on damaged bytes
        return _broken(kind, data, error)


def _picture(
    kind: str,
    data: bytes,
    max_pixels: int,
    shrink: Callable[[int], int] | None,
    held: ExitStack,
    notes: list[str],
) -> Picture:
    opener = _OPENERS.get(kind)
    opened = opener(data, notes) if opener is not None else open_pillow(kind, data, notes)
    _check(opened, max_pixels)
    width, height = opened.width, opened.height
    factor = 1 if shrink is None or not opened.shrinks else shrink(min(width, height))
    if width % factor or height % factor:
        factor = 1
    held.enter_context(MEMORY.take(opened.memory(factor)))
    pixels = opened.pixels(factor)
    return Picture(pixels.image, opened.format, pixels.orientation, factor)


def _check(opened: Opened, max_pixels: int) -> None:
    """Raise Rejected where the header claims more than is decoded, or less than can be seen."""
    kind, width, height = opened.format, opened.width, opened.height
    area = width * height
    if area > max_pixels:
        raise Rejected(
            TOO_MANY_PIXELS,
            f"{kind} of {width} x {height} = {area} pixels; at most {max_pixels} are decoded",
        )
    if min(width, height) < SMALLEST_SIDE:
        raise Rejected(TOO_SMALL, f"{kind} of {width} x {height} pixels")
    if opened.work > SCANS or opened.work * area > SCANNED:
        raise Rejected(
            TOO_MUCH_WORK,
            f"{kind} of {width} x {height} pixels in {opened.work} scans, each of which goes over "
            "the whole picture",
        )


def _unknown(data: bytes) -> Reject:
    other = other_format(data)
    if other is None:
        return Reject(NOT_AN_IMAGE, f"{len(data)} bytes that begin like no image format")
    return Reject(
        FORMAT_NOT_ALLOWED,
        f"the bytes begin like {other}, which is none of {', '.join(FORMATS)}; convert it to one "
        "of these",
    )


def _broken(kind: str, data: bytes, error: Exception) -> Reject:
    complaint = unquoting(in_one_line(error))
    if _SHORT.search(complaint) or _ends_early(kind, data):
        return Reject(TRUNCATED, f"{kind} of {len(data)} bytes that ends too early: {complaint}")
    return Reject(CORRUPT, f"{kind} of {len(data)} bytes that cannot be decoded: {complaint}")


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
