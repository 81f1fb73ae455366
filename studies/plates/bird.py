"""A bird as a cut-out: its colours in daylight, what covers what, and which part every pixel is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import skia
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter

from studies.fieldguide.traits import PARTS, Traits
from studies.plates import anatomy
from studies.plates.anatomy import ORDER
from studies.plates.pen import Pen
from studies.plates.trunk import MANTLE_ID, NUMBER, legs

_COARSE = 2
"""Roundness is reckoned on every second pixel."""

REACH = 1.12
"""No part lies farther from the hip, in body lengths."""


@dataclass(frozen=True)
class Pose:
    """Where a bird stands and how: everything in pixels of the picture and radians.

    Attributes:
        foot: where its feet are, (x, y).
        scale: pixels per body length.
        slope: of the perch, and of the legs with it.
        lean: of the body against the legs; up is positive.
        left: it looks to the left.
    """

    foot: tuple[float, float]
    scale: float
    slope: float = 0.0
    lean: float = 0.0
    left: bool = False


@dataclass(frozen=True)
class Cutout:
    """A drawn bird in a window of the picture.

    Attributes:
        colour: float32 (h, w, 3), 0 to 255, not premultiplied.
        cover: float32 (h, w), 0 to 1.
        parts: uint8 (h, w), indices of `PARTS`.
        normal: float32 (h, w, 3): which way the surface looks (right, down, at the viewer).
        ids: uint8 (h, w), `parts` with the back told apart.
        corner: of the window in the picture, (x, y), may lie outside.
    """

    colour: np.ndarray
    cover: np.ndarray
    parts: np.ndarray
    normal: np.ndarray
    ids: np.ndarray
    corner: tuple[int, int]


def draw_bird(
    traits: Traits, pose: Pose, rng: np.random.Generator, only: tuple[str, ...] | None = None
) -> Cutout:
    """The bird, or `only` the named parts of it."""
    fine = 2 if pose.scale < 260 else 1
    reach = int(np.ceil(REACH * pose.scale))
    middle = _matrix(pose, 1, (0.0, 0.0)).mapXY(0.0, 0.0)
    corner = (int(middle.x()) - reach, int(middle.y()) - reach)
    side = 2 * reach * fine
    base = _matrix(pose, fine, corner)
    pen = Pen(side, side, base)
    turn = skia.Matrix()
    turn.setRotate(float(np.degrees(pose.lean)))
    feet = np.array([(0.13, anatomy.PERCH), (0.02, anatomy.PERCH)])
    hips = np.array([_turned(turn, p) for p in ((0.11, -0.27), (0.01, -0.275))])
    if only is None or "legs" in only:
        legs(pen, traits, rng, hips, feet)
    for canvas in (pen.canvas, pen.map):
        canvas.concat(turn)
    for name, draw in ORDER:
        absent = name == "crest" and traits.crest is None
        if not absent and (only is None or name in only):
            draw(pen, traits, rng)
    return _cut(pen, fine, corner)


def _matrix(pose: Pose, fine: int, corner: tuple[float, float]) -> skia.Matrix:
    """From the bird's own coordinates to the window's pixels."""
    matrix = skia.Matrix()
    matrix.setTranslate(-0.07, -anatomy.PERCH)
    matrix.postScale(-pose.scale if pose.left else pose.scale, -pose.scale)
    matrix.postRotate(float(np.degrees(pose.slope)))
    matrix.postTranslate(pose.foot[0] - corner[0], pose.foot[1] - corner[1])
    matrix.postScale(fine, fine)
    return matrix


def _turned(matrix: skia.Matrix, point: tuple[float, float]) -> tuple[float, float]:
    moved = matrix.mapXY(*point)
    return float(moved.x()), float(moved.y())


def _cut(pen: Pen, fine: int, corner: tuple[int, int]) -> Cutout:
    size = (pen.ids.shape[1] // fine, pen.ids.shape[0] // fine)
    premultiplied = np.asarray(
        Image.fromarray(pen.pixels, "RGBa").reduce(fine)
        if fine > 1
        else Image.fromarray(pen.pixels, "RGBa"),
        np.float32,
    )
    cover = premultiplied[..., 3] / 255
    colour = premultiplied[..., :3] / np.maximum(cover, 1 / 255)[..., None]
    ids = np.asarray(Image.fromarray(pen.ids).resize(size, Image.Resampling.NEAREST))
    ids = np.where(cover > 0.5, ids, 0).astype(np.uint8)
    parts = np.where(ids < len(PARTS), ids, 0).astype(np.uint8)
    return Cutout(colour, cover, parts, _normals(ids), ids, corner)


def _normals(shown: np.ndarray) -> np.ndarray:
    """(h, w, 3): as if body and head were round, and wing and tail laid upon them."""
    full, ids = shown.shape[0], shown[::_COARSE, ::_COARSE]
    size = ids.shape[0]
    round_ = np.isin(
        ids, (NUMBER["head"], NUMBER["eye"], NUMBER["belly"], NUMBER["wing"], MANTLE_ID)
    )
    height = 0.55 * _swollen(round_, 0.16 * size)
    height += 0.35 * _swollen(np.isin(ids, (NUMBER["head"], NUMBER["eye"])), 0.09 * size)
    height += 0.3 * _swollen(ids == NUMBER["wing"], 0.04 * size)
    for name in ("beak", "legs", "crest", "tail"):
        height += _swollen(ids == NUMBER[name], 0.018 * size)
    height = gaussian_filter(height, max(0.8, 0.006 * size))
    down, right = np.gradient(height)
    normal = np.stack([-right, -down, np.ones_like(height)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    fine = [
        Image.fromarray(plane).resize((full, full), Image.Resampling.BILINEAR)
        for plane in np.moveaxis(normal.astype(np.float32), -1, 0)
    ]
    return np.stack([np.asarray(plane) for plane in fine], axis=-1)


def _swollen(mask: np.ndarray, radius: float) -> np.ndarray:
    """Height over a mask: a quarter of a circle of this radius inwards from its border."""
    if not mask.any():
        return np.zeros(mask.shape, np.float32)
    inwards = np.minimum(distance_transform_edt(mask), radius)
    height: np.ndarray = np.sqrt(inwards * (2 * radius - inwards))
    return height.astype(np.float32)


def lit(
    bird: Cutout, towards: np.ndarray, sky: np.ndarray, sun: np.ndarray, ground: np.ndarray
) -> np.ndarray:
    """(h, w, 3), 0 to 255: the bird's colours under a sun, a sky and light from the ground.

    Args:
        towards: (3,) unit vector to the sun (right, down, at the viewer).
        sky, sun, ground: (3,) how bright each is, per channel; together about 1.
    """
    normal = bird.normal
    from_sun = np.clip(0.4 + 0.8 * (normal @ towards.astype(np.float32)), 0, None)
    up = 0.5 - 0.5 * normal[..., 1]
    light = from_sun[..., None] * sun + up[..., None] * sky + (1 - up)[..., None] * ground
    glance = np.clip(1 - normal[..., 2], 0, 1)[..., None] ** 2 * up[..., None]
    shown: np.ndarray = bird.colour * light + 42 * glance * sky
    return shown
