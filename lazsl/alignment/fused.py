"""What comes after the product of regions and attributes, in one pass over it: strengths of the
one-sided plan by a compiled kernel, where numba (`pip install 'lazsl[fast]'`) is installed.

A reader's guide
----------------
`one_sided.strengths` has the products S of the regions of some images with some attributes, and
needs `a_j = sum_i e_ij S_ij / sum_i e_ij` of every column, `e_ij = exp((S_ij - shift) / epsilon)`.
In torch that is a pass over memory for each of scaling, powers, weighting and both sums. In
`fused_kernel`:

1. A few columns of one image are worked on at a time: their powers and weighted products, two
   tables with a row for each region, stay in the cache next to the arithmetic.
2. The exponent of a power is split into a whole number, which is written into the bits of the
   result, and a rest of a half at most, of which a polynomial of degree 6 is good to the last bit
   or two. It is that of the library which torch calls (SLEEF's `exp2f`), with the same joined
   multiplications and additions.
3. Both sums add rows a power of two apart, as `reproducible_sums.fold` does.

So the bits are those of torch's way. That is not left to hope: `kernel` compares both before it
hands the kernel out. Where a bit differs (another processor, another torch) or numba is missing,
torch's way goes on. What is installed changes the time alone.

A second kernel takes S as integers (`two_digits`). What it makes only says which classes are worth
an exact look, so that its bits are nobody's result.

Both run in the caller's thread. Where torch has more than `THREADS` of them, its passes, which
share the work, are as fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from lazsl.alignment.transport import Workspace
from lazsl.alignment.two_digits import Digits, products

THREADS = 3
WORTH = 2**24  # products of a call from which it pays to import numba, which takes half a second

Strengths = Callable[[Tensor, Tensor, float, bool, Tensor], None]
"""From S (B, M, N), kept (B, M) bool, epsilon, and whether columns are shifted by their maximum,
into (B, N); all float32 on a CPU, S contiguous."""


def kernel(plainly: Strengths, entries: int) -> Strengths | None:
    """The same as `plainly`, to the last bit; None where it gains nothing on so many entries of S,
    or is not to be had."""
    if entries < WORTH or torch.get_num_threads() > THREADS or not _is_same(plainly):
        return None
    return _in_one_pass


@cache
def _is_same(plainly: Strengths) -> bool:
    try:
        import lazsl.alignment.fused_kernel  # noqa: F401
    except (ImportError, RuntimeError):  # no numba, or no place to keep what it compiles
        return False
    generator = torch.Generator().manual_seed(0)
    trial = torch.rand((3, 13, 97), generator=generator) * 2 - 1
    kept = torch.rand((3, 13), generator=generator) < 0.8
    kept[:, 0] = True
    outs = torch.empty(2, 3, 97)
    for epsilon, shifted in ((0.03, False), (0.3, False), (0.01, True)):
        for way, out in zip((_in_one_pass, plainly), outs, strict=True):
            way(trial, kept, epsilon, shifted, out)
        if not torch.equal(*outs):
            return False
    return True


def _in_one_pass(
    similarity: Tensor, kept: Tensor, epsilon: float, shifted: bool, out: Tensor
) -> None:
    from lazsl.alignment.fused_kernel import strengths

    strengths(similarity.numpy(), kept.numpy(), _scale(epsilon), shifted, out.numpy())


def strengths_of_digits(
    rows: Digits,
    kept: Tensor,
    attributes: Digits,
    columns: slice,
    chunk: slice,
    epsilon: float,
    workspace: Workspace,
    out: Tensor,
) -> None:
    """Strengths of the attributes `columns` in the images `chunk`, but for `two_digits.error`.

    Args:
        rows: of all images' regions, one image's after the other's.
        kept: (B, M) bool, of the images `chunk`.
        attributes: of the label set.
        columns: N of them.
        chunk: images.
        epsilon: entropic regularisation, so large that nothing overflows unshifted.
        workspace: buffers kept from an earlier call.
        out: (B, N), where they go.
    """
    from lazsl.alignment.fused_kernel import strengths_of_digits as compiled

    images, regions = kept.shape
    of_chunk = slice(chunk.start * regions, (chunk.start + images) * regions)
    tables = products(rows, of_chunk, attributes, columns, workspace)
    high, low = (table.view(images, regions, -1).numpy() for table in tables)
    scales = rows.scale[of_chunk].view(images, regions).numpy()
    units = attributes.scale[columns].numpy()
    compiled(high, low, kept.numpy(), scales, units, _scale(epsilon), out.numpy())


def _scale(epsilon: float) -> np.float32:
    return np.float32(math.log2(math.e) / epsilon)
