"""The sample archive that is shipped, drawn as plates: `python -m studies.plates.sample`.

Species, keys and truth are those of the first sample archive (`studies.fieldguide.sample`), and
plate N shows the same species in both; the pictures are those of the world `photo`.
"""

from __future__ import annotations

from pathlib import Path

from lazsl import fieldguide
from studies.fieldguide.drawing import Scene
from studies.fieldguide.sample import (
    MEMBERS,
    PICTURES,
    QUALITY,
    SEED,
    Shown,
    order,
    sample_species,
    spoiled,
    write_sample,
)
from studies.fieldguide.species import Species
from studies.plates.scene import draw_scene
from studies.plates.worlds import FRAMING, world_scene

SHIPPED = Path(fieldguide.__file__).parent


def sample_scene(number: int) -> tuple[Species, Scene]:
    """Who is in picture `number` (0..239), and the picture with the part of every pixel."""
    index = order()[number]
    return world_scene("photo", index // PICTURES, index % PICTURES)


def odd_files() -> dict[str, tuple[bytes, str | None]]:
    """Files as archives have them: name -> (bytes, species shown or None). Half are unusable."""
    return spoiled(
        [
            (species.name, draw_scene(species.traits, [SEED, 9, i], FRAMING).image)
            for i, species in enumerate(sample_species()[:: MEMBERS * 2])
        ]
    )


def draw_sample(directory: Path = SHIPPED / "sample") -> None:
    """Write the sample archive: `images/`, `truth.csv` (key,label) and `labels.json`."""

    def shown(number: int) -> Shown:
        species, scene = sample_scene(number)
        return species.name, scene.image

    write_sample(directory, shown, odd_files(), QUALITY)


if __name__ == "__main__":
    draw_sample()
    print(f"drew the sample archive into {SHIPPED / 'sample'}")
