"""How the alignment of many images is split: settings, memory, and the images moved together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lazsl.alignment.attributes import PackedAttributes, on_grid, operand, product
from lazsl.alignment.matching import Matching
from lazsl.alignment.transport import working_bytes

_CACHE_BYTES = 16 * 2**20  # similarities of one step on a CPU: larger ones leave its caches


@dataclass(frozen=True)
class Batch:
    """Some images' kept regions, moved together: M' is the most that one of them keeps.

    images: (B',), which images. positions: (B', M'), which regions, each once; the first of an
    image are its kept ones. keep: (B', M'), whether a row is a kept region. count: (B',), regions
    of the image, kept or not. rows: (B' * M', D), theta f_i + (1 - theta) f_0, where rows beyond
    the kept ones repeat a kept one, so that they cannot change a maximum; on the grid of `on_grid`,
    and in float32 where that holds them exactly.
    """

    images: Tensor
    positions: Tensor
    keep: Tensor
    count: Tensor
    rows: Tensor

    def similarity(
        self, packed: PackedAttributes, rows: Tensor, size: int, matrix: Tensor | None = None
    ) -> Tensor:
        """(B', M', size, classes), S with the attributes `rows`, ordered as in a Block."""
        if matrix is None or self.rows.dtype != torch.float32:
            matrix = operand(packed.embeddings[rows].to(self.rows.dtype))
        return product(self.rows, matrix, len(rows)).view(*self.keep.shape, size, -1)


def batches(
    regions: Tensor,
    whole: Tensor,
    keep: Tensor,
    valid: Tensor | None,
    packed: PackedAttributes,
    matching: Matching,
    image_bytes: int | None = None,
) -> Iterator[Batch]:
    """All images, in batches that fit the memory and, with similarities to every attribute of a
    block, a CPU's cache. `image_bytes`: what an image takes instead, wherever it fits."""
    kept = keep.sum(1)
    if not bool(kept.all()):
        raise ValueError("an image has no kept region; select_regions always keeps one")
    if not len(kept):
        return
    most_kept = int(kept.max())
    room = matching.memory_bytes - fixed_bytes(packed, matching)
    images = room // (image_bytes or _image_bytes(packed, matching, most_kept))
    if image_bytes is None and regions.device.type == "cpu":
        images = min(images, _CACHE_BYTES // (packed.widest * most_kept * matching.dtype.itemsize))
    # Images that keep about equally many regions share a batch, so that little is padded.
    for images_alike in torch.split(kept.argsort(stable=True), max(1, images)):
        yield _gather(images_alike, kept, regions, whole, keep, valid, matching)


def _gather(
    images: Tensor,
    kept: Tensor,
    regions: Tensor,
    whole: Tensor,
    keep: Tensor,
    valid: Tensor | None,
    matching: Matching,
) -> Batch:
    most_kept = int(kept[images].max())
    if most_kept == keep.shape[1] == int(kept[images].min()):
        positions = torch.arange(most_kept, device=keep.device).expand(len(images), most_kept)
        present = torch.ones_like(positions, dtype=torch.bool)
        rows = _of_images(regions, images)
    else:
        order = keep[images].to(torch.uint8).argsort(dim=1, descending=True, stable=True)
        positions = order[:, :most_kept]
        present = torch.arange(most_kept, device=keep.device) < kept[images, None]
        row_positions = torch.where(present, positions, positions[:, :1])
        rows = regions[images[:, None], row_positions]
    if matching.theta < 1:
        mixed = whole[images, None].to(matching.dtype)
        rows = on_grid(torch.lerp(mixed, rows.to(matching.dtype), matching.theta))
    else:
        rows = _exact(rows, matching)
    count = torch.full_like(images, keep.shape[1]) if valid is None else valid[images].sum(1)
    return Batch(images, positions, present, count, rows.flatten(0, 1))


def _of_images(regions: Tensor, images: Tensor) -> Tensor:
    """Their regions (B', M, D), uncopied where the images, which ascend, follow each other."""
    first, last = int(images[0]), int(images[-1])
    if last - first + 1 == len(images):
        return regions[first : last + 1]
    return regions[images]


def _exact(rows: Tensor, matching: Matching) -> Tensor:
    """Rows that are not mixed, on the grid; not to be written to. One-sided plans take them in
    float32, which holds multiples of 2**-26 as well as float32 or float16 numbers, and widen the
    few whose products are to be exact."""
    on_it = rows.dtype == torch.float16
    narrow = matching.one_sided and rows.dtype != torch.float64
    rows = rows.to(torch.float32 if narrow else matching.dtype)
    return rows if on_it else on_grid(rows)


def fixed_bytes(packed: PackedAttributes, matching: Matching) -> int:
    """Of one block's attributes, gathered and converted."""
    if matching.dtype == torch.float32:
        return 0
    return packed.widest * packed.embeddings.shape[1] * (4 + matching.dtype.itemsize)


def rows_bytes(packed: PackedAttributes, matching: Matching, kept: int) -> int:
    """What one image that keeps `kept` regions takes as rows of a Batch: they are gathered,
    converted and mixed, three times their size at most."""
    return 3 * kept * packed.embeddings.shape[1] * matching.dtype.itemsize


def _image_bytes(packed: PackedAttributes, matching: Matching, kept: int) -> int:
    """What one image that keeps `kept` regions takes: rows, similarities, their transport."""
    working = max(
        working_bytes((1, kept, block.size, len(block.classes)), matching.epsilon, matching.rule)
        for block in packed.blocks
    )
    similarities = kept * packed.widest * matching.dtype.itemsize
    return rows_bytes(packed, matching, kept) + similarities + working
