"""A pen that draws a shape twice: into the picture, and into the map of what every pixel shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import skia

from studies.plates.palette import Colour

Point = tuple[float, float]


def paint(
    colour: Colour, alpha: float = 1.0, width: float | None = None, blur: float = 0.0
) -> skia.Paint:
    """Of a filled shape, or of a line where a width is given; `blur` in the pen's units."""
    red, green, blue = (round(min(255.0, max(0.0, value))) for value in colour)
    made = skia.Paint(AntiAlias=True, Color=skia.Color(red, green, blue, round(255 * alpha)))
    if width is not None:
        made.setStyle(skia.Paint.kStroke_Style)
        made.setStrokeWidth(width)
        made.setStrokeCap(skia.Paint.kRound_Cap)
        made.setStrokeJoin(skia.Paint.kRound_Join)
    if blur:
        made.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, blur))
    return made


def gradient(
    start: Point, end: Point, colours: Sequence[Colour], stops: Sequence[float] | None = None
) -> skia.Paint:
    """A fill that goes from the first colour at `start` to the last at `end`."""
    shown = [skia.Color(*(round(min(255.0, max(0.0, v))) for v in colour)) for colour in colours]
    shader = skia.GradientShader.MakeLinear(
        points=[skia.Point(*start), skia.Point(*end)],
        colors=shown,
        positions=list(stops) if stops is not None else [],
    )
    return skia.Paint(AntiAlias=True, Shader=shader)


def spline(points: Sequence[Point] | np.ndarray, closed: bool = True) -> skia.Path:
    """A smooth curve through the points (Catmull and Rom's)."""
    knots = np.asarray(points, float)
    count = len(knots)
    if closed:
        around = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        around = np.concatenate([knots[:1], knots, knots[-1:]])
    path = skia.Path()
    path.moveTo(*around[1].tolist())
    for i in range(1, count + 1 if closed else count):
        before, here, following, after = around[i - 1 : i + 3]
        first, second = here + (following - before) / 6, following - (after - here) / 6
        path.cubicTo(*first.tolist(), *second.tolist(), *following.tolist())
    if closed:
        path.close()
    return path


def polygon(points: Sequence[Point] | np.ndarray) -> skia.Path:
    """Straight lines between the points, closed."""
    return skia.Path.Polygon([skia.Point(float(x), float(y)) for x, y in points], True)


def lines(starts: np.ndarray, ends: np.ndarray) -> skia.Path:
    """Many separate straight lines in one path."""
    path = skia.Path()
    for (a, b), (c, d) in zip(starts.tolist(), ends.tolist(), strict=True):
        path.moveTo(a, b)
        path.lineTo(c, d)
    return path


def ellipse(x: float, y: float, a: float, b: float, turn: float = 0.0) -> skia.Path:
    """With half axes a and b, turned by so many radians."""
    path = skia.Path()
    path.addOval(skia.Rect.MakeLTRB(-a, -b, a, b))
    matrix = skia.Matrix()
    matrix.setRotate(float(np.degrees(turn)))
    matrix.postTranslate(x, y)
    path.transform(matrix)
    return path


def tapered(points: np.ndarray, width: float, tip: float = 0.15) -> skia.Path:
    """A stroke along a curve that is `width` wide at its beginning and narrows to `tip` of it."""
    smooth = along(points, 18)
    step = np.gradient(smooth, axis=0)
    across = np.stack([-step[:, 1], step[:, 0]], axis=1)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    half = 0.5 * width * np.linspace(1, tip, len(smooth))[:, None]
    return polygon(np.concatenate([smooth + across * half, (smooth - across * half)[::-1]]))


def along(points: np.ndarray, count: int) -> np.ndarray:
    """(count, 2): places at even steps of a smooth curve through the points."""
    knots = np.asarray(points, float)
    around = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    t = np.linspace(0, len(knots) - 1 - 1e-9, count)
    i, f = t.astype(int), (t % 1)[:, None]
    a, b, c, d = (around[i + k] for k in range(4))
    curve: np.ndarray = 0.5 * (
        2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * b - a - 3 * c + d) * f**3
    )
    return curve


def _surface(pixels: np.ndarray, kind: skia.ColorType) -> skia.Surface:
    height, width = pixels.shape[:2]
    info = skia.ImageInfo.Make(width, height, kind, skia.kPremul_AlphaType)
    return skia.Surface.MakeRasterDirect(info, pixels)


class Pen:
    """Draws in coordinates of its own, placed on the picture by a matrix.

    Attributes:
        pixels: uint8 (h, w, 4), premultiplied RGBA.
        ids: uint8 (h, w): the number of what was drawn there last, 0 where nothing was.
    """

    def __init__(self, width: int, height: int, matrix: skia.Matrix) -> None:
        self.pixels = np.zeros((height, width, 4), np.uint8)
        self.ids = np.zeros((height, width), np.uint8)
        self._surfaces = (
            _surface(self.pixels, skia.kRGBA_8888_ColorType),
            _surface(self.ids, skia.kAlpha_8_ColorType),
        )
        self.canvas, self.map = (surface.getCanvas() for surface in self._surfaces)
        for canvas in (self.canvas, self.map):
            canvas.concat(matrix)

    def draw(self, path: skia.Path, paint: skia.Paint, number: int | None = None) -> None:
        """A path; `number` is what its pixels show from now on, if they show something else."""
        self.canvas.drawPath(path, paint)
        if number is not None:
            plain = skia.Paint(AntiAlias=False, Color=skia.Color(0, 0, 0, number))
            plain.setBlendMode(skia.BlendMode.kSrc)
            plain.setStyle(paint.getStyle())
            plain.setStrokeWidth(paint.getStrokeWidth())
            plain.setStrokeCap(paint.getStrokeCap())
            self.map.drawPath(path, plain)

    def within(self, path: skia.Path) -> _Clip:
        """A context in which only what lies inside the path is drawn."""
        return _Clip((self.canvas, self.map), path)


class _Clip:
    def __init__(self, canvases: Iterable[skia.Canvas], path: skia.Path) -> None:
        self.canvases, self.path = tuple(canvases), path

    def __enter__(self) -> None:
        for canvas in self.canvases:
            canvas.save()
            canvas.clipPath(self.path, skia.ClipOp.kIntersect, canvas is self.canvases[0])

    def __exit__(self, *unused: object) -> None:
        for canvas in self.canvases:
            canvas.restore()
