"""Small pictures of every kind that archives bring, made here, each with what it must look like.

All show the same scene. `expected` is what it was made from, or what libvips makes of the file
where the way there loses colours (CMYK), so nothing of lazsl has a part in it.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401  (JPEG XL for Pillow's save)
import pyvips
import tifffile
from PIL import Image

WIDTH, HEIGHT = 96, 64


def scene() -> np.ndarray:
    """Soft colours, no two corners alike: uint8 (HEIGHT, WIDTH, 3), sRGB."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    x, y = x / (WIDTH - 1), y / (HEIGHT - 1)
    red = 40 + 180 * x
    green = 60 + 130 * y + 30 * np.sin(5 * x)
    blue = 200 - 150 * x * y - 30 * y
    return np.rint(np.stack([red, green, blue], -1)).astype(np.uint8)


def grey() -> np.ndarray:
    """uint8 (HEIGHT, WIDTH)."""
    return scene()[..., 1]


@dataclass(frozen=True)
class Made:
    """A file, and how it must look: (height, width, 3) levels, within `tolerance` in the mean."""

    data: bytes
    expected: np.ndarray
    tolerance: float = 2.0


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tiff(values: np.ndarray, **options: Any) -> bytes:
    """What tifffile writes; `byteorder` and `bigtiff` are those of its file."""
    file = io.BytesIO()
    of_file = {name: options.pop(name) for name in ("byteorder", "bigtiff") if name in options}
    with tifffile.TiffWriter(file, **of_file) as writer:
        writer.write(values, metadata=None, **options)
    return file.getvalue()


@lru_cache
def profile(name: str) -> bytes:
    """p3 and cmyk as libvips has them, others made here."""
    if name in ("p3", "cmyk", "srgb"):
        return bytes(pyvips.Operation.call("profile_load", name))
    gammas = {"adobe": 2.19921875, "prophoto": 1.8, "linear": 1.0, "grey": 1.8}
    primaries: dict[str, Any] = {
        "adobe": [0.64, 0.33, 1, 0.21, 0.71, 1, 0.15, 0.06, 1],
        "prophoto": [0.7347, 0.2653, 1, 0.1596, 0.8404, 1, 0.0366, 0.0001, 1],
        "linear": [0.64, 0.33, 1, 0.30, 0.60, 1, 0.15, 0.06, 1],
    }
    white = [0.3457, 0.3585, 1] if name in ("prophoto", "grey") else [0.3127, 0.329, 1]
    kind = "gray" if name == "grey" else "rgb"
    return bytes(
        imagecodecs.cms_profile(
            kind, whitepoint=white, primaries=primaries.get(name), gamma=gammas[name]
        )
    )


def stored_in(name: str, dtype: str = "u1") -> np.ndarray:
    """The scene as it is written under a profile."""
    space = "gray" if name == "grey" else "rgb"
    values: np.ndarray = imagecodecs.cms_transform(
        (scene() if space == "rgb" else np.stack([grey()] * 3, -1)),
        profile("srgb"),
        profile(name),
        colorspace="rgb",
        outcolorspace=space,
        outdtype=dtype,
        intent=1,
    )
    return values


def inks() -> np.ndarray:
    """The scene in CMYK by a printer's profile: uint8 (HEIGHT, WIDTH, 4), 255 is full ink."""
    image = pyvips.Image.new_from_array(scene(), interpretation="srgb")
    image = image.icc_transform("cmyk", input_profile="srgb", intent="relative")
    return np.asarray(image.numpy())


def by_vips(data: bytes) -> np.ndarray:
    """What libvips makes of a file: sRGB, upright."""
    image = pyvips.Image.new_from_buffer(data, "").autorot()
    if image.get_typeof("icc-profile-data"):
        image = image.icc_transform(
            "srgb", embedded=True, intent="relative", black_point_compensation=True
        )
    image = image.colourspace("srgb")
    values = np.asarray(image.cast("uchar").numpy())
    return values[..., :3]


def rgb(values: np.ndarray) -> np.ndarray:
    """Grey levels as RGB."""
    return np.stack([values] * 3, -1)


