"""Vectors and boxes of stored tables, as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa


def vectors_of(table: pa.Table) -> np.ndarray:
    """(rows, D) of the column `embedding`, as it is stored; not to be written to."""
    column: Any = table["embedding"].combine_chunks()
    vectors: np.ndarray = column.flatten().to_numpy(zero_copy_only=False)
    return vectors.reshape(-1, column.type.list_size)


def boxes_of(regions: pa.Table) -> np.ndarray:
    """(rows, 4) int64: left, top, right and bottom of `schemas.regions(D)`, in pixels."""
    sides = [regions[name].to_numpy() for name in ("left", "top", "right", "bottom")]
    return np.stack(sides, axis=1).astype(np.int64)
