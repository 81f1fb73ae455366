"""One shard, overlapped: read, decode, crop, encode; and label sets, sentence by sentence."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from lazsl import records
from lazsl.encoder import Encoder
from lazsl.images import Reject, decode
from lazsl.labelset import LabelSet
from lazsl.regions import Framing, cut_crops, draw_boxes
from lazsl.resampling import Uncut, cut_fast, cut_on_device, decoding_factor, leave_uncut
from lazsl.settings import CutOn, RegionSettings


@dataclass(frozen=True)
class Embedded:
    """What embedding one shard gives.

    `regions` has schema `records.regions(D)`, `images` has `records.IMAGES`; `crops` counts forward
    passes, `bytes` what was read, `seconds` the whole time and `model_seconds` the part of it spent
    waiting for the model.
    """

    regions: pa.Table
    images: pa.Table
    crops: int
    bytes: int
    seconds: float
    model_seconds: float


@dataclass(frozen=True)
class _Prepared:
    """An image ready for the model, or the reason why there is none."""

    digest: str | None
    size: int
    format: str | None = None
    width: int | None = None
    height: int | None = None
    orientation: int | None = None
    boxes: np.ndarray | None = None
    crops: np.ndarray | Uncut | None = None
    reject: Reject | None = None


def embed_images(
    images: pa.Table,
    read: Callable[[int], bytes | Reject],
    encoder: Encoder,
    settings: RegionSettings,
    *,
    batch_size: int,
    decoders: int,
    max_pixels: int,
    cut_on: CutOn = "processor",
    progress: Callable[[int], None] | None = None,
) -> Embedded:
    """Embeddings of every usable image of a shard, and a row for every image, usable or not.

    Threads read, decode and crop ahead of the model, which sees batches of constant size, cut
    across images. What is decoded and not yet encoded is bounded by two batches and one image per
    thread. Nothing depends on `batch_size` or `decoders` but the time it takes.

    Args:
        images: the shard's rows of `records.MANIFEST`, in order.
        read: the bytes of a row's image, or why there are none; called in the threads.
        encoder: a loaded model with its vision tower.
        settings: which regions to cut.
        batch_size: crops per forward pass.
        decoders: threads.
        max_pixels: larger images are rejected undecoded.
        cut_on: where fast crops of a square model are cut; all others are by the threads.
        progress: called with the number of images done so far.
    """
    started = time.perf_counter()
    prepared_images: list[_Prepared] = []
    per_image = settings.count + 1
    window = decoders + 2 * -(-batch_size // per_image)
    width, height = encoder.framing.size
    uncut = cut_on == "device" and settings.resampling == "fast" and width == height

    def crops() -> Iterator[torch.Tensor]:
        with ThreadPoolExecutor(decoders, thread_name_prefix="decode") as threads:
            jobs = (
                threads.submit(_prepare, read, row, encoder.framing, settings, max_pixels, uncut)
                for row in range(len(images))
            )
            for prepared in _ahead(jobs, window):
                pixels = prepared.crops
                prepared_images.append(_without_crops(prepared))
                if isinstance(pixels, Uncut):
                    dtype = encoder.dtype if encoder.device.startswith("cuda") else torch.float32
                    yield cut_on_device(pixels, encoder.framing, encoder.device, dtype)
                elif pixels is not None:
                    yield torch.from_numpy(pixels)
                if progress is not None:
                    progress(len(prepared_images))

    vectors, model_seconds = _encode(crops(), encoder, batch_size, uncut)
    return Embedded(
        regions=_regions_table(images["image_id"], prepared_images, vectors),
        images=_images_table(images, prepared_images),
        crops=len(vectors),
        bytes=sum(p.size for p in prepared_images),
        seconds=time.perf_counter() - started,
        model_seconds=model_seconds,
    )


def embed_labels(labels: LabelSet, encoder: Encoder) -> pa.Table:
    """The embedded label set, schema `records.attributes(D)`: per class its bare name, then its
    attributes in order. A class without attributes has the sentences that name it instead."""
    rows: list[tuple[int, str, int, str | None, str]] = []
    for index, label in enumerate(labels.classes):
        rows.append((index, label, -1, None, labels.name_prompts[index]))
        told = zip(labels.phrases[index], labels.prompts[index], strict=True)
        rows += [(index, label, j, phrase, prompt) for j, (phrase, prompt) in enumerate(told)]
    vectors = encoder.encode_sentences([row[4] for row in rows]).numpy()
    columns: list[pa.Array[Any]] = [pa.array(column) for column in zip(*rows, strict=True)]
    schema = records.attributes(vectors.shape[1])
    columns = [column.cast(field.type) for column, field in zip(columns, schema, strict=False)]
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return pa.Table.from_arrays([*columns, flat], schema=schema)


def _prepare(
    read: Callable[[int], bytes | Reject],
    row: int,
    framing: Framing,
    settings: RegionSettings,
    max_pixels: int,
    uncut: bool,
) -> _Prepared:
    data = read(row)
    if isinstance(data, Reject):
        return _Prepared(None, 0, reject=data)
    digest = hashlib.sha256(data).hexdigest()
    fast = settings.resampling == "fast"
    picture = decode(
        data,
        max_pixels=max_pixels,
        shrink=(lambda shorter: decoding_factor(shorter, settings, framing)) if fast else None,
    )
    if isinstance(picture, Reject):
        return _Prepared(digest, len(data), reject=picture)
    boxes = draw_boxes(*picture.size, digest, settings)
    crops: np.ndarray | Uncut
    if uncut:
        crops = leave_uncut(picture, boxes, framing)
    elif fast:
        crops = cut_fast(picture, boxes, framing)
    else:
        crops = cut_crops(picture.image, boxes, framing)
    return _Prepared(
        digest, len(data), picture.format, *picture.size, picture.orientation, boxes, crops
    )


def _without_crops(prepared: _Prepared) -> _Prepared:
    return _Prepared(**{**prepared.__dict__, "crops": None})


def _ahead(jobs: Iterable[Future[_Prepared]], window: int) -> Iterator[_Prepared]:
    """Results in order, with at most `window` jobs started and not yet taken."""
    waiting: deque[Future[_Prepared]] = deque()
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


def _encode(
    crops: Iterable[torch.Tensor], encoder: Encoder, batch_size: int, on_device: bool
) -> tuple[np.ndarray, float]:
    """Float16 embeddings (crops, D) in order, and the seconds spent waiting for the model.

    Two buffers take turns, so that on a GPU one is filled while the other is being read. They are
    where the crops are: on the device, or in memory that it can fetch by itself.
    """
    width, height = encoder.framing.size
    pinned = encoder.device.startswith("cuda") and not on_device
    where = encoder.device if on_device else "cpu"
    buffers = [
        torch.empty(
            (batch_size, height, width, 3), dtype=torch.uint8, device=where, pin_memory=pinned
        )
        for _ in range(2)
    ]
    done: list[np.ndarray] = []
    running: torch.Tensor | None = None
    seconds = 0.0

    def run(batch: torch.Tensor) -> None:
        nonlocal running, seconds
        started = time.perf_counter()
        launched = encoder.encode_crops(batch)
        if running is not None:
            done.append(running.cpu().to(torch.float16).numpy())
        running = launched
        seconds += time.perf_counter() - started

    turn, filled = 0, 0
    for image in crops:
        taken = 0
        while taken < len(image):
            step = min(batch_size - filled, len(image) - taken)
            buffers[turn][filled : filled + step] = image[taken : taken + step]
            taken, filled = taken + step, filled + step
            if filled == batch_size:
                run(buffers[turn])
                turn, filled = 1 - turn, 0
    if filled:
        run(buffers[turn][:filled])
    if running is not None:
        done.append(running.cpu().to(torch.float16).numpy())
    if not done:
        return np.empty((0, encoder.dimension), dtype=np.float16), seconds
    return np.concatenate(done), seconds


def _regions_table(
    image_ids: pa.ChunkedArray[Any], prepared: list[_Prepared], vectors: np.ndarray
) -> pa.Table:
    usable = [i for i, image in enumerate(prepared) if image.boxes is not None]
    boxes = [prepared[i].boxes for i in usable]
    counts = [len(b) for b in boxes if b is not None]
    rows = np.repeat(np.array(usable, dtype=np.int64), counts)
    region = np.concatenate([np.arange(n) for n in counts]) if counts else np.empty(0, np.int64)
    corners = np.concatenate(boxes) if boxes else np.empty((0, 4), np.int32)  # type: ignore[arg-type]
    dimension = vectors.shape[1]
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel(), pa.float16()), dimension)
    return pa.Table.from_arrays(
        [
            image_ids.combine_chunks().take(pa.array(rows, pa.int64())),
            pa.array(region, pa.int16()),
            *(pa.array(np.ascontiguousarray(corners[:, side]), pa.int32()) for side in range(4)),
            flat,
        ],
        schema=records.regions(dimension),
    )


def _images_table(images: pa.Table, prepared: list[_Prepared]) -> pa.Table:
    found: dict[str, list[Any]] = {
        "digest": [p.digest for p in prepared],
        "format": [p.format for p in prepared],
        "width": [p.width for p in prepared],
        "height": [p.height for p in prepared],
        "orientation": [p.orientation for p in prepared],
        "reason": [p.reject.reason if p.reject else None for p in prepared],
        "detail": [p.reject.detail if p.reject else None for p in prepared],
    }
    columns = [
        images[field.name].combine_chunks()
        if field.name in images.column_names
        else pa.array(found[field.name], field.type)
        for field in records.IMAGES
    ]
    return pa.Table.from_arrays(columns, schema=records.IMAGES)
