"""Plans between the paper's and one-sided ones: regions may miss their marginal, at a price.

    maximise  sum_ij T_ij S_ij + eps H(T) - rho KL(T 1 | u)    with columns summing to v

over all T >= 0: rho = 0 is the one-sided plan, rho = infinity holds both marginals. In between
there is no closed form; a fixed point is iterated (Chizat et al. 2018, unbalanced transport, with
exponent rho / (rho + eps) on the rows):

    r = (u / (K c))^(rho / (rho + eps)),   c = v / (K' r),   K = exp(S / eps).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lazsl.alignment.attributes import PackedAttributes

PENALTIES = (0.0, 0.02, 0.1, 0.5, np.inf)
CLOSE, MOST = 1e-5, 1000
"""Change of a score at which iteration stops, and how often it iterates at most."""


@dataclass(frozen=True)
class Solved:
    """scores: of every class, (C,). iterations: the mean over classes."""

    scores: NDArray[np.float64]
    iterations: float


def solve(
    regions: NDArray[np.float64], packed: PackedAttributes, epsilon: float, penalty: float
) -> Solved:
    """Scores of all classes for one image.

    Args:
        regions: (R, D) unit vectors.
        packed: the label set.
        epsilon: entropic regularisation.
        penalty: rho.
    """
    scores = np.empty(len(packed.means))
    iterations = 0.0
    power = 1.0 if np.isinf(penalty) else penalty / (penalty + epsilon)
    for block in packed.blocks:
        texts = packed.embeddings[block.rows].double().numpy()
        # (C, R, n)
        similarity = (regions @ texts.T).reshape(len(regions), block.size, -1).transpose(2, 0, 1)
        kernel = np.exp((similarity - similarity.max()) / epsilon)
        score, count = _iterated(kernel, similarity, power)
        scores[block.classes.numpy()] = score
        iterations += count * len(score)
    return Solved(scores, iterations / len(scores))


def _iterated(
    kernel: NDArray[np.float64], similarity: NDArray[np.float64], power: float
) -> tuple[NDArray[np.float64], int]:
    """Scores (C,) of problems (C, R, n), and how often they were iterated."""
    regions, size = kernel.shape[1:]
    rows, before, count = np.ones(kernel.shape[:2]), np.full(len(kernel), np.inf), 0
    while True:
        count += 1
        columns = 1 / size / np.einsum("crn,cr->cn", kernel, rows)
        score = (rows[:, :, None] * kernel * columns[:, None] * similarity).sum(axis=(1, 2))
        if power == 0 or count == MOST or np.abs(score - before).max() < CLOSE:
            return score, count
        rows = (1 / regions / np.einsum("crn,cn->cr", kernel, columns)) ** power
        before = score
