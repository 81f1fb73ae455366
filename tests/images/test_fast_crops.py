"""Claims about fast crops: how near they are to exact ones, on the processor and on a device."""

from __future__ import annotations

import hashlib
import io
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg
from PIL import Image

from lazsl.images.crop_boxes import draw_boxes
from lazsl.images.crops import cut_crops
from lazsl.images.decoding import Picture, decode
from lazsl.images.fast_crops import (
    GAP,
    HALVED_GAP,
    cut_fast,
    cut_on_device,
    decoding_factor,
    leave_uncut,
)
from lazsl.images.framing import Framing
from lazsl.model.preprocessing import framing_of
from lazsl.settings import RegionSettings

SETTINGS = RegionSettings(count=12, resampling="fast")
WIDE = RegionSettings(count=12, smallest=0.1, largest=1, resampling="fast")

SIDE = 32
"""The model's input."""

# Sizes at which crops come from the source, from it halved, and from it made smaller by 2
# first; with odd sides among them.
SIZES = [(50, 40), (192, 160), (451, 303), (601, 430), (1000, 861), (1900, 1709)]


def framing(size: int | tuple[int, int] = SIDE, **changes: Any) -> Framing:
    return framing_of(PreprocessCfg(**{"size": size, **changes}))


def waves(size: tuple[int, int]) -> Image.Image:
    """A smooth picture, whose resized pixels can be computed: three plane waves."""
    x = np.arange(size[0])[None, :] / min(size)
    y = np.arange(size[1])[:, None] / min(size)
    values = [128 + 90 * np.sin(9 * x + 2 * y + 1), 128 + 90 * np.sin(7 * y - 4 * x)]
    values.append(128 + 90 * np.cos(6 * (x + y)))
    return Image.fromarray(np.stack(values, axis=2).round().astype(np.uint8))


