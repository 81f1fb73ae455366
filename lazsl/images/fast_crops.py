"""Fast crops: from a smaller picture where that is enough, by vector instructions or on a device.

`crops.cut_crops` resizes every crop in one step from the source pixels, and reads each of them
dozens of times. Here pixels are averaged first, as long as enough of them are left, and the same
antialiased filter does the rest: on the processor with PyTorch's vector instructions, or for all
crops of a picture at once, as two products of matrices on the device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d, interpolate

from lazsl.images.crop_layouts import finest
from lazsl.images.decoding import Picture
from lazsl.images.framing import Framing
from lazsl.settings import RegionSettings

FACTORS = (8, 4, 2, 1)
"""What a picture may be made smaller by, as JPEG decoders can."""

GAP = 16
"""How many times the model's input a crop must measure in the picture made smaller. Its edges are
moved to whole pixels there: by a thirty-second of a pixel of the model's input at most."""

HALVED_GAP = 4
"""The same once it is halved by averaging pixels two by two from its own corner on, which moves no
edge, but takes a little of the finest detail that the model sees: at 2 instead of 4, one label in
35 of the field guide's was another one."""

_WORKING_BYTES = 2**28
"""On a device, roughly; crops are cut in as many parts as that takes."""


def _factor(side: int, least: float) -> int:
    """The largest of FACTORS that leaves a side at least as long as the least; 1 if none does."""
    return next((factor for factor in FACTORS if side >= least * factor), 1)


def decoding_factor(shorter: int, settings: RegionSettings, framing: Framing) -> int:
    """The largest of FACTORS that suits every crop of a picture with this shorter side."""
    smallest = max(1, int(finest(settings) * shorter))
    return _factor(smallest, GAP * max(framing.size))


@dataclass(frozen=True)
class Uncut:
    """A picture on its way to a device that cuts it.

    `whole` is uint8 (height, width, 3), the whole picture in the model's framing, or None where
    only its crops are wanted; `pixels` is uint8 (H, W, 3), the picture made smaller by `factor`;
    `boxes` are those of the source.
    """

    whole: torch.Tensor | None
    pixels: torch.Tensor
    factor: int
    boxes: np.ndarray

    @property
    def bytes(self) -> int:
        """What it holds in memory."""
        return self.pixels.nbytes + (0 if self.whole is None else self.whole.nbytes)


def cut_fast(
    picture: Picture, boxes: np.ndarray, framing: Framing, whole: bool = True
) -> np.ndarray:
    """Model-ready crops: uint8, shape (M + 1, height, width, 3), RGB; row i shows box i.

    Args:
        picture: decoded no smaller than by `decoding_factor`.
        boxes: of the source, as `regions.draw_boxes` makes them.
        framing: what the model wants. Its own framing makes row 0, and every row if it is not
            square.
        whole: with row 0.
    """
    width, height = framing.size
    crops = np.empty((len(boxes), height, width, 3), dtype=np.uint8)
    if whole:
        crops[0] = _whole(picture, framing)
    for level, rows, edges in _by_level(boxes, framing):
        image = level.of(picture)
        pixels = np.asarray(image)
        for row, box in zip(rows, edges.tolist(), strict=True):
            if width == height:
                crops[row] = _resize(pixels, box, framing)
            else:
                crops[row] = np.asarray(framing.frame(image.crop(_pixels(box))))
    return crops if whole else crops[1:]


def leave_uncut(
    picture: Picture, boxes: np.ndarray, framing: Framing, whole: bool = True, pinned: bool = False
) -> Uncut:
    """What `cut_on_device` needs: one picture instead of M + 1 crops, with row 0 or without;
    `pinned`: in memory that a GPU fetches by itself."""
    factor = min(level.factor for level, _, _ in _by_level(boxes, framing))

    def held(levels: np.ndarray) -> torch.Tensor:
        return _pinned(torch.from_numpy(levels)) if pinned else torch.tensor(levels)

    pixels = held(np.array(Level(factor).of(picture)))
    return Uncut(held(_whole(picture, framing).copy()) if whole else None, pixels, factor, boxes)


