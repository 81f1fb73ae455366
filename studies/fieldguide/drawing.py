"""Draw one bird in one scene, and keep which pixel belongs to which of its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from studies.fieldguide.traits import COLOURS, PARTS, Traits

_SUPERSAMPLE = 2
_BODY = (120, 108, 96)
SIDES = (320, 352, 384, 416, 448)
SPAN = 1.45
"""From the end of the tail to the tip of the beak, in body lengths."""
Size = tuple[int, int]


@dataclass(frozen=True)
class Scene:
    """A drawn picture and its truth.

    `image` is RGB; `parts` is a uint8 array (height, width) whose values index `PARTS`.
    """

    image: Image.Image
    parts: np.ndarray


@dataclass(frozen=True)
class Framing:
    """How large the bird is: the range of its span (beak to tail) over the shorter side."""

    smallest: float = 0.26
    largest: float = 0.46


@dataclass(frozen=True)
class Drawing:
    """A scene in flat colours, before any light falls on it, larger than the picture to be.

    Attributes:
        canvas: RGB, twice `size`.
        parts: of the canvas, values index `PARTS`.
        size: (width, height) of the picture.
        rng: what is still to be drawn at random is drawn from here.
    """

    canvas: Image.Image
    parts: Image.Image
    size: tuple[int, int]
    rng: np.random.Generator

    def developed(self) -> Scene:
        """The scene as it is, without light."""
        image = self.canvas.resize(self.size, Image.Resampling.BOX)
        return Scene(image, np.asarray(self.parts.resize(self.size, Image.Resampling.NEAREST)))


Behind = Callable[[Image.Image, "Pen"], None]
"""Draws on the canvas what lies behind the bird that the pen is about to draw."""


@dataclass(frozen=True)
class Pose:
    """Where a bird is on the canvas (x, y), its body length there, and its turn in radians; flipped
    birds look to the left."""

    centre: tuple[float, float]
    scale: float
    angle: float
    flipped: bool


def any_size(rng: np.random.Generator) -> Size:
    """Sides of a common picture."""
    width, height = (int(rng.choice(SIDES)) for _ in range(2))
    return width, height


def one_bird(canvas: Size, framing: Framing, rng: np.random.Generator) -> list[Pose]:
    """One bird, whole, anywhere on the canvas."""
    span = rng.uniform(framing.smallest, framing.largest) * min(canvas)
    margin = 0.62 * span
    x, y = (rng.uniform(margin, side - margin) for side in canvas)
    return [Pose((x, y), span / SPAN, rng.uniform(-0.45, 0.45), bool(rng.integers(2)))]


@dataclass(frozen=True)
class Place:
    """How large a picture is, and which birds are where on its canvas, the nearest last."""

    size: Callable[[np.random.Generator], Size] = any_size
    poses: Callable[[Size, Framing, np.random.Generator], list[Pose]] = one_bird


def draw_scene(
    traits: Traits,
    seed: int | list[int],
    framing: Framing | None = None,
    behind: Behind | None = None,
    place: Place | None = None,
) -> Scene:
    """A bird with these traits at a random place, size, direction and light, amid clutter.

    The scene is a pure function of its arguments (for one version of Pillow).
    """
    drawing = draw_flat(traits, seed, framing, behind, place)
    flat = drawing.developed()
    return Scene(_light(flat.image, drawing.rng), flat.parts)


def draw_flat(
    traits: Traits,
    seed: int | list[int],
    framing: Framing | None = None,
    behind: Behind | None = None,
    place: Place | None = None,
) -> Drawing:
    """The same scene before light: for worlds that are not photographs."""
    framing, place = framing or Framing(), place or Place()
    rng = np.random.default_rng(seed)
    width, height = place.size(rng)
    size = (width * _SUPERSAMPLE, height * _SUPERSAMPLE)
    canvas = _background(size, rng)
    parts = Image.new("L", size, 0)
    for pose in place.poses(size, framing, rng):
        pen = Pen(canvas, parts, list(pose.centre), pose.scale, pose.angle, pose.flipped)
        if behind is not None:
            behind(canvas, pen)
        _perch(pen, rng)
        _bird(pen, traits)
        _foreground(canvas, parts, pen, rng)
    return Drawing(canvas, parts, (width, height), rng)


class Pen:
    """Draws shapes given in the bird's own coordinates (x to the beak, y up, body length 1)."""

    def __init__(
        self,
        canvas: Image.Image,
        parts: Image.Image,
        centre: list[float],
        scale: float,
        angle: float,
        flipped: bool,
    ) -> None:
        self.draw = ImageDraw.Draw(canvas)
        self.map = ImageDraw.Draw(parts)
        self.centre = np.array(centre)
        self.scale = scale
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        mirror = np.diag([-1.0 if flipped else 1.0, 1.0])
        self.matrix = (np.diag([1.0, -1.0]) @ mirror @ turn) * scale

    def place(self, points: np.ndarray) -> list[tuple[float, float]]:
        placed = np.asarray(points, dtype=float) @ self.matrix.T + self.centre
        return [(float(x), float(y)) for x, y in placed]

    def polygon(
        self,
        points: np.ndarray,
        colour: tuple[int, int, int],
        part: str | None = None,
        outline: bool = True,
    ) -> None:
        placed = self.place(points)
        edge = tuple(int(c * 0.55) for c in colour) if outline else None
        self.draw.polygon(placed, fill=colour, outline=edge, width=2)
        if part is not None:
            self.map.polygon(placed, fill=PARTS.index(part))

    def line(
        self, points: np.ndarray, colour: tuple[int, int, int], width: float, part: str | None
    ) -> None:
        placed = self.place(points)
        pixels = max(2, round(width * self.scale))
        self.draw.line(placed, fill=colour, width=pixels, joint="curve")
        if part is not None:
            self.map.line(placed, fill=PARTS.index(part), width=pixels, joint="curve")


