"""Regions at every scale: where squares lie, and that a zoom goes where the subject is."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from lazsl.images.crop_boxes import draw_boxes
from lazsl.images.crop_layouts import (
    COARSEST,
    FINEST,
    WINDOW,
    coarse,
    finest,
    subject,
    window_corner,
    window_squares,
)
from lazsl.settings import RegionSettings

SIZES = [(640, 480), (31, 21), (480, 720), (2, 2), (400, 400)]
LONG = [(1280, 320), (320, 1280), (1000, 600), (620, 340), (3, 500), (500, 3)]


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


@pytest.mark.parametrize("count", [4, 13, 29, 54, 90])
@pytest.mark.parametrize("size", SIZES)
def test_a_pyramid_is_the_whole_image_and_whole_levels_of_squares_that_touch_its_border(
    size: tuple[int, int], count: int
) -> None:
    boxes = draw_boxes(*size, digest(0), RegionSettings(layout="pyramid", count=count))
    assert boxes.shape == (count + 1, 4) and boxes.dtype == np.int32
    assert boxes[0].tolist() == [0, 0, *size]
    start = 1
    for along, side in ((2, 0.75), (3, 0.5), (4, 0.4), (5, 0.35), (6, 0.3)):
        level = boxes[start : start + along**2]
        start += along**2
        if not len(level):
            break
        left, top, right, bottom = level.T
        pixels = max(1, int(side * min(size)))
        assert {*(right - left).tolist(), *(bottom - top).tolist()} == {pixels}
        assert (left.min(), top.min(), right.max(), bottom.max()) == (0, 0, *size)
        steps = np.diff(np.unique(left))
        assert not len(steps) or steps.max() - steps.min() <= 1
    assert np.array_equal(
        boxes, draw_boxes(*size, digest(1), RegionSettings(layout="pyramid", count=count))
    )


@pytest.mark.parametrize("size", LONG)
def test_in_a_long_image_no_place_is_left_out_of_a_level(size: tuple[int, int]) -> None:
    boxes = draw_boxes(*size, digest(0), RegionSettings(layout="pyramid", count=90))
    assert boxes.shape == (91, 4) and (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= np.array(size)).all()
    start = 1
    for along, side in ((2, 0.75), (3, 0.5), (4, 0.4), (5, 0.35), (6, 0.3)):
        level = boxes[start : start + along**2]
        start += along**2
        sides = level[:, 2:] - level[:, :2]
        assert len(np.unique(sides)) == 1 and sides[0, 0] >= max(1, int(side * min(size)))
        seen = np.zeros(size[::-1], bool)
        for left, top, right, bottom in level:
            seen[top:bottom, left:right] = True
        # So few squares cover no more of a strip.
        assert seen.all() or seen.sum() == along**2 * sides[0, 0] ** 2


@pytest.mark.parametrize("count", [29, 90])
@pytest.mark.parametrize("size", [*SIZES, *LONG])
def test_a_zoom_begins_as_a_pyramid_and_its_fine_squares_fill_its_window(
    size: tuple[int, int], count: int
) -> None:
    settings = RegionSettings(layout="zoom", count=count)
    first = draw_boxes(*size, digest(0), settings)
    assert len(first) == coarse(count) + 1 == {29: 14, 90: 30}[count]
    full = draw_boxes(*size, digest(0), RegionSettings(layout="pyramid", count=90))
    assert np.array_equal(first, full[: len(first)])
    fine = window_squares(*size, digest(0), settings)
    assert len(first) + len(fine) == count + 1
    shorter = min(size)
    window = max(1, int(WINDOW * shorter))
    left, top, right, bottom = fine.T
    assert left.min() >= 0 and top.min() >= 0
    assert right.max() <= window and bottom.max() <= window
    sides = right - left
    assert np.array_equal(sides, bottom - top)
    # One of each of as many equal steps.
    edges = np.linspace(FINEST, COARSEST, len(fine) + 1) * shorter
    assert (sides >= np.maximum(1, np.floor(edges[:-1]))).all()
    assert (sides <= np.maximum(1, edges[1:])).all()


def test_fine_squares_depend_on_the_digest_the_seed_and_the_count() -> None:
    settings = RegionSettings(layout="zoom", count=29)
    given = (640, 480)
    drawn = window_squares(*given, digest(0), settings)
    assert np.array_equal(drawn, window_squares(*given, digest(0), settings))
    assert not np.array_equal(drawn, window_squares(*given, digest(1), settings))
    seeded = RegionSettings(layout="zoom", count=29, seed=1)
    assert not np.array_equal(drawn, window_squares(*given, digest(0), seeded))


@pytest.mark.parametrize("count", [29, 90])
@pytest.mark.parametrize("place", [(100, 90), (320, 240), (520, 380)])
def test_the_window_is_around_what_is_least_like_the_images_border(
    count: int, place: tuple[int, int]
) -> None:
    boxes = draw_boxes(640, 480, digest(0), RegionSettings(layout="zoom", count=count))
    random = np.random.default_rng(1)
    ground, thing = random.normal(size=(2, 16))
    # Each region shows so much of a disc of a tenth of the picture.
    y, x = np.mgrid[:480, :640]
    disc = (x - place[0]) ** 2 + (y - place[1]) ** 2 < 60**2
    part = np.array([disc[t:b, left:r].mean() for left, t, r, b in boxes])
    noise = 0.01 * random.normal(size=(len(boxes), 16))
    vectors = ground + 3 * part[:, None] * (thing - ground) + noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    left, top = window_corner(boxes, vectors.astype(np.float16))
    side = int(WINDOW * 480)
    assert 0 <= left <= 640 - side and 0 <= top <= 480 - side
    assert left <= place[0] <= left + side and top <= place[1] <= top + side


def test_an_image_that_is_the_same_everywhere_is_looked_at_in_its_middle() -> None:
    boxes = draw_boxes(400, 300, digest(0), RegionSettings(layout="zoom", count=29))
    alike = np.ones((len(boxes), 8), np.float16)
    assert subject(boxes, alike) == pytest.approx((200, 150), abs=5)
    assert subject(boxes, np.zeros_like(alike)) == pytest.approx((200, 150), abs=5)


def test_the_smallest_side_is_known_for_the_decoder() -> None:
    assert finest(RegionSettings()) == 0.6
    assert finest(RegionSettings(layout="zoom")) == FINEST
    sides = {4: 0.75, 13: 0.5, 29: 0.4, 54: 0.35, 90: 0.3}
    for count, side in sides.items():
        assert finest(RegionSettings(layout="pyramid", count=count)) == side
