"""Embeddings of many images' regions: reading, decoding, cropping and the model overlapped.

Arrays only; `embedding.shard` makes a shard's tables of them.
"""

from __future__ import annotations

import hashlib
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lazsl.embedding.crop_source import CropSource
from lazsl.embedding.dense_source import DenseSource
from lazsl.embedding.doubt import Stopping
from lazsl.embedding.forward import ForwardPasses
from lazsl.embedding.round_source import RoundSource
from lazsl.embedding.schedule import Begun, Limits, Schedule
from lazsl.embedding.source import Cut, Regions, Source
from lazsl.embedding.zoom_source import ZoomSource
from lazsl.errors import UserError
from lazsl.images.budget import FILES, KEPT, UNCUT
from lazsl.images.decoding import Picture, decoded
from lazsl.images.fast_crops import Uncut
from lazsl.images.reasons import Reject
from lazsl.model.encoder import Encoder
from lazsl.settings import CutOn, RegionSettings

_RGB = 4
"""Bytes of a pixel, as Pillow keeps it."""


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image once it was read: what it is, or why it cannot be used.

    `size` is in bytes, width and height in pixels after EXIF `orientation`; `boxes` (n, 4) are
    those that were embedded, None where the image cannot be used; `notes` are the decoder's.
    """

    digest: str | None
    size: int
    format: str | None = None
    width: int | None = None
    height: int | None = None
    orientation: int | None = None
    boxes: np.ndarray | None = None
    reject: Reject | None = None
    notes: str | None = None


@dataclass(frozen=True)
class RegionVectors:
    """What embedding images gives.

    `images` has an entry for each of them, in order; `vectors` is float16 (R, D), the rows of every
    usable image's boxes, image after image; `crops` counts forward passes, a larger picture in
    proportion to its area; `bytes` what was read, `seconds` the whole time and `model_seconds`
    the part of it spent waiting for the model.
    """

    images: list[ImageFacts]
    vectors: np.ndarray
    crops: int
    bytes: int
    seconds: float
    model_seconds: float


def make_source(
    encoder: Encoder, settings: RegionSettings, cut_on: CutOn, stopping: Stopping | None
) -> Source:
    """The way to get regions that the settings ask for.

    Raises:
        UserError: the model's vision tower cannot do it.
    """
    if settings.source == "dense":
        return DenseSource(encoder, settings)
    if settings.layout == "zoom":
        return ZoomSource(encoder, settings, cut_on, stopping)
    if stopping is not None:
        return RoundSource(encoder, settings, cut_on, stopping)
    return CropSource(encoder, settings, cut_on)


def embed_regions(
    count: int,
    read: Callable[[int], bytes | Reject],
    encoder: Encoder,
    settings: RegionSettings,
    *,
    size: Callable[[int], int] = lambda _: 0,
    batch_size: int,
    decoders: int,
    max_pixels: int,
    cut_on: CutOn = "processor",
    stopping: Stopping | None = None,
    progress: Callable[[int], None] | None = None,
) -> RegionVectors:
    """Embeddings of every usable image's regions, and what became of every image, usable or not.

    Threads read, decode and crop ahead of the model, which sees batches of constant size, cut
    across images. What is cut and not yet encoded is bounded by two batches and one image per
    thread, the files' bytes by `budget.FILES`, decoded pictures by `budget.MEMORY`, those that wait
    for a device to cut them by `budget.UNCUT`, and those that are kept between rounds by
    `budget.KEPT`. Nothing depends on `decoders` but the time it takes, nor on `batch_size` on a
    processor (on a GPU, see `forward`).

    Args:
        count: how many images.
        read: the bytes of an image by its number, or why there are none; called in the threads.
        encoder: a loaded model with its vision tower.
        settings: which regions to cut.
        size: how many bytes `read` will give at most.
        batch_size: crops per forward pass.
        decoders: threads.
        max_pixels: larger images are rejected undecoded.
        cut_on: where fast crops of a square model are cut; all others are by the threads.
        stopping: when an image has been seen enough; None: with its last crop.
        progress: called with the number of images done so far.
    """
    started = time.perf_counter()
    source = make_source(encoder, settings, cut_on, stopping)
    passes = ForwardPasses(encoder, batch_size, source.on_device)
    facts: dict[int, ImageFacts] = {}
    finished = 0

    def begin(row: int) -> Begun:
        with FILES.take(size(row)), _opened(read(row), source, max_pixels) as (image, picture):
            facts[row] = image
            if picture is None:
                return Begun(row)
            assert image.digest is not None
            regions = source.begin(picture, image.digest)
            first = cut(row, picture, regions.boxes, True)
            return _begun(row, picture, regions, first, source.asks_again)

    def cut(row: int, picture: Picture | None, boxes: np.ndarray, whole: bool = False) -> Cut:
        again = partial(cut_again, row, boxes, whole)
        made = again() if picture is None else source.cut(picture, boxes, whole)
        return made if _has_room(made) else Cut(again)

    def cut_more(row: int, picture: Picture | None, boxes: np.ndarray) -> Future[Cut]:
        return threads.submit(cut, row, picture, boxes)

    def cut_again(row: int, boxes: np.ndarray, whole: bool) -> Cut:
        with FILES.take(size(row)), _opened(read(row), source, max_pixels) as (again, picture):
            if picture is None or again.digest != facts[row].digest:
                raise UserError(
                    f"image {row + 1} of the shard changed while it was labelled; run again"
                )
            return source.cut(picture, boxes, whole)

    def done() -> None:
        nonlocal finished
        finished += 1
        if progress is not None:
            progress(finished)

    with ThreadPoolExecutor(decoders, thread_name_prefix="decode") as threads:
        limits = Limits.of(source, batch_size, decoders)
        schedule = Schedule(source, passes, cut_more, limits, done)
        embedded = schedule.embed(threads.submit(begin, row) for row in range(count))
    for row, image in embedded.items():
        facts[row] = replace(facts[row], boxes=image.boxes)
    in_order = [facts[row] for row in range(count)]
    vectors = [image.vectors for image in embedded.values()]
    return RegionVectors(
        images=in_order,
        vectors=np.concatenate([np.empty((0, encoder.dimension), np.float16), *vectors]),
        crops=passes.crops + round(schedule.pooling_passes),
        bytes=sum(image.size for image in in_order),
        seconds=time.perf_counter() - started,
        model_seconds=passes.seconds,
    )


@contextmanager
def _opened(
    data: bytes | Reject, source: Source, max_pixels: int
) -> Iterator[tuple[ImageFacts, Picture | None]]:
    """What an image is, and its picture where it can be used, for the time of a block."""
    if isinstance(data, Reject):
        yield ImageFacts(None, 0, reject=data), None
        return
    digest = hashlib.sha256(data).hexdigest()
    with decoded(data, max_pixels=max_pixels, shrink=source.decoding_factor) as picture:
        if isinstance(picture, Reject):
            yield ImageFacts(digest, len(data), reject=picture), None
            return
        shape = (*picture.size, picture.orientation)
        yield ImageFacts(digest, len(data), picture.format, *shape, notes=picture.notes), picture


# Without room a picture is decoded again when it is asked for: to wait for pictures that need a
# thread, or the model, to be finished with could be to wait for ever.


def _has_room(cut: Cut) -> bool:
    """Whether what a device is to cut may be kept until its turn comes."""
    if not isinstance(cut.pixels, Uncut):
        return True
    held = cut.pixels.bytes
    if not UNCUT.take_at_once(held):
        return False
    weakref.finalize(cut.pixels, UNCUT.give_back, held)
    return True


def _begun(row: int, picture: Picture, regions: Regions, cut: Cut, asks_again: bool) -> Begun:
    held = _RGB * picture.image.width * picture.image.height
    if not asks_again or not KEPT.take_at_once(held):
        return Begun(row, regions, cut)
    weakref.finalize(picture, KEPT.give_back, held)
    return Begun(row, regions, cut, picture, held)
