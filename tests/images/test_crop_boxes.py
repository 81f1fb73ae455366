"""Claims about regions: the same boxes everywhere, uniform, and cut as open_clip would."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from scipy.stats import kstest

from lazsl.images.crop_boxes import draw_boxes
from lazsl.images.crops import cut_crops
from lazsl.model.preprocessing import framing_of
from lazsl.settings import RegionSettings

PAPER = RegionSettings()


STORED = [
    [0, 0, 640, 480],
    [72, 56, 491, 475],
    [53, 160, 360, 467],
    [176, 164, 484, 472],
    [186, 116, 522, 452],
]


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def test_boxes_depend_on_the_digest_and_the_settings_alone() -> None:
    boxes = draw_boxes(640, 480, digest(0), PAPER)
    np.random.default_rng().random()
    assert np.array_equal(boxes, draw_boxes(640, 480, digest(0), RegionSettings()))
    assert not np.array_equal(boxes[1:], draw_boxes(640, 480, digest(1), PAPER)[1:])
    for changes in ({"seed": 1}, {"smallest": 0.61}, {"largest": 0.89}):
        other = draw_boxes(640, 480, digest(0), RegionSettings(**changes))
        assert not np.array_equal(boxes[1:], other[1:])


def test_boxes_are_the_same_on_every_machine_and_for_good() -> None:
    # Embeddings that were stored under these settings speak of these boxes.
    for resampling in ("exact", "fast"):
        settings = RegionSettings(count=4, resampling=resampling)
        assert draw_boxes(640, 480, digest(0), settings).tolist() == STORED


def test_the_first_box_is_the_whole_image() -> None:
    boxes = draw_boxes(640, 480, digest(0), PAPER)
    assert boxes.shape == (91, 4) and boxes.dtype == np.int32
    assert boxes[0].tolist() == [0, 0, 640, 480]


@pytest.mark.parametrize("size", [(640, 480), (31, 17), (3, 500), (500, 3), (2, 2), (30_000, 9)])
@pytest.mark.parametrize("reach", [(0.6, 0.9), (0.2, 0.9), (0.05, 0.05), (1.0, 1.0)])
def test_crops_are_squares_inside_the_picture_with_sides_in_range(
    size: tuple[int, int], reach: tuple[float, float]
) -> None:
    width, height = size
    settings = RegionSettings(count=200, smallest=reach[0], largest=reach[1])
    for number in range(5):
        left, top, right, bottom = draw_boxes(width, height, digest(number), settings)[1:].T
        side = right - left
        assert np.array_equal(side, bottom - top)
        assert left.min() >= 0 and right.max() <= width
        assert top.min() >= 0 and bottom.max() <= height
        assert side.min() >= max(1, math.floor(reach[0] * min(size)))
        assert side.max() <= max(1, reach[1] * min(size))


def test_sides_and_positions_are_uniform_and_independent() -> None:
    width, height = 10_000, 7_000
    boxes = np.concatenate([draw_boxes(width, height, digest(n), PAPER)[1:] for n in range(100)])
    left, top, right, _ = boxes.T.astype(float)
    side = right - left
    numbers = np.stack(
        [
            (side / height - 0.6) / 0.3,
            left / (width - side),
            top / (height - side),
        ]
    )
    for values in numbers:
        assert kstest(values, "uniform").pvalue > 0.01
    pairs = np.corrcoef(np.concatenate([numbers[:, 1:], numbers[:, :-1]]))
    assert np.abs(pairs - np.eye(6)).max() < 4 / math.sqrt(len(boxes))


def test_every_place_of_a_tiny_picture_is_reached() -> None:
    places = {
        tuple(box)
        for number in range(20)
        for box in draw_boxes(3, 2, digest(number), PAPER)[1:].tolist()
    }
    assert places == {(x, y, x + 1, y + 1) for x in range(3) for y in range(2)}


# Crops

SIZES = [(640, 427), (213, 512), (64, 64), (3, 500), (500, 3), (2, 2)]


def noise(size: tuple[int, int]) -> Image.Image:
    """A picture in which every pixel is unlike its neighbours, and no filter leaves 0..255."""
    values = np.random.default_rng(0).integers(48, 208, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def preprocessing(**changes: Any) -> PreprocessCfg:
    """A preprocessing of open_clip whose normalisation does nothing."""
    return PreprocessCfg(**{"size": 64, "mean": (0, 0, 0), "std": (1, 1, 1), **changes})


def as_open_clip(image: Image.Image, preprocess: PreprocessCfg) -> np.ndarray:
    """What open_clip's own transform makes of a picture, as uint8 (height, width, 3)."""
    pixels = image_transform_v2(preprocess, is_train=False)(image)
    values: np.ndarray = (pixels * 255).round().byte().permute(1, 2, 0).numpy()
    return values


MODES: list[dict[str, Any]] = [
    {},
    {"interpolation": "bilinear"},
    {"resize_mode": "squash"},
    {"resize_mode": "longest", "fill_color": 127},
    {"size": (48, 80)},
    {"size": (48, 80), "resize_mode": "squash"},
    {"size": (80, 48), "resize_mode": "longest"},
]


FRAMED = [
    (size, mode)
    for size in SIZES
    for mode in MODES
    # Of a narrower picture, open_clip's resizing leaves nothing, and so it fails.
    if mode.get("resize_mode") != "longest" or max(size) < 90 * min(size)
]


