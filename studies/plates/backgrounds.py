"""What is behind the birds of every habitat: (h, w, 3) float32, 0 to 255, out of focus."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from studies.plates.palette import Colour, varied
from studies.plates.pen import lines, paint, polygon, spline
from studies.plates.plants import FLOWERS, blade, flower, leaf
from studies.plates.weather import Size, cloudy, descending, discs, over, sheet, smooth


def _leafy(
    image: np.ndarray, colours: tuple[Colour, ...], count: int, length: float, blur: float,
    rng: np.random.Generator, region: tuple[float, float] = (0.0, 1.0),
) -> np.ndarray:  # fmt: skip
    height, width = image.shape[:2]
    pixels, canvas, _surface = sheet((width, height))
    for _ in range(count):
        spot = np.array([rng.uniform(-0.05, 1.05) * width, rng.uniform(*region) * height])
        colour = varied(colours[rng.integers(len(colours))], 12, rng)
        for _ in range(int(rng.integers(1, 5))):
            reach = length * rng.uniform(0.6, 1.4)
            leaf(
                canvas, spot, rng.uniform(0, 2 * np.pi), reach, rng.uniform(0.35, 0.6), colour, rng
            )
    return over(image, pixels, blur, 0.9)


def _stems(
    image: np.ndarray,
    colour: Colour,
    count: int,
    width: float,
    blur: float,
    rng: np.random.Generator,
) -> np.ndarray:
    tall, wide = image.shape[:2]
    pixels, canvas, _surface = sheet((wide, tall))
    for _ in range(count):
        x = rng.uniform(0, wide)
        lean = rng.normal(0, 0.08) * tall
        thick = width * rng.uniform(0.4, 1.5)
        shape = polygon(
            [
                (x - thick, tall + 9),
                (x + thick, tall + 9),
                (x + lean + 0.7 * thick, -9),
                (x + lean - 0.7 * thick, -9),
            ]
        )
        canvas.drawPath(shape, paint(varied(colour, 10, rng), rng.uniform(0.5, 0.9)))
    return over(image, pixels, blur)


def _flowers(
    image: np.ndarray, count: int, size: float, blur: float, rng: np.random.Generator,
    region: tuple[float, float] = (0.45, 1.0),
) -> np.ndarray:  # fmt: skip
    height, width = image.shape[:2]
    pixels, canvas, _surface = sheet((width, height))
    kinds = [FLOWERS[i] for i in rng.choice(len(FLOWERS), size=3, replace=False)]
    for _ in range(count):
        x, y = rng.uniform(0, width), rng.uniform(*region) * height
        colour = kinds[rng.integers(3)]
        stalk = lines(np.array([[x, y]]), np.array([[x + rng.normal(0, size), y + 6 * size]]))
        canvas.drawPath(stalk, paint((92, 118, 60), 0.8, max(1.0, 0.18 * size)))
        flower(canvas, x, y, size * rng.uniform(0.6, 1.3), colour, rng)
    return over(image, pixels, blur)


def _grass(
    image: np.ndarray, colours: tuple[Colour, ...], count: int, length: float, blur: float,
    rng: np.random.Generator, line: float = 1.05,
) -> np.ndarray:  # fmt: skip
    height, width = image.shape[:2]
    pixels, canvas, _surface = sheet((width, height))
    for _ in range(count):
        colour = colours[rng.integers(len(colours))]
        reach = length * height * rng.uniform(0.5, 1.3)
        foot = height * rng.uniform(line, line + 0.1)
        blade(
            canvas,
            rng.uniform(0, width),
            foot,
            reach,
            0.012 * height * rng.uniform(0.6, 1.6),
            colour,
            rng,
        )
    return over(image, pixels, blur)


def wood(size: Size, rng: np.random.Generator) -> np.ndarray:
    unit = min(size)
    bend = 0.16 * cloudy(size, unit / 2.5, rng)
    image = descending(size, [(150, 170, 112), (92, 118, 70), (54, 74, 48), (40, 48, 34)], bend)
    image = _stems(image, (66, 58, 46), int(rng.integers(2, 7)), 0.04 * unit, 0.03 * unit, rng)
    image = _leafy(
        image, ((84, 122, 56), (120, 148, 70), (60, 92, 50)), 34, 0.17 * unit, 0.028 * unit, rng
    )
    image = discs(
        image,
        ((206, 218, 150), (236, 236, 190), (150, 184, 100)),
        int(rng.integers(10, 34)),
        (0.012 * unit, 0.05 * unit),
        rng,
        (0, 0.8),
    )
    return _leafy(
        image, ((96, 136, 60), (70, 108, 50)), int(rng.integers(3, 12)), 0.11 * unit, 3.5, rng
    )


def meadow(size: Size, rng: np.random.Generator) -> np.ndarray:
    unit = min(size)
    bend = 0.1 * cloudy(size, unit / 2, rng, 2)
    image = descending(
        size, [(206, 218, 206), (176, 196, 140), (132, 164, 84), (96, 132, 60)], bend
    )
    image = _grass(
        image, ((118, 154, 72), (150, 176, 92), (94, 128, 58)), 90, 0.6, 0.022 * unit, rng
    )
    image = _flowers(image, int(rng.integers(16, 44)), 0.035 * unit, 0.02 * unit, rng)
    image = _grass(image, ((110, 150, 66), (146, 170, 84)), 26, 0.36, 1.4, rng)
    return _flowers(image, int(rng.integers(2, 8)), 0.032 * unit, 0.9, rng, (0.62, 0.98))


def lake(size: Size, rng: np.random.Generator) -> np.ndarray:
    unit = min(size)
    image = descending(
        size,
        [(178, 200, 206), (138, 172, 186), (104, 146, 160), (74, 112, 122)],
        0.05 * cloudy(size, unit / 3, rng, 4),
    )
    shore = rng.uniform(0.1, 0.28)
    y = np.linspace(0, 1, size[1])[:, None]
    bank = 1 / (1 + np.exp((y - shore + 0.03 * smooth(size, unit / 4, rng)) * 40))
    image = (
        image * (1 - bank[..., None])
        + np.array([92, 112, 78])
        * (1 + 0.12 * cloudy(size, unit / 6, rng))[..., None]
        * bank[..., None]
    )
    ripples = cloudy(size, unit / 30, rng, 7, 3) * np.clip((y - shore) * 2.4, 0, 1)
    image = image + 12 * ripples[..., None] * np.array([1.0, 1.04, 1.05])
    glint = np.clip(cloudy(size, unit / 60, rng, 9, 2) - 1.35, 0, 1) * (y > shore)
    image = image + 150 * glint[..., None]
    return _grass(
        image.astype(np.float32),
        ((124, 140, 76), (98, 116, 62), (160, 150, 92)),
        int(rng.integers(8, 34)),
        0.75,
        0.012 * unit,
        rng,
    )


def sky(size: Size, rng: np.random.Generator) -> np.ndarray:
    unit = min(size)
    top, low = (
        ((88, 148, 212), (212, 230, 242)),
        ((124, 168, 212), (242, 230, 214)),
        ((112, 138, 182), (252, 216, 176)),
    )[rng.integers(3)]
    image = descending(size, [top, low])
    billow = gaussian_filter(cloudy(size, unit / 1.4, rng, 1.5, 5), 0.006 * unit)
    cloud = 0.88 / (1 + np.exp(-3.2 * (billow - 0.5)))[..., None]
    # Clouds are bright where they turn to the sky and a little grey below.
    slope = np.clip(np.gradient(gaussian_filter(billow, 0.02 * unit), axis=0) * unit / 6, -1, 1)
    image = (
        image * (1 - cloud) + np.array([250, 249, 247]) * (0.94 + 0.06 * slope)[..., None] * cloud
    )
    hill = smooth(size, unit / 2.2, rng)[:1] * 0.05 + rng.uniform(0.84, 1.06)
    y = np.linspace(0, 1, size[1])[:, None]
    land = 1 / (1 + np.exp(-(y - hill) * 90))[..., None]
    image = image * (1 - land) + np.array([112, 130, 112]) * land
    shown: np.ndarray = image.astype(np.float32)
    return shown


def autumn(size: Size, rng: np.random.Generator) -> np.ndarray:
    unit = min(size)
    image = descending(
        size,
        [(214, 176, 104), (176, 118, 62), (112, 78, 50), (74, 58, 42)],
        0.2 * cloudy(size, unit / 2.4, rng),
    )
    image = _stems(image, (72, 56, 44), int(rng.integers(2, 6)), 0.035 * unit, 0.028 * unit, rng)
    image = _leafy(
        image,
        ((206, 128, 46), (186, 78, 38), (218, 176, 70), (128, 110, 56)),
        38,
        0.15 * unit,
        0.026 * unit,
        rng,
    )
    image = discs(
        image,
        ((250, 214, 140), (232, 160, 80), (240, 226, 190)),
        int(rng.integers(12, 34)),
        (0.012 * unit, 0.05 * unit),
        rng,
    )
    return _leafy(
        image, ((204, 120, 44), (176, 66, 36)), int(rng.integers(2, 9)), 0.1 * unit, 3, rng
    )


def winter(size: Size, rng: np.random.Generator) -> np.ndarray:
    unit = min(size)
    image = descending(
        size,
        [(198, 208, 220), (214, 220, 228), (226, 229, 234)],
        0.14 * cloudy(size, unit / 2, rng),
    )
    image = _stems(image, (128, 130, 138), int(rng.integers(4, 10)), 0.022 * unit, 0.02 * unit, rng)
    pixels, canvas, _surface = sheet(size)
    for _ in range(int(rng.integers(6, 16))):
        a = np.array([rng.uniform(0, size[0]), rng.uniform(0, size[1])])
        way = a + np.cumsum(rng.normal(0, 0.12 * unit, (4, 2)), axis=0)
        canvas.drawPath(spline(way, closed=False), paint((108, 104, 106), 0.6, rng.uniform(1.5, 6)))
    image = over(image, pixels, 0.012 * unit)
    return discs(
        image,
        ((255, 255, 255),),
        int(rng.integers(30, 90)),
        (0.004 * unit, 0.014 * unit),
        rng,
        strength=0.8,
    )


def shore(size: Size, rng: np.random.Generator) -> np.ndarray:
    unit = min(size)
    horizon = rng.uniform(0.25, 0.42)
    y = np.linspace(0, 1, size[1])[:, None]
    image = descending(size, [(190, 210, 222), (222, 228, 226)])
    sea = (
        descending(size, [(86, 132, 150), (110, 158, 166), (140, 178, 176)])
        + 9 * cloudy(size, unit / 26, rng, 8, 3)[..., None]
    )
    sand = (
        np.array([206, 186, 150])
        * (1 + 0.05 * cloudy(size, unit / 20, rng, 3, 4) + 0.03 * rng.normal(size=size[::-1]))[
            ..., None
        ]
    )
    tide = horizon + rng.uniform(0.2, 0.34) + 0.03 * smooth(size, unit / 2, rng, 2)
    image = np.where((y < horizon)[..., None], image, np.where((y < tide)[..., None], sea, sand))
    foam = np.exp(-(((y - tide) / 0.012) ** 2))[..., None]
    image = image * (1 - 0.8 * foam) + 246 * 0.8 * foam
    layer = np.zeros((*size[::-1], 4), np.uint8)
    layer[..., :3], layer[..., 3] = np.clip(image, 0, 255), 255
    return over(image.astype(np.float32), layer, 0.011 * unit)


def orchard(size: Size, rng: np.random.Generator) -> np.ndarray:
    unit = min(size)
    image = descending(
        size,
        [(208, 220, 226), (196, 206, 176), (150, 176, 120)],
        0.18 * cloudy(size, unit / 2.2, rng),
    )
    pixels, canvas, _surface = sheet(size)
    tint: Colour = ((240, 198, 212), (250, 240, 236), (224, 160, 190))[rng.integers(3)]
    for _ in range(int(rng.integers(40, 90))):
        flower(
            canvas,
            rng.uniform(0, size[0]),
            rng.uniform(0, size[1]),
            0.05 * unit * rng.uniform(0.5, 1.3),
            tint,
            rng,
        )
    image = over(image, pixels, 0.024 * unit)
    return discs(
        image,
        ((255, 236, 240), (255, 255, 240)),
        int(rng.integers(10, 26)),
        (0.015 * unit, 0.05 * unit),
        rng,
    )
