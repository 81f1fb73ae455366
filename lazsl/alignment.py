"""LaZSL on arrays: which regions speak, how well they align with every class, and by which plan.

Shapes: B images, M regions (crops) per image, D dimensions of the embedding space, C classes, N
attributes of all classes together, n attributes of one class. Embeddings are unit vectors in any
floating dtype; all tensors of a call lie on one device. Images with fewer than M regions are
padded and say so with `valid` (B, M). Equations: LaZSL, arXiv 2506.23822.

An image's result does not depend on the images beside it, nor on how the work is split: beyond
one matrix product per block of attributes, all sums run in a fixed order. Float32 products must be
left at torch's default precision ("highest"); TF32 or bfloat16 products cost the scores 1e-3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypedDict, Unpack

import torch
from torch import Tensor

from lazsl.transport import Rule, Transport, Workspace, compute_dtype, sinkhorn, working_bytes

_BLOCK = 4096  # attributes at most per block
_CACHE_BYTES = 16 * 2**20  # similarities of one step on a CPU: larger ones leave its caches
_BORDER = 1e-12  # far above float64 rounding of a mean of cosines, far below any difference
_PICK = 4  # picking single problems costs as much as solving so many times more
_SLACK = 1e-5  # far above float32 rounding of a score


class Settings(TypedDict, total=False):
    """Keyword settings of the scoring functions, with the paper's values as defaults.

    theta: weight of the region against the whole image, 0..1 (0.8); 1 is OT without the mix.
    epsilon, rule, max_iterations, tolerance: as `transport.sinkhorn` takes them (epsilon 0.1).
    memory_bytes: bound of the working memory, beyond arguments and results (256 MiB). One image
        with one block of 4,096 attributes is the least that is worked on at a time.
    """

    theta: float
    epsilon: float
    rule: Rule
    max_iterations: int | None
    tolerance: float | None
    memory_bytes: int


@dataclass(frozen=True)
class Block:
    """Classes with equally many attributes: `rows[j * C + c]` is the row, among all attributes,
    of attribute j of class `classes[c]`; `matrix` holds those embeddings, ready to multiply."""

    size: int
    classes: Tensor
    rows: Tensor
    matrix: Tensor


@dataclass(frozen=True)
class PackedAttributes:
    """A label set's attribute embeddings, in blocks of classes with equally many attributes.

    Attributes:
        embeddings: (N, D) float32, in class order.
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
        embeddings = embeddings.float()
        starts = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        owner = torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)
        means = embeddings.new_zeros((len(sizes), embeddings.shape[1]), dtype=torch.float64)
        means.index_add_(0, owner, embeddings.double()).div_(sizes[:, None])
        blocks = []
        for size in sorted(set(sizes.tolist())):
            same = (sizes == size).nonzero()[:, 0]
            for classes in torch.split(same, max(1, _BLOCK // size)):
                rows = _attribute_rows(starts, classes, size)
                blocks.append(Block(size, classes, rows, _operand(embeddings[rows])))
        return cls(embeddings, starts, means, tuple(blocks))


@dataclass(frozen=True)
class TopClasses:
    """The best classes of each image, best first; among equal scores the lower index is first.

    Attributes:
        classes: (B, k) int64.
        scores: (B, k).
    """

    classes: Tensor
    scores: Tensor


@dataclass(frozen=True)
class Plans:
    """How the score of chosen classes came about.

    Attributes:
        sizes: (B, k) int64, attributes of each class.
        scores, residual: (B, k); the residual is the largest error of a row marginal.
        iterations: (B, k) int64.
        plan, similarity: (B, k, M, largest size), T and S; zero on regions that are not kept and
            beyond a class's own size.
        keep: (B, M) bool, as given.
    """

    sizes: Tensor
    scores: Tensor
    iterations: Tensor
    residual: Tensor
    plan: Tensor
    similarity: Tensor
    keep: Tensor

    def of(self, image: int, rank: int) -> tuple[Tensor, Tensor]:
        """T and S of one class, (M', n) each: the kept regions in order, its own attributes."""
        size = int(self.sizes[image, rank])
        keep = self.keep[image]
        return self.plan[image, rank, keep, :size], self.similarity[image, rank, keep, :size]


def select_regions(
    regions: Tensor, whole: Tensor, gamma: float = 0.0, valid: Tensor | None = None
) -> Tensor:
    """(B, M) bool: regions at least `gamma` more similar to the whole image than the mean region.

    A region on the border is kept, whatever the rounding of the mean. Where no region passes
    (possible with gamma > 0), the most similar one is kept alone, the first among equals.

    Raises:
        ValueError: when an image has no valid region.
    """
    agreement = (regions.double() @ whole.double()[:, :, None])[:, :, 0]
    if valid is None:
        valid = torch.ones_like(agreement, dtype=torch.bool)
    count = valid.sum(1, keepdim=True)
    if not bool(count.all()):
        raise ValueError("an image has no valid region")
    mean = agreement.where(valid, 0.0).sum(1, keepdim=True) / count
    keep = valid & (agreement >= mean + gamma - _BORDER)
    ranked = agreement.masked_fill(~valid, -torch.inf)
    best = torch.arange(keep.shape[1], device=keep.device) == ranked.argmax(1, keepdim=True)
    return torch.where(keep.any(1, keepdim=True), keep, best)


@torch.no_grad()
def class_scores(
    regions: Tensor,
    whole: Tensor,
    keep: Tensor,
    packed: PackedAttributes,
    valid: Tensor | None = None,
    **settings: Unpack[Settings],
) -> Tensor:
    """(B, C) float32 score of every class for every image, in the label set's class order.

    `S_ij = theta <f_i, t_j> + (1 - theta) <f_0, t_j>`, then `sum_ij T_ij S_ij` with the entropic
    plan T between the kept regions and the class's attributes.

    Args:
        regions: (B, M, D), the crops' embeddings f_1..f_M.
        whole: (B, D), the whole images' embeddings f_0.
        keep: (B, M) bool, as `select_regions` returns it.
        packed: the label set.
        valid: (B, M) bool, False on padding rows; None when there are none.
        **settings: see `Settings`.

    Raises:
        ValueError: on a setting out of range, or an image without a kept region.
    """
    matching, workspace = _Matching(**settings), Workspace()
    scores = whole.new_empty((len(whole), len(packed.means)), dtype=torch.float32)
    for batch in _batches(regions, whole, keep, valid, packed, matching):
        for block in packed.blocks:
            solved = matching.solve(
                batch.similarity(packed, block.rows, block.size, block.matrix),
                batch.keep,
                batch.count,
                workspace,
            )
            scores[batch.images[:, None], block.classes] = solved.scores.float()
    return scores


@torch.no_grad()
def top_classes(
    regions: Tensor,
    whole: Tensor,
    keep: Tensor,
    packed: PackedAttributes,
    valid: Tensor | None = None,
    *,
    k: int,
    skip: bool = True,
    **settings: Unpack[Settings],
) -> TopClasses:
    """The k best classes of each image, or all where there are fewer; arguments as for
    `class_scores`.

    With `skip`, transport is solved only where it can matter: a plan's columns sum to v exactly,
    so `score <= mean_j max_i S_ij`. The result is the same.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if not skip:
        return _best(class_scores(regions, whole, keep, packed, valid, **settings), k)
    matching, workspace = _Matching(**settings), Workspace()
    k = min(k, len(packed.means))
    classes = torch.empty((len(whole), k), dtype=torch.int64, device=whole.device)
    scores = whole.new_empty((len(whole), k), dtype=torch.float32)
    for batch in _batches(regions, whole, keep, valid, packed, matching, at_once=True):
        best = _top_of_batch(batch, packed, matching, workspace, k)
        classes[batch.images], scores[batch.images] = best.classes, best.scores
    return TopClasses(classes, scores)


@torch.no_grad()
def plans_for(
    regions: Tensor,
    whole: Tensor,
    keep: Tensor,
    packed: PackedAttributes,
    classes: Tensor,
    valid: Tensor | None = None,
    **settings: Unpack[Settings],
) -> Plans:
    """Plans of the chosen classes, (B, k) indices; other arguments as for `class_scores`, whose
    scores these plans give."""
    matching, workspace = _Matching(**settings), Workspace()
    sizes = packed.starts.diff()[classes]
    scores, residual = torch.zeros((2, *classes.shape), device=whole.device)
    iterations = torch.zeros_like(classes)
    largest = int(sizes.max()) if sizes.numel() else 0
    shape = (2, *classes.shape, keep.shape[1], largest)
    plan, similarity = torch.zeros(shape, device=whole.device)
    for batch in _batches(regions, whole, keep, valid, packed, matching):
        for size in sorted(set(sizes[batch.images].flatten().tolist())):
            image, rank = (sizes[batch.images] == size).nonzero(as_tuple=True)
            chosen, place = torch.unique(classes[batch.images[image], rank], return_inverse=True)
            rows = _attribute_rows(packed.starts, chosen, size)
            shared = batch.similarity(packed, rows, size)
            solved = batch.solve_pairs(matching, shared, image, place, workspace, True)
            assert solved.plan is not None and solved.residual is not None
            source = batch.images[image]
            scores[source, rank] = solved.scores[0].float()
            iterations[source, rank] = solved.iterations[0]
            residual[source, rank] = solved.residual[0].float()
            target = (source[:, None], rank[:, None], batch.positions[image], slice(size))
            plan[target] = solved.plan[0].permute(2, 0, 1).float()
            kept = batch.keep[image][:, :, None]
            similarity[target] = (kept * shared[image, :, :, place]).float()
    return Plans(sizes, scores, iterations, residual, plan, similarity, keep)


def dclip_scores(whole: Tensor, packed: PackedAttributes) -> Tensor:
    """(B, C) float32, `mean_j <f_0, t_cj>`: attributes against the whole image (DCLIP, CuPL)."""
    return (whole.double() @ packed.means.T).float()


def crop_mean_scores(
    regions: Tensor, packed: PackedAttributes, valid: Tensor | None = None
) -> Tensor:
    """(B, C) float32, the plain mean of `<f_i, t_cj>` over all crops and attributes."""
    crops = regions.double()
    if valid is None:
        mean = crops.mean(1)
    else:
        mean = crops.masked_fill(~valid[:, :, None], 0).sum(1) / valid.sum(1, keepdim=True)
    return (mean @ packed.means.T).float()


@dataclass(frozen=True)
class _Matching:
    """`Settings` with every value present, checked."""

    theta: float = 0.8
    epsilon: float = 0.1
    rule: Rule = "paper"
    max_iterations: int | None = None
    tolerance: float | None = None
    memory_bytes: int = 256 * 2**20

    def __post_init__(self) -> None:
        if not 0 <= self.theta <= 1:
            raise ValueError(f"theta must be from 0 to 1, got {self.theta}")

    @property
    def dtype(self) -> torch.dtype:
        return compute_dtype(self.epsilon, self.rule)

    def solve(
        self,
        similarity: Tensor,
        keep: Tensor,
        count: Tensor,
        workspace: Workspace,
        with_plan: bool = False,
    ) -> Transport:
        return sinkhorn(
            similarity,
            keep,
            epsilon=self.epsilon,
            rule=self.rule,
            max_iterations=self.max_iterations,
            tolerance=self.tolerance,
            count=count,
            with_plan=with_plan,
            workspace=workspace,
        )


@dataclass(frozen=True)
class _Batch:
    """Some images' kept regions, moved together: M' is the most that one of them keeps.

    images: (B',), which images. positions: (B', M'), which regions, each once; the first of an
    image are its kept ones. keep: (B', M'), whether a row is a kept region. count: (B',), regions
    of the image, kept or not. rows: (B' * M', D), theta f_i + (1 - theta) f_0, where rows beyond
    the kept ones repeat a kept one, so that they cannot change a maximum.
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
            matrix = _operand(packed.embeddings[rows].to(self.rows.dtype))
        return _product(self.rows, matrix, len(rows)).view(*self.keep.shape, size, -1)

    def solve_pairs(
        self,
        matching: _Matching,
        similarity: Tensor,
        image: Tensor,
        place: Tensor,
        workspace: Workspace,
        with_plan: bool = False,
    ) -> Transport:
        """The problems of pairs (image[p], class at place[p]), as one image with P classes."""
        return matching.solve(
            similarity[image, :, :, place].permute(1, 2, 0)[None].contiguous(),
            self.keep[image].T[None],
            self.count[image][None],
            workspace,
            with_plan,
        )


def _batches(
    regions: Tensor,
    whole: Tensor,
    keep: Tensor,
    valid: Tensor | None,
    packed: PackedAttributes,
    matching: _Matching,
    at_once: bool = False,
) -> Iterator[_Batch]:
    """All images, in batches that fit the memory; `at_once`: with all similarities held."""
    kept = keep.sum(1)
    if not bool(kept.all()):
        raise ValueError("an image has no kept region; select_regions always keeps one")
    if not len(kept):
        return
    images = (matching.memory_bytes - _fixed_bytes(packed, matching)) // _image_bytes(
        packed, matching, int(kept.max()), at_once
    )
    if regions.device.type == "cpu":
        widest = max(len(block.rows) for block in packed.blocks)
        images = min(images, _CACHE_BYTES // (widest * int(kept.max()) * matching.dtype.itemsize))
    # Images that keep about equally many regions share a batch, so that little is padded.
    for some in torch.split(kept.argsort(stable=True), max(1, images)):
        most = int(kept[some].max())
        positions = keep[some].to(torch.uint8).argsort(dim=1, descending=True, stable=True)
        positions = positions[:, :most]
        present = torch.arange(most, device=keep.device) < kept[some, None]
        chosen = torch.where(present, positions, positions[:, :1])
        rows = regions[some[:, None], chosen].to(matching.dtype)
        rows = torch.lerp(whole[some, None].to(matching.dtype), rows, matching.theta)
        count = torch.full_like(some, keep.shape[1]) if valid is None else valid[some].sum(1)
        yield _Batch(some, positions, present, count, rows.flatten(0, 1))


def _fixed_bytes(packed: PackedAttributes, matching: _Matching) -> int:
    """Of one block's attributes, gathered and converted."""
    if matching.dtype == torch.float32:
        return 0
    return max(block.matrix.numel() for block in packed.blocks) * (4 + matching.dtype.itemsize)


def _image_bytes(packed: PackedAttributes, matching: _Matching, kept: int, at_once: bool) -> int:
    """What one image that keeps `kept` regions takes: rows, similarities, their transport."""
    item = matching.dtype.itemsize
    widest = max(len(block.rows) for block in packed.blocks)
    working = max(
        working_bytes((1, kept, block.size, len(block.classes)), matching.epsilon, matching.rule)
        for block in packed.blocks
    )
    # Regions are gathered, converted and mixed: three times their size at most.
    rows = 3 * kept * packed.embeddings.shape[1] * item
    if not at_once:
        return rows + kept * widest * item + working
    # All similarities, and picked ones twice; bounds, scores and their order, per class.
    similarities = kept * (len(packed.embeddings) + 2 * widest) * item
    return rows + similarities + working + 40 * len(packed.means)


def _top_of_batch(
    batch: _Batch, packed: PackedAttributes, matching: _Matching, workspace: Workspace, k: int
) -> TopClasses:
    """The k best classes, solved for those whose bound reaches the k-th best score so far."""
    blocks = [(b, batch.similarity(packed, b.rows, b.size, b.matrix)) for b in packed.blocks]
    bounds = torch.empty((len(batch.images), len(packed.means)), device=batch.keep.device)
    for block, similarity in blocks:
        bounds[:, block.classes] = similarity.amax(1).mean(1).float()
    scores = torch.full_like(bounds, -torch.inf)
    promising = bounds.topk(min(max(2 * k, 16), bounds.shape[1]))[1]
    wanted = torch.zeros_like(bounds, dtype=torch.bool).scatter_(1, promising, True)
    for _ in range(2):
        for block, similarity in blocks:
            some = wanted[:, block.classes]
            image, place = some.nonzero(as_tuple=True)
            if len(image) > some.numel() // _PICK:
                solved = matching.solve(similarity, batch.keep, batch.count, workspace)
                scores[:, block.classes] = solved.scores.float()
            elif len(image):
                solved = batch.solve_pairs(matching, similarity, image, place, workspace)
                scores[image, block.classes[place]] = solved.scores[0].float()
        wanted = (bounds >= scores.topk(k)[0][:, -1:] - _SLACK) & scores.isinf()
    return _best(scores, k)


def _attribute_rows(starts: Tensor, classes: Tensor, size: int) -> Tensor:
    """(size * C,) rows of the attributes of `classes`, all of one size, first attributes first."""
    return (starts[classes] + torch.arange(size, device=starts.device)[:, None]).flatten()


def _best(scores: Tensor, k: int) -> TopClasses:
    best, classes = scores.sort(dim=1, descending=True, stable=True)
    return TopClasses(classes[:, :k], best[:, :k])


def _operand(embeddings: Tensor) -> Tensor:
    """(N, D) embeddings in the form `_product` multiplies fastest."""
    if len(embeddings) == 1:
        # Libraries multiply by a single vector in another order of summation.
        embeddings = embeddings.repeat(2, 1)
    if embeddings.device.type == "cpu" and embeddings.dtype == torch.float32 and _has_onednn():
        return embeddings.to_mkldnn()
    return embeddings


def _product(rows: Tensor, operand: Tensor, columns: int) -> Tensor:
    """(R, columns), `rows @ embeddings.T`; the bits of a row do not depend on the other rows."""
    wanted = len(rows)
    if wanted < 16:
        # Libraries sum few rows in another order.
        rows = torch.cat([rows, rows.new_zeros(16 - wanted, rows.shape[1])])
    if operand.is_mkldnn:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, operand, None, "none", [], "")
    else:
        product = rows @ operand.T
    return product[:wanted, :columns].contiguous()


@cache
def _has_onednn() -> bool:
    """Whether oneDNN's product is at hand, and right. It uses the widest vectors of every CPU,
    where the default one (MKL) leaves half of them idle on processors that are not Intel's."""
    try:
        one = torch.eye(16)
        return torch.equal(_product(one, one.to_mkldnn(), 16), one)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
