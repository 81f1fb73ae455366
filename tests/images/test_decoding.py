"""Claims about decoding: what becomes a picture, what becomes a reject, and why."""

from __future__ import annotations

import io
import random
import struct
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from lazsl.images import reasons
from lazsl.images.decoding import Picture, decode
from lazsl.images.reasons import Reject

LIMIT = 10_000


def scene(mode: str = "RGB") -> Image.Image:
    """24 x 16 pixels, red, green, blue and grey quarters: unlike itself in any orientation."""
    image = Image.new("RGB", (24, 16), (90, 90, 90))
    image.paste((220, 30, 30), (0, 0, 12, 8))
    image.paste((30, 200, 30), (12, 0, 24, 8))
    image.paste((30, 30, 210), (0, 8, 12, 16))
    return image.convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def picture(data: bytes) -> Picture:
    outcome = decode(data, max_pixels=LIMIT)
    assert isinstance(outcome, Picture), outcome
    assert outcome.image.mode == "RGB"
    return outcome


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(picture(data).image).astype(int)


def reason(data: bytes, max_pixels: int = LIMIT) -> str:
    outcome = decode(data, max_pixels=max_pixels)
    assert isinstance(outcome, Reject), outcome
    assert outcome.reason in reasons.REASONS and outcome.detail and "\n" not in outcome.detail
    return outcome.reason


def lab(image: Image.Image) -> Image.Image:
    srgb, target = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.buildTransform(srgb, target, "RGB", "LAB").apply(image)


def animated(kind: str, **options: Any) -> bytes:
    more = [Image.new("RGB", (24, 16), "white")]
    return encoded(scene(), kind, save_all=True, append_images=more, **options)


FILES = {
    "jpeg": encoded(scene(), "JPEG", quality=95, subsampling=0),
    "jpeg progressive": encoded(scene(), "JPEG", quality=95, subsampling=0, progressive=True),
    "jpeg cmyk": encoded(scene("CMYK"), "JPEG", quality=95, subsampling=0),
    "jpeg several": animated("MPO", quality=95, subsampling=0),
    "png": encoded(scene(), "PNG"),
    "png rgba": encoded(scene("RGBA"), "PNG"),
    "png palette": encoded(scene().quantize(8), "PNG"),
    "webp": encoded(scene(), "WEBP", quality=95),
    "webp lossless": encoded(scene(), "WEBP", lossless=True),
    "webp animated": animated("WEBP", lossless=True),
    "tiff": encoded(scene(), "TIFF"),
    "tiff lzw": encoded(scene(), "TIFF", compression="tiff_lzw"),
    "tiff cmyk": encoded(scene("CMYK"), "TIFF"),
    "tiff ycbcr": encoded(scene("YCbCr"), "TIFF"),
    "tiff lab": encoded(lab(scene()), "TIFF"),
    "tiff pages": animated("TIFF"),
    "bmp": encoded(scene(), "BMP"),
    "gif": encoded(scene(), "GIF"),
    "gif animated": animated("GIF"),
}
FIRST_FRAME_SUFFICES = {"jpeg several", "tiff pages", "gif animated"}

# Damaged bytes are what these tests are about, and pytest shows every warning about them.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")


# Pictures


@pytest.mark.parametrize("name", FILES)
def test_every_allowed_format_shows_its_first_frame_in_true_colour(name: str) -> None:
    outcome = picture(FILES[name])
    assert outcome.format == name.split()[0].upper()
    assert outcome.image.size == (24, 16) and outcome.orientation == 1
    # Centres of the quarters, away from the ringing of lossy formats at their edges.
    for at in ((4, 3), (19, 3), (4, 12), (19, 12)):
        x, y = at
        difference = np.asarray(outcome.image)[y, x].astype(int) - np.asarray(scene())[y, x]
        assert np.abs(difference).max() <= 12, at


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_exif_orientation_is_turned_upright_once(kind: str, orientation: int) -> None:
    # How a camera held that way stores the scene: the inverse of what the viewer must do.
    transpose = Image.Transpose
    stored = {
        1: scene(),
        2: scene().transpose(transpose.FLIP_LEFT_RIGHT),
        3: scene().transpose(transpose.ROTATE_180),
        4: scene().transpose(transpose.FLIP_TOP_BOTTOM),
        5: scene().transpose(transpose.TRANSPOSE),
        6: scene().transpose(transpose.ROTATE_90),
        7: scene().transpose(transpose.TRANSVERSE),
        8: scene().transpose(transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    best: dict[str, int] = {"lossless": 1} if kind == "WEBP" else {"quality": 100, "subsampling": 0}
    outcome = picture(encoded(stored, kind, exif=exif, **best))
    assert outcome.orientation == orientation
    assert outcome.image.size == (24, 16)
    difference = np.asarray(outcome.image).astype(int) - np.asarray(scene())
    assert np.abs(difference).max() < 10


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0MM\0*",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0garbage that is not TIFF",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",  # says 99
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x01\0\0\0x\0\0\0\0\0\0\0",  # says "x"
    ],
)
def test_malformed_exif_costs_no_picture(exif: bytes) -> None:
    outcome = picture(encoded(scene(), "JPEG", exif=exif))
    assert (outcome.image.size, outcome.orientation) == ((24, 16), 1)