def _ellipse(x: float, y: float, a: float, b: float, turn: float = 0.0) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    cos, sin = np.cos(turn), np.sin(turn)
    u, v = a * np.cos(t), b * np.sin(t)
    return np.stack([x + u * cos - v * sin, y + u * sin + v * cos], axis=1)


def _contrast(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black marks on light colours, white marks on dark ones."""
    luma = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]
    return (30, 28, 30) if luma > 110 else (240, 238, 230)


def _bird(pen: Pen, t: Traits) -> None:
    legs = COLOURS[t.leg_colour]
    for x in (-0.02, 0.1):
        foot = x + 0.04
        pen.line(np.array([(x, -0.16), (x, -0.36)]), legs, 0.035, "legs")
        pen.line(np.array([(foot - 0.1, -0.36), (foot + 0.06, -0.36)]), legs, 0.03, "legs")
    _tail(pen, t)
    pen.polygon(_ellipse(0, 0, 0.36, 0.22), _BODY)
    _belly(pen, t)
    _wing(pen, t)
    _beak(pen, t)
    if t.crest is not None:
        _crest(pen, t)
    _head(pen, t)
    _eye(pen, t)


def _head(pen: Pen, t: Traits) -> None:
    pen.polygon(_ellipse(0.36, 0.2, 0.155, 0.145), COLOURS[t.head_colour], "head")


def _tail(pen: Pen, t: Traits) -> None:
    shapes = {
        "forked": [(-0.28, 0.06), (-0.74, 0.2), (-0.5, 0.0), (-0.74, -0.2), (-0.28, -0.08)],
        "pointed": [(-0.28, 0.07), (-0.55, 0.06), (-0.82, -0.02), (-0.55, -0.08), (-0.28, -0.08)],
        "fan-shaped": [
            (-0.26, 0.04),
            (-0.6, 0.26),
            (-0.68, 0.13),
            (-0.71, 0.0),
            (-0.68, -0.13),
            (-0.6, -0.26),
            (-0.26, -0.06),
        ],
        "square": [(-0.28, 0.08), (-0.6, 0.09), (-0.6, -0.11), (-0.28, -0.09)],
    }
    pen.polygon(np.array(shapes[t.tail]), COLOURS[t.tail_colour], "tail")


def _belly(pen: Pen, t: Traits) -> None:
    colour = COLOURS[t.belly_colour]
    angle = np.linspace(np.pi * 1.02, np.pi * 2.02, 30)
    pen.polygon(np.stack([0.36 * np.cos(angle), 0.225 * np.sin(angle)], axis=1), colour, "belly")
    mark = _contrast(colour)
    if t.belly == "spotted":
        for x, y in ((-0.2, -0.08), (-0.07, -0.1), (0.07, -0.1), (0.2, -0.08), (0.0, -0.17)):
            pen.polygon(_ellipse(x, y, 0.032, 0.032), mark, "belly", outline=False)
    elif t.belly == "streaked":
        for x in (-0.21, -0.1, 0.01, 0.12, 0.23):
            drop = -0.18 * np.sqrt(1 - (x / 0.36) ** 2)
            pen.line(np.array([(x, -0.03), (x, drop)]), mark, 0.028, "belly")


def _wing(pen: Pen, t: Traits) -> None:
    colour = COLOURS[t.wing_colour]
    outer = np.array(
        [
            (0.22, 0.1),
            (0.12, 0.2),
            (-0.1, 0.2),
            (-0.32, 0.1),
            (-0.46, -0.02),
            (-0.2, -0.05),
            (0.1, -0.03),
        ]
    )
    mark = _contrast(colour)
    if t.wing == "pale-edged":
        pale = (250, 236, 190) if mark[0] > 100 else (120, 84, 40)
        pen.polygon(outer, pale, "wing")
        centre = np.array([-0.08, 0.075])
        pen.polygon(
            centre + (outer - centre) * np.array([0.72, 0.6]), colour, "wing", outline=False
        )
        return
    pen.polygon(outer, colour, "wing")
    if t.wing == "barred":
        for x in (-0.24, -0.1, 0.04):
            pen.line(np.array([(x + 0.04, 0.17), (x - 0.04, -0.02)]), mark, 0.038, "wing")
    elif t.wing == "spotted":
        for x, y in (
            (-0.28, 0.04),
            (-0.17, 0.12),
            (-0.12, 0.02),
            (-0.02, 0.12),
            (0.04, 0.03),
            (0.13, 0.1),
        ):
            pen.polygon(_ellipse(x, y, 0.03, 0.03), mark, "wing", outline=False)


def _beak(pen: Pen, t: Traits) -> None:
    shapes = {
        "hooked": [
            (0.47, 0.27),
            (0.6, 0.26),
            (0.67, 0.19),
            (0.66, 0.08),
            (0.61, 0.14),
            (0.47, 0.13),
        ],
        "long straight": [(0.48, 0.24), (0.84, 0.19), (0.84, 0.17), (0.48, 0.14)],
        "conical": [(0.46, 0.31), (0.65, 0.19), (0.46, 0.08)],
        "curved": [
            (0.48, 0.25),
            (0.62, 0.23),
            (0.74, 0.14),
            (0.79, 0.0),
            (0.69, 0.09),
            (0.6, 0.14),
            (0.48, 0.15),
        ],
        "spoon-shaped": [
            (0.48, 0.23),
            (0.64, 0.21),
            (0.69, 0.28),
            (0.79, 0.27),
            (0.81, 0.18),
            (0.79, 0.1),
            (0.69, 0.1),
            (0.64, 0.16),
            (0.48, 0.15),
        ],
    }
    pen.polygon(np.array(shapes[t.beak]), COLOURS[t.beak_colour], "beak")


def _crest(pen: Pen, t: Traits) -> None:
    shapes = {
        "tall": [(0.27, 0.28), (0.3, 0.58), (0.38, 0.62), (0.42, 0.56), (0.45, 0.28)],
        "spiky": [
            (0.2, 0.24),
            (0.12, 0.44),
            (0.25, 0.37),
            (0.27, 0.54),
            (0.35, 0.39),
            (0.43, 0.53),
            (0.46, 0.28),
        ],
        "curled": [
            (0.46, 0.3),
            (0.34, 0.44),
            (0.18, 0.45),
            (0.06, 0.36),
            (0.03, 0.22),
            (0.1, 0.2),
            (0.13, 0.3),
            (0.24, 0.34),
        ],
    }
    pen.polygon(np.array(shapes[str(t.crest)]), COLOURS[t.crest_colour], "crest")


def _eye(pen: Pen, t: Traits) -> None:
    x, y = 0.4, 0.23
    if t.eye == "white eye ring":
        pen.polygon(_ellipse(x, y, 0.062, 0.062), (250, 250, 246), "eye")
    elif t.eye == "red eye ring":
        pen.polygon(_ellipse(x, y, 0.062, 0.062), (215, 30, 30), "eye")
    elif t.eye == "black eye stripe":
        pen.line(np.array([(0.23, 0.2), (0.51, 0.24)]), (18, 18, 20), 0.05, "eye")
    elif t.eye == "yellow eyebrow":
        pen.line(
            np.array([(0.27, 0.27), (0.38, 0.315), (0.49, 0.28)]), (250, 225, 60), 0.045, "eye"
        )
    pen.polygon(
        _ellipse(x, y, 0.028, 0.028), (12, 12, 14), "eye" if t.eye else "head", outline=False
    )
    pen.polygon(_ellipse(x + 0.01, y + 0.01, 0.008, 0.008), (250, 250, 250), outline=False)


SHAPES: dict[str, tuple[Callable[[Pen, Traits], None], tuple[float, float]]] = {
    "crest": (_crest, (0.28, 0.4)),
    "head": (_head, (0.36, 0.2)),
    "beak": (_beak, (0.64, 0.18)),
    "wing": (_wing, (-0.1, 0.08)),
    "belly": (_belly, (0.0, -0.12)),
    "tail": (_tail, (-0.5, 0.0)),
}
"""What draws a part by itself, and about where its middle is in the bird's own coordinates."""


def _muted(rng: np.random.Generator) -> tuple[int, int, int]:
    base = rng.uniform(60, 200)
    return tuple(int(np.clip(base + rng.normal(0, 28), 10, 245)) for _ in range(3))  # type: ignore[return-value]


def _any_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """Clutter is as gaudy as birds are, so that colour alone gives nothing away."""
    if rng.random() < 0.5:
        return _muted(rng)
    colour = list(COLOURS.values())[rng.integers(len(COLOURS))]
    return tuple(int(np.clip(c + rng.normal(0, 15), 0, 255)) for c in colour)  # type: ignore[return-value]


def _background(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    coarse = rng.integers(4, 9, size=2)
    base = np.array(_muted(rng)) + rng.normal(0, 17, size=(*coarse, 3))
    tile = Image.fromarray(np.clip(base, 0, 255).astype(np.uint8))
    canvas = tile.resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(20, 44))):
        _blot(draw, size, rng)
    return canvas


