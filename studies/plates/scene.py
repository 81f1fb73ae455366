"""A bird in its place: composed, lit, and taken by a camera; with the part of every pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from studies.fieldguide.drawing import Scene
from studies.fieldguide.traits import Traits
from studies.plates.bird import Cutout, Pose, draw_bird, lit
from studies.plates.habitats import HABITATS, Habitat, perch
from studies.plates.plants import blade, leaf
from studies.plates.weather import Size, over, sheet

SIDES = (384, 416, 448, 480, 512)
SPAN = 1.7
"""From the end of the tail to the tip of the beak, in body lengths."""


@dataclass(frozen=True)
class Framing:
    """How large the bird is: the range of its span (beak to tail) over the shorter side; and the
    sides, in pixels, that a picture may have."""

    smallest: float = 0.32
    largest: float = 0.56
    sides: tuple[int, ...] = SIDES


@dataclass(frozen=True)
class Stage:
    """What stands before the camera.

    Attributes:
        image: float32 (h, w, 3), 0 to 255, in its light.
        plain: the same without light on the bird: its colours as they are.
        parts: uint8 (h, w), indices of `PARTS`.
        ids: uint8 (h, w), parts with the back told apart.
        perch: float32 (h, w), 0 to 1, where a perch and what grows on it is.
        habitat: where it is.
        rng: what is still to be drawn at random is drawn from here.
    """

    image: np.ndarray
    plain: np.ndarray
    parts: np.ndarray
    ids: np.ndarray
    perch: np.ndarray
    habitat: Habitat
    rng: np.random.Generator


@dataclass(frozen=True)
class Cast:
    """A picture's size and the birds in it, the first of them nearest."""

    size: Size
    poses: tuple[Pose, ...]


Place = Callable[[Traits, Framing, np.random.Generator], Cast]
Behind = Callable[[np.ndarray, Habitat, Pose], np.ndarray]
"""Draws on the picture what lies behind the bird of this pose; the picture comes back."""


def draw_scene(
    traits: Traits,
    seed: int | list[int],
    framing: Framing | None = None,
    behind: Behind | None = None,
    place: Place | None = None,
) -> Scene:
    """A bird with these traits at a random place, size, direction and light, as photographed.

    The scene is a pure function of its arguments (for one version of Skia and Pillow).
    """
    return photographed(set_stage(traits, seed, framing, behind, place))


def set_stage(
    traits: Traits,
    seed: int | list[int],
    framing: Framing | None = None,
    behind: Behind | None = None,
    place: Place | None = None,
) -> Stage:
    """The same scene before a camera, a painter or a pencil sees it."""
    rng = np.random.default_rng(seed)
    cast = (place or one_bird)(traits, framing or Framing(), rng)
    habitat = HABITATS[rng.integers(len(HABITATS))]
    image = habitat.background(cast.size, rng).astype(np.float32)
    if behind is not None:
        image = behind(image, habitat, cast.poses[0])
    image, perches, sun = _grounded(image, cast, habitat, rng)
    plain = image.copy()
    ids, parts = (np.zeros(cast.size[::-1], np.uint8) for _ in range(2))
    for pose in cast.poses[::-1]:
        bird = draw_bird(traits, pose, rng)
        light = habitat.light
        shown = lit(
            bird, sun, *(np.asarray(c, np.float32) for c in (light.sky, light.sun, light.ground))
        )
        _place(image, shown, bird)
        _place(plain, bird.colour, bird)
        _place_ids(ids, bird.ids, bird)
        _place_ids(parts, bird.parts, bird)
    for pose in cast.poses:
        image, plain = _in_front(image, plain, parts, ids, pose, habitat, rng)
    return Stage(image, plain, parts, ids, perches, habitat, rng)


def one_bird(traits: Traits, framing: Framing, rng: np.random.Generator) -> Cast:
    """One bird, whole, anywhere in the picture."""
    width, height = (int(rng.choice(framing.sides)) for _ in range(2))
    span = rng.uniform(framing.smallest, framing.largest) * min(width, height)
    scale = span / SPAN
    tall = 1.12 if traits.crest is None else 1.38
    scale = min(scale, 0.97 * width / 1.98, 0.94 * height / (tall + 0.16))
    left = bool(rng.integers(2))
    behind, ahead = 1.05 * scale, 0.93 * scale
    x = rng.uniform(ahead if left else behind, width - (behind if left else ahead))
    y = rng.uniform(tall * scale, height - 0.16 * scale)
    pose = Pose((x, y), scale, rng.normal(0, 0.06), rng.uniform(-0.12, 0.2), left)
    return Cast((width, height), (pose,))


