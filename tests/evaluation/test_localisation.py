"""Maps against true pixels: measures against plain loops, place maps against the rest."""

from __future__ import annotations

import math
import statistics
from contextlib import closing

import numpy as np
import pytest
from plans import kept_plans
from scipy.stats import bootstrap
from sklearn.metrics import auc

from lazsl.evaluation.localisation import (
    ATTRIBUTIONS,
    BEST,
    area_under,
    deleted,
    energy_inside,
    evidence_of,
    mean_interval,
    pointing_game,
)
from lazsl.evaluation.stored import StoredRun, open_stored, read_images
from lazsl.evaluation.tally import Tally, Truth
from lazsl.explain.evidence import Evidence
from lazsl.explain.maps import place_maps, sharpened
from lazsl.images.region_maps import explained, fitting_grid
from lazsl.run.run import Run
from lazsl.warehouse.opening import open_warehouse
from studies.fieldguide import sample
from studies.fieldguide.traits import PARTS
from studies.pages import localisation_page

GENERATOR = np.random.default_rng(8)


def some_boxes(count: int, width: int, height: int) -> np.ndarray:
    side = GENERATOR.integers(min(width, height) // 3, min(width, height), count)
    left, top = GENERATOR.integers(0, width - side), GENERATOR.integers(0, height - side)
    return np.stack([left, top, left + side, top + side], axis=1)


def seeing(
    place: tuple[int, int], size: tuple[int, int] = (120, 90), regions: int = 80
) -> Evidence:
    """A class whose one attribute is seen in the regions that show a place, and nowhere else."""
    boxes = some_boxes(regions, *size)
    left, top, right, bottom = boxes.T
    inside = (left < place[0]) & (place[0] < right) & (top < place[1]) & (place[1] < bottom)
    similarity = 0.1 + 0.3 * inside[:, None] + GENERATOR.normal(0, 0.02, (regions, 1))
    mass = np.exp(similarity / 0.1)
    mass /= mass.sum()
    numbers = np.arange(1, regions + 1)
    return Evidence(
        "id", "key", "uri", *size, 1, "wren", 0.3, ("a crest",), numbers, boxes, mass, similarity
    )


def test_the_pointing_game_agrees_with_a_plain_loop() -> None:
    maps = GENERATOR.integers(0, 9, (20, 7, 5)).astype(float)  # with ties
    parts = GENERATOR.random((20, 7, 5))
    for each_map, part, actual in zip(maps, parts, pointing_game(maps, parts), strict=True):
        best = max(each_map[i, j] for i in range(7) for j in range(5))
        hits = [part[i, j] for i in range(7) for j in range(5) if each_map[i, j] == best]
        assert actual == pytest.approx(sum(hits) / len(hits))


def test_a_flat_map_points_as_well_as_chance() -> None:
    part = np.zeros((1, 6, 10))
    part[0, 2:4, 3:6] = 1
    assert pointing_game(np.ones((1, 6, 10)), part)[0] == pytest.approx(0.1)
    assert energy_inside(np.zeros((1, 6, 10)), part)[0] == pytest.approx(0.1)


def test_energy_inside_agrees_with_a_plain_loop() -> None:
    maps, parts = GENERATOR.normal(size=(12, 6, 4)), GENERATOR.random((12, 6, 4))
    for each_map, part, actual in zip(maps, parts, energy_inside(maps, parts), strict=True):
        inside = total = 0.0
        for value, fraction in zip(each_map.flat, part.flat, strict=True):
            inside += max(value, 0) * fraction
            total += max(value, 0)
        assert actual == pytest.approx(inside / total)


def test_what_a_place_explains_is_the_squared_correlation() -> None:
    boxes, values = some_boxes(30, 60, 40), GENERATOR.normal(size=(30, 2))
    maps = explained(boxes, values, (60, 40), (12, 8))
    for row in range(8):
        for column in range(12):
            x, y = (column + 0.5) * 5, (row + 0.5) * 5
            shown = []
            for left, top, right, bottom in boxes:
                depths = [(x - left, right - left), (right - x, right - left)]
                across = min(d / side for d, side in depths)
                down = min((y - top) / (bottom - top), (bottom - y) / (bottom - top))
                shown.append(np.clip(16 * across, 0, 1) * np.clip(16 * down, 0, 1))
            for n in range(2):
                wanted = 0.0
                if np.std(shown) > 1e-4:
                    r = np.corrcoef(shown, values[:, n])[0, 1]
                    wanted = np.sign(r) * r**2
                assert maps[n, row, column] == pytest.approx(wanted, abs=1e-9)


def test_a_place_that_all_regions_show_or_none_explains_nothing() -> None:
    boxes = np.array([[0, 0, 40, 40], [10, 10, 50, 50], [8, 4, 48, 44]])
    maps = explained(boxes, np.array([[1.0], [4.0], [2.0]]), (60, 60), (60, 60))
    assert (maps[0, 14:37, 14:37] == 0).all() and (maps[0, 52:] == 0).all()
    assert np.abs(maps).max() <= 1 + 1e-12 and maps[0, 46, 46] > 0 > maps[0, 5, 2]
    assert (explained(boxes, np.ones((3, 2)), (60, 60), (6, 6)) == 0).all()
    assert explained(boxes[:0], np.ones((0, 2)), (60, 60), (6, 5)).shape == (2, 5, 6)


def test_similarities_of_small_regions_are_drawn_apart_whatever_the_scale_of_a_model() -> None:
    values, size = GENERATOR.normal(size=(40, 2)), (120, 90)
    boxes = np.array([[0, 0, 45, 45]] * 20 + [[0, 0, 46, 46]] * 20)
    drawn = sharpened(boxes, values, size)
    for n in range(2):
        column = values[:, n].tolist()
        mean, deviation = statistics.fmean(column), statistics.pstdev(column)
        wanted = [math.exp((value - mean) / (2 * deviation)) for value in column]
        np.testing.assert_allclose(drawn[:, n], wanted)
    np.testing.assert_allclose(sharpened(boxes, 0.2 + 0.01 * values, size), drawn)
    assert (sharpened(boxes, np.full((40, 2), 0.3), size) == 1).all()
    np.testing.assert_array_equal(sharpened(boxes[1:], values[1:], size), values[1:])


def test_a_planted_place_is_found_where_contributions_and_the_centre_miss_it() -> None:
    errors: dict[str, list[float]] = {name: [] for name in (BEST, "contribution", "centre")}
    for place in [(25, 20), (95, 22), (30, 70), (90, 65), (60, 20), (22, 45)]:
        evidence = seeing(place)
        for name, distances in errors.items():
            placed = ATTRIBUTIONS[name](evidence, None, (120, 90))[0]
            y, x = np.unravel_index(placed.argmax(), placed.shape)
            distances.append(float(np.hypot(x + 0.5 - place[0], y + 0.5 - place[1])))
    means = {name: np.mean(distances) for name, distances in errors.items()}
    assert means[BEST] < 8 and means[BEST] < 0.5 * min(means["contribution"], means["centre"])


def test_regions_that_were_passed_over_take_part_where_they_are_at_hand() -> None:
    whole = seeing((40, 30))
    keep = np.arange(80) < 30
    half = Evidence(
        *("id", "key", "uri", 120, 90, 1, "wren", 0.3, ("a crest",)),
        whole.regions[keep],
        whole.boxes[keep],
        whole.mass[keep],
        whole.similarity[keep],
        whole.boxes[~keep],
        whole.similarity[~keep],
    )
    np.testing.assert_allclose(place_maps(half), place_maps(whole), atol=1e-12)


def test_the_area_under_a_curve_is_the_trapezoids() -> None:
    x = np.sort(GENERATOR.random(9))
    y = GENERATOR.normal(size=9)
    assert area_under(x, y) == pytest.approx(auc(x, y) / (x[-1] - x[0]))


def test_deletion_takes_the_strongest_places_first_and_leaves_the_rest() -> None:
    pixels = GENERATOR.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    strength = np.zeros((8, 12))
    strength[3, 4], strength[6, 9] = 2.0, 1.0
    first, both, all_gone = deleted(pixels, strength, (25 / 2400, 50 / 2400, 1.0))
    changed = [(version != pixels).any(axis=2) for version in (first, both, all_gone)]
    boxes = np.zeros((2, 40, 60), bool)
    boxes[0, 15:20, 20:25] = True
    boxes[1, 30:35, 45:50] = True
    assert not changed[0][~boxes[0]].any() and changed[0][boxes[0]].mean() > 0.9
    assert not changed[1][~boxes.any(axis=0)].any() and changed[1][boxes[1]].mean() > 0.9
    assert changed[2].mean() > 0.9 and all_gone.std() < 0.5 * pixels.std()
    again = deleted(pixels, np.ones((8, 12)), (0.3,), seed=4)[0]
    np.testing.assert_array_equal(again, deleted(pixels, np.ones((8, 12)), (0.3,), seed=4)[0])
    assert (again != pixels).any(axis=2).mean() == pytest.approx(0.3, abs=0.02)


def test_intervals_agree_with_scipy_and_count_images_not_values() -> None:
    values = GENERATOR.random(60)
    mean, low, high = mean_interval(values, np.arange(60))
    other = bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((other.low, other.high), abs=0.01)
    # The same values ten times over in the same images are no more certain.
    repeated = mean_interval(np.repeat(values, 10), np.repeat(np.arange(60), 10))
    assert repeated == pytest.approx((mean, low, high))


@pytest.fixture(scope="module")
def stored(labelled: Run) -> StoredRun:
    return open_stored(labelled.job.workspace, labelled.key)


def test_evidence_made_of_embeddings_is_the_stored_one(labelled: Run, stored: StoredRun) -> None:
    labels, scoring = stored.embedded_labels, stored.job.scoring
    images = next(read_images(stored))
    with closing(open_warehouse(labelled.job.warehouse_path)) as connection:
        kept = [
            kept_plans(connection, labelled.key, image_id)[0] for image_id in images.image_ids[:4]
        ]
    classes = np.array([[labels.classes.index(k.label)] for k in kept] + [[0]] * (len(images) - 4))
    for row, (wanted, (actual,)) in enumerate(
        zip(kept, evidence_of(images, labels, scoring, classes), strict=False)
    ):
        assert actual.attributes == wanted.attributes and (actual.key, actual.rank) == (
            wanted.key,
            1,
        )
        np.testing.assert_array_equal(actual.regions, wanted.regions)
        np.testing.assert_array_equal(actual.boxes, wanted.boxes)
        np.testing.assert_allclose(actual.mass, wanted.mass, atol=1e-6)
        np.testing.assert_allclose(actual.similarity, wanted.similarity, atol=1e-6)
        passed = np.setdiff1d(np.arange(1, 25), wanted.regions)
        assert actual.passed_boxes is not None and actual.passed_similarity is not None
        assert wanted.passed_boxes is not None and wanted.passed_similarity is not None
        np.testing.assert_array_equal(actual.passed_boxes, wanted.passed_boxes)
        np.testing.assert_allclose(actual.passed_similarity, wanted.passed_similarity, atol=1e-6)
        np.testing.assert_array_equal(actual.passed_boxes, images.boxes[row][passed - 1])
        first = labels.packed.starts[labels.classes.index(wanted.label)]
        for i, region in enumerate(passed):
            crop = 0.8 * images.crops[row, region - 1] + 0.2 * images.whole[row]
            for j in range(len(wanted.attributes)):
                cosine = float(crop @ labels.packed.embeddings[first + j])
                assert actual.passed_similarity[i, j] == pytest.approx(cosine, abs=1e-6)


def test_on_the_sample_place_maps_find_parts_better_than_the_rest(stored: StoredRun) -> None:
    scenes = {sample.sample_key(n): sample.sample_scene(n) for n in range(36)}
    tallies = {name: Tally() for name in ATTRIBUTIONS}
    for number, image in enumerate(localisation_page.singly(stored, None)):
        if image.keys[0] not in scenes:
            continue
        species, scene = scenes[image.keys[0]]
        truth = Truth(number, scene.parts, PARTS)
        evidence, rival = localisation_page.with_rival(
            image, stored.embedded_labels, stored.job.scoring, species.name
        )
        grid = fitting_grid((evidence.width, evidence.height), 96)
        parts = [localisation_page.PART_OF[text] for text in evidence.attributes]
        for name, maps in ATTRIBUTIONS.items():
            tallies[name].add(maps(evidence, rival, grid), parts, truth)
    assert len(tallies[BEST].images) > 36 * 6
    energy = {name: tally.figures("energy")[0] for name, tally in tallies.items()}
    pointing = {name: tally.figures("pointing")[0] for name, tally in tallies.items()}
    for other in ("contribution", "best crop", "centre", "uniform"):
        assert energy[BEST] > 1.5 * energy[other] and pointing[BEST] > pointing[other]