@cache
def detailed(size: tuple[int, int]) -> Image.Image:
    """A picture with edges and grain at every scale."""
    rng = np.random.default_rng(0)
    picture = np.zeros((size[1], size[0], 3), dtype=np.float32)
    for scale in (2, 8, 32, 128):
        tile = rng.integers(0, 256, (size[1] // scale + 1, size[0] // scale + 1, 3))
        layer = Image.fromarray(tile.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
        picture += np.asarray(layer, dtype=np.float32) / 4
    return Image.fromarray(picture.astype(np.uint8))


def jpeg(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, subsampling=0, **options)
    return file.getvalue()


def picture(data: bytes, frame: Framing, settings: RegionSettings = SETTINGS) -> Picture:
    picture = decode(
        data,
        max_pixels=10**8,
        shrink=lambda shorter: decoding_factor(shorter, settings, frame),
    )
    assert isinstance(picture, Picture)
    return picture


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def difference(crops: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return np.abs(crops.astype(int) - expected.astype(int))


@pytest.mark.parametrize("resample", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_fast_crops_of_a_smooth_picture_show_what_exact_ones_do(
    size: tuple[int, int], resample: str
) -> None:
    image, frame = waves(size), framing(interpolation=resample)
    boxes = draw_boxes(*size, digest(0), SETTINGS)
    error = difference(
        cut_fast(Picture(image, "", 1), boxes, frame), cut_crops(image, boxes, frame)
    )
    # Twelve radians a side at 90 levels: a pixel of 32 is up to 34 levels, its thirty-second 1.
    assert error[1:].max() <= 4 and error[1:].mean() < 1
    assert error[0].max() <= 1


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [*SIZES[:4], (2000, 9), (9, 2000)], ids=str)
def test_the_whole_picture_is_framed_as_the_model_frames_it(
    size: tuple[int, int], mode: str
) -> None:
    image, frame = detailed(size), framing(resize_mode=mode)
    boxes = draw_boxes(*size, digest(0), SETTINGS)
    [whole] = cut_fast(Picture(image, "", 1), boxes[:1], frame)
    assert difference(whole, np.asarray(frame.frame(image))).max() <= 2


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_fast_crops_of_a_detailed_picture_are_near_exact_ones(size: tuple[int, int]) -> None:
    image, frame = detailed(size), framing()
    boxes = draw_boxes(*size, digest(0), SETTINGS)
    exact = cut_crops(image, boxes, frame).astype(float)
    error = cut_fast(Picture(image, "", 1), boxes, frame) - exact
    assert np.sqrt((error**2).mean()) < 0.1 * exact.std()


def test_a_crop_that_is_not_made_smaller_first_is_cut_and_resized_to_a_level() -> None:
    image, frame = detailed((75, 60)), framing()
    boxes = draw_boxes(*image.size, digest(0), SETTINGS)
    crops = cut_fast(Picture(image, "", 1), boxes, frame)
    for crop, box in zip(crops[1:], boxes[1:].tolist(), strict=True):
        assert box[2] - box[0] < 2 * HALVED_GAP * SIDE
        expected = image.crop(tuple(box)).resize((SIDE, SIDE), frame.resample)
        assert difference(crop, np.asarray(expected)).max() <= 2


@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("side", [200, 201])
def test_halving_moves_no_edge(corner: tuple[int, int], side: int) -> None:
    # On a slope from edge to edge, a pixel of the model's input is 8 levels. Rounding brightens a
    # rising and a falling slope alike; a moved edge brightens one and darkens the other.
    left, top = 40 + corner[0], 30 + corner[1]
    slope = np.clip((np.arange(420) + 0.5 - left) * 255 / side, 0, 255).round().astype(np.uint8)
    boxes = np.array([(0, 0, 420, 400), (left, top, left + side, top + side)])
    expected = (np.arange(SIDE) + 0.5) * 255 / SIDE
    errors = []
    for across, wanted in ((slope, expected), (255 - slope, 255 - expected)):
        image = Image.fromarray(np.broadcast_to(across[None, :, None], (400, 420, 3)).copy())
        [_, crop] = cut_fast(Picture(image, "", 1), boxes, framing())
        errors.append(crop.mean(axis=(0, 2)) - wanted)
    moved = (errors[0] - errors[1]) / 2
    for part in (moved[2:12], moved[12:20], moved[20:30]):
        assert abs(part.mean()) < 0.3


@pytest.mark.parametrize(
    ("resample", "settings"),
    [("bicubic", SETTINGS), ("bilinear", SETTINGS), ("bicubic", WIDE)],
    ids=["bicubic", "bilinear", "wide"],
)
@pytest.mark.parametrize("size", SIZES[:4], ids=str)
def test_a_device_cuts_what_the_processor_does_up_to_rounding(
    size: tuple[int, int], resample: str, settings: RegionSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lazsl.images.fast_crops._WORKING_BYTES", 2**23)  # in several parts
    frame = framing(interpolation=resample)
    whole = picture(jpeg(detailed(size)), frame, settings)
    boxes = draw_boxes(*whole.size, digest(1), settings)
    crops = cut_on_device(leave_uncut(whole, boxes, frame), frame, "cpu")
    assert crops.dtype == torch.uint8 and crops.shape == (13, SIDE, SIDE, 3)
    expected = cut_fast(whole, boxes, frame)
    assert np.array_equal(crops[0].numpy(), expected[0])
    assert difference(crops.numpy(), expected).max() <= 2
    assert difference(crops.numpy(), expected).mean() < 0.02


def test_products_in_half_precision_cut_the_same_up_to_two_levels() -> None:
    frame = framing()
    whole = picture(jpeg(detailed((200, 160))), frame)
    boxes = draw_boxes(*whole.size, digest(1), SETTINGS)
    uncut = leave_uncut(whole, boxes, frame)
    half = cut_on_device(uncut, frame, "cpu", torch.float16).numpy()
    assert difference(half, cut_fast(whole, boxes, frame)).max() <= 2


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("settings", [SETTINGS, WIDE], ids=["paper", "wide"])
def test_a_picture_is_decoded_no_smaller_than_every_crop_allows(
    size: tuple[int, int], settings: RegionSettings
) -> None:
    frame = framing()
    factor = decoding_factor(min(size), settings, frame)
    for number in range(20):
        boxes = draw_boxes(*size, digest(number), settings)
        smallest = int((boxes[1:, 2] - boxes[1:, 0]).min())
        assert factor == 1 or smallest >= factor * GAP * SIDE
    assert decoding_factor(math.ceil(8 * GAP * SIDE / 0.6), SETTINGS, frame) == 8


def test_a_jpeg_decoded_smaller_gives_nearly_the_same_crops() -> None:
    frame, image = framing(), detailed((2000, 1720))
    data = jpeg(image)
    small, whole = picture(data, frame), decode(data, max_pixels=10**8)
    assert isinstance(whole, Picture)
    assert (small.factor, small.size, whole.factor) == (2, whole.size, 1)
    boxes = draw_boxes(*whole.size, digest(0), SETTINGS)
    exact = cut_crops(whole.image, boxes, frame).astype(float)
    for actual in (small, whole):
        error = cut_fast(actual, boxes, frame) - exact
        assert np.sqrt((error**2).mean()) < 0.1 * exact.std()


@pytest.mark.parametrize("size", [(24, 40), (40, 24)], ids=str)
def test_a_model_that_is_not_square_frames_each_crop(size: tuple[int, int]) -> None:
    image, frame = waves((600, 450)), framing(size)
    boxes = draw_boxes(*image.size, digest(0), SETTINGS)
    crops = cut_fast(Picture(image, "", 1), boxes, frame)
    assert crops.shape == (13, *size, 3)
    assert difference(crops, cut_crops(image, boxes, frame)).max() <= 6


@pytest.mark.parametrize("size", [(3, 500), (500, 3), (2, 2), (2, 3000), (1500, 210)], ids=str)
def test_odd_shapes_are_cut_like_others(size: tuple[int, int]) -> None:
    image, frame = waves(size), framing()
    boxes = draw_boxes(*size, digest(0), SETTINGS)
    whole = Picture(image, "", 1)
    crops = cut_fast(whole, boxes, frame)
    assert crops.shape == (13, SIDE, SIDE, 3)
    device = cut_on_device(leave_uncut(whole, boxes, frame), frame, "cpu").numpy()
    assert difference(device, crops).max() <= 2