def test_transparency_lies_on_white() -> None:
    image = Image.new("RGBA", (4, 2), (200, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 51))  # a fifth of black
    expected = [(200, 0, 0), (255, 255, 255), (204, 204, 204), (200, 0, 0)]
    for data in (encoded(image, "PNG"), encoded(image, "WEBP", lossless=True, exact=True)):
        assert [tuple(p) for p in pixels(data)[0]] == expected
    grey = Image.new("LA", (2, 2), (0, 51))
    assert (pixels(encoded(grey, "PNG")) == 204).all()


def test_a_transparent_colour_of_palette_grey_or_rgb_is_white() -> None:
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([9, 9, 9, 80, 80, 80])
    palette.putpixel((1, 0), 1)
    for data in (
        encoded(palette, "PNG", transparency=0),
        encoded(palette, "PNG", transparency=b"\x00\xff"),
        encoded(palette, "GIF", transparency=0),
        encoded(palette.convert("L"), "PNG", transparency=9),
        encoded(palette.convert("RGB"), "PNG", transparency=(9, 9, 9)),
    ):
        assert [tuple(p) for p in pixels(data)[0]] == [(255,) * 3, (80,) * 3]


def test_black_and_white_is_black_and_white() -> None:
    image = Image.new("1", (3, 2), 0)
    image.putpixel((1, 0), 1)
    for kind in ("PNG", "TIFF", "BMP"):
        assert pixels(encoded(image, kind))[0, :, 0].tolist() == [0, 255, 0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_picture_stored_with_sixteen_bits_is_the_one_stored_with_eight(kind: str) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    deep = Image.fromarray(ramp.astype(np.uint16) * 257)
    assert deep.mode == "I;16"
    assert (pixels(encoded(deep, kind))[..., 0] == ramp).all()


def tiff(bits: int, photometric: int, data: bytes, width: int = 2, height: int = 2) -> bytes:
    """A bare little-endian TIFF of one grey strip, as scanners and microscopes write them."""
    tags = [
        (256, 3, width),
        (257, 3, height),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, photometric),
        (273, 4, 8),
        (277, 3, 1),
        (278, 3, height),
        (279, 4, len(data)),
    ]
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    body = struct.pack("<H", len(tags)) + directory + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + body


def test_twelve_bits_and_white_is_zero_are_read_as_the_tiff_says() -> None:
    deep = struct.pack("<4H", 0, 257 * 100, 257 * 200, 65535)
    assert pixels(tiff(16, 1, deep))[..., 0].tolist() == [[0, 100], [200, 255]]
    assert pixels(tiff(16, 0, deep))[..., 0].tolist() == [[255, 155], [55, 0]]
    packed = bytes([0x00, 0x0F, 0xFF, 0x80, 0x00, 0x00])  # 0x000 0xfff, 0x800 0x000
    assert pixels(tiff(12, 1, packed))[..., 0].tolist() == [[0, 255], [128, 0]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5], [0.2, 1.0]], np.float32), [0, 128, 51, 255]),
        (np.array([[0.0, 80.0], [255.0, 7.0]], np.float32), [0, 80, 255, 7]),
        (np.array([[-1.0, 0.0], [1.0, np.nan]], np.float32), [0, 128, 255, 128]),
        (np.array([[-3e38, -3e38], [3e38, 3e38]], np.float32), [0, 0, 255, 255]),
        (np.array([[7.0, 7.0], [7.0, np.inf]], np.float32), [7, 7, 7, 0]),
        (np.array([[0, 80], [255, 7]], np.int32), [0, 80, 255, 7]),
        (np.array([[0, 257 * 80], [65535, 257 * 7]], np.int32), [0, 80, 255, 7]),
        (np.array([[-(2**31), 0], [2**31 - 1, 0]], np.int32), [0, 128, 255, 128]),
    ],
)
def test_floats_and_long_integers_are_scaled_and_never_clipped(values, expected) -> None:
    data = encoded(Image.fromarray(values), "TIFF")
    assert pixels(data)[..., 0].ravel().tolist() == expected