def _blot(draw: ImageDraw.ImageDraw, size: tuple[int, int], rng: np.random.Generator) -> None:
    """One piece of clutter: a leaf, a pebble, a twig or a blade of grass."""
    x, y = rng.uniform(0, size[0]), rng.uniform(0, size[1])
    reach = rng.uniform(0.015, 0.09) * min(size)
    colour = _any_colour(rng)
    kind = rng.integers(4)
    turn = rng.uniform(0, np.pi)
    if kind == 0:
        points = _ellipse(x, y, reach, reach * rng.uniform(0.25, 0.6), turn)
    elif kind == 1:
        points = _ellipse(x, y, reach * 0.6, reach * 0.55, turn)
    elif kind == 2:
        points = np.array([x, y]) + reach * rng.normal(0, 0.7, size=(int(rng.integers(3, 6)), 2))
    else:
        end = np.array([np.cos(turn), np.sin(turn)]) * reach * 2.5
        draw.line([(x, y), (x + end[0], y + end[1])], fill=colour, width=int(rng.integers(2, 9)))
        return
    draw.polygon([(float(a), float(b)) for a, b in points], fill=colour)


def _perch(pen: Pen, rng: np.random.Generator) -> None:
    drop = -0.39
    tilt = rng.uniform(-0.06, 0.06)
    colour = (int(rng.integers(60, 120)), int(rng.integers(40, 80)), int(rng.integers(20, 60)))
    pen.line(np.array([(-0.9, drop - tilt), (0.9, drop + tilt)]), colour, 0.06, None)


