"""The compiled passes of `fused`, which alone imports this module: it needs numba.

What is compiled is kept beside this file, or in the user's cache where that cannot be written to.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_LANES = 32  # columns at a time: their tables stay next to the arithmetic
_F32, _I32 = np.float32, np.int32
_C2, _C3, _C4 = _F32(0.2402264476), _F32(0.5550347269e-1), _F32(0.9618384764e-2)
_C1, _C5, _C6 = _F32(0.6931471825), _F32(0.1339262701e-2), _F32(0.1535920892e-3)
_SMALLEST = _F32(-126)
_LOW = _F32(1 / 254)


def _power(exponent: Any) -> Any:
    """2 to the power of a float32 below 128; 0 below -126, where torch has the last few numbers
    above 0, too small to change a sum with 1 in it."""
    whole = np.rint(exponent)
    rest = exponent - whole
    value = _C6
    value = value * rest + _C5
    value = value * rest + _C4
    value = value * rest + _C3
    value = value * rest + _C2
    value = value * rest + _C1
    value = value * rest + _F32(1)
    bits = _I32((_I32(max(whole, _SMALLEST)) + 127) << 23)
    return value * bits.view(_F32) if exponent >= _SMALLEST else _F32(0)


def _fold(powers: Any, weighted: Any) -> None:
    """Both sums over rows, into the first row."""
    rows = len(powers)
    while rows > 1:
        half = 1
        while half * 2 < rows:
            half *= 2
        for region in range(rows - half):
            for lane in range(_LANES):
                powers[region, lane] += powers[region + half, lane]
                weighted[region, lane] += weighted[region + half, lane]
        rows = half


# Multiplications and additions may be joined in the polynomial, and nowhere else.
power = numba.njit(fastmath={"contract"}, error_model="numpy")(_power)
fold = numba.njit(error_model="numpy")(_fold)


def _strengths(similarity: Any, kept: Any, scale: Any, shifted: Any, out: Any) -> None:
    """Of S (B, M, N) and kept (B, M) into out (B, N); exponents are S times scale, less that of
    each column's maximum where shifted."""
    images, regions, columns = similarity.shape
    powers = np.zeros((regions, _LANES), _F32)
    weighted = np.zeros((regions, _LANES), _F32)
    shift = np.zeros(_LANES, _F32)
    for image in range(images):
        for start in range(0, columns, _LANES):
            lanes = min(_LANES, columns - start)
            if shifted:
                shift[:] = -np.inf
                for region in range(regions):
                    if kept[image, region]:
                        for lane in range(lanes):
                            entry = similarity[image, region, start + lane]
                            shift[lane] = max(shift[lane], entry)
            for region in range(regions):
                if kept[image, region]:
                    for lane in range(lanes):
                        entry = similarity[image, region, start + lane]
                        value = power((entry - shift[lane]) * scale)
                        powers[region, lane] = value
                        weighted[region, lane] = value * entry
                else:
                    powers[region] = 0
                    weighted[region] = 0
            fold(powers, weighted)
            for lane in range(lanes):
                out[image, start + lane] = weighted[0, lane] / powers[0, lane]


def _strengths_of_digits(
    high: Any, low: Any, kept: Any, rows: Any, attributes: Any, scale: Any, out: Any
) -> None:
    """The same, not shifted, of S = rows[b, i] * attributes[j] * (high + low / 254)."""
    images, regions, columns = high.shape
    powers = np.zeros((regions, _LANES), _F32)
    weighted = np.zeros((regions, _LANES), _F32)
    entries = np.zeros(_LANES, _F32)
    units = np.zeros(_LANES, _F32)
    for image in range(images):
        for start in range(0, columns, _LANES):
            lanes = min(_LANES, columns - start)
            units[:lanes] = attributes[start : start + lanes]
            for region in range(regions):
                if kept[image, region]:
                    # In two loops over views, which the compiler turns into vectors.
                    unit = rows[image, region]
                    tens = high[image, region, start : start + lanes]
                    ones = low[image, region, start : start + lanes]
                    for lane in range(lanes):
                        entries[lane] = (_F32(tens[lane]) + _F32(ones[lane]) * _LOW) * unit
                    of_region = powers[region]
                    products = weighted[region]
                    for lane in range(_LANES):
                        entry = entries[lane] * units[lane]
                        value = power(entry * scale)
                        of_region[lane] = value
                        products[lane] = value * entry
                else:
                    powers[region] = 0
                    weighted[region] = 0
            fold(powers, weighted)
            for lane in range(lanes):
                out[image, start + lane] = weighted[0, lane] / powers[0, lane]


_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}
strengths = numba.njit(
    "void(float32[:, :, ::1], boolean[:, :], float32, boolean, float32[:, :])", **_OPTIONS
)(_strengths)
strengths_of_digits = numba.njit(
    "void(int32[:, :, ::1], int32[:, :, ::1], boolean[:, :], float32[:, :], float32[::1],"
    " float32, float32[:, :])",
    **_OPTIONS,
)(_strengths_of_digits)
