"""The picture of an explanation: what was seen where, attribute by attribute, beside another class.

Top to bottom: what the image was called and what made the difference; the image, the class's
evidence and the contrast with the other class; the attributes of both; how to read it.
"""

from __future__ import annotations

from PIL import Image as Pixels

from lazsl.explain.explanation import Explanation
from lazsl.explain.picture.canvas import Canvas, Style, height, wrap
from lazsl.explain.picture.overlay import THIS
from lazsl.explain.picture.panels import panels
from lazsl.explain.picture.scene import INNER, MARGIN, NOTE, WIDTH, Band, Scene, make_scene
from lazsl.explain.picture.tiles import tiles
from lazsl.explain.words import because, facts, headline

_COLOURS = {None: THIS, True: "#1a7f37", False: "#b30000"}
_PLAIN = Style(10)
_READING = (
    "Maps show where a class or an attribute was found rather than elsewhere: green where regions "
    "that show a place are more similar to it than regions that do not, pink where less, the "
    "stronger the more this explains how regions differ. Maps are no sharper than regions are. "
    "Small maps are on one scale. Figures: what an attribute adds to the score, and its share of "
    "all that speaks for or against the class. Framed: the other class lacks it."
)


def draw(explanation: Explanation, pixels: Pixels.Image | None) -> bytes:
    """A PNG file.

    Args:
        explanation: what to draw.
        pixels: the image, upright; None draws the maps without it.
    """
    scene = make_scene(explanation, pixels)
    bands = [_heading(scene), panels(scene), tiles(scene), _footnote()]
    canvas = Canvas(WIDTH, 2 * MARGIN + sum(band.height for band in bands))
    top = MARGIN
    for band in bands:
        band.draw(canvas, top)
        top += band.height
    return canvas.png()


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

    return Band(sum(height(lines, style) + 0.06 for lines, style in parts) + 0.22, draw)


def _footnote() -> Band:
    lines = wrap(_READING, NOTE, INNER, 4)
    return Band(height(lines, NOTE), lambda canvas, top: canvas.text(MARGIN, top, lines, NOTE))