def _foreground(
    canvas: Image.Image, parts: Image.Image, pen: Pen, rng: np.random.Generator
) -> None:
    """A blade of grass or two may cross the bird; what it hides is no longer the part's pixels."""
    draws = (ImageDraw.Draw(canvas), ImageDraw.Draw(parts))
    colour = _muted(rng)
    for _ in range(int(rng.integers(0, 3))):
        start = pen.place(np.array([(rng.uniform(-0.7, 0.6), -0.6)]))[0]
        end = pen.place(np.array([(rng.uniform(-0.7, 0.6), rng.uniform(0.0, 0.5))]))[0]
        width = max(2, round(0.018 * pen.scale))
        draws[0].line([start, end], fill=colour, width=width)
        draws[1].line([start, end], fill=0, width=width)


def _light(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Uneven, tinted light, a little blur and sensor noise."""
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.7)))
    pixels = np.asarray(image, dtype=np.float32)
    height, width, _ = pixels.shape
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    slope = rng.uniform(-0.22, 0.22, size=2)
    light = rng.uniform(0.72, 1.1) + slope[0] * (x - 0.5) + slope[1] * (y - 0.5)
    tint = rng.uniform(0.92, 1.08, size=3)
    pixels = pixels * light[..., None] * tint + rng.normal(0, 4.0, size=pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
