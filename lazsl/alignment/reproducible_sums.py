"""Sums and powers whose bits do not depend on what is computed beside them.

Libraries sum in an order that depends on shapes and threads, and raise what is left over after
whole vectors to a power by other code. Here every sum is a fixed sequence of elementwise
operations.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def whole_vectors(entries: int) -> int:
    """At least `entries`, such that torch's threads share so many numbers in whole vectors.

    What is left over after whole vectors is raised to a power by other code, which may differ in
    the last bit; a score would then depend on the problem's place in the batch.
    """
    share = 32_768  # torch gives no thread fewer numbers, and no vector register holds over 64
    while True:
        threads = min(torch.get_num_threads(), max(1, -(-entries // share)))
        padded = -(-entries // (64 * threads)) * 64 * threads
        if padded == entries:
            return padded
        entries = padded


def ordered_sum(terms: Sequence[Tensor]) -> Tensor:
    """The elementwise sum, in the order given."""
    total = terms[0].clone()
    for term in terms[1:]:
        total += term
    return total


def fold(terms: Tensor) -> Tensor:
    """(B, M, ...) -> (B, ...), the sum over M. Overwrites `terms`.

    Rows a power of two apart are added, so that zero rows at the end change no bit.
    """
    rows = terms.shape[1]
    while rows > 1:
        half = 1 << (rows - 1).bit_length() - 1
        terms[:, : rows - half] += terms[:, half:rows]
        rows = half
    return terms[:, 0]
