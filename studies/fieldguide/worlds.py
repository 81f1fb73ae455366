"""The field guide's worlds: the same birds in the same places, drawn in other ways.

`python -m studies.fieldguide.worlds FOLDER --world sketch --images 4` draws an archive of one
world. Picture N shows the same species in every world, in the first five at the same place and
size, and in `photo` it is picture N of the sample archive: where accuracy differs, the world alone
made it differ. In the last four, number, place or size of the birds differ, and the rest is that of
`photo`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from studies.drawn_archive import draw_command, numbered_pictures, write_archive
from studies.fieldguide.drawing import Place, Scene, draw_flat, draw_scene
from studies.fieldguide.placing import BORDER, CLOSE_UP, PANORAMA, SEVERAL
from studies.fieldguide.renderings import in_bad_light, painted, sketched, strewn
from studies.fieldguide.sample import (
    FRAMING,
    PICTURES,
    SEED,
    sample_species,
)
from studies.fieldguide.species import Species

World = Literal[
    "photo", "sketch", "painting", "clutter", "dusk", "several", "border", "closeup", "panorama"
]
WORLDS: dict[World, str] = {
    "photo": "the sample archive's own: flat colours in uneven light, a little noise",
    "sketch": "pencil outlines and hatching on paper, without colour",
    "painting": "oil paint in strokes, stronger and warmer colours",
    "clutter": "photo, with pieces of three other species strewn around the bird",
    "dusk": "photo in low light, moved or out of focus, noisy, saved as a poor JPEG",
    "several": "photo of two or three birds of the species",
    "border": "photo in which the border cuts off a quarter to nearly a half of the bird",
    "closeup": "photo of a bird that is larger than the picture",
    "panorama": "photo that is three to four times as wide as high",
}
PLACES: dict[World, Place] = {
    "several": SEVERAL,
    "border": BORDER,
    "closeup": CLOSE_UP,
    "panorama": PANORAMA,
}
"""Worlds whose birds are elsewhere than in `photo`."""
RENDERINGS = tuple(world for world in WORLDS if world not in PLACES)
"""The others: the same scenes, seen in other ways."""
assert tuple(WORLDS) == get_args(World)

_OTHERS = 3


def world_scene(
    world: World, species: int, picture: int, draw: int = SEED
) -> tuple[Species, Scene]:
    """Who is shown, and the picture with the part of every pixel.

    Args:
        world: one of `WORLDS`.
        species: 0..59, of `sample_species`.
        picture: 0 and up; the first four are those of the sample archive.
        draw: of the species and their places; `SEED` is that of the sample archive.
    """
    shown = sample_species(draw)[species]
    seed = [draw, species * PICTURES + picture]
    if picture >= PICTURES:
        seed = [draw, 11, species, picture]
    # What a world adds is drawn from elsewhere, so that the scene itself stays the same.
    rng = np.random.default_rng([*seed, 10 + list(WORLDS).index(world)])
    if world == "sketch":
        return shown, sketched(draw_flat(shown.traits, seed, FRAMING))
    if world == "painting":
        return shown, painted(draw_flat(shown.traits, seed, FRAMING))
    if world == "clutter":
        rest = [s.traits for s in sample_species(draw) if s.name != shown.name]
        others = [rest[i] for i in rng.choice(len(rest), size=_OTHERS, replace=False)]
        return shown, draw_scene(shown.traits, seed, FRAMING, strewn(others, rng))
    scene = draw_scene(shown.traits, seed, FRAMING, place=PLACES.get(world))
    return shown, in_bad_light(scene, rng) if world == "dusk" else scene


def world_scenes(
    world: World, pictures: int, draw: int = SEED
) -> Iterator[tuple[str, Species, Scene]]:
    """Key, species and scene of every picture of an archive, this many per species.

    With four per species and in `photo`, these are the pictures of the sample archive, in its
    order, under its numbers.
    """
    for key, number, picture in numbered_pictures(pictures):
        yield key, *world_scene(world, number, picture, draw)


def draw_world(folder: Path, world: World, pictures: int = PICTURES, draw: int = SEED) -> int:
    """Draw an archive, `write_archive` says how, and return how many pictures it has."""
    return write_archive(folder, world_scenes(world, pictures, draw), draw)


if __name__ == "__main__":
    draw_command("python -m studies.fieldguide.worlds", WORLDS, draw_world)