def photographed(stage: Stage) -> Scene:
    """Exposure, tint, a soft border, sometimes a little blur, and the sensor's noise."""
    rng, pixels = stage.rng, stage.image
    height, width = stage.parts.shape
    if rng.random() < 0.25:
        picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        pixels = np.asarray(
            picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.7))), np.float32
        )
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    slope = rng.uniform(-0.1, 0.1, 2)
    light = (
        rng.uniform(0.84, 1.1) * (1 - rng.uniform(0, 0.16) * (x * x + y * y))
        + slope[0] * x
        + slope[1] * y
    )
    tint = rng.uniform(0.96, 1.04, 3)
    pixels = pixels * (light[..., None] * tint).astype(np.float32)
    grain = rng.standard_normal(pixels.shape, np.float32)
    pixels = pixels + np.float32(rng.uniform(1.0, 2.6)) * grain
    return Scene(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), stage.parts)


def _grounded(
    image: np.ndarray, cast: Cast, habitat: Habitat, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The picture with a perch under every bird, where perches are, and where the sun is."""
    aside = rng.choice([-1, 1]) * rng.uniform(0.25, 0.75)
    sun = np.array([aside, -rng.uniform(0.45, 0.8), rng.uniform(0.45, 0.8)])
    kind = habitat.perches[rng.integers(len(habitat.perches))]
    perches = np.zeros(cast.size[::-1], np.float32)
    for pose in cast.poses[::-1]:
        pixels, canvas, _surface = sheet(cast.size)
        if kind == "stone" and cast.size[1] - pose.foot[1] > 1.1 * pose.scale:
            kind = "post"
        perch(canvas, kind, pose.foot, pose.slope, pose.scale, cast.size, rng)
        light = np.asarray(habitat.light.sun) + np.asarray(habitat.light.sky) * 0.8
        pixels = pixels.astype(np.float32)
        perches = np.maximum(perches, pixels[..., 3] / 255)
        pixels[..., :3] *= np.minimum(light, 1.06).astype(np.float32)
        image = over(image, np.clip(pixels, 0, 255).astype(np.uint8))
    return image, perches, sun / np.linalg.norm(sun)


def _window(
    bird: Cutout, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a cut-out lies in a picture of this shape, and what of it does."""
    (x, y), (high, wide) = bird.corner, bird.cover.shape
    left, top = max(0, x), max(0, y)
    right, bottom = min(shape[1], x + wide), min(shape[0], y + high)
    picture = (slice(top, max(top, bottom)), slice(left, max(left, right)))
    part = (slice(top - y, max(top, bottom) - y), slice(left - x, max(left, right) - x))
    return picture, part


def _place(image: np.ndarray, shown: np.ndarray, bird: Cutout) -> None:
    picture, part = _window(bird, image.shape)
    cover = bird.cover[part][..., None]
    image[picture] = image[picture] * (1 - cover) + shown[part] * cover


def _place_ids(ids: np.ndarray, shown: np.ndarray, bird: Cutout) -> None:
    picture, part = _window(bird, ids.shape)
    ids[picture] = np.where(bird.cover[part] > 0.5, shown[part], ids[picture])


def _in_front(
    image: np.ndarray, plain: np.ndarray, parts: np.ndarray, ids: np.ndarray, pose: Pose,
    habitat: Habitat, rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """A blade or a leaf may cross the bird; what it hides is no longer the part's pixels."""
    size: Size = parts.shape[::-1]  # type: ignore[assignment]
    pixels, canvas, _surface = sheet(size)
    below = size[1] - pose.foot[1]
    for _ in range(int(rng.choice([0, 0, 0, 1, 1, 2]))):
        colour = habitat.near[rng.integers(len(habitat.near))]
        x = pose.foot[0] + rng.uniform(-0.6, 0.6) * pose.scale
        if below < pose.scale:
            for _ in range(int(rng.integers(1, 4))):
                length = pose.scale * rng.uniform(0.45, 0.95) + below
                foot = x + 0.1 * rng.normal() * pose.scale
                blade(canvas, foot, size[1] + 4.0, length, 0.045 * pose.scale, colour, rng)
        else:
            spot = np.array([x, pose.foot[1] + rng.uniform(0.03, 0.1) * pose.scale])
            for _ in range(int(rng.integers(2, 5))):
                leaf(canvas, spot, rng.uniform(-2.8, -0.3), 0.27 * pose.scale, 0.45, colour, rng)
    hidden = pixels[..., 3] > 127
    parts[hidden] = 0
    ids[hidden] = 0
    # It stands nearer than what the camera looks at.
    soft = 0.008 * pose.scale
    return over(image, pixels, soft), over(plain, pixels, soft)
