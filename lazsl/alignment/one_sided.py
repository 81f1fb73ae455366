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

import torch
from torch import Tensor

from lazsl.alignment.attributes import PackedAttributes, product
from lazsl.alignment.sums import fold, ordered_sum, whole_vectors
from lazsl.alignment.transport import Transport, Workspace

_STEP_BYTES = 2 * 2**20  # similarities of one step: larger ones leave a CPU's cache
_GPU_STEP_BYTES = 32 * _STEP_BYTES  # there, small steps cost more than they hold

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
    weights = _weights(similarity, kept, epsilon, workspace)
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
    padded = None if bool(keep.all()) else keep[:, :, None]
    step_bytes = _STEP_BYTES if rows.device.type == "cpu" else _GPU_STEP_BYTES
    for attributes, matrix in packed.slices:
        count = attributes.stop - attributes.start
        step = max(1, step_bytes // (4 * regions * count))
        for start in range(0, images, step):
            chunk = slice(start, start + step)
            similarity = product(rows[chunk].flatten(0, 1), matrix, count)
            similarity = similarity.view(-1, regions, count)
            kept = None if padded is None else padded[chunk]
            weights = _weights(similarity, kept, epsilon, workspace)
            # Both sums overwrite what they add.
            weighted = fold(similarity.mul_(weights))
            torch.div(weighted, fold(weights), out=strengths[chunk, attributes])
    return strengths


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
    magnitudes of two unit vectors' products add up to 1 at most. By the derivative of a_j, the
    softmax multiplies that by `1 + sum_i w_i |S_i - a| / epsilon` at most. Twice `max S - a` bounds
    that sum, and `(max S - a) / epsilon` is the entropy of w less the logarithm of a number above
    1: log M at most, whatever epsilon. The factor 2 leaves room for the powers and sums themselves.
    """
    return 2 * (dimension / 8 + 8) * 2.0**-24 * (1 + 2 * math.log(max(1, regions)))


def _weights(
    similarity: Tensor, kept: Tensor | None, epsilon: float, workspace: Workspace
) -> Tensor:
    """exp(S / epsilon) over a constant of each column, 0 where not kept; in a buffer of the
    workspace. Regions are the second axis."""
    entries = similarity.numel()
    flat = workspace.take("kernel", (whole_vectors(entries),), similarity)
    weights = flat[:entries].view(similarity.shape)
    if similarity.dtype == torch.float32 and epsilon >= _UNSHIFTED:
        torch.mul(similarity, math.log2(math.e) / epsilon, out=weights)
    else:
        present = similarity if kept is None else similarity.masked_fill(~kept, -torch.inf)
        torch.sub(similarity, present.amax(1, keepdim=True), out=weights)
        weights.mul_(math.log2(math.e) / epsilon)
    flat[entries:] = 0
    # The vectorised exp2 is several times faster than exp.
    flat.exp2_()
    return weights if kept is None else weights.mul_(kept)
