"""The picture of an explanation: what decided, at a glance, and then attribute by attribute.

Top to bottom: what the image was called and why; the image with the places that decided, beside
what their regions show; the attributes of both classes in aligned rows; how to read it.
"""

from __future__ import annotations

from PIL import Image as Pixels

from lazsl.explain.explanation import Explanation
from lazsl.explain.file_names import mark_of
from lazsl.explain.picture.canvas import Canvas, Style, height, wrap
from lazsl.explain.picture.overlay import RIGHT, THIS, WRONG
from lazsl.explain.picture.places import places
from lazsl.explain.picture.rows import rows
from lazsl.explain.picture.scene import INNER, MARGIN, NOTE, WIDTH, Band, Scene, make_scene
from lazsl.explain.words import because, facts, headline

_COLOURS = {None: THIS, True: RIGHT, False: WRONG}
_PLAIN = Style(11)


def draw(
    explanation: Explanation, pixels: Pixels.Image | None, page: type[Canvas] = Canvas
) -> bytes:
    """A PNG file.

    Args:
        explanation: what to draw.
        pixels: the image, upright; None draws the rest without it.
        page: what to draw on.
    """
    scene = make_scene(explanation, pixels)
    bands = [_heading(scene), places(scene), rows(scene), _footnote(scene)]
    canvas = page(WIDTH, 2 * MARGIN + sum(band.height for band in bands))
    top = MARGIN
    for band in bands:
        band.draw(canvas, top)
        top += band.height
    return canvas.png(mark_of(explanation.image.key))


def _heading(scene: Scene) -> Band:
    title = Style(18, True, _COLOURS[scene.explanation.verdict.right])
    parts = [
        (wrap(headline(scene.explanation), title, INNER, 2), title),
        (wrap(because(scene.explanation, scene.pairs), _PLAIN, INNER, 3), _PLAIN),
        (wrap("   ·   ".join(facts(scene.explanation)), NOTE, INNER, 3), NOTE),
    ]

    def draw(canvas: Canvas, top: float) -> None:
        for lines, style in parts:
            top += canvas.text(MARGIN, top, lines, style) + 0.06

    return Band(sum(height(lines, style) + 0.06 for lines, style in parts) + 0.18, draw)


def _footnote(scene: Scene) -> Band:
    lines = wrap(reading(scene), NOTE, INNER, 4)
    return Band(height(lines, NOTE), lambda canvas, top: canvas.text(MARGIN, top, lines, NOTE))


def reading(scene: Scene) -> str:
    """How to read what is drawn; nothing is explained that is not there."""
    sentences = [
        "Framed crops: the region most like an attribute, around the place where it was found."
    ]
    maps = [
        scene.maps(evidence)
        for evidence in (scene.explanation.this, scene.explanation.other)
        if evidence is not None
    ]
    if any(drawn.pointing.any() for drawn in maps):
        sentences.append("Coloured places and rings: where the attribute was found.")
    if not all(drawn.pointing.all() for drawn in maps):
        sentences.append(
            "Not localised: shuffled regions give maps as strong in 5 % of draws or more."
        )
    spoken = [s for p in scene.pairs for s in (p.this, p.other) if s is not None]
    sentences.append(
        "Strength: mean similarity where it was found; the score is the mean of the strengths. "
        "Share: of all that speaks for or against the class."
    )
    if any(attribute.presence is not None for attribute in spoken):
        sentences.append("Presence: chance that it is there rather than its nearest rivals.")
    return " ".join(sentences)
