"""LaZSL as the method page states it, one image and one class at a time, in float64.

Plain loops, written from the equations and sharing nothing with `lazsl`, so that a test which
compares the two compares two computations.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


class Solution(NamedTuple):
    """One transport problem: score, T and S on the kept regions, and how it was reached."""

    score: float
    plan: Matrix
    similarity: Matrix
    iterations: int


def kept_regions(regions: Matrix, whole: Matrix, gamma: float = 0.0) -> list[int]:
    """Indices of the regions at least `gamma` more similar to the whole image than the mean."""
    agreement = [float(region @ whole) for region in regions]
    level = math.fsum(agreement) / len(agreement) + gamma
    kept = [i for i, value in enumerate(agreement) if value >= level - 1e-12]
    return kept or [agreement.index(max(agreement))]


def similarity(region: Matrix, whole: Matrix, attribute: Matrix, theta: float) -> float:
    """S of one region and one attribute."""
    return float(theta * (region @ attribute) + (1 - theta) * (whole @ attribute))


def paper_sinkhorn(
    S: Matrix, count: int, epsilon: float, max_iterations: int = 100, tolerance: float = 1e-2
) -> Solution:
    """The published stopping rule on the kept regions' S (M', n), of an image with `count`."""
    rows, columns = len(S), len(S[0])
    K = [[math.exp((S[i][j] - 1) / epsilon) for j in range(columns)] for i in range(rows)]
    c = [1.0] * columns
    r = [1.0] * rows
    iterations = 0
    while iterations < max_iterations:
        previous = r
        r = [1 / rows / sum(K[i][j] * c[j] for j in range(columns)) for i in range(rows)]
        c = [1 / columns / sum(K[i][j] * r[i] for i in range(rows)) for j in range(columns)]
        change = sum(abs(r[i] - previous[i]) for i in range(rows))
        if iterations == 0:
            change += count - rows  # regions that are not kept fall from 1 to 0
        iterations += 1
        if change / count < tolerance:
            break
    T = np.array([[r[i] * K[i][j] * c[j] for j in range(columns)] for i in range(rows)])
    score = math.fsum(T[i][j] * S[i][j] for i in range(rows) for j in range(columns))
    return Solution(score, T, np.asarray(S), iterations)


def align(
    regions: Matrix,
    whole: Matrix,
    attributes: Matrix,
    *,
    theta: float = 0.8,
    epsilon: float = 0.1,
    gamma: float = 0.0,
) -> Solution:
    """One image, regions (M, D) and whole (D,), against one class's attributes (n, D)."""
    kept = kept_regions(regions, whole, gamma)
    S = np.array([[similarity(regions[i], whole, t, theta) for t in attributes] for i in kept])
    return paper_sinkhorn(S, len(regions), epsilon)


def one_sided(regions: Matrix, attributes: Matrix, epsilon: float) -> Solution:
    """The plan of the attributes' marginal alone: regions (R, D), attributes (n, D)."""
    S = np.array([[float(f @ t) for t in attributes] for f in regions])
    T = np.zeros_like(S)
    for j in range(len(attributes)):
        weights = [math.exp((S[i][j] - S[:, j].max()) / epsilon) for i in range(len(regions))]
        for i, weight in enumerate(weights):
            T[i, j] = weight / math.fsum(weights) / len(attributes)
    return Solution(math.fsum((T * S).ravel().tolist()), T, S, 0)
