"""Vectors as 8-bit integers, and what that leaves out: processors multiply them up to four times
as fast as float32, and the norms of the rest bound how wrong the product is.

A reader's guide to the screening that this serves
--------------------------------------------------
Transport is solved for a few classes of an image, and which ones is found without solving it:
every class gets an upper and a lower bound of its score, and a class whose upper bound is below the
k-th best lower bound cannot be among the best k. No score depends on the bounds or on how they were
made; only the time does.

Read in this order:

1. `align.top_classes` asks for the bounds of a batch, drops the classes that cannot win, and solves
   the others (`image_class_pairs`).
2. `score_bounds.class_bounds` needs only eight numbers of each image and class, such as the
   largest product of a region and an attribute (`_Extents`); `score_bounds._combine` makes the
   bounds of these by the inequalities of that module's docstring.
3. The eight numbers come from the products of all regions and all attributes:
   `score_bounds._in_floats` multiplies in float32, `score_bounds._in_eight_bits` in integers and
   then widens each number by what the integers may have missed. Which of the two,
   `eight_bits_pay` measures once per process.
4. This module makes the integers. A row g becomes `scale * codes + rest` with codes from -127 to
   127 and a scale for all rows of an image (`code_rows`), an attribute t the same with a scale for
   its class (`code_attributes`), once the mean of the label set is taken from it: what all
   attributes share would use up the 8 bits.
5. The product of the codes, times both scales, is `g t` but for `rest` of either side. That is at
   most `|rest_g| |decoded_t| + |g| |rest_t|` (Cauchy and Schwarz), where `decoded` is
   `scale * codes`; so only norms are kept of the rests. Sums over a class take norms over all
   of its attributes and the spectral norm of the rows instead of adding up the worst of each.
6. `LOOSEN` makes every norm a little larger than it came out, so that float32 rounding of the norms
   themselves never makes a bound too tight.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

LOOSEN = 1 + 1e-4  # times every norm: far above float32 rounding of its sum


@dataclass(frozen=True)
class CodedAttributes:
    """n attributes of each of C classes: `t - centre = scale * codes + rest`.

    codes: (n * C, D) int8, first attributes first. scale: (C,).
    Norms per class, (C,) float32, of what is decoded (scale * codes) and of the rest: of their
    mean; the largest of one attribute less the mean; Frobenius' of all of them less the mean.
    """

    codes: Tensor
    scale: Tensor
    decoded_mean: Tensor
    decoded_one: Tensor
    decoded_all: Tensor
    rest_mean: Tensor
    rest_one: Tensor
    rest_all: Tensor


def code_attributes(values: Tensor) -> CodedAttributes:
    """From (n, C, D) attributes from which the label set's centre is taken."""
    scale = values.abs().amax((0, 2)).div_(127).clamp_(min=1e-30)
    codes = (values / scale[:, None]).round_().to(torch.int8)
    decoded = codes.float() * scale[:, None]
    norms = []
    for part in (decoded, values - decoded):
        mean = part.mean(0)
        deviations = (part - mean).norm(dim=2)
        norms += [mean.norm(dim=1), deviations.amax(0), deviations.norm(dim=0)]
    return CodedAttributes(codes.flatten(0, 1), scale, *(norm * LOOSEN for norm in norms))


@dataclass(frozen=True)
class CodedRows:
    """Rows of B images: `rows = scale * codes + rest`.

    codes: (B, R, D) int8. scale, and norms (B, 1) float32: the largest |row| and |rest| of a row,
    and bounds of the spectral norms of all rows and all rests.
    """

    codes: Tensor
    scale: Tensor
    row: Tensor
    rest: Tensor
    all_rows: Tensor
    all_rest: Tensor


def code_rows(rows: Tensor) -> CodedRows:
    """From (B, R, D) float32."""
    scale = rows.abs().amax((1, 2)).div_(127).clamp_(min=1e-30)[:, None]
    integers = (rows / scale[:, :, None]).round_()
    codes = integers.to(torch.int8)
    rest = torch.addcmul(rows, integers, scale[:, :, None], value=-1)
    row, spectral = _norms(rows)
    row_rest, spectral_rest = _norms(rest)
    return CodedRows(codes, scale, row, row_rest, spectral, spectral_rest)


def _norms(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The largest norm of a row, and a bound of the spectral norm, (B, 1) each.

    For a symmetric G = A A', |A|_2^8 = |G^4|_2, which Frobenius' norm of G^4 bounds.
    """
    gram = torch.bmm(rows, rows.transpose(1, 2))
    longest = gram.diagonal(dim1=1, dim2=2).amax(1).clamp_(min=0).sqrt_()
    # Brought to a trace of 1, the powers neither vanish nor overflow.
    trace = gram.diagonal(dim1=1, dim2=2).sum(1).clamp_(min=1e-30)
    gram /= trace[:, None, None]
    gram = torch.bmm(gram, gram)
    gram = torch.bmm(gram, gram)
    spectral = (gram.square_().sum((1, 2)).pow_(1 / 8) * trace).sqrt_()
    return longest[:, None] * LOOSEN, spectral[:, None] * LOOSEN


@cache
def eight_bits_pay() -> bool:
    """Whether this CPU multiplies 8-bit integers at least 1.5 times as fast as float32."""
    try:
        few, many = torch.ones(256, 512), torch.ones(1024, 512)
        short, long, matrix = few.to(torch.int8), many.to(torch.int8), many.to_mkldnn()
        linear = torch.ops.mkldnn._linear_pointwise
        floats, integers = _fastest(
            lambda: linear(few, matrix, None, "none", [], ""),
            lambda: torch._int_mm(short, long.T),
        )
        return integers * 1.5 < floats
    except (AttributeError, RuntimeError, NotImplementedError):
        # This build of torch lacks one of the two products, or this processor does.
        return False


def _fastest(*ways: Callable[[], object]) -> list[float]:
    """Seconds of the best turn of each, taken in turns: what else the machine does meets all."""
    best = [math.inf] * len(ways)
    for _ in range(10):
        for place, work in enumerate(ways):
            start = time.perf_counter()
            work()
            best[place] = min(best[place], time.perf_counter() - start)
    return best
