"""Transport problems of chosen pairs of an image and a class, with exact similarities.

The similarities are exact sums (`attributes.on_grid`), so a pair's score is the same to the last
bit whatever else is solved beside it, and however it came to be chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lazsl.alignment.attributes import PackedAttributes
from lazsl.alignment.image_batches import Batch
from lazsl.alignment.matching import Matching
from lazsl.alignment.transport import Transport, Workspace

_IMAGES = 16  # multiplied at a time: their rows and attributes stay in a CPU's cache
_SLOTS = 256  # attributes of one image multiplied at a time
_ATTRIBUTES = 2**15  # of all pairs solved at a time


@dataclass(frozen=True)
class Solved:
    """Pairs of classes of one size, as one image's problems: `pairs` (P,), their places among those
    asked for, similarity (M', size, P), and `transport` with a batch of one."""

    pairs: Tensor
    similarity: Tensor
    transport: Transport


def solve_pairs(
    batch: Batch,
    packed: PackedAttributes,
    matching: Matching,
    image: Tensor,
    classes: Tensor,
    workspace: Workspace,
    with_plan: bool = False,
) -> Iterator[Solved]:
    """Every pair (image[p], classes[p]) once; `image` ascends and counts within the batch."""
    for pairs, similarity in similar_pairs(batch, packed, matching, image, classes):
        images = image[pairs]
        yield Solved(
            pairs,
            similarity,
            matching.solve(
                similarity[None],
                batch.keep[images].T[None],
                batch.count[images][None],
                workspace,
                with_plan,
            ),
        )


def similar_pairs(
    batch: Batch, packed: PackedAttributes, matching: Matching, image: Tensor, classes: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """The same, `pairs` and similarity (M', size, P), without their transport."""
    sizes = packed.starts.diff()[classes]
    ends = sizes.cumsum(0)
    # A quarter of the memory: similarities, a copy by size, their transport and its indices.
    per_attribute = 8 * batch.keep.shape[1] * matching.dtype.itemsize + 64
    attributes_at_once = min(_ATTRIBUTES, max(1, matching.memory_bytes // 4 // per_attribute))
    start, done = 0, 0
    while start < len(image):
        # As many pairs as hold the attributes wanted, and one at least.
        stop = int(torch.searchsorted(ends, done + attributes_at_once, right=True))
        stop = max(stop, start + 1)
        chunk = slice(start, stop)
        similarity, first = _similarities(batch, packed, matching, image[chunk], classes[chunk])
        for size in sorted(set(sizes[chunk].tolist())):
            pairs = (sizes[chunk] == size).nonzero()[:, 0]
            attributes = first[pairs, None] + torch.arange(size, device=first.device)
            problems = similarity[attributes].permute(2, 1, 0).contiguous()
            yield pairs + start, problems
        start, done = stop, int(ends[stop - 1])


def _similarities(
    batch: Batch, packed: PackedAttributes, matching: Matching, image: Tensor, classes: Tensor
) -> tuple[Tensor, Tensor]:
    """(A, M') of the attributes of all pairs, pair after pair, and where each pair's begin."""
    sizes = packed.starts.diff()[classes]
    first = sizes.cumsum(0) - sizes
    pair = torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)
    total = len(pair)
    place = torch.arange(total, device=sizes.device)
    attribute = (packed.starts[classes] - first)[pair] + place
    images, regions = batch.keep.shape
    asked = torch.zeros(images, dtype=torch.int64, device=sizes.device)
    asked.index_add_(0, image, sizes)
    begin = asked.cumsum(0) - asked
    rows = batch.rows.view(images, regions, -1)
    similarity = torch.empty((total + 1, regions), dtype=matching.dtype, device=rows.device)
    asked_by_image = asked.tolist()
    # Another eighth: attributes as they are and in float64, rows in float64, and products.
    dimension = rows.shape[2]
    per_slot = 12 * (dimension + regions)
    room = matching.memory_bytes // 8
    at_a_time = min(_IMAGES, max(1, room // 2 // (12 * regions * dimension)))
    slots_at_a_time = min(_SLOTS, max(16, room // 2 // (at_a_time * per_slot)))
    # Images that ask for about equally many share a product, so that little is padded.
    images_asked = sorted(
        (i for i, n in enumerate(asked_by_image) if n), key=asked_by_image.__getitem__
    )
    for start in range(0, len(images_asked), at_a_time):
        chunk = images_asked[start : start + at_a_time]
        longest = max(asked_by_image[i] for i in chunk)
        chunk_images = torch.tensor(chunk, device=sizes.device)
        chunk_rows = rows[chunk_images].double()
        for slot in range(0, longest, slots_at_a_time):
            slots = torch.arange(slot, min(slot + slots_at_a_time, longest), device=sizes.device)
            real = slots < asked[chunk_images, None]
            # What pads an image's list is computed for nothing, into a row beyond the last.
            target = torch.where(real, begin[chunk_images, None] + slots, total)
            texts = packed.embeddings[attribute[target.clamp(max=total - 1)]].double()
            products = torch.bmm(chunk_rows, texts.transpose(1, 2))
            similarity[target] = products.transpose(1, 2).to(matching.dtype)
    return similarity[:total], first
