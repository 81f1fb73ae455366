"""Small parsers of files' outer structure, where no library tells what is needed: the profile in
a JP2, the size of a JPEG XL, the picture in a PNG or JPEG without what else is in the file."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import error as StructError
from struct import pack, unpack_from

_LARGEST_PROFILE = 2**24
_PNG_START = b"\x89PNG\r\n\x1a\n"
_OF_PICTURE = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf", b"sBIT"}
_JPEG_XL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def file_boxes(
    data: bytes, start: int = 0, end: int | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the contents of each box of a file that is made of boxes."""
    stop = len(data) if end is None else end
    while start + 8 <= stop:
        size, kind, head = (
            int.from_bytes(data[start : start + 4], "big"),
            data[start + 4 : start + 8],
            8,
        )
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        size = size or stop - start
        if size < head:
            return
        yield kind, start + head, min(start + size, stop)
        start += size


def jp2_profile(data: bytes) -> bytes | None:
    """The ICC profile of a JP2."""
    for kind, start, end in file_boxes(data) if data[4:8] == b"jP  " else ():
        if kind == b"jp2h":
            for inner, first, last in file_boxes(data, start, end):
                if inner == b"colr" and data[first : first + 1] in (b"\2", b"\3"):
                    return data[first + 3 : last]
    return None


def jxl_size(data: bytes) -> tuple[int, int]:
    """Width and height as the codestream of a JPEG XL says, before it is turned upright.

    Raises:
        ValueError: it has no codestream.
    """
    codestream = data[:64] if data[:2] == b"\xff\x0a" else _jxl_codestream(data)
    if codestream[:2] != b"\xff\x0a" or len(codestream) < 6:
        raise ValueError("no codestream")
    bits = int.from_bytes(codestream[2:18], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    def side(small: int) -> int:
        if small:
            return 8 * (take(5) + 1)
        return 1 + take((9, 13, 18, 30)[take(2)])

    small = take(1)
    height = side(small)
    ratio = take(3)
    if ratio == 0:
        return side(small), height
    over, under = _JPEG_XL_RATIOS[ratio - 1]
    return height * over // under, height


def _jxl_codestream(data: bytes) -> bytes:
    for kind, start, _ in file_boxes(data):
        if kind == b"jxlc":
            return data[start : start + 64]
        if kind == b"jxlp":
            return data[start + 4 : start + 68]
    raise ValueError("no codestream")


def webp_size(data: bytes) -> tuple[int, int]:
    """Width and height that a WebP's header says.

    Raises:
        ValueError: there are none.
    """
    kind, head = data[12:16], data[20:30]
    if len(head) == 10 and kind == b"VP8X":
        return 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")
    if len(head) == 10 and kind == b"VP8L" and head[0] == 0x2F:
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if len(head) == 10 and kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(head[at : at + 2], "little") for at in (6, 8))
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("no size in its header, or the file is truncated")


def without_metadata(kind: str, data: bytes) -> bytes | None:
    """A PNG or JPEG with its pixels, colours and orientation and nothing else; None where its
    structure is damaged, and for other formats."""
    try:
        if kind == "PNG":
            return _bare_png(data)
        return _bare_jpeg(data) if kind == "JPEG" else None
    except (IndexError, StructError):
        return None


def _bare_png(data: bytes) -> bytes | None:
    kept, at = [_PNG_START], len(_PNG_START)
    while at + 12 <= len(data):
        (length,) = unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + length
        whole = unpack_from(">I", data, end - 4)[0] == zlib.crc32(data[at + 4 : end - 4])
        if kind == b"iCCP" and whole:
            kept.append(_sound_profile(data[at + 8 : end - 4]))
        elif kind in _OF_PICTURE and (whole or kind[0:1].isupper()):
            kept.append(data[at:end])
        at = end
        if kind == b"IEND":
            return b"".join(kept)
    return None


def _sound_profile(chunk: bytes) -> bytes:
    """An iCCP chunk with the same profile, or nothing where it cannot be had."""
    name, _, rest = chunk.partition(b"\0")
    inflated = zlib.decompressobj()
    try:
        profile = inflated.decompress(rest[1:], _LARGEST_PROFILE)
    except zlib.error:
        return b""
    if not inflated.eof or not 1 <= len(name) <= 79:
        return b""
    body = b"iCCP" + name + b"\0\0" + zlib.compress(profile)
    return pack(">I", len(body) - 4) + body + pack(">I", zlib.crc32(body))


def _bare_jpeg(data: bytes) -> bytes | None:
    kept, at = [data[:2]], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        (length,) = unpack_from(">H", data, at + 2)
        segment = data[at : at + 2 + length]
        if marker == 0xDA:
            return b"".join([*kept, data[at:]])
        metadata = 0xE1 <= marker <= 0xEF or marker == 0xFE
        of_colour = marker == 0xEE or segment[4:15] == b"ICC_PROFILE"
        if not metadata or of_colour:
            kept.append(segment)
        at += 2 + length
    return None