# Rejects


def test_every_reason_has_a_meaning_of_one_line() -> None:
    codes = {v for k, v in vars(reasons).items() if k.isupper() and isinstance(v, str)}
    codes.remove(reasons.EXTRA)
    assert codes == set(reasons.REASONS) == {
        "empty", "not-an-image", "format-not-allowed", "truncated", "corrupt",
        "too-many-pixels", "too-small", "unreadable", "missing", "changed", "not-finite",
        "too-much-work", "too-many-bytes", "outside-the-archive", "kind-not-read", "extra-missing",
        "unreachable",
    }  # fmt: skip
    assert all(meaning and "\n" not in meaning for meaning in reasons.REASONS.values())


def test_no_bytes_are_empty_and_text_is_not_an_image() -> None:
    assert reason(b"") == "empty"
    for data in (b"x", b"a text file named .jpg\n", b"<html></html>", b"\0" * 500):
        assert reason(data) == "not-an-image"


@pytest.mark.parametrize("kind", ["ICO", "PPM", "EPS", "PCX", "QOI"])
def test_another_image_format_is_not_allowed_and_never_opened(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(scene(), kind)
    Image.init()

    def opened(*_: object) -> None:
        raise AssertionError(f"{kind} was opened")

    monkeypatch.setitem(Image.OPEN, kind, (opened, Image.OPEN[kind][1]))
    assert reason(data) == "format-not-allowed"


@pytest.mark.parametrize("name", sorted(FILES.keys() - FIRST_FRAME_SUFFICES))
@pytest.mark.parametrize("part", [0.5, 0.8])
def test_half_a_file_is_truncated(name: str, part: float) -> None:
    data = FILES[name]
    expected = {"truncated", "corrupt"} if name == "tiff lzw" else {"truncated"}
    assert reason(data[: int(len(data) * part)]) in expected


def test_half_of_a_picture_that_only_tifffile_reads_is_truncated() -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, np.full((64, 64, 3), 1 << 14, np.uint16), photometric="rgb")
    assert isinstance(decode(file.getvalue(), max_pixels=10**6), Picture)
    assert reason(file.getvalue()[:9000]) == "truncated"


def test_a_file_that_lost_only_its_later_frames_still_shows_the_first() -> None:
    for name in FIRST_FRAME_SUFFICES:
        data = FILES[name]
        assert (pixels(data[:-20]) == pixels(data)).all()


def test_damaged_bytes_of_a_known_format_are_corrupt() -> None:
    data = bytearray(FILES["png"])
    data[45] ^= 0xFF  # in the compressed pixels
    assert reason(bytes(data)) == "corrupt"
    assert reason(b"GIF89a" + b"\xff" * 40 + b";") == "corrupt"


def header_only(kind: str, width: int, height: int) -> bytes:
    """A valid header with a size of choice, and hardly a pixel behind it."""
    if kind == "PNG":
        start = FILES["png"]
        head = b"IHDR" + struct.pack(">II", width, height) + start[24:29]
        return start[:12] + head + struct.pack(">I", zlib.crc32(head)) + start[33:]
    if kind == "GIF":
        return FILES["gif"][:6] + struct.pack("<HH", width, height) + FILES["gif"][10:]
    if kind == "BMP":
        return FILES["bmp"][:18] + struct.pack("<ii", width, height) + FILES["bmp"][26:]
    if kind == "TIFF":
        return tiff(8, 1, b"\0\0\0\0", width, height)
    data = FILES["jpeg"]
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "JPEG"])
@pytest.mark.parametrize("max_pixels", [10_000, 300_000_000])
def test_a_pixel_bomb_is_rejected_by_its_header(
    kind: str, max_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 89_478_485)

    def decoded(*_: object) -> None:
        raise AssertionError("pixels were decoded")

    data = header_only(kind, 30_000, 30_000)
    monkeypatch.setattr(Image.Image, "load", decoded)
    for plugin in {type(Image.open(io.BytesIO(file))) for file in FILES.values()}:
        monkeypatch.setattr(plugin, "load", decoded)
    assert reason(data, max_pixels) == "too-many-pixels"


def test_the_pixel_limit_is_exact_and_may_exceed_pillows_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # twice that is an error in Pillow
    data = FILES["png"]
    assert reason(data, 24 * 16 - 1) == "too-many-pixels"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(decode(data, max_pixels=24 * 16), Picture)


