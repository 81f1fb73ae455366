"""Detailed, photograph-like JPEGs, made from the few real photographs that are at hand.

Those come with the development tools: china.jpg and flower.jpg (scikit-learn) and grace_hopper.jpg
(Matplotlib). A picture made of one is a part of it, turned, mirrored, in other light, enlarged to
the size asked for, with the finest detail of other photographs laid over it, because enlarging
makes none; then it is a JPEG.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import sklearn.datasets
from PIL import Image, ImageFilter, ImageOps

SIZES = ((1600, 1200), (640, 480), (1600, 1200), (4000, 3000))
"""In turn: half are as large as on the web, a quarter small, a quarter as cameras make them."""

_DETAIL = 1.5
"""How strongly the detail of other photographs is laid over."""


def at_hand(folder: Path | None = None) -> list[Image.Image]:
    """The photographs of a folder, or those that come with the development tools."""
    if folder is None:
        shipped = Path(sklearn.datasets.__file__).parent / "images"
        sample = Path(matplotlib.get_data_path()) / "sample_data"
        files = [shipped / "china.jpg", shipped / "flower.jpg", sample / "grace_hopper.jpg"]
    else:
        files = sorted(file for file in folder.iterdir() if file.suffix in (".jpg", ".png"))
    return [Image.open(file).convert("RGB") for file in files]


def photographs(
    count: int,
    originals: Sequence[Image.Image],
    sizes: Sequence[tuple[int, int]] = SIZES,
    seed: int = 6,
) -> Iterator[bytes]:
    """So many different pictures, the same ones every time for a seed."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        size = sizes[number % len(sizes)]
        file = io.BytesIO()
        picture = _part(originals[number % len(originals)], size, rng)
        with_detail(picture, originals, rng).save(file, "JPEG", quality=88)
        yield file.getvalue()


def _part(image: Image.Image, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    image = image.rotate(rng.uniform(-12, 12), Image.Resampling.BICUBIC)
    # The corners that turning left empty are cut off.
    middle = ImageOps.fit(image, (int(image.width * 0.78), int(image.height * 0.78)))
    width = rng.uniform(0.6, 1) * min(middle.width, middle.height * size[0] / size[1])
    height = width * size[1] / size[0]
    left, top = rng.uniform(0, middle.width - width), rng.uniform(0, middle.height - height)
    box = (left, top, left + width, top + height)
    part = middle.resize(size, Image.Resampling.BICUBIC, box=box)
    if rng.random() < 0.5:
        part = ImageOps.mirror(part)
    light = 255 * np.linspace(0, 1, 256)[None] ** rng.uniform(0.7, 1.4, (3, 1))
    return part.point(light.round().astype(int).ravel().tolist())


def with_detail(
    picture: Image.Image, originals: Sequence[Image.Image], rng: np.random.Generator
) -> Image.Image:
    other = originals[int(rng.integers(len(originals)))]
    fine = np.asarray(other, np.float32) - np.asarray(
        other.filter(ImageFilter.GaussianBlur(2)), np.float32
    )
    # Mirrored at its edges, so that they make no lines.
    fine = np.concatenate([fine, fine[::-1]])
    fine = np.concatenate([fine, fine[:, ::-1]], axis=1)
    times = (-(-picture.height // fine.shape[0]), -(-picture.width // fine.shape[1]), 1)
    laid = np.tile(fine, times)[: picture.height, : picture.width]
    levels = np.asarray(picture, np.float32) + _DETAIL * laid
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))
