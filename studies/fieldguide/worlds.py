"""The field guide's worlds: the same birds in the same places, drawn in other ways.

`python -m studies.fieldguide.worlds FOLDER --world sketch --images 4` draws an archive of one
world. Picture N shows the same species in every world, in the first five at the same place and
size, and in `photo` it is picture N of the sample archive: where accuracy differs, the world alone
made it differ. In the last four, number, place or size of the birds differ, and the rest is that of
`photo`.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image

from lazsl.errors import UserError
from studies.fieldguide.drawing import Place, Scene, draw_flat, draw_scene
from studies.fieldguide.placing import BORDER, CLOSE_UP, PANORAMA, SEVERAL
from studies.fieldguide.renderings import in_bad_light, painted, sketched, strewn
from studies.fieldguide.sample import (
    FRAMING,
    PICTURES,
    QUALITY,
    SEED,
    sample_labels,
    sample_species,
)
from studies.fieldguide.species import Species
from studies.fieldguide.traits import PARTS

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


def world_key(number: int) -> str:
    """Where picture `number` lies below an archive's `images/`; it gives nothing away."""
    return f"plate-{number + 1:03d}.jpg"


def world_scenes(
    world: World, pictures: int, draw: int = SEED
) -> Iterator[tuple[str, Species, Scene]]:
    """Key, species and scene of every picture of an archive, this many per species.

    With four per species and in `photo`, these are the pictures of the sample archive, in its
    order, under its numbers.
    """
    for number, index in enumerate(_order(pictures)):
        species, scene = world_scene(world, index // pictures, index % pictures, draw)
        yield world_key(number), species, scene


def draw_world(folder: Path, world: World, pictures: int = PICTURES, draw: int = SEED) -> int:
    """Draw an archive and return how many pictures it has.

    The folder gets `images/`, `truth.csv` (key,label), `labels.json`, and in `parts/` a PNG per
    picture whose pixel values index `PARTS`.

    Raises:
        UserError: the folder is there already.
    """
    if folder.exists():
        raise UserError(f"{str(folder)!r} exists already; name a new folder")
    # An archive that is only half drawn is not there.
    scratch = folder.with_name(f".{folder.name}.drawing")
    shutil.rmtree(scratch, ignore_errors=True)
    images, parts = scratch / "images", scratch / "parts"
    for place in (images, parts):
        place.mkdir(parents=True, exist_ok=True)
    truth = []
    for key, species, scene in world_scenes(world, pictures, draw):
        scene.image.save(images / key, "JPEG", quality=QUALITY)
        Image.fromarray(scene.parts).save((parts / key).with_suffix(".png"))
        truth.append((key, species.name))
    with (scratch / "truth.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("key", "label"), *truth])
    text = json.dumps(sample_labels(draw), indent=1, ensure_ascii=False)
    (scratch / "labels.json").write_text(text + "\n", encoding="utf-8")
    scratch.rename(folder)
    return len(truth)


def read_parts(folder: Path, key: str) -> np.ndarray:
    """The map of parts, uint8 (height, width), of one picture of a drawn archive."""
    with Image.open((folder / "parts" / key).with_suffix(".png")) as image:
        return np.asarray(image)


def _order(pictures: int) -> list[int]:
    total = len(sample_species()) * pictures
    return [int(index) for index in np.random.default_rng(SEED).permutation(total)]


def main() -> None:
    """Draw one archive."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.fieldguide.worlds",
        description="Draw an archive of the field guide's birds in one world: images/, truth.csv, "
        f"labels.json, and in parts/ what every pixel shows ({', '.join(PARTS)}: 0 to 8).",
        epilog="worlds: " + "; ".join(f"{name} ({what})" for name, what in WORLDS.items()),
    )
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--world", choices=list(WORLDS), default="photo", help="default: photo")
    parser.add_argument(
        "--images", type=int, default=PICTURES, help=f"pictures per species, default {PICTURES}"
    )
    args = parser.parse_args()
    if args.images < 1:
        parser.error(f"--images {args.images}: draw at least one picture per species")
    try:
        drawn = draw_world(args.folder, args.world, args.images)
    except (UserError, OSError) as error:
        parser.error(str(error))
    print(f"drew {drawn} pictures of the world {args.world!r} into {args.folder}")


if __name__ == "__main__":
    main()
