"""Formats that Pillow reads by itself: JPEG, PNG, WebP, BMP, GIF, JPEG 2000, AVIF, plain TIFF."""

from __future__ import annotations

import io

import numpy as np
from PIL import (
    AvifImagePlugin,  # noqa: F401  (an imported plugin is a known format)
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    Jpeg2KImagePlugin,  # noqa: F401
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,
    WebPImagePlugin,  # noqa: F401
)

from lazsl.images.budget import bands, scans, working_bytes
from lazsl.images.colour import converts, to_srgb
from lazsl.images.depth import Deep, to_rgb
from lazsl.images.file_structure import jp2_profile, webp_size
from lazsl.images.reader import (
    ORIENTATION,
    Opened,
    Upright,
    orientation_of,
    upright,
)
from lazsl.images.reasons import KIND_NOT_READ, Rejected

_WHITE_IS_ZERO, _BITS, _PHOTOMETRIC, _LARGEST_VALUE, _COLOUR_MAP = 0, 258, 262, 281, 320
_ROWS_PER_STRIP, _TILE_WIDTH, _TILE_LENGTH = 278, 322, 323
LARGEST_TILE = 2**20
"""Pixels of a tile that may be larger than four times the picture."""

_PNG_DEPTH = 24  # where a PNG says how many bits a channel has


def open_pillow(kind: str, data: bytes, notes: list[str]) -> Opened:
    """The header of a picture that Pillow reads; `kind` is one of its names of formats."""
    image: Image.Image = Image.open(io.BytesIO(data), formats=[kind])
    return opened_by_pillow(kind, image, data, notes)


