"""Regions without crops: every box is pooled from the features of one look at the whole picture.

Both kinds of tower that can do it end in attention by one query over the picture's cells (patches,
or places of a feature map). Here there is a query per box, and a cell counts by the share w of it
that lies in the box: log w is added to its logit. With w = 1 everywhere that is the model's own
pooling, so the box of a whole square picture of the model's own size has the model's own embedding.

- A ResNet of CLIP's kind has that attention at its end only. The query is the mean over the box's
  cells, and cells have the position that they would have in a crop: relative to the box.
- In a vision transformer every box has a class token of its own, which goes through all blocks,
  sees itself and the box's patches, and is seen by none (as mask class tokens, Ding et al. 2022,
  arXiv 2208.08984).

What differs from a crop: cells see beyond the box, and the picture's scale is one for all boxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from open_clip.modified_resnet import AttentionPool2d, ModifiedResNet
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, linear, normalize

from lazsl.errors import UserError
from lazsl.images.fast_crops import FACTORS, send
from lazsl.model.encoder import Encoder

GAP = 4
"""How many times larger than the look a picture stays that is decoded smaller; boxes keep their
edges, so this is about detail alone."""

LONGEST = 8
"""Cells along the longer side, over those of the shorter one: a longer picture is squeezed."""


class Pooling(Protocol):
    """How a tower pools boxes. `stride` is the side of a cell in pixels of its input."""

    stride: int

    def __call__(self, pixels: Tensor, boxes: Tensor) -> Tensor:
        """(R, D), not normalised, of one picture (1, 3, H, W) and boxes (R, 4) in cells."""


@dataclass(frozen=True)
class Look:
    """One look at a whole picture: `pixels` is uint8 (H, W, 3), `boxes` (R, 4) float32 in cells."""

    pixels: np.ndarray
    boxes: np.ndarray


class DenseEncoder:
    """An encoder of boxes, each picture by itself.

    Args:
        encoder: a loaded model with its vision tower.
        scale: shorter side of the picture, over that of the model's own input.

    Raises:
        UserError: the model's tower cannot pool boxes.
    """

    def __init__(self, encoder: Encoder, scale: float) -> None:
        self.encoder = encoder
        self.scale = scale
        self.pooling = make_pooling(encoder.model.visual, encoder.source.given)

    def look(self, image: Image.Image, size: tuple[int, int], boxes: np.ndarray) -> Look:
        """The picture as the model is to see it, and the boxes in it.

        Args:
            image: RGB, perhaps decoded smaller.
            size: of the source, which boxes (R, 4) refer to.
            boxes: left, top, right, bottom in source pixels, right and bottom exclusive.
        """
        framing, stride = self.encoder.framing, self.pooling.stride
        cells = grid_size(*size, min(framing.size), stride, self.scale)
        pixels = image.resize((cells[0] * stride, cells[1] * stride), framing.resample)
        return Look(np.asarray(pixels), (boxes * np.tile(np.divide(cells, size), 2)).astype("f4"))

    def decoding_factor(self, shorter: int) -> int:
        """What a picture with this shorter side may be decoded smaller by, for fast regions."""
        least = GAP * self.scale * max(self.encoder.framing.size)
        return next((factor for factor in FACTORS if shorter >= least * factor), 1)

    def passes(self, look: Look) -> float:
        """What the look costs, in pictures of the model's own size: by area."""
        width, height = self.encoder.framing.size
        return float(look.pixels.size / (3 * width * height))

    @torch.inference_mode()
    def encode(self, look: Look) -> Tensor:
        """Unit-length embeddings of the boxes, float32 (R, D) on the model's device, perhaps not
        computed yet."""
        pixels = send(torch.from_numpy(look.pixels.copy()), self.encoder.device)
        boxes = send(torch.from_numpy(look.boxes), self.encoder.device)
        ready = self.encoder.ready(pixels[None])
        return normalize(self.pooling(ready, boxes).float(), dim=1)


