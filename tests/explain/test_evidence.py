"""Maps of evidence: nothing is lost, nothing lies where no region was."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
from plans import class_place_map, kept_plans

from lazsl.explain.evidence import Evidence, read_shard_evidence
from lazsl.explain.maps import (
    Kernel,
    attribute_maps,
    fitting_grid,
    spread,
)
from lazsl.run.run import Run
from lazsl.warehouse.opening import open_warehouse

GENERATOR = np.random.default_rng(5)


def boxes_within(count: int, width: int, height: int) -> np.ndarray:
    left = GENERATOR.integers(0, width - 1, count)
    top = GENERATOR.integers(0, height - 1, count)
    right = np.array([GENERATOR.integers(low + 1, width + 1) for low in left])
    bottom = np.array([GENERATOR.integers(low + 1, height + 1) for low in top])
    return np.stack([left, top, right, bottom], axis=1)


def evidence(boxes: np.ndarray, weights: np.ndarray, size: tuple[int, int]) -> Evidence:
    texts = tuple(f"attribute {n}" for n in range(weights.shape[1]))
    numbers = np.arange(1, len(boxes) + 1)
    ones = np.ones_like(weights)
    return Evidence(
        "id", "key", "uri", *size, 1, "wren", weights.sum(), texts, numbers, boxes, ones, weights
    )


def test_a_single_box_lights_exactly_its_pixels() -> None:
    maps = spread(np.array([[3, 1, 7, 4]]), np.array([[2.0]]), (10, 6))
    expected = np.zeros((1, 6, 10))
    expected[0, 1:4, 3:7] = 2.0 / 12
    np.testing.assert_allclose(maps, expected, atol=1e-15)


def test_overlapping_boxes_add() -> None:
    boxes = np.array([[0, 0, 4, 4], [2, 2, 6, 6]])
    maps = spread(boxes, np.array([[1.6], [3.2]]), (8, 8))[0]
    assert maps[0, 0] == pytest.approx(0.1)
    assert maps[3, 3] == pytest.approx(0.3)
    assert maps[5, 5] == pytest.approx(0.2)
    assert maps[7, 7] == 0


@pytest.mark.parametrize("kernel", ["box", "hann"])
@pytest.mark.parametrize("size", [(640, 48), (31, 257), (100, 100)])
@pytest.mark.parametrize("grid", [None, (7, 5), (192, 10), (1, 1)])
def test_every_attribute_keeps_its_sum_on_any_grid(
    kernel: Kernel, size: tuple[int, int], grid: tuple[int, int] | None
) -> None:
    weights = GENERATOR.normal(size=(40, 3))
    maps = spread(boxes_within(40, *size), weights, size, grid, kernel)
    assert maps.shape == (3, *(grid or size)[::-1])
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), weights.sum(axis=0), atol=1e-12)


@pytest.mark.parametrize("kernel", ["box", "hann"])
def test_a_coarse_map_holds_what_the_pixels_below_it_hold(kernel: str) -> None:
    boxes, weights = boxes_within(20, 60, 40), GENERATOR.normal(size=(20, 2))
    pixels = spread(boxes, weights, (60, 40), None, kernel)
    coarse = spread(boxes, weights, (60, 40), (12, 10), kernel)
    np.testing.assert_allclose(coarse, pixels.reshape(2, 10, 4, 12, 5).sum(axis=(2, 4)), atol=1e-12)


def test_pixel_maps_agree_with_a_plain_loop() -> None:
    boxes, weights = boxes_within(15, 23, 17), GENERATOR.normal(size=(15, 2))
    expected = np.zeros((2, 17, 23))
    for (left, top, right, bottom), parts in zip(boxes, weights, strict=True):
        for y in range(top, bottom):
            for x in range(left, right):
                expected[:, y, x] += parts / ((right - left) * (bottom - top))
    np.testing.assert_allclose(spread(boxes, weights, (23, 17)), expected, atol=1e-12)


def test_a_class_is_found_where_its_attributes_are_and_the_other_class_is_not() -> None:
    boxes = np.array([[0, 0, 4, 8], [4, 0, 8, 8], [0, 0, 8, 8]])
    this = evidence(boxes, np.array([[0.5, 0.3], [0.2, 0.2], [0.3, 0.3]]), (8, 8))
    other = evidence(boxes, np.array([[0.1], [0.4], [0.3]]), (8, 8))
    alone, against = class_place_map(this), class_place_map(this, other)
    means = [0.4, 0.2, 0.3]
    for actual, values in ((alone, means), (against, np.subtract(means, [0.1, 0.4, 0.3]))):
        correlation = np.corrcoef([1, 0, 1], values)[0, 1]
        assert actual[4, 1] == pytest.approx(correlation**2) and actual[4, 1] > 0 > actual[4, 6]
    np.testing.assert_allclose(class_place_map(other, this), -against)
    object.__setattr__(other, "image_id", "another")
    with pytest.raises(ValueError, match="different images"):
        class_place_map(this, other)


def test_a_faded_box_stays_inside_its_pixels_and_is_strongest_in_the_middle() -> None:
    maps = spread(np.array([[2, 2, 9, 9]]), np.array([[1.0]]), (12, 12), None, "hann")[0]
    inside = np.zeros((12, 12), bool)
    inside[2:9, 2:9] = True
    assert (maps[inside] > 0).all() and (maps[~inside] == 0).all()
    assert maps.argmax() == 5 * 12 + 5


@pytest.mark.parametrize(
    ("size", "grid"),
    [((1600, 1200), (192, 144)), ((100, 50), (100, 50)), ((9000, 10), (192, 1))],
)
def test_the_fitting_grid_keeps_the_aspect_and_is_no_finer_than_pixels(
    size: tuple[int, int], grid: tuple[int, int]
) -> None:
    assert fitting_grid(size) == grid


def test_stored_plans_add_up_to_the_scores_of_a_real_run(labelled: Run) -> None:
    run = labelled
    with closing(open_warehouse(run.job.warehouse_path)) as connection:
        scores = dict(
            ((image, rank), (label, score))
            for image, rank, label, score in connection.execute(
                "select image_id, rank, class, score from scores where rank <= 2"
            ).fetchall()
        )
        shards = [row[0] for row in connection.execute("select shard from shards").fetchall()]
        kept = [e for shard in shards for e in read_shard_evidence(connection, run.key, shard)]
        rotated = kept_plans(connection, run.key, "odd/rotated by exif.jpg")
    assert {(e.image_id, e.rank) for e in kept} == set(scores)
    for move in kept:
        label, score = scores[move.image_id, move.rank]
        assert move.label == label
        assert attribute_maps(move).sum() == pytest.approx(score, abs=1e-5)
        assert (move.boxes[:, :2] >= 0).all()
        assert (move.boxes[:, 2] <= move.width).all() and (move.boxes[:, 3] <= move.height).all()
    assert [e.rank for e in rotated] == [1, 2]
