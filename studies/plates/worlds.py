"""The plates' worlds: the same species in other hands, and in other places of the picture.

`python -m studies.plates.worlds FOLDER --world sketch --images 4` draws an archive of one world.
In the first six worlds picture N shows the same bird in the same place; in the last four, place,
size or number of the birds differ, and the rendering is that of `photo`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from studies.drawn_archive import draw_command, numbered_pictures, write_archive
from studies.fieldguide.drawing import Scene
from studies.fieldguide.renderings import in_bad_light
from studies.fieldguide.sample import PICTURES, SEED, sample_species
from studies.fieldguide.species import Species
from studies.plates.placing import at_the_border, close_up, panorama, several
from studies.plates.renderings import half_hidden, painted, printed, sketched
from studies.plates.scene import Framing, Place, draw_scene, photographed, set_stage

World = Literal[
    "photo", "sketch", "painting", "print", "clutter", "dusk",
    "several", "border", "closeup", "panorama",
]  # fmt: skip
WORLDS: dict[World, str] = {
    "photo": "a photograph: sharp bird, soft background, daylight",
    "sketch": "pencil outlines and hatching on paper, without colour",
    "painting": "oil paint in strokes, stronger and warmer colours",
    "print": "ink lines and thin washes of colour on old paper",
    "clutter": "photo, with three birds of other species half hidden around the bird",
    "dusk": "photo in low light, moved or out of focus, noisy, saved as a poor JPEG",
    "several": "photo of two or three birds of the species",
    "border": "photo in which the border cuts off a quarter to nearly a half of the bird",
    "closeup": "photo of a bird that is larger than the picture",
    "panorama": "photo that is three to four times as wide as high",
}
assert tuple(WORLDS) == get_args(World)

PLACES: dict[World, Place] = {
    "several": several,
    "border": at_the_border,
    "closeup": close_up,
    "panorama": panorama,
}
RENDERINGS = tuple(world for world in WORLDS if world not in PLACES)
"""Worlds of the same scenes, seen in other ways."""
FRAMING = Framing()
_OTHERS = 3


def world_scene(
    world: World, species: int, picture: int, draw: int = SEED
) -> tuple[Species, Scene]:
    """Who is shown, and the picture with the part of every pixel.

    Args:
        world: one of `WORLDS`.
        species: 0..59, of `sample_species`.
        picture: 0 and up.
        draw: of the species and their places.
    """
    shown = sample_species(draw)[species]
    seed = [draw, species * PICTURES + picture]
    if picture >= PICTURES:
        seed = [draw, 11, species, picture]
    # What a world adds is drawn from elsewhere, so that the scene itself stays the same.
    rng = np.random.default_rng([*seed, 10 + list(WORLDS).index(world)])
    if world == "clutter":
        rest = [s.traits for s in sample_species(draw) if s.name != shown.name]
        others = [rest[i] for i in rng.choice(len(rest), size=_OTHERS, replace=False)]
        return shown, draw_scene(shown.traits, seed, FRAMING, half_hidden(others, rng))
    stage = set_stage(shown.traits, seed, FRAMING, place=PLACES.get(world))
    if world in ("sketch", "painting", "print"):
        hand = {"sketch": sketched, "painting": painted, "print": printed}[world]
        return shown, hand(stage)
    scene = photographed(stage)
    return shown, in_bad_light(scene, rng) if world == "dusk" else scene


def world_scenes(
    world: World, pictures: int, draw: int = SEED
) -> Iterator[tuple[str, Species, Scene]]:
    """Key, species and scene of every picture of an archive, this many per species."""
    for key, number, picture in numbered_pictures(pictures):
        yield key, *world_scene(world, number, picture, draw)


def draw_world(folder: Path, world: World, pictures: int = PICTURES, draw: int = SEED) -> int:
    """Draw an archive, `write_archive` says how, and return how many pictures it has."""
    return write_archive(folder, world_scenes(world, pictures, draw), draw)


if __name__ == "__main__":
    draw_command("python -m studies.plates.worlds", WORLDS, draw_world)