@torch.inference_mode()
def cut_on_device(
    uncut: Uncut, framing: Framing, device: str, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """What `cut_fast` makes, up to rounding: uint8 (M + 1, side, side, 3) on the device.

    All crops at once are a product along x and a product along y, of matrices (side, pixels) whose
    rows are the antialiased filter. Levels are rounded in between, as Pillow and PyTorch do.

    Args:
        uncut: from `leave_uncut`.
        framing: what the model wants; square.
        device: where to cut.
        dtype: of the products; whole levels are exact in half precision too.
    """
    side = framing.size[0]
    crops = torch.empty((len(uncut.boxes), side, side, 3), dtype=torch.uint8, device=device)
    if uncut.whole is not None:
        crops[0] = send(uncut.whole, device)
    pixels = send(uncut.pixels, device).permute(2, 0, 1)
    for level, rows, edges in _by_level(uncut.boxes, framing):
        # (W, 3, H), so that the first product leaves y where the second one needs it.
        small = _pooled(pixels, level, uncut.factor).permute(2, 0, 1).to(dtype).contiguous()
        width, _, height = small.shape
        step = max(1, _WORKING_BYTES // (4 * side * (6 * max(width, height) + 4 * height)))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            corners = torch.tensor(edges[part].T, dtype=torch.float32)
            left, top, right, bottom = send(corners, device)
            along_x = _filters(left, right, side, width, framing).to(dtype)
            along_y = _filters(top, bottom, side, height, framing).to(dtype)
            narrow = _rounded(along_x.flatten(0, 1) @ small.flatten(1))
            cut = _rounded(torch.bmm(narrow.view(-1, side * 3, height), along_y.mT))
            where = send(torch.from_numpy(rows[part]), device)
            crops[where] = cut.view(-1, side, 3, side).permute(0, 3, 1, 2).to(torch.uint8)
    return crops if uncut.whole is not None else crops[1:]


def send(values: torch.Tensor, device: str) -> torch.Tensor:
    """The tensor on the device. A GPU fetches it by itself, so that nobody waits here for what is
    queued there; `torch.Tensor.to` alone would."""
    if device.startswith("cuda"):
        values = _pinned(values)
    return values.to(device, non_blocking=True)


def _pinned(values: torch.Tensor) -> torch.Tensor:
    return values if values.is_pinned() else values.pin_memory()


@dataclass(frozen=True, order=True)
class Level:
    """A picture made smaller by a factor, and perhaps halved, from pixel (dx, dy) of that on."""

    factor: int
    halved: bool = False
    dx: int = 0
    dy: int = 0

    def of(self, picture: Picture) -> Image.Image:
        """This level of a picture that was not decoded smaller than it."""
        image = picture.image
        if self.factor > picture.factor:
            image = image.reduce(self.factor // picture.factor)
        return image.reduce(2, (self.dx, self.dy, *image.size)) if self.halved else image


def _by_level(
    boxes: np.ndarray, framing: Framing
) -> Iterator[tuple[Level, np.ndarray, np.ndarray]]:
    """Per level the rows of the squares cut from it, and their edges in its pixels: left and top
    whole, right and bottom whole or a half."""
    target = max(framing.size)
    squares = boxes[1:].astype(np.int64)
    factors = np.array([_factor(s, GAP * target) for s in (squares[:, 2] - squares[:, 0]).tolist()])
    squares = (2 * squares + factors[:, None]) // (2 * factors[:, None])
    halved = (squares[:, 2:] - squares[:, :2]).min(axis=1) >= 2 * HALVED_GAP * target
    phase = np.where(halved[:, None], squares[:, :2] % 2, 0)
    keys = np.column_stack([factors, halved, phase])
    for key in np.unique(keys, axis=0).tolist():
        rows = np.flatnonzero((keys == key).all(axis=1))
        level = Level(key[0], bool(key[1]), key[2], key[3])
        edges = (squares[rows] - np.tile(phase[rows], 2)) / (2 if level.halved else 1)
        yield level, rows + 1, edges


def _pixels(edges: Sequence[float]) -> tuple[int, int, int, int]:
    left, top, right, bottom = edges
    return int(left), int(top), math.ceil(right), math.ceil(bottom)


def _whole(picture: Picture, framing: Framing) -> np.ndarray:
    size = framing.resized(*picture.size)
    image = picture.image
    if size is not None and min(size) < min(image.size):
        levels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
        made = interpolate(levels, size[::-1], mode=_mode(framing), antialias=True)
        image = Image.fromarray(made[0].permute(1, 2, 0).numpy())
    return np.asarray(framing.frame(image))


def _resize(pixels: np.ndarray, edges: Sequence[float], framing: Framing) -> np.ndarray:
    left, top, right, bottom = _pixels(edges)
    # The vector instructions want pixels without gaps between their rows.
    cut = torch.from_numpy(np.array(pixels[top:bottom, left:right]))
    # A hair more, because the output's size is what the product of sizes and these is cut down to.
    scale = [(1 + 1e-9) * framing.size[0] / (edges[end] - edges[end - 2]) for end in (3, 2)]
    resized = interpolate(
        cut.permute(2, 0, 1)[None],
        scale_factor=scale,
        mode=_mode(framing),
        antialias=True,
        recompute_scale_factor=False,
    )
    return resized[0].permute(1, 2, 0).numpy()


def _mode(framing: Framing) -> str:
    return "bilinear" if framing.resample is Image.Resampling.BILINEAR else "bicubic"


def _pooled(pixels: torch.Tensor, level: Level, factor: int) -> torch.Tensor:
    """(3, H, W) levels of a picture made smaller by a factor already, as `Level.of` has them."""
    if level.factor > factor:
        pixels = _means(pixels, level.factor // factor)
    return _means(pixels[:, level.dy :, level.dx :], 2) if level.halved else pixels


def _means(pixels: torch.Tensor, factor: int) -> torch.Tensor:
    means = avg_pool2d(pixels[None].float(), factor, ceil_mode=True, count_include_pad=False)
    return _rounded(means[0])


def _rounded(levels: torch.Tensor) -> torch.Tensor:
    return levels.add_(0.5).floor_().clamp_(0, 255)


def _filters(
    first: torch.Tensor, last: torch.Tensor, side: int, length: int, framing: Framing
) -> torch.Tensor:
    """(B, side, length) float32: row i makes pixel i of a crop of first[b]..last[b] of `length`.

    The filter (bilinear, or bicubic with a = -0.5) is as wide as it must be to read every pixel,
    and sees none that the crop has no part of.
    """
    first, last = first[:, None, None], last[:, None, None]
    scale = (last - first) / side
    pixel = torch.arange(length, device=first.device) + 0.5
    centre = first + scale * (torch.arange(side, device=first.device) + 0.5)[:, None]
    distance = ((pixel - centre) / scale.clamp(min=1)).abs()
    if framing.resample is Image.Resampling.BILINEAR:
        weights = (1 - distance).clamp(min=0)
    else:
        near = (1.5 * distance - 2.5) * distance.square() + 1
        far = ((2.5 - 0.5 * distance) * distance - 4) * distance + 2
        weights = torch.where(distance < 1, near, torch.where(distance < 2, far, 0))
    weights = weights * ((pixel > first) & (pixel < last.ceil()))
    return weights / weights.sum(dim=2, keepdim=True)
