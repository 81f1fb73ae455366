"""What fills a picture behind its subject: soft noise, gradients, blur, light out of focus."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import skia
from PIL import Image, ImageFilter

from studies.plates.palette import Colour

Size = tuple[int, int]
"""Width and height in pixels."""


def smooth(size: Size, wave: float, rng: np.random.Generator, flat: float = 1.0) -> np.ndarray:
    """(h, w) float32: noise of unit variance at its knots, `wave` pixels apart, and `flat` times
    as far apart from left to right."""
    width, height = size
    rows, columns = int(height / wave) + 2, int(width / (wave * flat)) + 2
    knots = Image.fromarray(rng.normal(size=(rows, columns)).astype(np.float32))
    return np.asarray(knots.resize(size, Image.Resampling.BICUBIC))


def cloudy(
    size: Size, wave: float, rng: np.random.Generator, flat: float = 1.0, octaves: int = 4
) -> np.ndarray:
    """(h, w) float32: the sum of ever finer and fainter noise, of about unit variance."""
    total = np.zeros(size[::-1], np.float32)
    for octave in range(octaves):
        total += 0.5**octave * smooth(size, max(2.0, wave / 2**octave), rng, flat)
    return total / 1.15


def descending(size: Size, colours: Sequence[Colour], bend: np.ndarray | None = None) -> np.ndarray:
    """(h, w, 3) float32: the colours from above to below; `bend` (h, w) shifts the heights."""
    y = np.linspace(0, 1, size[1], dtype=np.float32)[:, None]
    y = np.broadcast_to(y, size[::-1]) if bend is None else np.clip(y + bend, 0, 1)
    stops = np.linspace(0, 1, len(colours))
    given = np.asarray(colours, np.float32)
    return np.stack([np.interp(y, stops, given[:, c]) for c in range(3)], -1).astype(np.float32)


def sheet(size: Size) -> tuple[np.ndarray, skia.Canvas, skia.Surface]:
    """A clear layer to draw on: its pixels (h, w, 4), premultiplied; its canvas; and the surface,
    which must be kept as long as the canvas is drawn on."""
    pixels = np.zeros((size[1], size[0], 4), np.uint8)
    surface = skia.Surface.MakeRasterDirect(
        skia.ImageInfo.Make(*size, skia.kRGBA_8888_ColorType, skia.kPremul_AlphaType), pixels
    )
    return pixels, surface.getCanvas(), surface


def over(
    below: np.ndarray, pixels: np.ndarray, blur: float = 0.0, share: float = 1.0
) -> np.ndarray:
    """(h, w, 3): a drawn layer, out of focus by so many pixels, laid over a picture."""
    layer = Image.fromarray(pixels, "RGBa")
    if blur > 3:
        # Blurred layers hold nothing fine: a part of the pixels is enough.
        coarse = 4 if blur > 7 else 2
        small = layer.reduce(coarse).filter(ImageFilter.GaussianBlur(blur / coarse))
        layer = small.resize((pixels.shape[1], pixels.shape[0]), Image.Resampling.BILINEAR)
    elif blur:
        layer = layer.filter(ImageFilter.GaussianBlur(blur))
    box = layer.getbbox()
    if box is None:
        return below
    # Much of most layers is clear.
    shown = np.asarray(layer.crop(box), np.float32)
    laid = below.astype(np.float32)
    within = laid[box[1] : box[3], box[0] : box[2]]
    within *= 1 - share / 255 * shown[..., 3:]
    within += share * shown[..., :3]
    return laid


def discs(
    below: np.ndarray,
    colours: Sequence[Colour],
    count: int,
    radii: tuple[float, float],
    rng: np.random.Generator,
    region: tuple[float, float] = (0.0, 1.0),
    strength: float = 0.4,
) -> np.ndarray:
    """Spots of light out of focus, brighter at their rims, between two heights (0 to 1)."""
    height, width = below.shape[:2]
    pixels, canvas, _surface = sheet((width, height))
    for _ in range(count):
        x, y = rng.uniform(0, width), rng.uniform(*region) * height
        radius = rng.uniform(*radii)
        red, green, blue = (round(v) for v in colours[int(rng.integers(len(colours)))])
        alpha = round(255 * strength * rng.uniform(0.4, 1.0))
        fill = skia.Paint(AntiAlias=True, Color=skia.Color(red, green, blue, alpha))
        canvas.drawCircle(x, y, radius, fill)
        rim = skia.Paint(AntiAlias=True, Color=skia.Color(red, green, blue, alpha // 2))
        rim.setStyle(skia.Paint.kStroke_Style)
        rim.setStrokeWidth(0.08 * radius)
        canvas.drawCircle(x, y, 0.95 * radius, rim)
    return over(below, pixels, 1.5)