def test_a_line_of_pixels_is_too_small() -> None:
    for size in ((1, 1), (1, 50), (50, 1)):
        assert reason(encoded(Image.new("RGB", size), "PNG")) == "too-small"
    assert picture(encoded(Image.new("RGB", (2, 2)), "PNG")).image.size == (2, 2)


def test_running_out_of_memory_is_not_blamed_on_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (MemoryError, KeyboardInterrupt):

        def fails(*_: object, error: type[BaseException] = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(Image, "open", fails)
        with pytest.raises(error):
            decode(FILES["png"], max_pixels=LIMIT)


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("name", ["jpeg", "jpeg progressive", "jpeg cmyk", "jpeg several"])
def test_a_jpeg_can_be_decoded_smaller_at_once(name: str, factor: int) -> None:
    asked: list[int] = []

    def shrink(shorter: int) -> int:
        asked.append(shorter)
        return factor

    outcome = decode(FILES[name], max_pixels=LIMIT, shrink=shrink)
    assert isinstance(outcome, Picture) and asked == [16]
    assert (outcome.size, outcome.factor) == ((24, 16), factor)
    assert outcome.image.size == (24 // factor, 16 // factor) and outcome.image.mode == "RGB"
    if factor < 8:  # of which each pixel still lies in one quarter
        averaged = np.asarray(picture(FILES[name]).image.reduce(factor)).astype(int)
        assert np.abs(np.asarray(outcome.image) - averaged).max() <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_decoded_smaller_is_upright_too(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(scene(), "JPEG", quality=100, subsampling=0, exif=exif)
    whole, small = picture(data), decode(data, max_pixels=LIMIT, shrink=lambda _: 2)
    assert isinstance(small, Picture)
    assert (small.size, small.orientation) == (whole.image.size, orientation)
    averaged = np.asarray(whole.image.reduce(2)).astype(int)
    assert np.abs(np.asarray(small.image) - averaged).max() <= 4


def test_a_jpeg_whose_sides_a_factor_does_not_divide_is_decoded_whole() -> None:
    data = encoded(scene().resize((25, 16)), "JPEG")
    outcome = decode(data, max_pixels=LIMIT, shrink=lambda _: 2)
    assert isinstance(outcome, Picture) and (outcome.image.size, outcome.factor) == ((25, 16), 1)


@pytest.mark.parametrize("name", [n for n in FILES if not n.startswith("jpeg")])
def test_other_formats_are_decoded_whole(name: str) -> None:
    outcome = decode(FILES[name], max_pixels=LIMIT, shrink=lambda _: 2)
    assert isinstance(outcome, Picture) and (outcome.image.size, outcome.factor) == ((24, 16), 1)


def test_a_jpeg_decoded_smaller_is_rejected_for_the_same_reasons() -> None:
    data = encoded(scene().resize((240, 160)), "JPEG", progressive=True)
    for end in range(0, len(data) + 1, 97):
        whole = decode(data[:end], max_pixels=10**5)
        small = decode(data[:end], max_pixels=10**5, shrink=lambda _: 4)
        assert type(whole) is type(small)
        assert not isinstance(whole, Reject) or whole == small


def test_no_damage_ever_raises() -> None:
    rng = random.Random(0)
    names = sorted(FILES)
    outcomes: set[str] = set()
    end = time.monotonic() + 6
    for trial in range(1500):
        data = bytearray(FILES[names[trial % len(names)]])
        for _ in range(rng.choice([1, 3, 30])):
            # Half of the damage in the header, where it does most.
            data[rng.randrange(min(len(data), rng.choice([64, len(data)])))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        outcome = decode(bytes(data), max_pixels=LIMIT, shrink=lambda _, f=trial % 3: 2**f)  # type: ignore[misc]
        if isinstance(outcome, Picture):
            assert outcome.image.mode == "RGB" and len(outcome.image.tobytes()) > 0
            outcomes.add("picture")
        else:
            assert outcome.reason in reasons.REASONS and outcome.detail
            outcomes.add(outcome.reason)
        if time.monotonic() > end and trial > 300:
            break
    assert {"picture", "corrupt", "truncated", "not-an-image", "too-many-pixels"} <= outcomes


def test_threads_decode_the_same_as_one_after_the_other() -> None:
    work = [FILES[name] for name in sorted(FILES)] * 8 + [b"", b"text"]

    def outcome(data: bytes) -> object:
        outcome = decode(data, max_pixels=LIMIT)
        return outcome.image.tobytes() if isinstance(outcome, Picture) else outcome

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(outcome, work)) == [outcome(data) for data in work]
