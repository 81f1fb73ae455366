"""The first row of an explanation's picture: the image with its strongest regions, what speaks for
the class, and what speaks for it rather than for the other class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image as Pixels

from lazsl.display import short
from lazsl.explain.maps import class_place_map, fitting_grid
from lazsl.explain.picture.canvas import Canvas, Frame, height, wrap
from lazsl.explain.picture.overlay import CONTRAST, FOUND, Colours, dimmed, lay_over, scale
from lazsl.explain.picture.scene import (
    BADGE,
    GAP,
    HEAD,
    INNER,
    MARGIN,
    NOTE,
    TALLEST,
    WIDE,
    Band,
    Scene,
    badge_colour,
    draw_badge,
)

_BELOW = 0.5  # inches for the scale below a panel, and a gap


def panels(scene: Scene) -> Band:
    """The panels, side by side, or below each other where the image is wide."""
    this, other = scene.explanation.this, scene.explanation.other
    label = short(this.label)
    titles = ["regions that contributed most", f"where {label} was found"]
    if other is not None:
        titles.append(f"{label} rather than {short(other.label)}")
    stacked = scene.aspect > WIDE
    columns = 1 if stacked else len(titles)
    width = (INNER - (columns - 1) * GAP) / columns
    tall = width / max(scene.aspect, 1 / TALLEST)
    heads = [wrap(title, HEAD, width, 2) for title in titles]
    head = max(height(lines, HEAD) for lines in heads) + 0.06
    step = head + tall + _BELOW

    def draw(canvas: Canvas, top: float) -> None:
        grid = fitting_grid(scene.size)
        for number, lines in enumerate(heads):
            left = MARGIN + number % columns * (width + GAP)
            above = top + number // columns * step
            canvas.text(left, above, lines, HEAD)
            place = Frame(left, above + head, width, tall)
            if number == 0:
                _outlines(canvas, place.fitted(scene.aspect), scene)
            elif number == 1:
                found = class_place_map(this, None, grid)
                _map(canvas, place, scene, found, FOUND, ("less", "more"))
            elif other is not None:
                contrast = class_place_map(this, other, grid)
                _map(canvas, place, scene, contrast, CONTRAST, (short(other.label), label))

    return Band(step * (len(titles) // columns) + 0.1, draw)


def _outlines(canvas: Canvas, frame: Frame, scene: Scene) -> None:
    """The image, and the best region of each of its strongest attributes."""
    picture = dimmed(None, frame.pixels)
    if scene.pixels is not None:
        resized = scene.pixels.resize(frame.pixels, Pixels.Resampling.LANCZOS)
        picture = np.asarray(resized, float) / 255
    canvas.image(picture, frame)
    scale = frame.width / scene.size[0]
    badges: list[Frame] = []
    boxes: dict[tuple[int, ...], list[int]] = {}
    for number, one in enumerate(scene.strongest):
        boxes.setdefault(one.box, []).append(number)
    for (left, top, right, bottom), numbers in boxes.items():
        region = Frame(
            frame.left + left * scale,
            frame.top + top * scale,
            (right - left) * scale,
            (bottom - top) * scale,
        )
        canvas.outline(region, "white", 4)
        canvas.outline(region, badge_colour(numbers[0]), 2.2)
        for number in numbers:
            badge = Frame(region.left + 0.03, region.top + 0.03, BADGE, BADGE)
            while any(badge.overlaps(other) for other in badges):
                badge = replace(badge, left=badge.left + BADGE)
            badges.append(badge)
            draw_badge(canvas, badge.left, badge.top, number)


def _map(
    canvas: Canvas,
    place: Frame,
    scene: Scene,
    values: np.ndarray,
    colours: Colours,
    ends: tuple[str, str],
) -> None:
    """A signed map over the dimmed image, in full colour at its strongest, above its scale."""
    frame = place.fitted(scene.aspect)
    largest = float(np.abs(values).max())
    canvas.image(lay_over(dimmed(scene.pixels, frame.pixels), values, largest, colours), frame)
    bar = Frame(place.left, place.top + place.height + 0.07, place.width, 0.09)
    canvas.image(scale(colours, bar.pixels), bar)
    below = bar.top + bar.height + 0.02
    texts = [wrap(end, NOTE, place.width * 0.45) for end in ends]
    canvas.text(place.left, below, texts[0], NOTE)
    canvas.text(place.left + place.width, below, texts[1], NOTE, "right")
