"""The plates: birds whose parts are where the map says, the same in every hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from studies.fieldguide.drawing import Scene
from studies.fieldguide.sample import sample_species
from studies.fieldguide.traits import PARTS, VALUES, attribute_phrases
from studies.plates import batches, crops, pool, worlds
from studies.plates.palette import PLUMAGE
from studies.plates.scene import Framing
from studies.plates.worlds import PLACES, WORLDS, World, world_scene

SHOWN = [(4, 1), (13, 0)]
"""Species and picture."""

SAME_PLACE = [world for world in WORLDS if world not in PLACES]


@pytest.fixture(scope="module", autouse=True)
def small_pictures() -> Iterator[None]:
    """A third of the pixels, which take a third of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worlds, "FRAMING", Framing(sides=(240, 272)))
        yield


@pytest.fixture(scope="module")
def scenes(small_pictures: None) -> dict[World, list[Scene]]:
    return {world: [world_scene(world, *shown)[1] for shown in SHOWN] for world in WORLDS}


@pytest.mark.parametrize("world", ["photo", "print", "clutter"])
def test_a_plate_is_a_function_of_its_world_species_and_picture(
    world: World, scenes: dict[World, list[Scene]]
) -> None:
    again = world_scene(world, *SHOWN[0])[1]
    assert again.image.tobytes() == scenes[world][0].image.tobytes()
    np.testing.assert_array_equal(again.parts, scenes[world][0].parts)


@pytest.mark.parametrize("world", SAME_PLACE)
def test_a_bird_sits_in_the_same_place_in_every_hand(
    world: World, scenes: dict[World, list[Scene]]
) -> None:
    for photo, scene in zip(scenes["photo"], scenes[world], strict=True):
        assert scene.image.mode == "RGB" and scene.parts.dtype == np.uint8
        assert scene.image.size == photo.image.size == scene.parts.shape[::-1]
        both = ((scene.parts > 0) & (photo.parts > 0)).sum()
        assert both / ((scene.parts > 0) | (photo.parts > 0)).sum() > 0.85
        for part in range(1, len(PARTS)):
            pixels = (photo.parts == part).sum()
            if pixels > 0.02 * (photo.parts > 0).sum():
                assert 0.5 < (scene.parts == part).sum() / pixels < 1.6, PARTS[part]


def test_a_plate_shows_every_part_that_its_species_is_described_by(
    scenes: dict[World, list[Scene]],
) -> None:
    for (species, _), scene in zip(SHOWN, scenes["photo"], strict=True):
        shown = {PARTS[value] for value in np.unique(scene.parts)}
        described = attribute_phrases(sample_species()[species].traits)
        assert {phrase.part for phrase in described} | {"background"} <= shown


@pytest.mark.parametrize("world", ["photo", "painting", "print", "clutter", "several"])
def test_heads_have_their_colours_where_the_map_says(
    world: World, scenes: dict[World, list[Scene]]
) -> None:
    wanted = [PLUMAGE[sample_species()[which].traits.head_colour] for which, _ in SHOWN]
    assert wanted[0] != wanted[1]
    for index, scene in enumerate(scenes[world]):
        head = np.asarray(scene.image, float)[scene.parts == PARTS.index("head")]
        colour = np.median(head, axis=0)
        # Light changes how bright a colour is; its hue stays nearest to the true one.
        apart = [np.linalg.norm(colour / colour.sum() - np.array(c) / sum(c)) for c in wanted]
        assert np.argmin(apart) == index


def test_birds_around_the_bird_are_background_and_leave_it_as_it_was(
    scenes: dict[World, list[Scene]],
) -> None:
    for photo, clutter in zip(scenes["photo"], scenes["clutter"], strict=True):
        np.testing.assert_array_equal(photo.parts, clutter.parts)
        changed = np.abs(np.asarray(photo.image, int) - np.asarray(clutter.image)).max(axis=2) > 9
        assert changed[photo.parts > 0].mean() < 0.05 < changed[photo.parts == 0].mean()


def test_there_is_no_colour_in_a_sketch(scenes: dict[World, list[Scene]]) -> None:
    for scene in scenes["sketch"]:
        assert np.ptp(np.asarray(scene.image, int), axis=2).max() < 40


def test_worlds_of_placing_are_what_they_say(scenes: dict[World, list[Scene]]) -> None:
    for index in range(len(SHOWN)):
        photo, several, border, close, wide = (
            scenes[world][index].parts for world in ("photo", *PLACES)
        )
        assert (several == PARTS.index("beak")).sum() > 0
        edge = np.concatenate([border[0], border[-1], border[:, 0], border[:, -1]])
        assert edge.any() and not np.concatenate([photo[0], photo[:, 0], photo[:, -1]]).any()
        assert (close > 0).mean() > 2 * (photo > 0).mean()
        assert 3 <= wide.shape[1] / wide.shape[0] <= 4


def test_training_is_told_no_colours_of_a_sketch_and_all_shapes() -> None:
    sketches = batches.single_hand_pool("sketch", 2, 5)
    rng = np.random.default_rng(0)
    judged = crops.judge(sketches, np.repeat(np.arange(2), 40), rng, vary=False)
    coloured = crops.NAMES_COLOUR
    assert not judged.truth[:, coloured].any() and judged.truth[:, ~coloured].any()
    # That a part of another shape is not there may be said whatever its colour.
    assert judged.known[:, coloured].any()


def test_the_pool_is_drawn_once_and_never_shows_a_sample_species(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "CHUNK", 2)
    forbidden, other = sample_species()[7].traits, sample_species(5)[0].traits
    answers = [forbidden, other, forbidden, forbidden, other]
    monkeypatch.setattr(pool, "random_traits", lambda rng: answers.pop(0))
    pool.draw_chunk(tmp_path, 1, 0)
    pool.draw_chunk(tmp_path, 1, 0)
    drawn = pool.read_pool(tmp_path)
    assert answers == [] and len(drawn.scenes) == 2
    wanted = [VALUES[name].index(getattr(other, name)) for name in pool.TRAIT_NAMES]
    assert drawn.traits.tolist() == [wanted, wanted]
    assert [scene.shape[2] for scene in drawn.scenes] == [4, 4]
