"""CIE L*a*b* as TIFF stores it -> sRGB."""

from __future__ import annotations

import numpy as np

from lazsl.images.budget import bands

_D50 = np.array([0.9642, 1.0, 0.8249], dtype=np.float32)
_TO_LINEAR = np.array(
    # XYZ under D50, adapted to D65 (Bradford), to linear sRGB
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ],
    dtype=np.float32,
)


def lab_to_srgb(values: np.ndarray) -> np.ndarray:
    """L, a and b of 8 or 16 bits, (height, width, 3 or more), as uint8 (height, width, 3).

    L counts from 0 to 100 over the full range; a and b are signed, in steps of 1 (8 bits) or 1/256
    (16 bits), under D50.
    """
    height, width, _ = values.shape
    bits = 8 * values.dtype.itemsize
    signed, unsigned = (np.int8, np.uint8) if bits == 8 else (np.int16, np.uint16)
    rgb = np.empty((height, width, 3), dtype=np.uint8)
    for top, bottom in bands(8 * width, height):
        band = np.ascontiguousarray(values[top:bottom, :, :3])
        light = band[..., 0].view(unsigned).astype(np.float32) * (100 / (2**bits - 1))
        a, b = (band[..., n].view(signed).astype(np.float32) / 2 ** (bits - 8) for n in (1, 2))
        y = (light + 16) / 116
        linear = (_cube(np.stack([y + a / 500, y, y - b / 200], -1)) * _D50) @ _TO_LINEAR.T
        rgb[top:bottom] = np.rint(_encoded(np.clip(linear, 0, 1)) * 255).astype(np.uint8)
    return rgb


def _cube(ratio: np.ndarray) -> np.ndarray:
    low: np.ndarray = (ratio - 16 / 116) * (3 * (6 / 29) ** 2)
    return np.where(ratio > 6 / 29, ratio**3, low).astype(np.float32)


def _encoded(linear: np.ndarray) -> np.ndarray:
    curve = 1.055 * np.power(linear, 1 / 2.4, dtype=np.float32) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, curve)