def _png(*chunks: tuple[bytes, bytes]) -> bytes:
    """The scene as PNG with more chunks before its pixels."""
    plain = saved(Image.fromarray(scene()), "PNG")
    made = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    return plain[:33] + made + plain[33:]


def _heic(**options: Any) -> bytes:
    pillow_heif.register_heif_opener()
    return saved(Image.fromarray(scene()), "HEIF", quality=95, chroma=444, **options)


def phones_and_browsers() -> Iterator[tuple[str, Callable[[], Made]]]:
    image, exact = Image.fromarray(scene()), scene()

    def turned(kind: str) -> Made:
        exif = Image.Exif()
        exif[0x0112] = 6
        stored = image.transpose(Image.Transpose.ROTATE_90)
        pillow_heif.register_heif_opener()
        return Made(saved(stored, kind, quality=95, exif=exif.tobytes()), exact)

    p3 = profile("p3")
    yield "heic", lambda: Made(_heic(), exact)
    yield "heic turned", lambda: turned("HEIF")
    yield (
        "heic p3",
        lambda: Made(_heic_of(Image.fromarray(stored_in("p3")), icc_profile=p3), exact),
    )
    yield "heic 10 bits", lambda: Made(_heic_of(_ten_bits()), exact)
    yield "avif", lambda: Made(saved(image, "AVIF", quality=95, subsampling="4:4:4"), exact)
    yield "avif turned", lambda: turned("AVIF")
    yield (
        "avif p3",
        lambda: Made(
            saved(Image.fromarray(stored_in("p3")), "AVIF", quality=95, icc_profile=p3), exact
        ),
    )
    yield "jpeg 2000", lambda: Made(saved(image, "JPEG2000", irreversible=False), exact)
    yield (
        "jpeg 2000 codestream",
        lambda: Made(saved(image, "JPEG2000", no_jp2=True, irreversible=False), exact),
    )
    yield (
        "jpeg 2000 grey 16 bits",
        lambda: Made(
            bytes(imagecodecs.jpeg2k_encode(grey().astype(np.uint16) * 257, level=0)), rgb(grey())
        ),
    )
    yield "jxl", lambda: Made(saved(image, "JXL", lossless=True), exact)
    yield "jxl lossy", lambda: Made(saved(image, "JXL", quality=95), exact)
    yield (
        "jxl of a jpeg",
        lambda: Made(
            bytes(imagecodecs.jpegxl_encode_jpeg(saved(image, "JPEG", quality=97, subsampling=0))),
            exact,
        ),
    )
    yield (
        "jxl 16 bits",
        lambda: Made(
            bytes(imagecodecs.jpegxl_encode(stored_in("linear", "u2"), lossless=True)), exact
        ),
    )


