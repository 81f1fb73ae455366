"""Entropic optimal transport of region mass onto attributes: many small problems at once.

The problem (LaZSL, arXiv 2506.23822, eq. 5-8), for one image and one class with n attributes:

    maximise  sum_ij T_ij S_ij + epsilon * entropy(T)   with rows summing to u, columns to v,

solved by Sinkhorn's alternating scaling of `K = exp((S - 1) / epsilon)`:

    r = u / (K c);   c = v / (K' r);   T_ij = r_i K_ij c_j.

Nothing here knows of images or files: an *image* is an index of the first axis, a *class* of the
last. Every sum is a fixed sequence of elementwise operations over the last, contiguous axis. That
is the fastest layout on a CPU, and it makes the bits of a problem independent of its neighbours,
of its place in the batch and of padding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lazsl.alignment.reproducible_sums import fold, ordered_sum, whole_vectors
from lazsl.settings import STOPPING, Rule

# Cosines lie in [-1, 1], so S / epsilon spans at most 2 / epsilon and these limits are safe for
# every batch. At 0.1 the unshifted r (up to e^20) is still resolved by float32 where real cosines
# put it; below, the paper's absolute threshold would be lost in rounding. At 0.01 the scalings
# stay below e^400 in float64; below, they are kept as logarithms.
FLOAT32_EPSILON = 0.1
SCALING_EPSILON = 0.01

# Rows that are multiplied and added at a time: few enough that their sums stay in the cache.
STRIP = 8


@dataclass(frozen=True)
class Transport:
    """Solved problems of B images and C classes.

    Attributes:
        scores: (B, C), `sum_ij T_ij S_ij`.
        iterations: (B, C) int64, updates of r and c each problem took.
        residual: (B, C), largest absolute error of a row marginal (columns are exact);
            None unless plans were asked for.
        plan: (B, M, n, C), `T_ij`, zero on rows that are not kept; None unless asked for.
    """

    scores: Tensor
    iterations: Tensor
    residual: Tensor | None = None
    plan: Tensor | None = None


class Workspace:
    """Buffers to be used again by the next call.

    On a CPU, mapping fresh memory for every large temporary costs more than the arithmetic on it.
    A workspace serves one thread and one call at a time.
    """

    def __init__(self) -> None:
        self._flat: dict[str, Tensor] = {}

    def take(self, name: str, shape: torch.Size | tuple[int, ...], like: Tensor) -> Tensor:
        """The buffer `name`, contiguous, of this shape and of the dtype and device of `like`.

        Its content is arbitrary, and the next `take` of the same name overwrites it.
        """
        flat, size = self._flat.pop(name, None), math.prod(shape)
        kind = (like.dtype, like.device)
        if flat is None or flat.numel() < size or (flat.dtype, flat.device) != kind:
            del flat  # before a larger one is made
            flat = like.new_empty(size)
        self._flat[name] = flat
        return flat[:size].view(shape)


def stopping(rule: Rule, max_iterations: int | None, tolerance: float | None) -> tuple[int, float]:
    """Most iterations, and the tolerance; None stands for the rule's own.

    Raises:
        ValueError: there is no such rule, or a value is out of range.
    """
    if rule not in STOPPING:
        raise ValueError(f"rule must be one of {', '.join(STOPPING)}, got {rule!r}")
    most, limit = STOPPING[rule]
    most = most if max_iterations is None else max_iterations
    limit = limit if tolerance is None else tolerance
    if most < 1:
        raise ValueError(f"max_iterations must be at least 1, got {most}")
    if not limit > 0:
        raise ValueError(f"tolerance must be above 0, got {limit}")
    return most, limit


def compute_dtype(epsilon: float, rule: Rule) -> torch.dtype:
    """The dtype a problem is solved in: float32 for the published setting, float64 elsewhere.

    It depends on the settings alone, never on the data, so that a batch cannot change it.
    """
    return torch.float32 if rule == "paper" and epsilon >= FLOAT32_EPSILON else torch.float64


def working_bytes(shape: tuple[int, int, int, int], epsilon: float, rule: Rule) -> int:
    """Bytes `sinkhorn` works in, beyond its arguments and without a plan, for (B, M, n, C)."""
    images, regions, attributes, classes = shape
    per_class = attributes * (regions + 2 * STRIP) + 5 * regions
    if epsilon < SCALING_EPSILON:
        per_class = attributes * 3 * regions + 8 * regions
    return compute_dtype(epsilon, rule).itemsize * images * classes * per_class


def sinkhorn(
    similarity: Tensor,
    keep: Tensor,
    *,
    epsilon: float,
    rule: Rule = "paper",
    max_iterations: int | None = None,
    tolerance: float | None = None,
    count: Tensor | None = None,
    with_plan: bool = False,
    workspace: Workspace | None = None,
) -> Transport:
    """Scores, and on request plans, of B x C transport problems with n attributes each.

    Every problem stops by its own rule and is frozen from then on:

    - `paper`: when `mean_i |r_i - r_i(previous)| < tolerance`, the mean taken over all `count`
      regions (zeros of unkept ones included), r starting at 1. It speaks of the r of
      `K = exp((S - 1) / epsilon)`; where that r overflows (epsilon below about 0.0014) the rule
      is not met and the problem runs to `max_iterations`.
    - `converged`: when no row marginal is off by `tolerance` or more.

    Args:
        similarity: (B, M, n, C) floating point, S in [-1, 1], any device.
        keep: bool, (B, M) or, where it differs between classes, (B, M, C). The rows that carry
            mass, 1 / (number kept) each. Each problem needs at least one: which region speaks
            when none passes a selection is the caller's decision.
        epsilon: entropic regularisation, > 0; finite from 0.001 to 10 and beyond.
        rule: `paper` or `converged`.
        max_iterations: at least 1; None for the rule's own (`settings.STOPPING`).
        tolerance: of the rule; None for the rule's own.
        count: (B,) or (B, C), regions the image has; None for M. Say it when `similarity` has
            padding rows, or has only the kept rows.
        with_plan: also return `plan` and `residual`.
        workspace: buffers kept from an earlier call; the result never shares memory with them.

    Raises:
        ValueError: on shapes that do not fit, a setting out of range, or a problem without a
            kept row.
    """
    steps, limit = stopping(rule, max_iterations, tolerance)
    mass, count = _marginals(similarity, keep, count, epsilon)
    dtype = compute_dtype(epsilon, rule)
    similarity, mass, count = similarity.to(dtype), mass.to(dtype), count.to(dtype)
    solver = _Scaling if epsilon >= SCALING_EPSILON else _Logarithms
    form = solver(similarity, mass, epsilon, workspace or Workspace())
    r, c, iterations = _iterate(form, mass, count, rule, steps, limit)
    if not with_plan:
        return Transport(form.score(r, c, similarity), iterations)
    plan = form.plan(r, c)
    residual = (ordered_sum(plan.unbind(2)) - mass).abs().amax(1)
    return Transport(form.score(r, c, similarity), iterations, residual, plan)


def _marginals(
    similarity: Tensor, keep: Tensor, count: Tensor | None, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Row marginals u, (B, M, 1) or (B, M, C), and region counts, (B, 1) or (B, C)."""
    if similarity.ndim != 4 or 0 in similarity.shape[1:]:
        raise ValueError(f"similarity must be (B, M, n, C), got {tuple(similarity.shape)}")
    images, regions, _, classes = similarity.shape
    if keep.ndim == 2:
        keep = keep[:, :, None]
    if keep.shape not in ((images, regions, 1), (images, regions, classes)):
        raise ValueError(
            f"keep must be (B, M) or (B, M, C) beside similarity {tuple(similarity.shape)}, "
            f"got {tuple(keep.shape)}"
        )
    if not epsilon > 0:
        raise ValueError(f"epsilon must be above 0, got {epsilon}")
    kept = keep.sum(1, keepdim=True, dtype=torch.float64)
    if not bool(kept.all()):
        raise ValueError("a problem has no kept region; keep at least the most similar one")
    if count is None:
        count = torch.full((images, 1), regions, device=similarity.device)
    return keep / kept, count if count.ndim == 2 else count[:, None]


