"""The ends of the family between one-sided plans and the paper's are what alignment solves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lazsl.alignment.align import class_scores
from lazsl.alignment.attributes import PackedAttributes
from studies.pages import row_penalty

EPSILON = 0.05


@pytest.mark.parametrize("penalty", [0.0, np.inf])
def test_the_ends_of_the_family_are_both_aligners(penalty: float) -> None:
    generator = torch.Generator().manual_seed(0)

    def unit(*shape: int) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.randn(*shape, generator=generator), dim=-1)

    regions, whole = unit(1, 12, 16), unit(1, 16)
    packed = PackedAttributes.from_classes(unit(9, 16), [2, 3, 4])
    solved = row_penalty.solve(regions[0].double().numpy(), packed, EPSILON, penalty)
    keep = torch.ones(1, 12, dtype=torch.bool)
    given = (regions, whole, keep, packed)
    if penalty == 0:
        wanted = class_scores(*given, aligner="one-sided", theta=1.0, epsilon=EPSILON)
        assert solved.iterations == 1
    else:
        wanted = class_scores(
            *given, theta=1.0, epsilon=EPSILON, rule="converged", max_iterations=10_000,
            tolerance=1e-9,
        )  # fmt: skip
    # It stops where scores move by less than 1e-5.
    np.testing.assert_allclose(solved.scores, wanted[0].numpy(), atol=1e-4)
    between = row_penalty.solve(regions[0].double().numpy(), packed, EPSILON, 0.1).scores
    assert (np.abs(between - solved.scores) > 1e-3).any()
