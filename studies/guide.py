"""Which field guide the studies draw from: every page takes its birds, its worlds and its sample
from here, so that they are those of the model that is shipped.

The first field guide is `studies.fieldguide`, with its own model in tests/data/first_guide.
"""

from studies.fieldguide.sample import (
    PICTURES,
    QUALITY,
    SEED,
    sample_key,
    sample_scene,
    sample_species,
)
from studies.fieldguide.traits import PARTS, all_phrases
from studies.fieldguide.worlds import (
    RENDERINGS,
    WORLDS,
    World,
    draw_world,
    read_parts,
    world_scenes,
)

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