def _iterate(
    form: _Scaling | _Logarithms, mass: Tensor, count: Tensor, rule: Rule, steps: int, limit: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The scalings r and c each problem stopped with, in the form's own terms, and how often
    it updated them."""
    r, c = form.start()
    # r(previous) of the first update is 1 on all regions, also on those without mass, which may
    # not even have a row here.
    absent = count - (mass > 0).sum(1)
    done = torch.zeros_like(c[:, 0], dtype=torch.bool)
    iterations = torch.zeros_like(done, dtype=torch.int64)
    running = done.numel()
    for step in range(1, steps + 1):
        row_sums = form.row_sums(c)
        if rule == "converged" and step > 1:
            done |= (form.row_marginals(r, row_sums) - mass).abs().amax(1) < limit
            running = int((~done).sum())
            if not running:
                break
        update = form.divide(row_sums)
        if rule == "paper":
            # Not-a-number (r overflowed) compares false: the rule is not met.
            stopping = form.change(update, r) + absent * (step == 1) < limit * count
        r = update if running == done.numel() else torch.where(done[:, None], r, update, out=update)
        # A frozen r gives the very same c again, so c needs no freezing.
        c = form.columns(r)
        iterations.masked_fill_(~done, step)
        if rule == "paper":
            done |= stopping
            running = int((~done).sum())
            if not running:
                break
    return r, c, iterations


class _Scaling:
    """r and c as numbers. S is not shifted by 1, so that no pass is spent on it: `r` here is
    exp(-1 / epsilon) times the published one, and c is the same."""

    def __init__(
        self, similarity: Tensor, mass: Tensor, epsilon: float, workspace: Workspace
    ) -> None:
        images, regions, attributes, classes = similarity.shape
        self.mass = mass
        self.scale = math.exp(-1 / epsilon)
        entries = similarity.numel()
        flat = workspace.take("kernel", (whole_vectors(entries),), similarity)
        self.kernel = flat[:entries].view(similarity.shape)
        torch.mul(similarity, math.log2(math.e) / epsilon, out=self.kernel)
        flat[entries:] = 0
        # The vectorised exp2 is several times faster than exp.
        flat.exp2_()
        # Views are made once: making them takes as long as the arithmetic on a small one.
        self.by_attribute = self.kernel.unbind(2)
        self.by_rows = torch.split(self.kernel, STRIP, 1)
        strip = (images, min(STRIP, regions), attributes, classes)
        self.strip = workspace.take("strip", strip, similarity)
        rows = (images, regions, classes)
        self.old, self.new, self.spare = (workspace.take(k, rows, mass) for k in ("r", "s", "t"))

    def start(self) -> tuple[Tensor, Tensor]:
        r = (self.scale * (self.mass > 0).to(self.mass.dtype)).expand_as(self.spare)
        return r, torch.ones_like(self.kernel[:, 0])

    def row_sums(self, c: Tensor) -> Tensor:
        self.old, self.new = self.new, self.old
        first, *others = zip(self.by_attribute, c[:, None].unbind(2), strict=True)
        torch.mul(*first, out=self.new)
        for factors in others:
            self.new.addcmul_(*factors)
        return self.new

    def divide(self, row_sums: Tensor) -> Tensor:
        return torch.div(self.mass, row_sums, out=row_sums)

    def columns(self, r: Tensor) -> Tensor:
        return (1 / self.kernel.shape[2]) / self._column_sums(r)

    def _column_sums(self, r: Tensor) -> Tensor:
        first, *others = zip(self.by_rows, torch.split(r[:, :, None], STRIP, 1), strict=True)
        torch.mul(*first, out=self.strip)
        for factors in others:
            self.strip[:, : factors[0].shape[1]].addcmul_(*factors)
        return fold(self.strip)

    def change(self, new: Tensor, old: Tensor) -> Tensor:
        return fold(torch.sub(new, old, out=self.spare).abs_()) / self.scale

    def row_marginals(self, r: Tensor, row_sums: Tensor) -> Tensor:
        return torch.mul(r, row_sums, out=self.spare)

    def plan(self, r: Tensor, c: Tensor) -> Tensor:
        return (self.kernel * r[:, :, None]).mul_(c[:, None])

    def score(self, r: Tensor, c: Tensor, similarity: Tensor) -> Tensor:
        """Overwrites the kernel."""
        self.kernel.mul_(similarity)
        return ordered_sum((self._column_sums(r) * c).unbind(1))


class _Logarithms:
    """r and c as logarithms to base 2, for the small epsilon at which numbers would overflow."""

    def __init__(
        self, similarity: Tensor, mass: Tensor, epsilon: float, workspace: Workspace
    ) -> None:
        self.log_mass = mass.log2()
        self.kernel = (similarity - 1) * (math.log2(math.e) / epsilon)

    def start(self) -> tuple[Tensor, Tensor]:
        r = torch.where(self.log_mass > -math.inf, 0.0, self.log_mass)
        return r.expand_as(self.kernel[:, :, 0]), torch.zeros_like(self.kernel[:, 0])

    def row_sums(self, c: Tensor) -> Tensor:
        return _log_sum(self.kernel + c[:, None], 2)

    def divide(self, row_sums: Tensor) -> Tensor:
        return self.log_mass - row_sums

    def columns(self, r: Tensor) -> Tensor:
        return -math.log2(self.kernel.shape[2]) - _log_sum(self.kernel + r[:, :, None], 1)

    def change(self, new: Tensor, old: Tensor) -> Tensor:
        return fold((new.exp2() - old.exp2()).abs_())

    def row_marginals(self, r: Tensor, row_sums: Tensor) -> Tensor:
        return (r + row_sums).exp2()

    def plan(self, r: Tensor, c: Tensor) -> Tensor:
        return (self.kernel + r[:, :, None] + c[:, None]).exp2_()

    def score(self, r: Tensor, c: Tensor, similarity: Tensor) -> Tensor:
        return ordered_sum(fold(self.plan(r, c).mul_(similarity)).unbind(1))


def _log_sum(logs: Tensor, dim: int) -> Tensor:
    """log2 of the sum over `dim` of 2 ** logs. Overwrites `logs`."""
    largest = logs.amax(dim, keepdim=True)
    return logs.sub_(largest).exp2_().sum(dim).log2_() + largest.squeeze(dim)