def opened_by_pillow(
    kind: str, image: Image.Image, data: bytes, notes: list[str], profile: bytes | None = None
) -> Opened:
    """The same for what Pillow or one of its plugins has opened.

    Args:
        profile: ICC profile, where Pillow finds none.
    """
    width, height = image.size

    def pixels(factor: int) -> Upright:
        # Pillow turns a TIFF while it loads it and then forgets the tag; PNG may have it at the
        # end.
        declared = _orientation(image) if kind == "TIFF" else 1
        if factor > 1:
            image.draft(None, (width // factor, height // factor))
        image.load()
        # Other formats turn while they decode, whatever EXIF says besides.
        remaining = 1 if kind in ("HEIC", "JXL") else _orientation(image)
        icc = image.info.get("icc_profile") or profile
        rgb = _to_rgb(kind, image, data, icc if isinstance(icc, bytes) else None, notes)
        return Upright(upright(rgb, remaining), declared if remaining == 1 else remaining)

    deep = image.mode[0] in "IF" or (kind == "PNG" and _is_deep(image, data))
    transparent = image.info.get("transparency") is not None
    in_bands, channels = transparent or image.mode not in ("L", "RGB"), len(image.getbands())
    tile = _tile_bytes(image) if isinstance(image, TiffImagePlugin.TiffImageFile) else 0
    return Opened(
        format=kind,
        width=width,
        height=height,
        memory=lambda factor: working_bytes(
            kind,
            (width, height),
            data,
            factor,
            channels=channels,
            in_bands=in_bands,
            tile=tile,
            deep=deep,
        ),
        pixels=pixels,
        shrinks=kind == "JPEG",
        work=scans(data) if kind == "JPEG" else 1,
    )


def open_webp(data: bytes, notes: list[str]) -> Opened:
    """WebP, of which libwebp makes canvases as soon as it is opened."""
    size = webp_size(data)

    def pixels(factor: int) -> Upright:
        image = Image.open(io.BytesIO(data), formats=["WEBP"])
        if image.size != size:
            raise ValueError("its picture is of another size than its header says")
        return opened_by_pillow("WEBP", image, data, notes).pixels(factor)

    return Opened("WEBP", *size, lambda factor: working_bytes("WEBP", size, data, factor), pixels)


def open_jpeg2000(data: bytes, notes: list[str]) -> Opened:
    """JPEG 2000, whose profile Pillow does not tell."""
    image = Image.open(io.BytesIO(data), formats=["JPEG2000"])
    return opened_by_pillow("JPEG2000", image, data, notes, jp2_profile(data))


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 where there is none or none that makes sense."""
    try:
        return orientation_of(image.getexif().get(ORIENTATION, 1))
    except MemoryError:
        raise
    except Exception:  # malformed EXIF is common, and no reason to lose the pixels
        return 1


def _to_rgb(
    kind: str, image: Image.Image, data: bytes, profile: bytes | None, notes: list[str]
) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(to_rgb(_deep_grey(image), profile, notes))
    if kind == "PNG" and _is_deep(image, data) and converts(profile, 3, []):
        # Pillow keeps eight bits, of which some profiles make too few shades.
        return Image.fromarray(to_rgb(_deep_png(data), profile, notes))
    if image.mode == "P" and isinstance(image, TiffImagePlugin.TiffImageFile):
        _mend_palette(image, notes)
    if image.has_transparency_data:
        return _on_white(image, profile, notes)
    if image.mode in ("P", "PA"):
        image = image.convert("RGB")
    elif image.mode in ("1", "LA"):
        image = image.convert("L")
    elif image.mode in ("YCbCr", "LAB", "HSV"):
        return image.convert("RGB")
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("RGB")
    return to_srgb(image, profile, notes)


def _on_white(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """A picture with transparency on white, as RGB."""
    converted = converts(profile, 3, notes)
    whole = Image.new("RGB", image.size)
    for top, bottom in bands(*image.size):
        over = image.crop((0, top, image.width, bottom)).convert("RGBA")
        if converted:
            colours = to_srgb(over.convert("RGB"), profile, [])
            colours.putalpha(over.getchannel("A"))
            over = colours
        white = Image.new("RGBA", over.size, "white")
        whole.paste(Image.alpha_composite(white, over).convert("RGB"), (0, top))
    return whole


def _deep_grey(image: Image.Image) -> Deep:
    values = np.asarray(image)[..., None]
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    if not image.mode.startswith("I;16"):
        return Deep(values, 1, white_is_zero=False)
    bits = int(tags.get(_BITS, (16,))[0])
    largest = tags.get(_LARGEST_VALUE)
    white = largest[0] if isinstance(largest, tuple) else largest
    return Deep(
        values.astype(np.uint16, copy=False),
        1,
        # Pillow inverts in 8 bits only.
        white_is_zero=tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO,
        white=2**bits - 1 if bits < 16 else white_level(white, values),
        guess=bool(tags),
    )


def white_level(largest: object, values: np.ndarray) -> int | None:
    """The level that a TIFF says is the largest, where that can be: 255 and more."""
    if isinstance(largest, int) and 255 <= largest < 65535 and values.max(initial=0) <= largest:
        return largest
    return None


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """Whether a PNG has colours of 16 bits."""
    return data[_PNG_DEPTH] == 16 and image.mode in ("RGB", "RGBA")


def _tile_bytes(image: TiffImagePlugin.TiffImageFile) -> int:
    """Bytes of a TIFF's tile or strip; four a pixel, as libtiff makes of some.

    Raises:
        Rejected: a tile is much larger than the picture.
    """
    tags, pixels = image.tag_v2, image.width * image.height
    if _TILE_WIDTH not in tags:
        rows = min(max(0, int(tags.get(_ROWS_PER_STRIP, image.height))), image.height)
        return 4 * image.width * rows
    tile = int(tags[_TILE_WIDTH]) * int(tags.get(_TILE_LENGTH, 1))
    check_tile(tile, pixels)
    return 4 * tile


def check_tile(tile: int, pixels: int) -> None:
    """Raise Rejected where a tile of so many pixels is much larger than the picture."""
    if not 0 < tile <= max(LARGEST_TILE, 4 * pixels):
        raise Rejected(KIND_NOT_READ, "TIFF whose tiles are larger than the picture")


def _deep_png(data: bytes) -> Deep:
    import imagecodecs

    values = imagecodecs.png_decode(data)
    return Deep(values, 3, alpha=3 if values.shape[2] == 4 else None)


def _mend_palette(image: TiffImagePlugin.TiffImageFile, notes: list[str]) -> None:
    """Colour maps have 16 bits, but some programs write 8, of which Pillow makes black."""
    colours = image.tag_v2.get(_COLOUR_MAP, ())
    if colours and 0 < max(colours) < 256:
        count = len(colours) // 3
        planes = [colours[start : start + count] for start in range(0, 3 * count, count)]
        image.putpalette([level for colour in zip(*planes, strict=True) for level in colour])
        notes.append("the colour map has 8 bits instead of 16")