@pytest.mark.parametrize(("size", "mode"), FRAMED, ids=str)
def test_the_whole_image_is_framed_exactly_as_open_clip_does(
    size: tuple[int, int], mode: dict[str, Any]
) -> None:
    preprocess = preprocessing(**mode)
    crops = cut_crops(noise(size), np.array([(0, 0, *size)]), framing_of(preprocess))
    expected = as_open_clip(noise(size), preprocess)
    assert crops.shape == (1, *expected.shape) and crops.dtype == np.uint8
    assert np.array_equal(crops[0], expected)


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("size", [(2, 30_000), (30_000, 2)], ids=str)
def test_a_thread_of_pixels_is_framed_without_an_enormous_picture(
    size: tuple[int, int], mode: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    resize, sizes = Image.Image.resize, []

    def watched(image: Image.Image, to: tuple[int, int], *args: Any, **options: Any) -> Image.Image:
        sizes.append(to)
        return resize(image, to, *args, **options)

    image = Image.new("RGB", size, "teal")
    monkeypatch.setattr(Image.Image, "resize", watched)
    preprocess = preprocessing(**mode)
    [crop] = cut_crops(image, np.array([(0, 0, *size)]), framing_of(preprocess))
    assert sizes and max(width * height for width, height in sizes) <= 80 * 80 * 200
    assert (crop == image.getpixel((0, 0))).all(axis=2).any()


def test_the_middle_of_a_thread_of_pixels_is_what_open_clip_sees_of_it() -> None:
    size = (2, 800)
    waves = 128 + 60 * np.sin(np.arange(size[1]))[:, None, None] * np.ones((1, 2, 3))
    image, preprocess = Image.fromarray(waves.astype(np.uint8)), preprocessing()
    [crop] = cut_crops(image, np.array([(0, 0, *size)]), framing_of(preprocess))
    assert np.abs(crop.astype(int) - as_open_clip(image, preprocess).astype(int)).max() <= 3


@pytest.mark.parametrize("resample", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(640, 427), (213, 512), (100, 90), (40, 60)], ids=str)
def test_a_square_crop_is_what_cutting_and_resizing_gives_up_to_its_border(
    size: tuple[int, int], resample: str
) -> None:
    image, framing = noise(size), framing_of(preprocessing(interpolation=resample))
    boxes = draw_boxes(*size, digest(0), RegionSettings(count=20))
    crops = cut_crops(image, boxes, framing).astype(int)
    for crop, box in zip(crops[1:], boxes[1:].tolist(), strict=True):
        cut = image.crop(tuple(box)).resize((64, 64), framing.resample)
        # A filter reaches two pixels to either side, of whichever of the two pictures is coarser.
        border = math.ceil(2 * max(1, 64 / (box[2] - box[0]))) + 1
        inside = (slice(border, -border),) * 2
        assert np.abs(crop - np.asarray(cut).astype(int))[inside].max() <= 2


@pytest.mark.parametrize("mode", MODES[:4], ids=str)
def test_a_square_crop_is_what_open_clip_makes_of_it_up_to_its_border(
    mode: dict[str, Any],
) -> None:
    image, preprocess = noise((300, 200)), preprocessing(**mode)
    boxes = draw_boxes(300, 200, digest(0), RegionSettings(count=10))
    crops = cut_crops(image, boxes, framing_of(preprocess)).astype(int)
    for crop, box in zip(crops[1:], boxes[1:].tolist(), strict=True):
        expected = as_open_clip(image.crop(tuple(box)), preprocess).astype(int)
        assert np.abs(crop - expected)[3:-3, 3:-3].max() <= 2


@pytest.mark.parametrize("mode", MODES[4:], ids=str)
def test_crops_for_a_model_that_is_not_square_are_framed_exactly_as_open_clip_does(
    mode: dict[str, Any],
) -> None:
    image, preprocess = noise((300, 200)), preprocessing(**mode)
    boxes = draw_boxes(300, 200, digest(0), RegionSettings(count=5))
    crops = cut_crops(image, boxes, framing_of(preprocess))
    for crop, box in zip(crops[1:], boxes[1:].tolist(), strict=True):
        assert np.array_equal(crop, as_open_clip(image.crop(tuple(box)), preprocess))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_tiny_and_narrow_pictures_are_cut_like_others(size: tuple[int, int]) -> None:
    boxes = draw_boxes(*size, digest(0), PAPER)
    crops = cut_crops(noise(size), boxes, framing_of(preprocessing()))
    assert crops.shape == (91, 64, 64, 3)
    side = int(boxes[1, 2] - boxes[1, 0])
    if side == 1:
        pixel = noise(size).getpixel((int(boxes[1, 0]), int(boxes[1, 1])))
        assert np.abs(crops[1, 32, 32] - np.array(pixel)).max() <= 1


def test_a_crop_is_resized_from_its_own_place() -> None:
    image = Image.new("RGB", (90, 60), "black")
    image.paste((255, 0, 0), (30, 10, 60, 40))
    boxes = np.array([(0, 0, 90, 60), (32, 12, 58, 38), (62, 0, 88, 26)])
    crops = cut_crops(image, boxes, framing_of(preprocessing()))
    assert (crops[1] == (255, 0, 0)).all() and not crops[2].any()