def make_pooling(visual: Any, model: str) -> Pooling:
    """How this vision tower pools boxes.

    Raises:
        UserError: it is of a kind that cannot.
    """
    if isinstance(visual, ModifiedResNet) and isinstance(visual.attnpool, AttentionPool2d):
        return ResNetPooling(visual)
    if (
        isinstance(visual, VisionTransformer)
        and visual.attn_pool is None
        and visual.pool_type == "tok"
        and all(type(block) is ResidualAttentionBlock for block in visual.transformer.resblocks)
    ):
        return TransformerPooling(visual)
    raise UserError(
        f"regions.source is dense, but the vision tower of {model!r} ({type(visual).__name__}) "
        "does not pool its cells by attention as CLIP's own ViT and ResNet do; use one of "
        "these, or leave regions.source at crops"
    )


def grid_size(width: int, height: int, side: int, stride: int, scale: float) -> tuple[int, int]:
    """Columns and rows of cells of a picture whose shorter side becomes scale * side pixels."""
    cell = stride / (scale * side) * min(width, height)
    least = max(1, round(min(width, height) / cell))
    return tuple(  # type: ignore[return-value]
        min(LONGEST * least, max(1, round(length / cell))) for length in (width, height)
    )


def coverage(boxes: Tensor, columns: int, rows: int) -> Tensor:
    """(R, rows, columns), the share of every cell that lies in each box (R, 4) in cells."""

    def along(first: Tensor, last: Tensor, cells: int) -> Tensor:
        edge = torch.arange(cells, device=boxes.device, dtype=boxes.dtype)
        low, high = first[:, None].clamp(min=edge), last[:, None].clamp(max=edge + 1)
        return (high - low).clamp(0, 1)

    across = along(boxes[:, 0], boxes[:, 2], columns)
    down = along(boxes[:, 1], boxes[:, 3], rows)
    return down[:, :, None] * across[:, None, :]


class ResNetPooling:
    """Of open_clip's ModifiedResNet; see the module.

    Projections are linear, so they are made of cells and of positions, each once, and not of every
    box's cells.
    """

    stride = 32

    def __init__(self, visual: Any) -> None:
        self.visual = visual
        pool = visual.attnpool
        self.heads = int(pool.num_heads)
        self.side = round((len(pool.positional_embedding) - 1) ** 0.5)
        positions: Tensor = pool.positional_embedding.float()
        self._own = [self._project(positions, p, biased=False) for p in ("q", "k", "v")]

    def features(self, pixels: Tensor) -> Tensor:
        """(B, C, rows, columns), what the attention pools."""
        visual = self.visual
        x = visual.stem(pixels)
        for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            x = layer(x)
        return x  # type: ignore[no-any-return]

    def __call__(self, pixels: Tensor, boxes: Tensor) -> Tensor:
        features = self.features(pixels)[0]
        _, rows, columns = features.shape
        share = coverage(boxes, columns, rows)
        mean = share.flatten(1) / share.flatten(1).sum(1, keepdim=True)
        cells = features.flatten(1).T.float()
        # (heads, cells, d), and the mean cell of each box, (heads, R, d).
        q, k, v = (self._project(cells, p) for p in ("q", "k", "v"))
        own_q, own_k, own_v = self._own
        query = mean @ q + own_q[:, :1]
        middle_k, middle_v = mean @ k + own_k[:, :1], mean @ v + own_v[:, :1]
        down, across = self._places(boxes, columns, rows)
        grid = (*query.shape[:2], self.side, self.side)
        placed = torch.einsum(
            "rys,rxt,hrst->hryx", down, across, (query @ own_k[:, 1:].mT).view(grid)
        )
        scale = query.shape[2] ** -0.5
        logits = (query @ k.mT + placed.flatten(2)) * scale + share.flatten(1).log()
        middle = (query * middle_k).sum(2, keepdim=True) * scale
        weights = torch.cat([middle, logits], 2).softmax(2)
        first, rest = weights[:, :, :1], weights[:, :, 1:].contiguous()
        spread = torch.einsum(
            "hryx,rys,rxt->hrst", rest.view(*rest.shape[:2], rows, columns), down, across
        )
        pooled = first * middle_v + rest @ v + spread.flatten(2) @ own_v[:, 1:]
        out = self.visual.attnpool.c_proj
        projected: Tensor = linear(joined(pooled), out.weight.float(), out.bias.float())
        return projected

    def _project(self, x: Tensor, name: str, biased: bool = True) -> Tensor:
        """(heads, n, d), the projection `q`, `k` or `v` of x (n, C)."""
        layer = getattr(self.visual.attnpool, f"{name}_proj")
        bias = layer.bias.float() if biased else None
        return by_head(linear(x, layer.weight.float(), bias), self.heads)

    def _places(self, boxes: Tensor, columns: int, rows: int) -> tuple[Tensor, Tensor]:
        """(R, rows, side) and (R, columns, side): how much of each of the model's own positions a
        cell has, relative to each box, interpolated."""

        def weights(first: Tensor, last: Tensor, cells: int) -> Tensor:
            middle = torch.arange(cells, device=boxes.device) + 0.5
            place = (middle - first[:, None]) / (last - first)[:, None] * self.side - 0.5
            place = place.clamp(0, self.side - 1)
            steps = torch.arange(self.side, device=boxes.device)
            near: Tensor = 1 - (place[:, :, None] - steps).abs()
            return near.clamp(min=0)

        return (
            weights(boxes[:, 1], boxes[:, 3], rows),
            weights(boxes[:, 0], boxes[:, 2], columns),
        )


