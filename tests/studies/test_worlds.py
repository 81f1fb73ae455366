"""The worlds: the same birds drawn in other ways, and parts that are where the map says."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation, label

from lazsl.errors import UserError
from studies.drawn_archive import read_parts, world_key
from studies.fieldguide import sample
from studies.fieldguide.drawing import Scene
from studies.fieldguide.traits import COLOURS, PARTS
from studies.fieldguide.worlds import (
    PLACES,
    RENDERINGS,
    WORLDS,
    World,
    draw_world,
    world_scene,
    world_scenes,
)

SHOWN = [(0, 0), (13, 1), (22, 2), (31, 3), (47, 0)]
"""Species and picture."""


@pytest.fixture(scope="module")
def scenes() -> dict[World, list[Scene]]:
    return {world: [world_scene(world, *shown)[1] for shown in SHOWN] for world in WORLDS}


def test_the_photo_world_is_the_sample_archive() -> None:
    drawn = world_scenes("photo", sample.PICTURES)
    for number in range(5):
        key, species, scene = next(drawn)
        in_sample, same = sample.sample_scene(number)
        assert key == world_key(number) == Path(sample.sample_key(number)).name
        assert species == in_sample and scene.image.tobytes() == same.image.tobytes()
        np.testing.assert_array_equal(scene.parts, same.parts)


@pytest.mark.parametrize("world", WORLDS)
def test_a_scene_is_a_function_of_its_world_species_and_picture(
    world: World, scenes: dict[World, list[Scene]]
) -> None:
    again = world_scene(world, *SHOWN[1])[1]
    assert again.image.tobytes() == scenes[world][1].image.tobytes()
    np.testing.assert_array_equal(again.parts, scenes[world][1].parts)
    other = world_scene(world, SHOWN[1][0], 4)[1]
    assert other.image.tobytes() != again.image.tobytes()


@pytest.mark.parametrize("world", RENDERINGS)
def test_a_bird_sits_in_the_same_place_in_every_rendering(
    world: World, scenes: dict[World, list[Scene]]
) -> None:
    for photo, scene in zip(scenes["photo"], scenes[world], strict=True):
        assert scene.image.mode == "RGB" and scene.parts.dtype == np.uint8
        assert scene.image.size == photo.image.size == scene.parts.shape[::-1]
        both = ((scene.parts > 0) & (photo.parts > 0)).sum()
        assert both / ((scene.parts > 0) | (photo.parts > 0)).sum() > 0.7
        for part in range(1, len(PARTS)):
            pixels = (photo.parts == part).sum()
            if pixels > 0.02 * (photo.parts > 0).sum():
                assert 0.5 < (scene.parts == part).sum() / pixels < 1.6, PARTS[part]


@pytest.mark.parametrize("world", WORLDS)
def test_the_outlines_of_parts_are_where_the_map_says(
    world: World, scenes: dict[World, list[Scene]]
) -> None:
    def drawn_along_outlines(shift: tuple[int, int]) -> float:
        actual = []
        for scene in scenes[world]:
            pixels = np.asarray(scene.image, float)
            steep = np.abs(np.gradient(pixels, axis=0)) + np.abs(np.gradient(pixels, axis=1))
            # Where colours meet the picture is steep; where a line is drawn it is dark.
            drawn = 255 - pixels if world == "sketch" else steep
            parts = np.roll(scene.parts, shift, axis=(0, 1)).astype(int)
            outline = (np.abs(np.diff(parts, axis=0))[:, :-1] > 0) | (
                np.abs(np.diff(parts, axis=1))[:-1] > 0
            )
            actual.append(drawn.sum(axis=2)[:-1, :-1][outline].mean())
        return float(np.mean(actual))

    here = drawn_along_outlines((0, 0))
    for shift in ((4, 0), (-4, 0), (0, 4), (0, -4), (8, 8)):
        assert drawn_along_outlines(shift) < 0.9 * here


@pytest.mark.parametrize("world", ["photo", "painting", "clutter"])
def test_parts_have_their_colours_where_the_map_says(
    world: World, scenes: dict[World, list[Scene]]
) -> None:
    species = [sample.sample_species()[which].traits for which, _ in SHOWN]
    wanted = [COLOURS[t.head_colour] for t in species]
    for index, scene in enumerate(scenes[world]):
        head = np.asarray(scene.image, float)[scene.parts == PARTS.index("head")]
        colour = np.median(head, axis=0)
        # Light changes how bright a colour is; its hue stays nearest to the true one.
        apart = {c: np.linalg.norm(colour / colour.sum() - np.array(c) / sum(c)) for c in wanted}
        assert min(apart, key=lambda c: apart[c]) == wanted[index]


def test_birds_are_several_cut_off_large_or_lost_in_a_panorama(
    scenes: dict[World, list[Scene]],
) -> None:
    def birds(scene: Scene) -> int:
        # A blade of grass parts a bird, and a leg is thin.
        closed = binary_dilation(scene.parts > 0, iterations=8)
        return int(label(closed)[1])

    def of_picture(scene: Scene) -> float:
        return float((scene.parts > 0).mean())

    assert set(scenes) - set(RENDERINGS) == set(PLACES)
    assert all(birds(scene) in (2, 3) for scene in scenes["several"])
    for photo, border, closeup, panorama in zip(
        *(scenes[world] for world in ("photo", "border", "closeup", "panorama")), strict=True
    ):
        rim = np.ones(border.parts.shape, bool)
        rim[2:-2, 2:-2] = False
        assert (border.parts[rim] > 0).any() and of_picture(border) < of_picture(photo)
        assert of_picture(closeup) > 0.25 > of_picture(photo)
        width, height = panorama.image.size
        assert 2.9 < width / height < 4.1 and birds(panorama) == 1


def test_pieces_of_other_birds_are_background_and_leave_the_bird_as_it_was(
    scenes: dict[World, list[Scene]],
) -> None:
    for photo, strewn in zip(scenes["photo"], scenes["clutter"], strict=True):
        np.testing.assert_array_equal(photo.parts, strewn.parts)
        changed = (np.asarray(photo.image) != np.asarray(strewn.image)).any(axis=2)
        assert changed[photo.parts > 0].mean() < 0.1
        assert 0.01 < changed[photo.parts == 0].mean() < 0.4


def test_there_is_no_colour_in_a_sketch_and_little_light_at_dusk(
    scenes: dict[World, list[Scene]],
) -> None:
    for photo, sketch, dusk in zip(scenes["photo"], scenes["sketch"], scenes["dusk"], strict=True):
        pixels = np.asarray(sketch.image, float)
        assert np.ptp(pixels, axis=2).max() < 25
        assert np.asarray(dusk.image).mean() < 0.65 * np.asarray(photo.image).mean()


def test_a_world_is_drawn_into_a_new_folder_with_truth_labels_and_parts(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    command = [sys.executable, "-m", "studies.fieldguide.worlds", str(folder)]
    drawn = subprocess.run([*command, "--world", "clutter", "--images", "1"], capture_output=True)
    assert drawn.returncode == 0 and b"60 pictures" in drawn.stdout
    with (folder / "truth.csv").open(encoding="utf-8") as file:
        truth = {row["key"]: row["label"] for row in csv.DictReader(file)}
    assert set(truth) == {path.name for path in (folder / "images").iterdir()}
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    assert set(truth.values()) == set(labels["classes"]) and len(truth) == 60
    key, species, scene = next(world_scenes("clutter", 1))
    assert truth[key] == species.name
    np.testing.assert_array_equal(read_parts(folder, key), scene.parts)
    with Image.open(folder / "images" / key) as image:
        assert np.abs(np.asarray(image, float) - np.asarray(scene.image, float)).mean() < 6
    again = subprocess.run(command, capture_output=True)
    assert again.returncode == 2 and b"exists already; name a new folder" in again.stderr
    assert b"Traceback" not in again.stderr


def test_a_world_that_could_not_be_drawn_to_its_end_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError):
        draw_world(tmp_path / "archive", "photo", 1)
    assert not (tmp_path / "archive").exists()
    (tmp_path / "archive").mkdir()
    with pytest.raises(UserError, match="exists already"):
        draw_world(tmp_path / "archive", "photo", 1)
