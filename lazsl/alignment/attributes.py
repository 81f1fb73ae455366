"""A label set's attribute embeddings, packed so that classes of unequal size waste nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor

from lazsl.alignment.int8 import CodedAttributes, code_attributes
from lazsl.alignment.two_digits import Digits, digits_of

_BLOCK = 4096  # attributes at most per block
_SLICE = 512  # attributes of a slice: their embeddings stay in a CPU's cache
_GRID = 2.0**26


@dataclass(frozen=True)
class Block:
    """Classes with equally many attributes: `rows[j * C + c]` is the row, among all attributes,
    of attribute j of class `classes[c]`."""

    size: int
    classes: Tensor
    rows: Tensor


@dataclass(frozen=True)
class PackedAttributes:
    """A label set's attribute embeddings, in blocks of classes with equally many attributes.

    Attributes:
        embeddings: (N, D) float32, in class order, on the grid of `on_grid`.
        starts: (C + 1,) int64; class c owns the rows `starts[c]` to `starts[c + 1]`.
        means: (C, D) float64, mean attribute embedding of each class (not normalised).
        blocks: every class in exactly one.
    """

    embeddings: Tensor
    starts: Tensor
    means: Tensor
    blocks: tuple[Block, ...]

    @classmethod
    def from_classes(cls, embeddings: Tensor, sizes: Tensor | Sequence[int]) -> PackedAttributes:
        """Pack (N, D) attribute embeddings of which class c owns the next `sizes[c]` rows.

        Raises:
            ValueError: when a class has no attribute, or the sizes do not add up to N.
        """
        sizes = torch.as_tensor(sizes, dtype=torch.int64, device=embeddings.device)
        if sizes.numel() == 0 or int(sizes.min()) < 1:
            raise ValueError("every class needs at least one attribute (its bare name will do)")
        if int(sizes.sum()) != len(embeddings):
            raise ValueError(f"{int(sizes.sum())} attributes declared, {len(embeddings)} embedded")
        embeddings = on_grid(embeddings.float())
        starts = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        owner = torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)
        means = embeddings.new_zeros((len(sizes), embeddings.shape[1]), dtype=torch.float64)
        means.index_add_(0, owner, embeddings.double()).div_(sizes[:, None])
        blocks = []
        for size in sorted(set(sizes.tolist())):
            same = (sizes == size).nonzero()[:, 0]
            for classes in torch.split(same, max(1, _BLOCK // size)):
                rows = attribute_rows(starts, classes, size)
                blocks.append(Block(size, classes, rows))
        return cls(embeddings, starts, means, tuple(blocks))

    @cached_property
    def matrices(self) -> tuple[Tensor, ...]:
        """Every block's embeddings, ready to multiply."""
        return tuple(operand(self.embeddings[block.rows]) for block in self.blocks)

    @cached_property
    def slices(self) -> tuple[tuple[slice, Tensor], ...]:
        """All attributes in their order, some at a time: which, and their embeddings, ready to
        multiply."""
        starts = range(0, len(self.embeddings), _SLICE)
        parts = zip(starts, torch.split(self.embeddings, _SLICE), strict=True)
        return tuple((slice(at, at + len(part)), operand(part)) for at, part in parts)

    @cached_property
    def digits(self) -> Digits:
        """All attributes in two digits of 8 bits."""
        return digits_of(self.embeddings, low_first=True)

    @cached_property
    def float_means(self) -> Tensor:
        """(C, D) float32, `means`."""
        return self.means.float()

    @cached_property
    def centre(self) -> Tensor:
        """(D,) float32, the mean attribute."""
        return self.embeddings.mean(0)

    @cached_property
    def coded(self) -> tuple[CodedAttributes, ...]:
        """Every block's attributes, less `centre`, in 8 bits."""
        return tuple(
            code_attributes(
                (self.embeddings[block.rows] - self.centre).view(block.size, len(block.classes), -1)
            )
            for block in self.blocks
        )

    @property
    def widest(self) -> int:
        """Attributes of the largest block."""
        return max(len(block.rows) for block in self.blocks)


def on_grid(embeddings: Tensor) -> Tensor:
    """The embeddings rounded to multiples of 2**-26; float32 or float64.

    A product of two such vectors of length up to 1.4 is exact in float64 in whatever order it is
    summed: every partial sum is a multiple of 2**-52 below 2. So its bits depend on no library,
    device, batch or number of threads. The rounding (7e-9 at most) is below that of float32, and
    float16 numbers are such multiples as they are.
    """
    return (embeddings * _GRID).round_().div_(_GRID)


def attribute_rows(starts: Tensor, classes: Tensor, size: int) -> Tensor:
    """(size * C,) rows of the attributes of `classes`, all of one size, first attributes first."""
    return (starts[classes] + torch.arange(size, device=starts.device)[:, None]).flatten()


def operand(embeddings: Tensor) -> Tensor:
    """(N, D) embeddings in the form `product` multiplies fastest."""
    if len(embeddings) == 1:
        # Libraries multiply by a single vector in another order of summation.
        embeddings = embeddings.repeat(2, 1)
    if embeddings.device.type == "cpu" and embeddings.dtype == torch.float32 and has_onednn():
        return embeddings.to_mkldnn()
    return embeddings


def product(rows: Tensor, matrix: Tensor, columns: int) -> Tensor:
    """(R, columns), `rows @ embeddings.T`; the bits of a row do not depend on the other rows."""
    wanted = len(rows)
    if wanted < 16:
        # Libraries sum few rows in another order.
        rows = torch.cat([rows, rows.new_zeros(16 - wanted, rows.shape[1])])
    if matrix.is_mkldnn:
        products: Tensor = torch.ops.mkldnn._linear_pointwise(rows, matrix, None, "none", [], "")
    else:
        products = rows @ matrix.T
    return products[:wanted, :columns].contiguous()


@cache
def has_onednn() -> bool:
    """Whether oneDNN's product is at hand, and right. It uses the widest vectors of every CPU,
    where the default one (MKL) leaves half of them idle on processors that are not Intel's."""
    try:
        identity = torch.eye(16)
        return torch.equal(product(identity, identity.to_mkldnn(), 16), identity)
    except (AttributeError, RuntimeError, NotImplementedError):
        # This build of torch comes without oneDNN, or without this operation of it.
        return False
