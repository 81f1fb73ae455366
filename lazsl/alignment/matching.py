"""Settings of the alignment, checked, and the solver they choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor

from lazsl.alignment import one_sided
from lazsl.alignment.transport import (
    Transport,
    Workspace,
    compute_dtype,
    sinkhorn,
    stopping,
)
from lazsl.settings import Aligner, Rule


class Settings(TypedDict, total=False):
    """Keyword settings of the scoring functions, with the paper's values as defaults.

    aligner: `paper` (default) or `one-sided`, of which the stopping rule is no setting.
    theta: weight of the region against the whole image, 0..1 (0.8); 1 is OT without the mix.
    epsilon, rule, max_iterations, tolerance: as `transport.sinkhorn` takes them (epsilon 0.1).
    memory_bytes: bound of the working memory, beyond arguments and results (256 MiB). One image
        with one block of 4,096 attributes is the least that is worked on at a time.
    """

    aligner: Aligner
    theta: float
    epsilon: float
    rule: Rule
    max_iterations: int | None
    tolerance: float | None
    memory_bytes: int


@dataclass(frozen=True)
class Matching:
    """`Settings` with every value present, checked."""

    theta: float = 0.8
    epsilon: float = 0.1
    rule: Rule = "paper"
    max_iterations: int | None = None
    tolerance: float | None = None
    memory_bytes: int = 256 * 2**20
    aligner: Aligner = "paper"

    def __post_init__(self) -> None:
        if not 0 <= self.theta <= 1:
            raise ValueError(f"theta must be from 0 to 1, got {self.theta}")
        if not self.epsilon > 0:
            raise ValueError(f"epsilon must be above 0, got {self.epsilon}")
        stopping(self.rule, self.max_iterations, self.tolerance)

    @property
    def one_sided(self) -> bool:
        return self.aligner == "one-sided"

    @property
    def dtype(self) -> torch.dtype:
        """Of exact similarities and what is solved with them."""
        return torch.float64 if self.one_sided else compute_dtype(self.epsilon, self.rule)

    @property
    def stopping(self) -> tuple[int, float]:
        """Most iterations, and the tolerance."""
        return stopping(self.rule, self.max_iterations, self.tolerance)

    def solve(
        self,
        similarity: Tensor,
        keep: Tensor,
        count: Tensor,
        workspace: Workspace,
        with_plan: bool = False,
    ) -> Transport:
        if self.one_sided:
            return one_sided.solve(similarity, keep, self.epsilon, workspace, with_plan)
        return sinkhorn(
            similarity,
            keep,
            epsilon=self.epsilon,
            rule=self.rule,
            max_iterations=self.max_iterations,
            tolerance=self.tolerance,
            count=count,
            with_plan=with_plan,
            workspace=workspace,
        )
