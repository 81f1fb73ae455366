"""The one-sided plan: every attribute takes its mass from whichever regions show it.

The problem, for one image with regions i and one class with n attributes j:

    maximise  sum_ij T_ij S_ij + epsilon * entropy(T)   with columns summing to v_j = 1 / n,

which is `transport`'s without the marginal of the regions. It has a closed form,

    T_ij = v_j w_ij,   w_ij = softmax_i(S_ij / epsilon),   score = sum_j v_j a_j,
    a_j = sum_i w_ij S_ij.

No region must speak: how much each does, `u_i = sum_j T_ij`, is an output. Nor do attributes
interact: a_j, the *strength* of an attribute, depends on the image and on its sentence alone. As
epsilon grows the score becomes the plain mean over regions and attributes; as it falls, the mean
over attributes of their best region.
"""

from __future__ import annotations

import math
from functools import cache, partial

import torch
from torch import Tensor

from lazsl.alignment import fused
from lazsl.alignment.attributes import PackedAttributes, product
from lazsl.alignment.int8 import eight_bits_pay
from lazsl.alignment.reproducible_sums import fold, ordered_sum, whole_vectors
from lazsl.alignment.transport import Transport, Workspace
from lazsl.alignment.two_digits import digits_of, error

_STEP_BYTES = 2 * 2**20  # similarities of one step: larger ones leave a CPU's cache
_GPU_STEP_BYTES = 32 * _STEP_BYTES  # there, small steps cost more than they hold

_MARGIN = 0.01

_UNSHIFTED = 0.025
"""Epsilon from which exp(S / epsilon) of cosines is summed in float32 as it is: nothing of it
overflows (e^40), and what is lost to the largest is below rounding."""


def solve(
    similarity: Tensor,
    keep: Tensor,
    epsilon: float,
    workspace: Workspace,
    with_plan: bool = False,
) -> Transport:
    """Scores, and on request plans, of B x C problems with n attributes each.

    There is nothing to iterate (`iterations` is 0) and no row marginal to miss (`residual` is 0).

    Args:
        similarity: (B, M, n, C) floating point, S in [-1, 1].
        keep: bool, (B, M) or (B, M, C): the regions of the image; others are padding. At least
            one each.
        epsilon: entropic regularisation, > 0.
        workspace: buffers kept from an earlier call; the result never shares memory with them.
        with_plan: also return `plan` and `residual`.
    """
    images, _, attributes, classes = similarity.shape
    kept = keep[:, :, None, None] if keep.ndim == 2 else keep[:, :, None]
    shifted = similarity.dtype != torch.float32 or epsilon < _UNSHIFTED
    weights = _weights(similarity, kept, epsilon, shifted, workspace)
    total = fold(weights.clone())
    strengths = fold(weights * similarity) / total
    scores = ordered_sum(strengths.unbind(1)) / attributes
    iterations = torch.zeros((images, classes), dtype=torch.int64, device=similarity.device)
    if not with_plan:
        return Transport(scores, iterations)
    plan = weights / (total * attributes)[:, None]
    return Transport(scores, iterations, torch.zeros_like(scores), plan)


