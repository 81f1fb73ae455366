"""Strengths of one-sided plans from products of two digits of 8 bits each, and what that leaves
out: enough to see which classes may be among the best, at half the time of float32 products.

A vector is `x = s (h + l / 254) + e`, h and l integers from -127 to 127, s its largest magnitude
over 127, so that no entry of e is above `s / 508`. Of the product with `t = r (p + q / 254) + f`

    x t = s r (h p + (h q + l p) / 254) + s r l q / 254^2 + e t + (x - e) f,

the integers say the first term (`_int_mm`: h with p, and h, l in a row with q, p in a row). The
others are at most `s r |l| |q| / 254^2 + |t| sqrt(D) s / 508 + |x| sqrt(D) r / 508` (Cauchy and
Schwarz), 2e-4 with unit vectors of 512 dimensions, and `one_sided.steepness` says what that makes
of a strength.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lazsl.alignment.transport import Workspace

_INTEGER = torch.empty(0, dtype=torch.int32)
_LONGEST = 1.01  # unit vectors as they are stored, and room for float32 in what is said above


@dataclass(frozen=True)
class Digits:
    """Vectors (N, D): `high` (N, D) int8, `both` (N, 2 D) int8, of rows high and low, of attributes
    low and high; (N,) float32 `scale`, and `rest`, the length of scale * low / 254."""

    high: Tensor
    both: Tensor
    scale: Tensor
    rest: Tensor


def digits_of(vectors: Tensor, low_first: bool = False) -> Digits:
    """From (N, D) float32."""
    scale = vectors.abs().amax(1).div_(127).clamp_(min=1e-30)
    high = (vectors / scale[:, None]).round_()
    rest = torch.addcmul(vectors, high, scale[:, None], value=-1)
    unit = scale / 254
    low = rest.div_(unit[:, None]).round_()
    length = low.norm(dim=1) * unit
    digits = [part.to(torch.int8) for part in ((low, high) if low_first else (high, low))]
    return Digits(high.to(torch.int8), torch.cat(digits, 1), scale, length)


def products(
    rows: Digits, chunk: slice, attributes: Digits, columns: slice, workspace: Workspace
) -> tuple[Tensor, Tensor]:
    """(R, N) int32 each, in buffers of the workspace: h p, and h q + l p."""
    shape = (len(rows.scale[chunk]), len(attributes.scale[columns]))
    high = workspace.take("high", shape, _INTEGER)
    low = workspace.take("low", shape, _INTEGER)
    torch._int_mm(rows.high[chunk], attributes.high[columns].T, out=high)
    torch._int_mm(rows.both[chunk], attributes.both[columns].T, out=low)
    return high, low


def error(rows: Digits, attributes: Digits) -> Tensor:
    """(R,), by how much a product of a row may be off."""
    one_side = math.sqrt(rows.high.shape[1]) * (rows.scale + attributes.scale.max()) / 508
    return _LONGEST * (rows.rest * attributes.rest.max() + _LONGEST * one_side)
