"""Which field guide the studies draw from: every page takes its birds, its worlds and its sample
from here, so that they are those of the model that is used.

That is the shipped one, drawn by `studies.plates`. With LAZSL_FIELDGUIDE=tests/data/first_guide in
the environment it is the first one, drawn by `studies.fieldguide`: figures that were measured on it
are measured again that way, and the tests run over it.
"""

from typing import TYPE_CHECKING

from lazsl import fieldguide
from studies.drawn_archive import read_parts
from studies.fieldguide.sample import (
    FIRST_GUIDE,
    PICTURES,
    QUALITY,
    SEED,
    sample_key,
    sample_species,
)
from studies.fieldguide.traits import PARTS, all_phrases

if TYPE_CHECKING or fieldguide.HOME != FIRST_GUIDE:
    from studies.plates.sample import sample_scene
    from studies.plates.worlds import RENDERINGS, WORLDS, World, draw_world, world_scenes
else:
    from studies.fieldguide.sample import sample_scene
    from studies.fieldguide.worlds import RENDERINGS, WORLDS, World, draw_world, world_scenes

__all__ = [
    "PARTS",
    "PICTURES",
    "QUALITY",
    "RENDERINGS",
    "SEED",
    "WORLDS",
    "World",
    "all_phrases",
    "draw_world",
    "read_parts",
    "sample_key",
    "sample_scene",
    "sample_species",
    "world_scenes",
]
