"""Bounds of all classes' scores, far cheaper than the scores: only what may win is then solved.

Notation: one image and one class; u uniform on the M' kept regions, v on the n attributes, P = u v;
beta = 1 / epsilon. `S_ij = <g_i, t_j>`; with `g` the mean of the g_i, `X_ij = <g_i - g, t_j>`, its
row means `rho_i`, `Y_ij = X_ij - rho_i` (rows and columns of Y have mean zero under v and u), and
`m` the mean of S under P. Sinkhorn's t-th plan T has columns v exactly and rows u' near u.

**Columns.** `score = sum_j v_j sum_i (T_ij / v_j) S_ij <= m + mean_j max_i X_ij`, whatever t.

**Entropy.** T, having the form r K c, is the plan of largest `beta <T, S> - KL(T | u' v)` among
those with its own marginals, u' v among them. So `KL(T | u' v) <= beta <T, Y>` (the mean of Y under
u' v is 0, as its rows' means are). And for every lambda (Donsker and Varadhan)
`lambda <T, Y> <= KL(T | u' v) + log E_{u' v} exp(lambda Y)`. Together, for lambda > beta,

    <T, Y> <= log E_{u' v} exp(lambda Y) / (lambda - beta),

where `E_{u' v} exp(lambda Y) - 1 <= (1 + zeta) (E_P exp(lambda Y) - 1)` if u' <= (1 + zeta) u (its
rows' means are at least 1), and, for Y <= b, `E_P exp(lambda Y) - 1 <= E_P Y^2 (exp(lambda b) - 1 -
lambda b) / b^2` (Bennett). `score = m + sum_i (u'_i - u_i) rho_i + <T, Y>`, and `<T, Y> >= 0`.

**Rows.** With `l = sum_i u_i |1 - r_i(t-1) / r_i(t)|`: from `u' - u = r(t) K (c(t) - c(t-1))` and
`c = v / (K' r)`, `sum |u' - u| <= l`; the columns of the half-step's plan are off by l at most, so
`zeta <= n l / (1 - n l)`. How large is l?
- The paper's rule stopped at t >= 2: `l <= tolerance M / (M' min r)`. For `f = log r`: `mean_i f`
  never falls with t (`sum u'_i = 1` and Jensen), so it is at least that of t = 1; and
  `mean f - min f <= beta max X`: `-f_i` is, but for a constant, the logarithm of a sum of
  exponentials of the row S_i, which is convex, so that its mean is at least its value at the mean
  row, and no row is above the mean row by more than max X. `mean_i f_i(1) >= -log(M' n) +
  beta (1 - m) - mean_i log mean_j exp(beta (S_ij - m))`, the last at most
  `beta max_j (mean_i S_ij - m) + log max_j mean_i exp(beta Y_ij)`.
- At t = 1 it cannot stop where the regions that are not kept alone (their r falls from 1 to 0) or
  min r make the change too large.
- The converged rule stopped: `|u'_i - u_i| < tolerance`.
- It ran to the last iteration: a whole step contracts Hilbert's distance of successive r by
  `tanh(Delta / 4)^2`, `Delta <= 2 beta (max X - min X)` (Birkhoff); the first one, between c's, is
  2 beta at most.

Products in 8-bit integers: with G = H + E, T = Q + F (H, Q what the integers say, E, F what they
leave), `|X_ij - H_i Q_j| <= |E_i| |Q_j| + |G_i| |F_j|`, and in Frobenius' norm over a class
`|G T' - H Q'| <= |E|_2 |Q|_F + |G|_2 |F|_F`, where `|A|_2^2 <= |A A'|_F`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lazsl.alignment.attributes import PackedAttributes, product
from lazsl.alignment.image_batches import Batch
from lazsl.alignment.int8 import code_rows, eight_bits_pay
from lazsl.alignment.matching import Matching
from lazsl.alignment.transport import Workspace

_ROUNDING = 5e-5  # of float32 sums over unit vectors, at the very worst
_STEP_BYTES = 8 * 2**20  # products of one step: larger ones leave a CPU's cache
_FEW = 1024  # attributes that are not worth coding
_SOLVER = 1e-5  # of l in the solver's own rounding
_INTEGER = torch.empty(0, dtype=torch.int32)
_LAMBDAS = (1.4, 2.0, 3.0)  # times beta; the best of them counts


@dataclass(frozen=True)
class Bounds:
    """(B, C) float32 each, in class order: no score is above `upper` or below `lower`."""

    upper: Tensor
    lower: Tensor

    def may_be_among(self, k: int) -> Tensor:
        """(B, C) bool, the classes of which no k others are proved better."""
        return self.upper >= self.lower.topk(k)[0][:, -1:]


def class_bounds(
    batch: Batch, packed: PackedAttributes, matching: Matching, workspace: Workspace
) -> Bounds:
    """Bounds of every class's score for every image of the batch.

    Products are of 8-bit integers where this processor gains by it, else of float32. The bounds
    then differ, what is proved of them does not.
    """
    images, regions = batch.keep.shape
    rows = batch.rows.view(images, regions, -1).float()
    kept = batch.keep.sum(1, keepdim=True).float()
    rows = rows * batch.keep[:, :, None]
    mean = rows.sum(1) / kept
    rows.sub_(mean[:, None]).mul_(batch.keep[:, :, None])
    in_eight_bits = (
        rows.device.type == "cpu" and len(packed.embeddings) >= _FEW and eight_bits_pay()
    )
    measure = _in_eight_bits if in_eight_bits else _in_floats
    # An eighth of the memory for products, and as much for them in the other arithmetic.
    step = matching.memory_bytes // 8
    if rows.device.type == "cpu":
        step = min(_STEP_BYTES, step)
    extents = measure(rows, mean, packed, step, workspace)
    for place in (_Y, _RHO, _LEAD):
        extents[place] += _ROUNDING
    size = packed.starts.diff().float()
    m = mean @ packed.float_means.T
    return _combine(_Extents(*extents), m, size, kept, batch.count[:, None], matching)


@dataclass(frozen=True)
class _Extents:
    """What is known of a class's Y and rho for an image, (B, C) each: upper bounds of max Y,
    mean_j max_i Y, mean_j |Y_j|, max rho, max -rho, |Y|^2 (Frobenius), the largest |Y_j|^2, and
    max_j mean_i S_ij - m. (Y_j is a column; no entry is above its norm.)"""

    high: Tensor
    columns_high: Tensor
    columns_low: Tensor
    rho_high: Tensor
    rho_low: Tensor
    energy: Tensor
    column_energy: Tensor
    lead: Tensor


_Y, _RHO, _ENERGY, _COLUMN_ENERGY, _LEAD = slice(3), slice(3, 5), 5, 6, 7


def _in_floats(
    rows: Tensor, mean: Tensor, packed: PackedAttributes, step: int, workspace: Workspace
) -> Tensor:
    """(8, B, C) `_Extents`, but for rounding."""
    mean_and_rows = torch.cat([mean[:, None], rows], 1)
    images, height, _ = mean_and_rows.shape
    extents = mean_and_rows.new_empty((8, images, len(packed.means)))
    for block, matrix in zip(packed.blocks, packed.matrices, strict=True):
        for chunk in _steps(images, step // (4 * height * len(block.rows))):
            products = product(mean_and_rows[chunk].flatten(0, 1), matrix, len(block.rows))
            shape = (-1, height, block.size, len(block.classes))
            extents[:, chunk, block.classes] = _extents(products.view(shape))
    return extents


def _in_eight_bits(
    rows: Tensor, mean: Tensor, packed: PackedAttributes, step: int, workspace: Workspace
) -> Tensor:
    """(8, B, C) `_Extents`, but for rounding."""
    coded, coded_mean = code_rows(rows), code_rows(mean[:, None])
    codes = torch.cat([coded_mean.codes, coded.codes], 1)
    images, height, _ = codes.shape
    extents = rows.new_empty((8, images, len(packed.means)))
    for block, attributes in zip(packed.blocks, packed.coded, strict=True):
        for chunk in _steps(images, step // (4 * height * len(block.rows))):
            chunk_codes = codes[chunk].flatten(0, 1)
            shape = (len(chunk_codes), len(block.rows))
            integers = workspace.take("products", shape, _INTEGER)
            torch._int_mm(chunk_codes, attributes.codes.T, out=integers)
            floats = workspace.take("floats", shape, rows).copy_(integers)
            part = _extents(floats.view(-1, height, block.size, len(block.classes)))
            scale = coded.scale[chunk] * attributes.scale
            part[:_ENERGY] *= scale
            part[_ENERGY:_LEAD] *= scale.square()
            part[_LEAD] *= coded_mean.scale[chunk] * attributes.scale
            row, rest = coded.row[chunk], coded.rest[chunk]
            all_rows, all_rest = coded.all_rows[chunk], coded.all_rest[chunk]
            part[_Y] += rest * attributes.decoded_one + row * attributes.rest_one
            part[_RHO] += rest * attributes.decoded_mean + row * attributes.rest_mean
            for energy, norm, norm_of_rest in (
                (_ENERGY, attributes.decoded_all, attributes.rest_all),
                (_COLUMN_ENERGY, attributes.decoded_one, attributes.rest_one),
            ):
                error = all_rest * norm + all_rows * norm_of_rest
                part[energy].sqrt_().add_(error).square_()
            row, rest = coded_mean.row[chunk], coded_mean.rest[chunk]
            part[_LEAD] += rest * attributes.decoded_one + row * attributes.rest_one
            extents[:, chunk, block.classes] = part
    # The products lack the centre's part of X, the same for all classes: a part of rho.
    common = rows @ packed.centre
    extents[3] += common.amax(1, keepdim=True)
    extents[4] -= common.amin(1, keepdim=True)
    return extents


def _steps(images: int, step: int) -> Iterator[slice]:
    """So many images at a time, and one at least."""
    step = max(1, step)
    for start in range(0, images, step):
        yield slice(start, min(start + step, images))


def _extents(products: Tensor) -> Tensor:
    """(8, b, C) `_Extents` of products (b, 1 + M', n, C) with the mean row and with centred
    rows, which are overwritten."""
    lead, x = products[:, 0], products[:, 1:]
    rho = x.mean(2)
    y = x.sub_(rho[:, :, None])
    high = y.amax(1)
    energy = y.square_().sum(1)
    return torch.stack(
        [
            high.amax(1),
            high.mean(1),
            energy.sqrt().mean(1),
            rho.amax(1),
            rho.amin(1).neg_(),
            energy.sum(1),
            energy.amax(1),
            (lead - lead.mean(1, keepdim=True)).amax(1),
        ]
    )


def _combine(
    extents: _Extents, m: Tensor, size: Tensor, kept: Tensor, count: Tensor, matching: Matching
) -> Bounds:
    """The bounds of the module's docstring. m (B, C); size (C,); kept and count (B, 1)."""
    beta = 1 / matching.epsilon
    b = extents.high.clamp(min=1e-6)

    def excess(rate: float, square: Tensor) -> Tensor:
        """Of the mean of exp(rate Y) over 1, where Y <= b has mean 0 and this mean square."""
        x = rate * b
        return square * (torch.expm1(x) - x) / b.square()

    row_error = _row_error(extents, m, size, kept, count, matching, excess)
    error_share = (size * row_error).clamp(max=1)
    looseness = 1 + error_share / (1 - error_share)
    variance = extents.energy / (kept * size)
    gains = [
        torch.log1p(looseness * excess(factor * beta, variance)) / ((factor - 1) * beta)
        for factor in _LAMBDAS
    ]
    shift = row_error * (extents.rho_high + extents.rho_low) / 2
    # fmin passes over what is not a number: 0 times infinity, where nothing is known.
    over_mean = torch.fmin(
        extents.columns_high + extents.rho_high, torch.stack(gains).amin(0) + shift
    )
    under_mean = torch.fmin(extents.columns_low + extents.rho_low, shift)
    return Bounds(m + over_mean + _ROUNDING, m - under_mean - _ROUNDING)


def _row_error(
    extents: _Extents,
    m: Tensor,
    size: Tensor,
    kept: Tensor,
    count: Tensor,
    matching: Matching,
    excess: Callable[[float, Tensor], Tensor],
) -> Tensor:
    """(B, C), bound of `l`: how far the row marginals can be off when the solver stops."""
    beta = 1 / matching.epsilon
    max_iterations, tolerance = matching.stopping
    low = extents.column_energy.sqrt()
    spread = beta * (extents.high + low)
    if max_iterations < 2:
        return torch.full_like(spread, torch.inf)
    contraction = torch.tanh(spread / 2).log_().mul_(2 * max_iterations - 3)
    last = torch.expm1(torch.exp(contraction + math.log(2 * beta)))
    if matching.rule == "converged":
        return torch.maximum(last, tolerance * kept) + _SOLVER
    allowed_change = tolerance * count / kept
    apart = extents.high + extents.rho_high
    smallest_log = (
        beta * (1 - m - extents.lead - apart)
        - torch.log1p(excess(beta, extents.column_energy / kept))
        - torch.log(kept * size)
    )
    row_error = torch.maximum(last, allowed_change * torch.exp(-smallest_log)) + _SOLVER
    goes_on = (count - kept > 1.001 * tolerance * count) | (
        smallest_log > torch.log1p(1.001 * allowed_change)
    )
    return torch.where(goes_on, row_error, torch.inf)