class TransformerPooling:
    """Of open_clip's VisionTransformer with a class token; see the module."""

    def __init__(self, visual: Any) -> None:
        self.visual = visual
        self.stride = int(visual.patch_size[0])

    def __call__(self, pixels: Tensor, boxes: Tensor) -> Tensor:
        visual = self.visual
        patches = visual.conv1(pixels)
        _, _, rows, columns = patches.shape
        patches = patches.flatten(2).mT
        first = visual.class_embedding.to(patches.dtype) + visual.positional_embedding[0]
        placed = patches + self._positions(rows, columns).to(patches.dtype)
        x = visual.ln_pre(torch.cat([first.to(patches.dtype).view(1, 1, -1), placed], 1))
        bias = coverage(boxes, columns, rows).flatten(1).log()
        y = x[0, :1].expand(len(boxes), -1)
        for block in visual.transformer.resblocks:
            y = _through(block, y, x[0, 1:], bias)
            x = block(x)
        pooled = visual.ln_post(y)
        projected: Tensor = pooled if visual.proj is None else pooled @ visual.proj
        return projected.float()

    def _positions(self, rows: int, columns: int) -> Tensor:
        """(rows * columns, width), the patches' own positions stretched over this grid."""
        across, down = self.visual.grid_size[1], self.visual.grid_size[0]
        positions = self.visual.positional_embedding[1:]
        if (rows, columns) == (down, across):
            return positions  # type: ignore[no-any-return]
        grid = positions.float().view(1, down, across, -1).permute(0, 3, 1, 2)
        size = (rows, columns)
        return interpolate(grid, size, mode="bicubic", align_corners=False)[0].flatten(1).mT


def _through(block: Any, y: Tensor, patches: Tensor, bias: Tensor) -> Tensor:
    """Class tokens y (R, width) after a block in which each sees itself and its patches.

    Args:
        block: of the transformer.
        y: before it.
        patches: (T, width), before it too.
        bias: (R, T), of every class token's logits.
    """
    attention = block.attn
    width, heads = y.shape[1], attention.num_heads
    weight, shift = attention.in_proj_weight, attention.in_proj_bias
    tokens = linear(block.ln_1(y), weight, shift).float()
    keys_and_values = linear(block.ln_1(patches), weight[width:], shift[width:]).float()
    query, key, value = (by_head(x, heads) for x in torch.split(tokens, width, 1))
    keys, values = (by_head(x, heads) for x in torch.split(keys_and_values, width, 1))
    scale = query.shape[2] ** -0.5
    itself = (query * key).sum(2, keepdim=True) * scale
    weights = torch.cat([itself, query @ keys.mT * scale + bias], 2).softmax(2)
    pooled = joined(weights[:, :, :1] * value + weights[:, :, 1:] @ values)
    y = y + block.ls_1(attention.out_proj(pooled.to(y.dtype)))
    return y + block.ls_2(block.mlp(block.ln_2(y)))  # type: ignore[no-any-return]


def by_head(x: Tensor, heads: int) -> Tensor:
    """(heads, n, d) of x (n, heads * d)."""
    return x.reshape(len(x), heads, -1).transpose(0, 1)


def joined(x: Tensor) -> Tensor:
    """(n, heads * d) of x (heads, n, d)."""
    return x.transpose(0, 1).flatten(1)
