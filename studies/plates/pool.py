"""Scenes to train on, drawn once into a folder: `python -m studies.plates.pool FOLDER`.

Every chunk of scenes is a file of its own and a pure function of the seed, so that drawing can be
stopped and taken up again. Renderings are mixed; `painting` is never among them, so that what a
model makes of paintings says how well it generalises.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import find_objects

from studies.fieldguide.drawing import Scene
from studies.fieldguide.renderings import in_bad_light
from studies.fieldguide.sample import sample_species
from studies.fieldguide.species import look, random_traits
from studies.fieldguide.traits import PARTS, VALUES, Traits
from studies.plates.placing import at_the_border, close_up
from studies.plates.renderings import painted, printed, sketched
from studies.plates.scene import Framing, one_bird, photographed, set_stage

CHUNK = 50
FRAMING = Framing(0.3, 0.95, (288, 320, 352, 384, 416))
"""Crops are what is seen of training pictures, so that they may be smaller than the archive's."""
HANDS = ("photo", "print", "sketch", "dusk")
SHARES = (0.52, 0.16, 0.16, 0.16)
PLACES = (one_bird, close_up, at_the_border)
TRAIT_NAMES = list(VALUES)


@dataclass(frozen=True)
class Pool:
    """Drawn scenes, mapped from files.

    Attributes:
        scenes: uint8 (h, w, 4) each: red, green, blue, and the number of the part.
        traits: (n, 13) indices into `VALUES`.
        hands: (n,) indices into `HANDS`.
        pixels: (n, 9) how many pixels every part has.
        boxes: (n, 9, 4) left, top, right, bottom of every part; of the whole bird in place of the
            background's; zeros for parts that are not there.
    """

    scenes: list[np.ndarray]
    traits: np.ndarray
    hands: np.ndarray
    pixels: np.ndarray
    boxes: np.ndarray


def pooled(scenes: list[np.ndarray], traits: np.ndarray, hands: np.ndarray) -> Pool:
    """A pool of these scenes, with the place of every part in them."""
    pixels = np.zeros((len(scenes), len(PARTS)), np.int64)
    boxes = np.zeros((len(scenes), len(PARTS), 4), np.int64)
    for row, scene in enumerate(scenes):
        parts = np.ascontiguousarray(scene[..., 3])
        pixels[row] = np.bincount(parts.ravel(), minlength=len(PARTS))
        for part, place in enumerate(find_objects(parts, len(PARTS) - 1), 1):
            if place is not None:
                down, across = place
                boxes[row, part] = across.start, down.start, across.stop, down.stop
        shown = boxes[row, 1:][pixels[row, 1:] > 0]
        boxes[row, 0] = *shown[:, :2].min(axis=0), *shown[:, 2:].max(axis=0)
    return Pool(scenes, traits, hands, pixels, boxes)


def free_traits(rng: np.random.Generator) -> Traits:
    """A random bird that looks like no species of the sample archive."""
    forbidden = {look(species.traits) for species in sample_species()}
    traits = random_traits(rng)
    while look(traits) in forbidden:
        traits = random_traits(rng)
    return traits


def training_scene(seed: int, index: int, hand: str | None = None) -> tuple[Scene, Traits, str]:
    """One scene of the pool, the bird in it, and whose hand drew it (or the given hand)."""
    rng = np.random.default_rng([seed, index, 1])
    traits = free_traits(rng)
    chosen = hand or HANDS[rng.choice(len(HANDS), p=SHARES)]
    place = PLACES[rng.choice(len(PLACES), p=(0.86, 0.08, 0.06))]
    stage = set_stage(traits, [seed, index, 2], FRAMING, place=place)
    if chosen == "painting":
        return painted(stage), traits, chosen
    if chosen == "print":
        return printed(stage), traits, chosen
    if chosen == "sketch":
        return sketched(stage), traits, chosen
    photo = photographed(stage)
    return (in_bad_light(photo, rng) if chosen == "dusk" else photo), traits, chosen


def draw_chunk(folder: Path, seed: int, number: int) -> None:
    """Draw `CHUNK` scenes into three files, unless they are there."""
    done = folder / f"{number:04d}.traits.npy"
    if done.exists():
        return
    pixels, traits, sizes = [], [], []
    for index in range(number * CHUNK, (number + 1) * CHUNK):
        scene, bird, hand = training_scene(seed, index)
        layers = np.concatenate([np.asarray(scene.image), scene.parts[..., None]], axis=2)
        pixels.append(layers.reshape(-1, 4))
        sizes.append((*scene.parts.shape, HANDS.index(hand)))
        traits.append([VALUES[name].index(getattr(bird, name)) for name in TRAIT_NAMES])
    np.save(folder / f"{number:04d}.pixels.npy", np.concatenate(pixels))
    np.save(folder / f"{number:04d}.sizes.npy", np.array(sizes))
    np.save(done, np.array(traits))


def draw_pool(folder: Path, count: int, seed: int, processes: int) -> Pool:
    """Draw what is missing of so many scenes, and map all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    chunks = -(-count // CHUNK)
    missing = [n for n in range(chunks) if not (folder / f"{n:04d}.traits.npy").exists()]
    if missing:
        with ProcessPoolExecutor(processes) as workers:
            list(workers.map(draw_chunk, *zip(*[(folder, seed, n) for n in missing], strict=True)))
    return read_pool(folder, chunks)


def read_pool(folder: Path, chunks: int | None = None) -> Pool:
    """The scenes in a folder, of the first so many chunks or of all that are there."""
    names = sorted(path.name[:4] for path in folder.glob("*.traits.npy"))[:chunks]
    pictures: list[np.ndarray] = []
    hands: list[int] = []
    for name in names:
        pixels = np.load(folder / f"{name}.pixels.npy", mmap_mode="r")
        start = 0
        for height, width, hand in np.load(folder / f"{name}.sizes.npy").tolist():
            end = start + height * width
            pictures.append(pixels[start:end].reshape(height, width, 4))
            hands.append(hand)
            start = end
    traits = np.concatenate([np.load(folder / f"{name}.traits.npy") for name in names])
    return pooled(pictures, traits, np.array(hands))


def main() -> None:
    """Draw a pool."""
    parser = argparse.ArgumentParser(prog="python -m studies.plates.pool", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=2027)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    pool = draw_pool(args.folder, args.scenes, args.seed, args.processes)
    print(f"{len(pool.scenes)} scenes in {args.folder}")


if __name__ == "__main__":
    main()
