"""How a scene of the field guide looks in other worlds: sketched, painted, strewn with pieces of
other birds, or badly photographed.

Whatever a world does to the picture it does to the map of parts, so that the map stays true: lines
that wobble carry their pixels' parts along, and every stroke of paint lays down the part of the
place that it takes its colour from.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from studies.fieldguide.drawing import SHAPES, Behind, Drawing, Pen, Scene
from studies.fieldguide.traits import Traits

_PAPER = np.array([244.0, 240.0, 228.0], np.float32)
_PENCIL = np.array([46.0, 44.0, 48.0], np.float32)
_EDGE = 30
_DARK, _DIM = 95, 165
_PIECES_PER_BIRD = 3
_BRUSHES = (18.0, 9.0, 5.0)


def sketched(drawing: Drawing) -> Scene:
    """A pencil drawing on paper: outlines by an unsteady hand, the bird's dark parts hatched.

    There is no colour left, as in drawings of ImageNet-Sketch: what an attribute says of colour
    cannot be seen, beyond how dark it is.
    """
    rng = drawing.rng
    width, height = drawing.canvas.size
    flat = np.asarray(drawing.canvas, np.int16)
    parts = np.asarray(drawing.parts)
    edge = np.zeros((height, width), np.float32)
    edge[:, 1:] = np.abs(np.diff(flat, axis=1)).max(axis=2) > _EDGE
    edge[1:] = np.maximum(edge[1:], np.abs(np.diff(flat, axis=0)).max(axis=2) > _EDGE)
    # The bird is drawn firmly, what is around it lightly.
    near = np.asarray(drawing.parts.point(lambda v: 255 * (v > 0)).filter(ImageFilter.MaxFilter(9)))
    lines = np.maximum(edge * np.where(near > 0, 1.0, 0.45), _hatching(flat, parts, rng))
    rows, columns = _wobble(height, width, rng)
    lines, parts = lines[rows, columns], parts[rows, columns]
    soft = Image.fromarray((255 * lines).astype(np.uint8)).filter(ImageFilter.MaxFilter(3))
    ink = np.asarray(soft.filter(ImageFilter.GaussianBlur(0.8)), float) / 255
    pressure = 0.85 + 0.12 * _smooth(height, width, 24, rng)
    pressure = pressure + rng.normal(0, 0.06, size=ink.shape)
    covered = np.clip(ink * pressure, 0, 1)[..., None]
    paper = _PAPER + 4 * _smooth(height, width, 60, rng)[..., None]
    page = paper * (1 - covered) + _PENCIL * covered
    canvas = Image.fromarray(np.clip(page, 0, 255).astype(np.uint8))
    return Drawing(canvas, Image.fromarray(parts), drawing.size, rng).developed()


def painted(drawing: Drawing) -> Scene:
    """An oil painting: broad strokes, then finer ones where they are needed, in stronger colours
    and a warmer light, on canvas that shows through."""
    rng = drawing.rng
    width, height = drawing.canvas.size
    model = drawing.canvas.filter(ImageFilter.GaussianBlur(2))
    colours, parts = np.asarray(model, np.float32), np.asarray(drawing.parts)
    grey = np.asarray(model.convert("L").filter(ImageFilter.GaussianBlur(4)), float)
    down, across = np.gradient(grey)
    wind = rng.uniform(0, np.pi)
    canvas = drawing.canvas.filter(ImageFilter.GaussianBlur(14))
    below = Image.new("L", canvas.size, 0)
    for brush in _BRUSHES:
        spots = int(1.6 * width * height / brush**2)
        x, y = rng.integers(width, size=spots), rng.integers(height, size=spots)
        if brush != _BRUSHES[0]:
            # Finer brushes go only where the painting is still far from its model.
            off = np.abs(np.asarray(canvas, np.float32) - colours).max(axis=2)[y, x]
            wrong = np.asarray(below)[y, x] != parts[y, x]
            x, y = x[(off > 26) | wrong], y[(off > 26) | wrong]
        # Strokes follow edges, and the painter's mood where there are none.
        edge = np.hypot(across, down)[y, x] > 1.5
        follow = np.arctan2(down[y, x], across[y, x]) + np.pi / 2
        turn = np.where(edge, follow, wind + rng.normal(0, 0.3, len(x)))
        reach = brush * rng.uniform(0.7, 1.5, len(x))
        shade = colours[y, x] + rng.normal(0, 9, (len(x), 1)) + rng.normal(0, 6, (len(x), 3))
        steps = np.stack([np.cos(turn), np.sin(turn)], axis=1) * reach[:, None]
        middle = np.stack([x, y], axis=1)
        lines = np.stack([middle - steps, middle + steps], axis=1).reshape(-1, 4).tolist()
        paint = np.clip(_oils(shade), 0, 255).astype(int).tolist()
        pens = ImageDraw.Draw(canvas), ImageDraw.Draw(below)
        for line, colour, part in zip(lines, paint, parts[y, x].tolist(), strict=True):
            pens[0].line(line, fill=tuple(colour), width=round(brush))
            pens[1].line(line, fill=part, width=round(brush))
    weave = rng.normal(0, 5, (height, 1, 1)) + rng.normal(0, 5, (1, width, 1))
    light = 1 + 0.1 * _smooth(height, width, 80, rng)[..., None]
    pixels = np.asarray(canvas, np.float32) * light + weave
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return Drawing(image, below, drawing.size, rng).developed()


def in_bad_light(scene: Scene, rng: np.random.Generator) -> Scene:
    """A photograph at dusk: under-exposed, moved or out of focus, noisy, and saved too small.

    Blur spreads alike to all sides, so the parts stay where they were.
    """
    image = scene.image
    blur = rng.uniform(1.2, 2.6)
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(blur))
    else:
        image = _moved(image, rng.uniform(0, np.pi), 3.5 * blur)
    pixels = np.asarray(image, np.float32)
    gain = rng.uniform(0.35, 0.6)
    pixels = pixels * gain * np.array([0.86, 0.94, 1.12]) + rng.normal(0, 7, pixels.shape)
    dark = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    saved = io.BytesIO()
    dark.save(saved, "JPEG", quality=int(rng.integers(14, 30)))
    return Scene(Image.open(saved).convert("RGB"), scene.parts)


def strewn(others: Sequence[Traits], rng: np.random.Generator) -> Behind:
    """Pieces of other birds, about as large as the bird itself, lying around and behind it.

    They belong to none of its parts: the map says background.
    """

    def draw(canvas: Image.Image, bird: Pen) -> None:
        unseen = Image.new("L", canvas.size, 0)
        for other in others:
            drawable = [name for name in SHAPES if name != "crest" or other.crest is not None]
            for name in rng.choice(drawable, size=_PIECES_PER_BIRD, replace=False):
                shape, middle = SHAPES[name]
                pen = Pen(
                    canvas,
                    unseen,
                    [0.0, 0.0],
                    bird.scale * rng.uniform(0.8, 1.15),
                    rng.uniform(-0.9, 0.9),
                    bool(rng.integers(2)),
                )
                pen.centre = _away(canvas.size, bird, rng) - pen.matrix @ np.array(middle)
                shape(pen, other)

    return draw


def _away(size: tuple[int, int], bird: Pen, rng: np.random.Generator) -> np.ndarray:
    """A place that the bird will not cover, or the farthest from it of those tried."""
    spots = rng.uniform(0.04, 0.96, size=(12, 2)) * size
    apart = np.hypot(*(spots - bird.centre).T)
    free = np.flatnonzero(apart > 0.85 * bird.scale)
    return np.asarray(spots[free[0] if len(free) else apart.argmax()])


def _hatching(flat: np.ndarray, parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(h, w): strokes over the bird, close where it is dark and none where it is light."""
    luma = flat @ np.array([0.3, 0.59, 0.11])
    turn = rng.uniform(0.6, 0.95)
    y, x = np.mgrid[: parts.shape[0], : parts.shape[1]]
    phase = x * np.sin(turn) + y * np.cos(turn)
    close, wide = phase % 7 < 2.2, phase % 14 < 2.2
    drawn = np.where(luma < _DARK, close, wide & (luma < _DIM))
    return np.where(drawn & (parts > 0), 0.75, 0.0)


