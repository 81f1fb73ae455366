"""Pictures as archives bring them: every made kind looks as it must, or is refused with its reason.

Each is compared with what it was made from, and with libvips wherever that reads it.
"""

from __future__ import annotations

import sys

import made_pictures
import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin

from lazsl.images.decoding import Picture, decode
from lazsl.images.reasons import Reject
from lazsl.images.signatures import FORMATS, format_of


def decoded(data: bytes) -> Picture:
    picture = decode(data, max_pixels=10**6)
    assert isinstance(picture, Picture), picture
    return picture


def off(picture: Picture, expected: np.ndarray) -> float:
    """Mean difference in levels."""
    pixels = np.asarray(picture.image).astype(float)
    assert pixels.shape == expected.shape
    return float(np.abs(pixels - expected).mean())


@pytest.mark.parametrize("name", made_pictures.MADE)
def test_a_picture_of_this_kind_looks_as_it_was_made(name: str) -> None:
    made = made_pictures.MADE[name]()
    picture = decoded(made.data)
    assert off(picture, made.expected) <= made.tolerance, name


def test_inks_that_are_stored_as_ycck_are_the_inks() -> None:
    plain = made_pictures.MADE["jpeg cmyk"]().expected
    assert off(decoded(made_pictures.MADE["jpeg ycck"]().data), plain) <= 2


LIKE_VIPS = (
    *("avif", "avif turned", "avif p3"),
    *("jpeg p3", "jpeg adobe", "png p3", "png adobe", "webp p3", "webp adobe", "jpeg grey"),
    *("jpeg cmyk", "jpeg ycck", "tiff cmyk", "tiff prophoto 16 bits", "png prophoto 16 bits"),
    *("tiff 16 bits", "tiff 16 bits in planes", "tiff 8 bits in planes", "tiff 16 bits lzw"),
    *("tiff 16 bits tiles", "tiff big-endian BigTIFF", "tiff big-endian BigTIFF 16 bits"),
    *("tiff white is zero 16 bits", "tiff palette of 8 bits", "tiff turned by a tag of type 3"),
    *("png broken checksum of a text", "jpeg broken pictures", "jpeg broken EXIF"),
)
"""Kinds that libvips reads, by the same conventions."""


@pytest.mark.parametrize("name", LIKE_VIPS)
def test_a_picture_of_this_kind_is_the_one_that_libvips_sees(name: str) -> None:
    data = made_pictures.MADE[name]().data
    assert off(decoded(data), made_pictures.by_vips(data)) <= 2, name


@pytest.mark.parametrize("name", made_pictures.MADE)
def test_limits_hold_for_every_kind_before_anything_is_decoded(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = made_pictures.MADE[name]().data
    kind = format_of(data)
    assert kind in FORMATS

    def decoded_anyway(*_: object, **__: object) -> None:
        raise AssertionError("pixels were decoded")

    for module in (Image.Image, ImageFile.ImageFile, PngImagePlugin.PngImageFile):
        monkeypatch.setattr(module, "load", decoded_anyway)
    monkeypatch.setattr("tifffile.TiffPage.asarray", decoded_anyway)
    monkeypatch.setattr("lazsl.images.extras._preview", decoded_anyway)
    monkeypatch.setattr("pillow_jxl.Decoder", decoded_anyway)
    reject = decode(data, max_pixels=made_pictures.WIDTH * made_pictures.HEIGHT - 1)
    assert isinstance(reject, Reject) and reject.reason == "too-many-pixels", reject


@pytest.mark.parametrize(
    ("name", "package"),
    [("heic", "pillow_heif"), ("jxl", "pillow_jxl"), ("raw preview", "rawpy")],
)
def test_without_its_package_a_picture_is_refused_with_what_to_install(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = made_pictures.MADE[name]().data
    monkeypatch.setitem(sys.modules, package, None)
    reject = decode(data, max_pixels=10**6)
    assert isinstance(reject, Reject) and reject.reason == "extra-missing"
    assert package.replace("pillow_jxl", "pillow-jxl-plugin").replace("_", "-") in reject.detail
    assert "pip install 'lazsl[formats]'" in reject.detail


@pytest.mark.parametrize(
    ("values", "options", "named"),
    [
        (np.zeros((8, 8), np.complex64), {}, "samples"),
        (np.zeros((8, 8), np.uint8), {"compression": "packbits"}, None),
        (np.zeros((8, 8), np.uint8), {"compression": "jpegxr"}, "compression"),
        (np.zeros((8, 8, 5), np.uint8), {"photometric": "separated",
                                         "extratags": [(332, 3, 1, 2, True)]}, "inks"),
    ],
)  # fmt: skip
def test_a_kind_that_is_not_read_has_a_reason_of_its_own(
    values: np.ndarray, options: dict[str, object], named: str | None
) -> None:
    outcome = decode(
        made_pictures.tiff(values, **{"photometric": "minisblack", **options}), max_pixels=100
    )
    if named is None:
        assert isinstance(outcome, Picture)
    else:
        assert isinstance(outcome, Reject) and outcome.reason == "kind-not-read", outcome
        assert named in outcome.detail


def test_what_was_converted_and_complained_of_is_noted_and_not_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    made = made_pictures.MADE
    assert decoded(made["png p3"]().data).notes == "colours converted from sP3C to sRGB"
    assert decoded(made["heic"]().data).notes is None
    assert "profile not used" in str(decoded(made["jpeg broken profile"]().data).notes)
    assert "metadata left out" in str(decoded(made["png long text"]().data).notes)
    assert "taken as 12 bits" in str(decoded(made["tiff 12 bits in 16"]().data).notes)
    damaged = made["tiff 16 bits lzw"]().data
    decode(damaged[: len(damaged) // 2], max_pixels=10**6)
    lzw = bytearray(made_pictures.saved(Image.fromarray(made_pictures.scene()), "TIFF",
                                        compression="tiff_lzw"))  # fmt: skip
    lzw[60:90] = b"\xff" * 30
    decode(bytes(lzw), max_pixels=10**6)
    assert capfd.readouterr() == ("", "")