def strengths(
    rows: Tensor, keep: Tensor, packed: PackedAttributes, epsilon: float, workspace: Workspace
) -> Tensor:
    """(B, N) float32, the strength of every attribute of a label set, in its order.

    Right to float32 rounding (`rounding`); the bits of an image do not depend on the others.

    Args:
        rows: (B * M, D) float32, the regions of B images.
        keep: (B, M) bool, False on padding rows.
        packed: the label set.
        epsilon: entropic regularisation, > 0.
        workspace: buffers kept from an earlier call.
    """
    images, regions = keep.shape
    strengths = rows.new_empty((images, len(packed.embeddings)))
    rows = rows.view(images, regions, -1)
    on_cpu = rows.device.type == "cpu"
    step_bytes = _STEP_BYTES if on_cpu else _GPU_STEP_BYTES

    fast = fused.kernel(_in_own_memory, regions * strengths.numel()) if on_cpu else None
    after_product = fast or partial(_by_passes, workspace=workspace)
    for attributes, matrix in packed.slices:
        count = attributes.stop - attributes.start
        step = max(1, step_bytes // (4 * regions * count))
        for start in range(0, images, step):
            chunk = slice(start, start + step)
            similarity = product(rows[chunk].flatten(0, 1), matrix, count)
            similarity = similarity.view(-1, regions, count)
            shifted = epsilon < _UNSHIFTED
            after_product(similarity, keep[chunk], epsilon, shifted, strengths[chunk, attributes])
    return strengths


def _by_passes(
    similarity: Tensor,
    keep: Tensor,
    epsilon: float,
    shifted: bool,
    out: Tensor,
    workspace: Workspace,
) -> None:
    """Strengths of S (B, M, N), float32, which is overwritten, into (B, N); keep (B, M) bool."""
    kept = None if bool(keep.all()) else keep[:, :, None]
    weights = _weights(similarity, kept, epsilon, shifted, workspace)
    # Both sums overwrite what they add.
    weighted = fold(similarity.mul_(weights))
    torch.div(weighted, fold(weights), out=out)


def _in_own_memory(
    similarity: Tensor, keep: Tensor, epsilon: float, shifted: bool, out: Tensor
) -> None:
    _by_passes(similarity.clone(), keep, epsilon, shifted, out, Workspace())


def strengths_by_digits(
    rows: Tensor, keep: Tensor, packed: PackedAttributes, epsilon: float, workspace: Workspace
) -> tuple[Tensor, Tensor] | None:
    """The same from products of 8-bit integers, and (B, 1) by how much they may be off; None where
    that is not to be had, or gains nothing."""
    images, regions = keep.shape
    entries = regions * images * len(packed.embeddings)
    integers = rows.device.type == "cpu" and epsilon >= _UNSHIFTED and eight_bits_pay()
    if not integers or fused.kernel(_in_own_memory, entries) is None:
        return None
    strengths = rows.new_empty((images, len(packed.embeddings)))
    attributes, of_rows = packed.digits, digits_of(rows)
    for columns, _ in packed.slices:
        step = max(1, _STEP_BYTES // (8 * regions * (columns.stop - columns.start)))
        for start in range(0, images, step):
            chunk = slice(start, start + step)
            fused.strengths_of_digits(
                of_rows,
                keep[chunk],
                attributes,
                columns,
                chunk,
                epsilon,
                workspace,
                strengths[chunk, columns],
            )
    off = error(of_rows, attributes).view(images, regions).amax(1, keepdim=True)
    return strengths, off * steepness(regions)


def class_means(strengths: Tensor, packed: PackedAttributes) -> Tensor:
    """(B, C), the score of every class: the mean strength of its attributes (B, N)."""
    scores = strengths.new_empty((len(strengths), len(packed.means)))
    for block in packed.blocks:
        of_block = strengths[:, block.rows].view(len(strengths), block.size, -1)
        scores[:, block.classes] = ordered_sum(of_block.unbind(1)) / block.size
    return scores


def rounding(dimension: int, regions: int) -> float:
    """A bound of how far `strengths` in float32 are from exact ones.

    A sum of D products by vectors of 8 numbers or more is off by (D / 8 + 8) units at most, as the
    magnitudes of two unit vectors' products add up to 1 at most. The softmax multiplies that by
    `steepness`; the factor 4 leaves room for the relative errors of the powers and sums, some units
    each.
    """
    return 4 * (dimension / 8 + 8) * 2.0**-24 * steepness(regions)


@cache
def steepness(regions: int) -> float:
    """By how much more than the largest change of its similarities a strength can change, whatever
    they are and whatever epsilon.

    The derivative of a by S_i is `g_i = w_i (1 - t_i)`, `t_i = (a - S_i) / epsilon`. The g_i add up
    to 1, so their magnitudes to `1 + 2 sum_A w_i (t_i - 1)`, A being the regions with t_i > 1. Let
    q be the sum of w over A, and T the mean of t there; as `sum w t = 0`, it is `-q T / (1 - q)`
    among the others. With `w_i = exp(-t_i) / Z`, the entropy of w within A is `T + log Z + log q`,
    log |A| at most, and among the others `-q T / (1 - q) + log Z + log(1 - q)`, not below 0.
    Together: `T <= (1 - q) log(|A| (1 - q) / q)`, and |A| is below M, as the largest S is not in A.
    That leaves the largest `q (T - 1)` of all q, some 0.6 with 30 regions and 0.8 with 91.
    """
    shares = torch.linspace(0, 1, 1001, dtype=torch.float64)[1:-1]
    mean = (1 - shares) * torch.log(max(1, regions - 1) * (1 - shares) / shares)
    # Between two shares of the grid it is not larger by more than the margin.
    return 1 + 2 * max(0.0, float((shares * (mean - 1)).max()) + _MARGIN)


def _weights(
    similarity: Tensor, kept: Tensor | None, epsilon: float, shifted: bool, workspace: Workspace
) -> Tensor:
    """exp(S / epsilon), 0 where not kept, over that of each column's maximum where shifted; in a
    buffer of the workspace. Regions are the second axis."""
    entries = similarity.numel()
    flat = workspace.take("kernel", (whole_vectors(entries),), similarity)
    weights = flat[:entries].view(similarity.shape)
    if shifted:
        present = similarity if kept is None else similarity.masked_fill(~kept, -torch.inf)
        torch.sub(similarity, present.amax(1, keepdim=True), out=weights)
        weights.mul_(math.log2(math.e) / epsilon)
    else:
        torch.mul(similarity, math.log2(math.e) / epsilon, out=weights)
    flat[entries:] = 0
    # The vectorised exp2 is several times faster than exp.
    flat.exp2_()
    return weights if kept is None else weights.mul_(kept)
