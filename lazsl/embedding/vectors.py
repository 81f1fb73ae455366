"""Embeddings of many images' regions: reading, decoding, cropping and the model overlapped.

Arrays only; `embedding.shard` makes a shard's tables of them.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch

from lazsl.embedding.doubt import Stopping, in_telling_order, rounds
from lazsl.embedding.forward import ForwardPasses
from lazsl.embedding.rounds import TYPICAL, Cut, Pixels, Started, encode_in_rounds
from lazsl.images.boxes import draw_boxes
from lazsl.images.crops import cut_crops
from lazsl.images.decoding import Reject, decode
from lazsl.images.fast_crops import Uncut, cut_fast, cut_on_device, decoding_factor, leave_uncut
from lazsl.images.framing import Framing
from lazsl.model.dense import DenseEncoder, Look
from lazsl.model.encoder import Encoder
from lazsl.settings import CutOn, RegionSettings


@dataclass(frozen=True)
class Prepared:
    """An image ready for the model, or the reason why there is none."""

    digest: str | None
    size: int
    format: str | None = None
    width: int | None = None
    height: int | None = None
    orientation: int | None = None
    boxes: np.ndarray | None = None
    cut: Cut | None = None
    held: int = 0
    look: Look | None = None
    reject: Reject | None = None


@dataclass(frozen=True)
class RegionVectors:
    """What embedding images gives.

    `images` has an entry for each of them, in order; `vectors` is float16 (R, D), the rows of every
    usable image's boxes, image after image; `crops` counts forward passes, a larger picture as so
    many as it has the area of; `bytes` what was read, `seconds` the whole time and `model_seconds`
    the part of it spent waiting for the model.
    """

    images: list[Prepared]
    vectors: np.ndarray
    crops: int
    bytes: int
    seconds: float
    model_seconds: float


def embed_regions(
    count: int,
    read: Callable[[int], bytes | Reject],
    encoder: Encoder,
    settings: RegionSettings,
    *,
    batch_size: int,
    decoders: int,
    max_pixels: int,
    cut_on: CutOn = "processor",
    stopping: Stopping | None = None,
    progress: Callable[[int], None] | None = None,
) -> RegionVectors:
    """Embeddings of every usable image's regions, and what became of every image, usable or not.

    Threads read, decode and crop ahead of the model, which sees batches of constant size, cut
    across images. What is decoded and not yet encoded is bounded by two batches and one image per
    thread; where images are looked at in rounds, `rounds.HELD_BYTES` of pictures too. Nothing
    depends on `decoders` but the time it takes, nor on `batch_size` on a processor (on a GPU, see
    `forward`).

    Args:
        count: how many images.
        read: the bytes of an image by its number, or why there are none; called in the threads.
        encoder: a loaded model with its vision tower.
        settings: which regions to cut.
        batch_size: crops per forward pass.
        decoders: threads.
        max_pixels: larger images are rejected undecoded.
        cut_on: where fast crops of a square model are cut; all others are by the threads.
        stopping: when an image has been seen enough; None: with its last crop.
        progress: called with the number of images done so far.

    Raises:
        UserError: the model gave values that are no numbers, as half precision can.
    """
    started = time.perf_counter()
    width, height = encoder.framing.size
    uncut = cut_on == "device" and settings.resampling == "fast" and width == height
    passes = ForwardPasses(encoder, batch_size, uncut)
    dense = DenseEncoder(encoder, settings.scale) if settings.source == "dense" else None
    first = 1 + (settings.count if stopping is None else rounds(settings.count)[0])
    window = decoders + 2 * -(-batch_size // first)
    prepared: dict[int, Prepared] = {}
    pooled: dict[int, np.ndarray] = {}
    areas: list[float] = []
    finished = 0

    def ready(pixels: Pixels) -> torch.Tensor:
        if isinstance(pixels, Uncut):
            dtype = encoder.dtype if encoder.device.startswith("cuda") else torch.float32
            return cut_on_device(pixels, encoder.framing, encoder.device, dtype)
        return torch.from_numpy(pixels)

    def done() -> None:
        nonlocal finished
        finished += 1
        if progress is not None:
            progress(finished)

    def start(row: int) -> Started:
        image = _prepare(read, row, encoder.framing, settings, max_pixels, uncut, stopping, dense)
        prepared[row] = replace(image, cut=None, look=None)
        if image.cut is None:
            return Started(row)
        pixels = image.cut(slice(0, first if dense is None else 1))
        # Without a later round, nothing needs the picture any more.
        cut = image.cut if stopping is not None else None
        return Started(row, pixels, cut, image.held, image.look)

    def later(cut: Cut, rows: slice) -> Future[Pixels]:
        return threads.submit(cut, rows)

    def crops(jobs: Iterable[Future[Started]]) -> Iterator[torch.Tensor]:
        for image in _ahead(jobs, window):
            if image.pixels is not None:
                yield ready(image.pixels)
            if dense is not None and image.look is not None:
                pooled[image.row] = dense.encode(image.look).cpu().to(torch.float16).numpy()
                areas.append(dense.passes(image.look))
            done()

    with ThreadPoolExecutor(decoders, thread_name_prefix="decode") as threads:
        jobs = (threads.submit(start, row) for row in range(count))
        if stopping is None:
            parts = [part for one in crops(jobs) for part in passes.add(one)] + [*passes.flush()]
        else:
            ahead = (2 * decoders, decoders + 3 * batch_size // TYPICAL)
            found = encode_in_rounds(jobs, later, ready, passes, stopping, ahead, done)
            parts = [found[row] for row in sorted(found)]
            for row, vectors in found.items():
                boxes = prepared[row].boxes
                assert boxes is not None
                prepared[row] = replace(prepared[row], boxes=boxes[: len(vectors)])
    vectors = np.concatenate([np.empty((0, encoder.dimension), dtype=np.float16), *parts])
    crops_done = len(vectors) + round(sum(areas))
    if pooled:
        regions = [pooled[row] for row in sorted(pooled)]
        vectors = np.concatenate([vectors[:, None], np.stack(regions)], axis=1)
        vectors = vectors.reshape(-1, encoder.dimension)
    looked_at = [prepared[row] for row in range(count)]
    return RegionVectors(
        images=looked_at,
        vectors=vectors,
        crops=crops_done,
        bytes=sum(image.size for image in looked_at),
        seconds=time.perf_counter() - started,
        model_seconds=passes.seconds,
    )


def _prepare(
    read: Callable[[int], bytes | Reject],
    row: int,
    framing: Framing,
    settings: RegionSettings,
    max_pixels: int,
    uncut: bool,
    stopping: Stopping | None,
    dense: DenseEncoder | None,
) -> Prepared:
    data = read(row)
    if isinstance(data, Reject):
        return Prepared(None, 0, reject=data)
    digest = hashlib.sha256(data).hexdigest()
    fast = settings.resampling == "fast"

    def shrink(shorter: int) -> int:
        if dense is not None:
            return dense.decoding_factor(shorter)
        return decoding_factor(shorter, settings, framing)

    picture = decode(data, max_pixels=max_pixels, shrink=shrink if fast else None)
    if isinstance(picture, Reject):
        return Prepared(digest, len(data), reject=picture)
    boxes = draw_boxes(*picture.size, digest, settings)
    if stopping is not None:
        boxes = in_telling_order(boxes)

    def cut(rows: slice) -> Pixels:
        if dense is not None:
            return np.array(framing.frame(picture.image))[None]
        whole = rows.start == 0
        some = boxes[rows] if whole else np.concatenate([boxes[:1], boxes[rows]])
        if uncut:
            return leave_uncut(picture, some, framing, whole)
        if fast:
            return cut_fast(picture, some, framing, whole)
        return cut_crops(picture.image, some, framing, whole)

    held = 3 * picture.image.width * picture.image.height
    return Prepared(
        digest,
        len(data),
        picture.format,
        *picture.size,
        picture.orientation,
        boxes,
        cut,
        held,
        None if dense is None else dense.look(picture.image, picture.size, boxes[1:]),
    )


def _ahead(jobs: Iterable[Future[Started]], window: int) -> Iterator[Started]:
    """Results in order, with at most `window` jobs started and not yet taken."""
    waiting: deque[Future[Started]] = deque()
    try:
        for job in jobs:
            waiting.append(job)
            if len(waiting) >= window:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for job in waiting:
            job.cancel()
