"""How sure a label is: the softmax of an image's best scores, cooled by a fitted temperature.

Scores are cosines, which lie so close together that a plain softmax of them says nothing. Divided
by a temperature that was fitted where the truth is known (`evaluation/calibration.py`), the first
entry of the softmax reads as the chance that the label is right.
"""

from __future__ import annotations

import numpy as np

from lazsl.errors import UserError


def confidence(top_scores: np.ndarray, temperature: float) -> np.ndarray:
    """The chance that each image's best class is right, (B,) float32 in [1 / k, 1].

    The first entry of `softmax(s / temperature)` over the k stored scores (Guo et al. 2017, eq. 9).
    The rounding to float32 is that of the warehouse, so that a threshold taken from stored values
    parts images exactly as it did there.

    Args:
        top_scores: (B, k) scores as they are stored, best first; k is the run's `top_k`.
        temperature: above 0; small means sure.

    Raises:
        UserError: only one score is stored per image: with nothing to compare it with, every label
            would be certain.
    """
    if np.ndim(top_scores) != 2 or np.shape(top_scores)[1] < 2:
        raise UserError(
            "confidence compares the best classes of an image, but only one is scored; use a label "
            "set of two classes or more and top_k of 2 or more, or leave temperature and "
            "abstain_below out"
        )
    scores = np.asarray(top_scores, np.float32).astype(np.float64)
    behind = (scores - scores[:, :1]) / temperature
    return np.asarray(1.0 / np.exp(behind).sum(axis=1), np.float32)
