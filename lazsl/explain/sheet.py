"""A contact sheet: pictures side by side, each with the region that is meant."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from PIL import Image as Pixels
from PIL import ImageDraw, ImageFont

from lazsl.explain.pixels import read_pixels
from lazsl.explain.similar import Match
from lazsl.visible_text import short, visible

TILE, GAP, CAPTION = 240, 16, 40
"""Pixels of a picture's longer side, between pictures, and below each for its caption."""
ACROSS = 5
PAPER, INK, FRAME = "#faf7f1", "#23201b", "#d55e00"


def draw_sheet(matches: Sequence[Match], max_pixels: int) -> tuple[bytes, int]:
    """A PNG of the matches in their order, and how many of their images could not be read.

    Args:
        matches: of `find_similar`; each image is fetched from the archive once.
        max_pixels: larger images are not decoded.
    """
    across = min(ACROSS, len(matches))
    down = -(-len(matches) // across)
    size = (across * (TILE + GAP) + GAP, down * (TILE + CAPTION + GAP) + GAP)
    sheet = Pixels.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    missing = 0
    for at, match in enumerate(matches):
        left = GAP + at % across * (TILE + GAP)
        top = GAP + at // across * (TILE + CAPTION + GAP)
        pixels = read_pixels(match.image, max_pixels)
        if isinstance(pixels, str):
            missing += 1
            draw.rectangle((left, top, left + TILE, top + TILE), outline=INK)
            draw.text((left + 8, top + 8), "cannot be read now", INK, font)
        else:
            tile = _outlined(pixels, match.box)
            sheet.paste(tile, (left, top + TILE - tile.height))
        for line, text in enumerate(_caption(match)):
            draw.text((left, top + TILE + 4 + 17 * line), text, INK, font)
    written = io.BytesIO()
    sheet.save(written, "PNG")
    return written.getvalue(), missing


def _outlined(pixels: Pixels.Image, box: Iterable[int]) -> Pixels.Image:
    """The picture as large as a tile, with the region's outline."""
    scale = TILE / max(pixels.size)
    width, height = (max(1, round(side * scale)) for side in pixels.size)
    tile = pixels.resize((width, height), Pixels.Resampling.LANCZOS)
    corners = [round(side * scale) for side in box]
    corners = [min(corners[0], width - 1), min(corners[1], height - 1),
               min(corners[2], width) - 1, min(corners[3], height) - 1]  # fmt: skip
    ImageDraw.Draw(tile).rectangle(corners, outline=FRAME, width=3)
    return tile


def _caption(match: Match) -> tuple[str, str]:
    label = "no label" if match.label is None else short(match.label, 24)
    return f"{match.similarity:.3f}  {label}", visible(short(match.image.key, 34))