def _wobble(height: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where every pixel comes from when a hand is unsteady: rows and columns."""
    y, x = np.mgrid[:height, :width]
    shift = [2.2 * _smooth(height, width, 26, rng) for _ in range(2)]
    rows = np.clip(np.rint(y + shift[0]), 0, height - 1).astype(int)
    columns = np.clip(np.rint(x + shift[1]), 0, width - 1).astype(int)
    return rows, columns


def _smooth(height: int, width: int, wave: int, rng: np.random.Generator) -> np.ndarray:
    """(h, w) float32: noise of unit variance at its knots, `wave` pixels apart."""
    knots = rng.normal(size=(height // wave + 2, width // wave + 2)).astype(np.float32)
    return np.asarray(
        Image.fromarray(knots).resize((width, height), Image.Resampling.BICUBIC), np.float32
    )


def _oils(colours: np.ndarray) -> np.ndarray:
    """Stronger and warmer colours."""
    grey: np.ndarray = colours.mean(axis=-1, keepdims=True)
    warm: np.ndarray = (grey + 1.25 * (colours - grey)) * np.array([1.06, 1.0, 0.88]) + 4
    return warm


def _moved(image: Image.Image, turn: float, length: float) -> Image.Image:
    """The mean of the picture shifted along a line, as far back as forth."""
    shifts = np.linspace(-length / 2, length / 2, 9)
    # The border is repeated outwards, or what is moved in from beyond would be black.
    margin = int(length) + 1
    wide = Image.fromarray(
        np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), "edge")
    )
    moved = [
        wide.transform(
            wide.size,
            Image.Transform.AFFINE,
            (1, 0, shift * np.cos(turn), 0, 1, shift * np.sin(turn)),
            Image.Resampling.BILINEAR,
        )
        for shift in shifts
    ]
    mean = np.mean([np.asarray(picture, np.float32) for picture in moved], axis=0)
    inside = mean[margin:-margin, margin:-margin]
    return Image.fromarray(np.clip(inside, 0, 255).astype(np.uint8))
