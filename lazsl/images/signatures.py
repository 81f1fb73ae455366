"""Which format bytes are in, judged by how they begin; nothing more is parsed.

Names say nothing: cameras, browsers and people give files the wrong suffix.
"""

from __future__ import annotations

import struct

from PIL import Image

FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "TIFF",
    "BMP",
    "GIF",
    "JPEG2000",
    "AVIF",
    "HEIC",
    "JXL",
    "RAW",
)
"""The formats that are read; MPO files (JPEGs with more behind) count as JPEG."""

_BEGINNINGS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    b"\xff\x0a": "JXL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JXL",
    b"II*\0\x10\0\0\0CR": "RAW",  # Canon CR2, a TIFF else
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"FUJIFILMCCD-RAW": "RAW",
    b"IIRO": "RAW",  # Olympus
    b"IIRS": "RAW",
    b"MMOR": "RAW",
    b"IIU\0": "RAW",  # Panasonic, Leica
    b"FOVb": "RAW",  # Sigma
    b"\0MRM": "RAW",  # Minolta
}
_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_OTHERS = {
    b"%PDF": "PDF",
    b"\x1aE\xdf\xa3": "Matroska video",
    b"<svg": "SVG",
    b"gimp xcf": "GIMP",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
}


def format_of(data: bytes) -> str | None:
    """One of FORMATS, or None."""
    if data[4:8] == b"ftyp":
        brands = _brands(data)
        if brands & _AVIF:
            return "AVIF"
        if brands & _HEIC:
            return "HEIC"
        return "RAW" if b"crx " in brands else None  # Canon CR3
    if data[:4] == b"RIFF":
        return "WEBP" if data[8:12] == b"WEBP" else None
    return next((name for start, name in _BEGINNINGS.items() if data.startswith(start)), None)


def other_format(data: bytes) -> str | None:
    """The name of a format that is known and not read, or None."""
    if data[4:8] == b"ftyp":
        return "video (MP4 or QuickTime)"
    name = next((name for start, name in _OTHERS.items() if data.startswith(start)), None)
    if name is not None:
        return name
    Image.init()
    return next((name for name in Image.OPEN if _accepts(name, data)), None)


def _brands(data: bytes) -> set[bytes]:
    """The major and the compatible brands of a file made of boxes."""
    end = min(int.from_bytes(data[:4], "big"), len(data), 256)
    return {data[at : at + 4] for at in (8, *range(16, end - 3, 4))}


def _accepts(name: str, data: bytes) -> bool:
    accept = Image.OPEN[name][1]
    try:
        # A text says that the plugin could not read it.
        return accept is not None and accept(data[:16]) is True
    except (IndexError, ValueError, struct.error):  # shorter than the signature
        return False
