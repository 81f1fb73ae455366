"""Crops of the pool's scenes, and what is true of them as far as it can be seen.

What cannot be seen in a rendering is no truth of it: a sketch shows no colour, so phrases that name
one are unknown wherever colour alone would decide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from studies.fieldguide.training import ABSENT, IMAGE_SIZE, PHRASES, SHOWN, UNCLEAR
from studies.fieldguide.traits import PARTS, VALUES
from studies.plates.pool import HANDS, TRAIT_NAMES, Pool

_REQUIRED = np.full((len(PHRASES), len(TRAIT_NAMES)), -1)
for _row, _phrase in enumerate(PHRASES):
    for _name, _value in _phrase.requires:
        _REQUIRED[_row, TRAIT_NAMES.index(_name)] = VALUES[_name].index(_value)
_PART = np.array([PARTS.index(phrase.part) for phrase in PHRASES])
_COLOURED = np.array([name.endswith("_colour") for name in TRAIT_NAMES])
NAMES_COLOUR = (_REQUIRED[:, _COLOURED] != -1).any(axis=1) | np.array(
    [
        any(word in phrase.text for word in ("red", "yellow")) and phrase.part == "eye"
        for phrase in PHRASES
    ]
)
"""Phrases that name a colour. Of eye marks, black and white ones are seen without colour."""

_LEAST = 2.5
"""Pixels of the model's, squared, that a part must have to be judged."""

_SKETCH = HANDS.index("sketch")


@dataclass(frozen=True)
class Judged:
    """Crops with the truth about every phrase, before any text: all (B, phrases) bool."""

    pixels: np.ndarray
    truth: np.ndarray
    known: np.ndarray


def choose_box(
    shape: tuple[int, int], pixels: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A square crop: around one part, around the bird, anywhere, or as much as there is."""
    height, width = shape
    shorter = min(height, width)
    kind = rng.random()
    if kind < 0.65:
        part = int(rng.choice(np.flatnonzero(pixels[1:]) + 1)) if kind < 0.45 else 0
        left, top, right, bottom = boxes[part].tolist()
        extent = max(right - left, bottom - top)
        wide = extent * (rng.uniform(1.1, 3.5) if part else rng.uniform(0.7, 1.8))
        side = float(np.clip(wide, 24, shorter))
        jitter = rng.uniform(-0.25, 0.25, size=2) * side
        x = (left + right) / 2 + jitter[0] - side / 2
        y = (top + bottom) / 2 + jitter[1] - side / 2
    else:
        side = shorter * rng.uniform(0.15, 0.9) if kind < 0.9 else float(shorter)
        x, y = rng.uniform(0, width - side + 1e-6), rng.uniform(0, height - side + 1e-6)
    left = int(np.clip(x, 0, width - side))
    top = int(np.clip(y, 0, height - side))
    return left, top, left + int(side), top + int(side)


def judge_parts(inside: np.ndarray, overall: np.ndarray, side: int) -> np.ndarray:
    """For every part: SHOWN, ABSENT or UNCLEAR (cut off, or too few of the model's pixels).

    Args:
        inside, overall: (9,) pixels of each part in a square crop and in the picture.
        side: of the crop, in pixels.
    """
    share = inside / np.maximum(overall, 1)
    seen = np.sqrt(inside) * IMAGE_SIZE / side
    verdict = np.full(len(PARTS), UNCLEAR)
    verdict[share < 0.1] = ABSENT
    verdict[(share >= 0.6) & (seen >= _LEAST)] = SHOWN
    return verdict


def judge(pool: Pool, scenes: np.ndarray, rng: np.random.Generator, vary: bool) -> Judged:
    """A crop of each of these scenes and what is true of it, as far as it can be seen."""
    size = len(scenes)
    crops = np.empty((size, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    verdicts = np.empty((size, len(PARTS)), int)
    for row, index in enumerate(scenes.tolist()):
        scene = pool.scenes[index]
        box = choose_box(scene.shape[:2], pool.pixels[index], pool.boxes[index], rng)
        left, top, right, bottom = box
        cut = Image.fromarray(np.ascontiguousarray(scene[top:bottom, left:right, :3]))
        small = cut.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC, reducing_gap=2.0)
        crops[row] = np.asarray(small)
        inside = np.bincount(scene[top:bottom, left:right, 3].ravel(), minlength=len(PARTS))
        verdicts[row] = judge_parts(inside, pool.pixels[index], right - left)
    traits = pool.traits[scenes]
    matched = (_REQUIRED[None] == -1) | (_REQUIRED[None] == traits[:, None])
    holds = matched.all(axis=2)
    shown = verdicts[:, _PART]
    truth = holds & (shown == SHOWN)
    known = ~(holds & (shown == UNCLEAR))
    # In a sketch a phrase is false where its part is absent or of another shape, and true or
    # unknown elsewhere.
    grey = (pool.hands[scenes] == _SKETCH)[:, None] & NAMES_COLOUR[None]
    same_shape = matched[:, :, ~_COLOURED].all(axis=2)
    eye_phrases = PARTS.index("eye") == _PART
    same_shape[:, eye_phrases & NAMES_COLOUR] = True
    # Without colour a mark around or beside the eye may be taken for any other of its kind.
    undecided = grey & same_shape & (shown != 0)
    truth &= ~undecided
    known &= ~undecided
    return Judged(in_other_light(crops, rng) if vary else crops, truth, known)


def in_other_light(crops: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The crops in other light: brightness, contrast, saturation, tint and a little noise."""
    count = len(crops)

    def each(low: float, high: float, channels: int = 1) -> np.ndarray:
        return rng.uniform(low, high, (count, 1, 1, channels)).astype(np.float32)

    pixels = crops.astype(np.float32)
    grey = pixels.mean(axis=3, keepdims=True)
    pixels = grey + each(0.75, 1.35) * (pixels - grey)
    middle = pixels.mean(axis=(1, 2, 3), keepdims=True)
    pixels = (middle + each(0.8, 1.25) * (pixels - middle)) * each(0.78, 1.2) * each(0.93, 1.07, 3)
    noise = rng.standard_normal(pixels.shape, np.float32) * each(0, 8) * (each(0, 1) < 0.4)
    varied: np.ndarray = np.clip(pixels + noise, 0, 255)
    return varied.astype(np.uint8)
