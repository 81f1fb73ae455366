"""Numbers between 0 and 1 that are a pure function of a text, on every machine for good."""

from __future__ import annotations

import hashlib
import math

import numpy as np


def raw_uniform(text: str, shape: tuple[int, ...]) -> np.ndarray:
    """Float64 in [0, 1) of this shape, seeded by a digest of the text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    # Raw bits, because NumPy promises the stream of a bit generator and not that of a distribution.
    raw = np.random.PCG64(seed).random_raw(math.prod(shape)).reshape(shape)
    return np.asarray((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53)
