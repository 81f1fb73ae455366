"""An archive that is drawn: pictures in an order that gives nothing away, truth, labels, and in
`parts/` what every pixel shows. Both field guides write theirs with it, and have one command."""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lazsl.errors import UserError
from studies.fieldguide.drawing import Scene
from studies.fieldguide.sample import PICTURES, QUALITY, SEED, sample_labels, sample_species
from studies.fieldguide.species import Species
from studies.fieldguide.traits import PARTS


def world_key(number: int) -> str:
    """Where picture `number` lies below an archive's `images/`; it gives nothing away."""
    return f"plate-{number + 1:03d}.jpg"


def numbered_pictures(pictures: int) -> Iterator[tuple[str, int, int]]:
    """Key, species and picture (0 and up) of every picture of an archive, this many per species."""
    order = np.random.default_rng(SEED).permutation(len(sample_species()) * pictures)
    for number, index in enumerate(order.tolist()):
        yield world_key(number), index // pictures, index % pictures


def write_archive(folder: Path, scenes: Iterable[tuple[str, Species, Scene]], draw: int) -> int:
    """Write an archive and return how many pictures it has.

    The folder gets `images/`, `truth.csv` (key,label), `labels.json`, and in `parts/` a PNG per
    picture whose pixel values index `PARTS`.

    Args:
        folder: a new one.
        scenes: key, species and scene of every picture.
        draw: of the species.

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
    for key, species, scene in scenes:
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


def draw_command(program: str, worlds: Mapping[Any, str], draw: Callable[..., int]) -> None:
    """Draw one archive, as the command line says.

    Args:
        program: how the command is called.
        worlds: what each is, by name.
        draw: of a folder, a world and the pictures per species; returns how many were drawn.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description="Draw an archive of the field guide's birds in one world: images/, truth.csv, "
        f"labels.json, and in parts/ what every pixel shows ({', '.join(PARTS)}: 0 to 8).",
        epilog="worlds: " + "; ".join(f"{name} ({what})" for name, what in worlds.items()),
    )
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--world", choices=list(worlds), default="photo", help="default: photo")
    parser.add_argument(
        "--images", type=int, default=PICTURES, help=f"pictures per species, default {PICTURES}"
    )
    args = parser.parse_args()
    if args.images < 1:
        parser.error(f"--images {args.images}: draw at least one picture per species")
    try:
        drawn = draw(args.folder, args.world, args.images)
    except (UserError, OSError) as error:
        parser.error(str(error))
    print(f"drew {drawn} pictures of the world {args.world!r} into {args.folder}")
