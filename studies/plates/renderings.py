"""How the same scene looks from other hands: pencilled, painted, printed and coloured, or badly
photographed; and with birds of other species half hidden around it.

Whatever is done to the picture is done to the map of parts, so that the map stays true.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import skia
from PIL import Image, ImageFilter
from scipy.ndimage import gaussian_filter, map_coordinates

from studies.fieldguide.drawing import Scene
from studies.fieldguide.traits import Traits
from studies.plates.bird import Pose, draw_bird, lit
from studies.plates.habitats import GREEN, Habitat
from studies.plates.palette import shaded
from studies.plates.plants import leaf
from studies.plates.scene import Behind, Stage, _place
from studies.plates.weather import Size, cloudy, over, sheet, smooth

_PAPER = np.array([243.0, 238.0, 226.0], np.float32)
_PENCIL = np.array([52.0, 50.0, 54.0], np.float32)
_BRUSHES = (14.0, 7.5, 4.2, 2.6, 1.7)


def sketched(stage: Stage) -> Scene:
    """A pencil drawing on paper: outlines by an unsteady hand, hatched where it is dark.

    There is no colour left: what an attribute says of colour cannot be seen, beyond how dark it is.
    """
    rng, parts = stage.rng, stage.parts
    size = _size(stage)
    near = _nearness(stage)
    grey = _grey(stage.image)
    drawn = 0.55 * grey + 0.45 * _grey(stage.plain)
    line = _lines(drawn, 0.9, 0.035)
    borders = _borders(stage.ids)
    tone = np.clip(drawn / 255, 0, 1)
    shade = _hatching(tone, size, rng)
    ink = np.maximum(line, 0.8 * borders) * (0.3 + 0.7 * near)
    ink = np.maximum(ink, shade * (0.28 + 0.5 * near) * (0.25 + 0.75 * near))
    ink, parts = _wobble(ink, parts, 1.1, rng)
    grain = 0.82 + 0.18 * np.clip(rng.normal(0.2, 0.8, ink.shape), -1, 1)
    covered = np.clip(ink * (0.92 + 0.08 * smooth(size, 24, rng)) * grain, 0, 1)[..., None]
    page = _paper(size, rng) * (1 - covered) + _PENCIL * covered
    return Scene(_image(page), parts)


def printed(stage: Stage) -> Scene:
    """A plate from an old book: ink lines, coloured by hand in thin washes on cream paper; what is
    around the bird fades into the paper."""
    rng = stage.rng
    size = _size(stage)
    near = np.clip(_nearness(stage) * 1.25, 0, 1)
    wash = 0.5 * stage.image + 0.5 * stage.plain
    wash = 255 * (np.clip(wash, 0, 255) / 255) ** 0.82
    pools = 1 + 0.05 * cloudy(size, 22, rng)[..., None] + 0.02 * rng.normal(size=(*size[::-1], 1))
    covers = (stage.ids > 0)[..., None]
    paper = _paper(size, rng)
    # Washes darken the paper that they lie on, and more so at their borders.
    washed = paper * np.clip(wash * pools / 255, 0, 1) ** np.where(covers, 0.95, 0.72)
    strength = np.where(covers, 1.0, (near * (0.75 + 0.1 * cloudy(size, 40, rng)))[..., None])
    page = paper * (1 - np.clip(strength, 0, 1)) + washed * np.clip(strength, 0, 1)
    drawn = 0.5 * _grey(stage.image) + 0.5 * _grey(stage.plain)
    ink = np.maximum(_lines(drawn, 0.7, 0.05), 0.75 * _borders(stage.ids)) * np.clip(
        0.12 + near, 0, 1
    )
    ink = ink[..., None] * 0.8
    page = page * (1 - ink) + np.array([60.0, 48.0, 42.0]) * ink
    return Scene(_image(page), stage.parts)


def painted(stage: Stage) -> Scene:
    """An oil painting: broad strokes, then finer ones where they are needed, in stronger colours
    and a warmer light, on canvas that shows through."""
    rng, parts = stage.rng, stage.parts
    width, height = _size(stage)
    colours = gaussian_filter(stage.image, (0.8, 0.8, 0)).astype(np.float32)
    grey = gaussian_filter(_grey(stage.image), 2.2)
    down, across = np.gradient(grey)
    wind = rng.uniform(0, np.pi)
    canvas = gaussian_filter(stage.image, (8, 8, 0))
    below = np.zeros_like(parts)
    for brush in _BRUSHES:
        spots = int(1.7 * width * height / brush**2)
        x, y = rng.integers(width, size=spots), rng.integers(height, size=spots)
        if brush != _BRUSHES[0]:
            # Finer brushes go only where the painting is still far from its model.
            off = np.abs(canvas - colours).max(axis=2)[y, x]
            wrong = below[y, x] != parts[y, x]
            chosen = (off > 20) | wrong
            x, y = x[chosen], y[chosen]
        edge = np.hypot(across, down)[y, x] > 1.2
        follow = np.arctan2(down[y, x], across[y, x]) + np.pi / 2
        turn = np.where(edge, follow, wind + rng.normal(0, 0.35, len(x)))
        reach = brush * rng.uniform(0.6, 1.25, len(x))
        shade = colours[y, x] + rng.normal(0, 7, (len(x), 1)) + rng.normal(0, 4, (len(x), 3))
        steps = np.stack([np.cos(turn), np.sin(turn)], axis=1) * reach[:, None]
        canvas, below = _stroked(
            canvas, below, np.stack([x, y], 1), steps, shade, parts[y, x], brush
        )
    # Ridges of paint catch the light.
    relief = gaussian_filter(_grey(canvas), 0.6)
    slant = np.clip(np.gradient(relief, axis=0) + np.gradient(relief, axis=1), -14, 14)
    weave = rng.normal(0, 1.4, (height, 1, 1)) + rng.normal(0, 1.4, (1, width, 1))
    return Scene(_image(_oils(canvas) - 0.8 * slant[..., None] + weave), below)


def half_hidden(others: Sequence[Traits], rng: np.random.Generator) -> Behind:
    """Birds of other species, about as large as the bird itself, sit around and behind it, and
    leaves hide half of each: what shows belongs to none of its parts."""

    def draw(image: np.ndarray, habitat: Habitat, bird: Pose) -> np.ndarray:
        size: Size = (image.shape[1], image.shape[0])
        for other in others:
            x, y = _away(size, bird, rng)
            scale = bird.scale * rng.uniform(0.7, 1.0)
            pose = Pose(
                (x, y + 0.4 * scale),
                scale,
                rng.normal(0, 0.25),
                rng.uniform(-0.3, 0.3),
                bool(rng.integers(2)),
            )
            cut = draw_bird(other, pose, rng)
            light = habitat.light
            tones = (np.asarray(c, np.float32) * 0.85 for c in (light.sky, light.sun, light.ground))
            _place(image, lit(cut, np.array([0.3, -0.6, 0.74]), *tones), cut)
            image = _leaves_over(image, pose, habitat, rng)
        return image

    return draw


def _leaves_over(
    image: np.ndarray, pose: Pose, habitat: Habitat, rng: np.random.Generator
) -> np.ndarray:
    """A spray of leaves from one side over half of a bird."""
    pixels, canvas, _surface = sheet((image.shape[1], image.shape[0]))
    middle = np.array(pose.foot) - (0.0, 0.42 * pose.scale)
    side = rng.uniform(0, 2 * np.pi)
    inwards = np.array([np.cos(side), np.sin(side)])
    aside = np.array([-inwards[1], inwards[0]])
    colours = habitat.near if habitat.name != "winter" else GREEN
    for _ in range(46):
        # Everything on one side of a line through the bird's middle, and a little more.
        spot = (
            middle
            - inwards * pose.scale * rng.uniform(-0.04, 0.85)
            + aside * pose.scale * rng.uniform(-0.85, 0.85)
        )
        colour = shaded(colours[rng.integers(len(colours))], rng.uniform(0.6, 0.95))
        leaf(
            canvas,
            spot,
            rng.uniform(0, 2 * np.pi),
            pose.scale * rng.uniform(0.2, 0.36),
            0.5,
            colour,
            rng,
        )
    return over(image, pixels, 0.7)


def _away(size: Size, bird: Pose, rng: np.random.Generator) -> tuple[float, float]:
    """A place that the bird will not cover, or the farthest from it of those tried."""
    spots = rng.uniform(0.08, 0.92, size=(14, 2)) * size
    middle = np.array(bird.foot) - (0.0, 0.4 * bird.scale)
    apart = np.hypot(*((spots - middle) * (0.9, 1.1)).T)
    free = np.flatnonzero(apart > 1.0 * bird.scale)
    x, y = spots[free[0] if len(free) else apart.argmax()]
    return float(x), float(y)


def _stroked(
    canvas: np.ndarray, below: np.ndarray, middles: np.ndarray, steps: np.ndarray,
    shades: np.ndarray, parts: np.ndarray, brush: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    height, width = below.shape
    pixels, pen, _surface = sheet((width, height))
    ids = np.ascontiguousarray(below)
    info = skia.ImageInfo.Make(width, height, skia.kAlpha_8_ColorType, skia.kPremul_AlphaType)
    map_surface = skia.Surface.MakeRasterDirect(info, ids)
    map_pen = map_surface.getCanvas()
    stroke = skia.Paint(AntiAlias=True)
    number = skia.Paint(AntiAlias=False, BlendMode=skia.BlendMode.kSrc)
    for line in (stroke, number):
        line.setStyle(skia.Paint.kStroke_Style)
        line.setStrokeWidth(brush)
        line.setStrokeCap(skia.Paint.kRound_Cap)
    paint = np.clip(shades, 0, 255).astype(int).tolist()
    ends = np.concatenate([middles - steps, middles + steps], axis=1).tolist()
    for line, colour, part in zip(ends, paint, parts.tolist(), strict=True):
        stroke.setColor(skia.Color(*colour))
        pen.drawLine(*line, stroke)
        number.setColor(skia.Color(0, 0, 0, part))
        map_pen.drawLine(*line, number)
    return over(canvas, pixels), ids


def _size(stage: Stage) -> Size:
    return stage.parts.shape[1], stage.parts.shape[0]


def _grey(image: np.ndarray) -> np.ndarray:
    grey: np.ndarray = image @ np.array([0.3, 0.59, 0.11], np.float32)
    return grey


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _nearness(stage: Stage) -> np.ndarray:
    """(h, w), 1 on the bird, less and less around it, and slower so along its perch."""
    bird = stage.ids > 0
    around, along = _softened(bird, 0.05), _softened(bird, 0.22)
    near = np.maximum(1.3 * around, 3.4 * along * stage.perch)
    return np.where(bird, 1.0, np.clip(near, 0, 0.95)).astype(np.float32)


def _softened(mask: np.ndarray, reach: float) -> np.ndarray:
    """(h, w), a mask blurred by so much of the shorter side."""
    shown = Image.fromarray(mask.astype(np.uint8) * 255)
    radius = reach * min(shown.size)
    small = shown.reduce(4).filter(ImageFilter.GaussianBlur(radius / 4))
    return np.asarray(small.resize(shown.size, Image.Resampling.BICUBIC), np.float32) / 255


def _lines(grey: np.ndarray, fine: float, least: float) -> np.ndarray:
    """(h, w), 0 to 1: dark lines where the picture turns darker (a difference of Gaussians)."""
    turn = (gaussian_filter(grey, 1.7 * fine) - gaussian_filter(grey, fine)) / 255
    shown: np.ndarray = np.clip((turn - 0.2 * least) / least, 0, 1)
    return shown.astype(np.float32)


def _borders(ids: np.ndarray) -> np.ndarray:
    """(h, w), 0 to 1: soft lines between parts."""
    edge = np.zeros(ids.shape, np.float32)
    edge[:, 1:] = ids[:, 1:] != ids[:, :-1]
    edge[1:] = np.maximum(edge[1:], ids[1:] != ids[:-1])
    soft: np.ndarray = np.clip(1.7 * gaussian_filter(edge, 0.65), 0, 1)
    return soft


def _hatching(tone: np.ndarray, size: Size, rng: np.random.Generator) -> np.ndarray:
    """(h, w), 0 to 1: layers of strokes, each where the picture is darker than a limit."""
    width, height = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    sway = 1.5 * smooth(size, 30, rng)
    shade = np.zeros(tone.shape, np.float32)
    first = rng.uniform(0.5, 1.0)
    for turn, limit, wave in (
        (first, 0.72, 4.2),
        (first + 0.5, 0.5, 3.7),
        (first - 0.75, 0.3, 3.3),
    ):
        phase = (x * np.sin(turn) + y * np.cos(turn) + sway) / wave
        stroke = np.clip(0.5 + 0.9 * np.sin(2 * np.pi * phase), 0, 1)
        dark = np.clip((limit - gaussian_filter(tone, 0.7)) / 0.16, 0, 1)
        shade = np.maximum(shade, stroke * dark * 0.85)
    return shade


def _wobble(
    ink: np.ndarray, parts: np.ndarray, shift: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Lines by an unsteady hand, and the parts that go with them."""
    height, width = parts.shape
    places = np.mgrid[:height, :width].astype(np.float32)
    places += shift * np.stack([smooth((width, height), 15, rng) for _ in range(2)])
    moved = map_coordinates(ink, places, order=1, mode="nearest")
    return moved, map_coordinates(parts, places, order=0, mode="nearest")


def _paper(size: Size, rng: np.random.Generator) -> np.ndarray:
    """(h, w, 3): cream paper with fibres and the stains of age."""
    stain = 3.5 * cloudy(size, 90, rng) + 1.6 * rng.normal(size=size[::-1])
    aged: np.ndarray = _PAPER + stain[..., None] * np.array([0.7, 0.9, 1.25])
    return aged.astype(np.float32)


def _oils(colours: np.ndarray) -> np.ndarray:
    """Stronger and warmer colours."""
    grey: np.ndarray = colours.mean(axis=-1, keepdims=True)
    warm: np.ndarray = (grey + 1.22 * (colours - grey)) * np.array([1.06, 1.0, 0.9]) + 3
    return warm