def _heic_of(image: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    if isinstance(image, Image.Image):
        pillow_heif.register_heif_opener()
        image.save(file, "HEIF", quality=95, chroma=444, **options)
    else:
        image.save(file, quality=95, chroma=444, **options)
    return file.getvalue()


def _ten_bits() -> Any:
    values = scene().astype("<u2") * 257
    return pillow_heif.from_bytes("RGB;16", (WIDTH, HEIGHT), values.tobytes())


def colours() -> Iterator[tuple[str, Callable[[], Made]]]:
    exact = scene()
    for name in ("p3", "adobe"):
        for kind, options in (
            ("JPEG", {"quality": 97, "subsampling": 0}),
            ("PNG", {}),
            ("WEBP", {"lossless": True}),
        ):

            def eight(name: str = name, kind: str = kind, options: Any = options) -> Made:
                image = Image.fromarray(stored_in(name))
                return Made(saved(image, kind, icc_profile=profile(name), **options), exact)

            yield f"{kind.lower()} {name}", eight
    for name in ("prophoto", "linear"):
        yield (
            f"tiff {name} 16 bits",
            lambda name=name: Made(
                tiff(stored_in(name, "u2"), photometric="rgb", iccprofile=profile(name)), exact
            ),
        )
        yield (
            f"png {name} 16 bits",
            lambda name=name: Made(
                _with_profile(bytes(imagecodecs.png_encode(stored_in(name, "u2"))), profile(name)),
                exact,
            ),
        )
    yield (
        "jpeg grey",
        lambda: Made(
            saved(
                Image.fromarray(stored_in("grey")), "JPEG", quality=97, icc_profile=profile("grey")
            ),
            rgb(grey()),
        ),
    )
    yield (
        "png transparent p3",
        lambda: Made(
            saved(
                Image.fromarray(np.dstack([stored_in("p3"), np.full((HEIGHT, WIDTH), 128, "u1")])),
                "PNG",
                icc_profile=profile("p3"),
            ),
            np.rint(exact * (128 / 255) + 127),
        ),
    )
    for kind in ("JPEG", "TIFF"):

        def printed(kind: str = kind) -> Made:
            image = Image.fromarray(inks(), "CMYK")
            best = {"quality": 97, "subsampling": 0} if kind == "JPEG" else {}
            data = saved(image, kind, icc_profile=profile("cmyk"), **best)
            return Made(data, by_vips(data))

        yield f"{kind.lower()} cmyk", printed

    yield "jpeg ycck", lambda: Made(_ycck(), by_vips(_ycck()))

    def without() -> Made:
        levels = inks().astype(float) / 255
        ideal = (1 - levels[..., :3]) * (1 - levels[..., 3:]) * 255
        return Made(saved(Image.fromarray(inks(), "CMYK"), "TIFF"), ideal)

    yield "tiff cmyk without a profile", without
    yield (
        "jpeg broken profile",
        lambda: Made(
            saved(
                Image.fromarray(exact), "JPEG", quality=97, subsampling=0, icc_profile=b"x" * 500
            ),
            exact,
        ),
    )
    yield (
        "jpeg profile of another space",
        lambda: Made(
            saved(
                Image.fromarray(exact),
                "JPEG",
                quality=97,
                subsampling=0,
                icc_profile=profile("cmyk"),
            ),
            exact,
        ),
    )


def _ycck() -> bytes:
    """The scene's inks as Photoshop writes them: inverted, and the first three as YCbCr."""
    coloured = Image.fromarray(inks()[..., :3]).convert("YCbCr")
    # Pillow inverts what it writes as CMYK, and says in Adobe's segment that it is no YCCK.
    stored = np.dstack([255 - np.asarray(coloured), inks()[..., 3]])
    data = bytearray(saved(Image.fromarray(stored, "CMYK"), "JPEG", quality=97, subsampling=0,
                           icc_profile=profile("cmyk")))  # fmt: skip
    transform = data.index(b"Adobe") + 11
    assert data[transform] == 0
    data[transform] = 2
    return bytes(data)


def _with_profile(png: bytes, icc: bytes) -> bytes:
    body = b"iCCP" + b"p\0\0" + zlib.compress(icc)
    return (
        png[:33]
        + struct.pack(">I", len(body) - 4)
        + body
        + struct.pack(">I", zlib.crc32(body))
        + png[33:]
    )


def depths() -> Iterator[tuple[str, Callable[[], Made]]]:
    exact, deep = scene(), scene().astype(np.uint16) * 257
    light = grey()

    def of(values: np.ndarray, expected: np.ndarray = exact, **options: Any) -> Callable[[], Made]:
        options = {"photometric": "rgb"} | options
        return lambda: Made(tiff(values, **options), expected)

    planes = np.moveaxis(deep, -1, 0)
    yield "tiff 16 bits", of(deep)
    yield "tiff 16 bits in planes", of(planes, planarconfig="separate")
    yield "tiff 8 bits in planes", of(np.moveaxis(exact, -1, 0), planarconfig="separate")
    yield "tiff 16 bits lzw", of(deep, compression="lzw", predictor=True)
    yield "tiff 16 bits tiles", of(deep, tile=(16, 16), compression="zlib")
    yield "tiff big-endian BigTIFF", of(exact, byteorder=">", bigtiff=True)
    yield "tiff big-endian BigTIFF 16 bits", of(deep, byteorder=">", bigtiff=True)
    yield "tiff float16", of((exact / 255).astype(np.float16))
    yield "tiff float32", of((exact / 255).astype(np.float32), compression="zlib", predictor=True)
    yield "tiff float64", of(exact / 255)
    full = exact.astype(np.uint32) * 16843009
    full[0, 0], full[0, 1] = 0, 2**32 - 1  # which the ends of the range are
    yield "tiff uint32", of(full)
    yield "tiff grey uint32", of(full[..., 1], rgb(light), photometric="minisblack")
    twelve = (light.astype(np.uint32) * 4095 // 255).astype(np.uint16)
    yield "tiff 12 bits in 16", of(twelve, rgb(light), photometric="minisblack")
    largest = [(281, 3, 1, 4095, True)]
    yield (
        "tiff 12 bits in 16 by its tag",
        of(twelve // 2, rgb(light // 2), photometric="minisblack", extratags=largest),
    )
    yield "tiff rgb 12 bits in 16", of((exact.astype(np.uint32) * 4095 // 255).astype(np.uint16))
    nothing = np.full((HEIGHT, WIDTH), 77, np.uint8)
    yield (
        "tiff grey with more channels",
        of(np.dstack([light, nothing, nothing]), rgb(light), photometric="minisblack",
           planarconfig="contig", extrasamples=["unspecified", "unspecified"]),
    )  # fmt: skip
    yield (
        "tiff rgb with more channels",
        of(np.dstack([deep, nothing, nothing]), extrasamples=["unspecified", "unspecified"]),
    )
    yield (
        "tiff 16 bits transparent",
        of(np.dstack([deep, np.full((HEIGHT, WIDTH), 65535 // 2, "u2")]),
           np.rint(exact / 2 + 127.5), extrasamples=["unassalpha"]),
    )  # fmt: skip
    yield (
        "tiff 16 bits premultiplied",
        of(np.dstack([deep // 2, np.full((HEIGHT, WIDTH), 65535 // 2, "u2")]),
           np.rint(exact / 2 + 127.5), extrasamples=["assocalpha"]),
    )  # fmt: skip
    yield (
        "tiff white is zero 16 bits",
        of(65535 - deep[..., 1], rgb(light), photometric="miniswhite"),
    )
    yield "tiff jpeg 2000", of(exact, compression="jpeg2000")
    yield "tiff webp", of(exact, compression="webp", compressionargs={"level": -1})
    yield "tiff jpeg xl", of(exact, compression="jpegxl", compressionargs={"level": 100})
    yield "tiff zstd", of(exact, compression="zstd")
    yield "tiff lab 16 bits", lambda: Made(_lab(), exact)
    yield "tiff palette of 8 bits", lambda: Made(_palette(), exact, 16)
    for kind in ("B", "H", "I"):
        code = {"B": 1, "H": 3, "I": 4}[kind]
        yield (
            f"tiff turned by a tag of type {code}",
            lambda code=code: Made(
                tiff(np.rot90(exact), photometric="rgb", extratags=[(274, code, 1, 6, True)]), exact
            ),
        )


def _lab() -> bytes:
    """L, a and b under D50 in 16 bits, as TIFF has them: a and b signed, in steps of 1/256."""
    image = pyvips.Image.new_from_array(scene(), interpretation="srgb")
    lab = image.icc_import(input_profile="srgb", pcs="lab", intent="relative").numpy()
    steps = np.rint(lab * [65535 / 100, 256, 256]).astype(np.int64) & 0xFFFF
    return tiff(steps.astype(np.uint16), photometric="cielab")


def _palette() -> bytes:
    """A colour map whose levels have 8 bits."""
    image = Image.fromarray(scene()).quantize(64)
    data = bytearray(saved(image, "TIFF"))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        tag = file.pages.first.tags[320]
        levels = np.asarray(tag.value, dtype="<u2").ravel() >> 8
    data[tag.valueoffset : tag.valueoffset + 2 * len(levels)] = levels.astype("<u2").tobytes()
    return bytes(data)


def metadata() -> Iterator[tuple[str, Callable[[], Made]]]:
    exact = scene()
    long = zlib.compress(b"x" * 3_000_000)
    yield "png long text", lambda: Made(_png((b"zTXt", b"Comment\0\0" + long)), exact)
    yield (
        "png long international text",
        lambda: Made(_png((b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + long)), exact),
    )
    yield "png broken iCCP", lambda: Made(_png((b"iCCP", b"p\0\0 no profile")), exact)
    yield (
        "png broken animation",
        lambda: Made(_png((b"acTL", b"\0\0\0\2\0\0\0\0"), (b"fcTL", b"\0" * 7)), exact),
    )
    yield (
        "png broken checksum of a text",
        lambda: Made(
            _png((b"tEXt", b"a\0b"))[:44] + b"????" + _png((b"tEXt", b"a\0b"))[48:], exact
        ),
    )
    yield (
        "jpeg broken pictures",
        lambda: Made(_jpeg_with(b"MPF\0" + b"II*\0\xff\xff\xff\x7f" + b"\1" * 40, 0xE2), exact),
    )
    yield (
        "jpeg broken EXIF",
        lambda: Made(_jpeg_with(b"Exif\0\0II*\0\xff\xff\xff\xff", 0xE1), exact),
    )


def _jpeg_with(segment: bytes, marker: int) -> bytes:
    plain = saved(Image.fromarray(scene()), "JPEG", quality=97, subsampling=0)
    return (
        plain[:2]
        + bytes([0xFF, marker])
        + struct.pack(">H", len(segment) + 2)
        + segment
        + plain[2:]
    )


def raw(preview: Image.Image | None, orientation: int = 1) -> bytes:
    """A DNG of a sensor of 96 x 64 pixels, with a preview or without."""
    file = io.BytesIO()
    version = [
        (50706, 1, 4, (1, 4, 0, 0), True),
        (271, 2, 0, "Made", True),
        (272, 2, 0, "Here", True),
    ]
    version += [(50708, 2, 0, "Made Here", True)]
    mosaic = np.zeros((HEIGHT, WIDTH), np.uint16)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        linear = (scene()[row::2, column::2, channel] / 255.0) ** 2.2
        mosaic[row::2, column::2] = np.rint(linear * 16383)
    sensor: list[Any] = [
        (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, (0, 1, 1, 2), True),
        (50717, 4, 1, 16383, True),
        (50721, 10, 9, (32406, 10000, -15372, 10000, -4986, 10000, -9689, 10000, 18758, 10000,
                        415, 10000, 557, 10000, -2040, 10000, 10570, 10000), True),
        (50728, 5, 3, (1, 1, 1, 1, 1, 1), True),
        (50778, 3, 1, 21, True),
    ]  # fmt: skip
    turned = [(274, 3, 1, orientation, True)]
    with tifffile.TiffWriter(file) as writer:
        if preview is None:
            writer.write(
                mosaic, photometric=32803, metadata=None, extratags=version + turned + sensor
            )
        else:
            writer.write(
                np.asarray(preview), photometric="rgb",
                compression="jpeg", compressionargs={"level": 95, "outcolorspace": "ycbcr"},
                subfiletype=1, subifds=1,
                subsampling=(1, 1), rowsperstrip=preview.height,
                metadata=None, extratags=version + turned,
            )  # fmt: skip
            writer.write(mosaic, photometric=32803, metadata=None, subfiletype=0, extratags=sensor)
    return file.getvalue()


def raws() -> Iterator[tuple[str, Callable[[], Made]]]:
    exact = scene()
    yield "raw preview", lambda: Made(raw(Image.fromarray(exact)), exact)
    yield (
        "raw preview turned",
        lambda: Made(raw(Image.fromarray(np.rot90(exact)), orientation=6), exact),
    )
    yield "raw without a preview", lambda: Made(raw(None), exact, 20)


MADE: dict[str, Callable[[], Made]] = {
    name: make
    for kinds in (phones_and_browsers, colours, depths, metadata, raws)
    for name, make in kinds()
}
"""By name, what makes each picture."""
