"""Sections that say how fast the device is, and what keeps it from being faster."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.device.common import Place, Row, Rows, figures, peak_memory, rate
from benchmarks.device.models import PRECISIONS, opened, random_encoder, ready_crops
from benchmarks.device.right import scoring_settings, unit
from benchmarks.noise import photographs
from lazsl.alignment.align import top_classes
from lazsl.alignment.attributes import PackedAttributes
from lazsl.embedding.region_vectors import RegionVectors, embed_regions
from lazsl.images.crop_boxes import draw_boxes
from lazsl.model.dense import DenseEncoder
from lazsl.model.encoder import Encoder
from lazsl.scoring.aligned import taking_part
from lazsl.settings import CutOn, RegionSettings, ScoringSettings

WANTED = 0.9
"""End to end, over the model alone."""


def machine(place: Place) -> Rows:
    """What the device can do: operations of a large product, bytes copied from place to place."""
    side = place.size.product
    for precision in PRECISIONS:
        dtype = getattr(torch, precision)
        left, right = (torch.randn(side, side, device=place.device).to(dtype) for _ in range(2))
        speed = rate(place, partial(torch.matmul, left, right), 2 * side**3 / 1e12)
        yield {"product": f"{side} x {side}, {precision}", "TFLOP_per_s": figures(speed)}
    source = torch.zeros(side * side, device=place.device)
    target = torch.empty_like(source)
    speed = rate(place, partial(target.copy_, source), 2 * 4 * side * side / 1e9)
    yield {"copy": "bytes read and written", "GB_per_s": figures(speed)}


def forward(place: Place) -> Rows:
    """The model alone: batch sizes, memory, and what each other way to compute is worth."""
    for name in place.size.throughput:
        encoder = random_encoder(name, half(place), place.device)
        base = 0.0
        for rows in place.size.batches:
            crops = ready_crops(encoder, rows)
            turn = partial(encoder.encode_crops, crops)
            turn()
            speed, memory = peak_memory(place, partial(rate, place, turn, rows))
            row = {"model": name, "batch": rows, "crops_per_s": figures(speed)}
            yield row | ({} if memory is None else {"memory_MiB": memory >> 20})
            base = speed if rows == place.size.batch else base
        for what, other in WAYS.items():
            if not place.enough(30 if what == "compiled" else 10):
                yield {"model": name, "way": what, "not_measured": "out of time"}
                continue
            yield {"model": name, "way": what, **in_another_way(place, name, other, base)}


def half(place: Place) -> str:
    """The precision of `auto`."""
    return "float16" if place.on_gpu else "float32"


@contextmanager
def as_it_is(encoder: Encoder) -> Iterator[None]:
    yield


@contextmanager
def contiguous(encoder: Encoder) -> Iterator[None]:
    """Without channels last on a GPU; with it on a processor."""
    layout = torch.contiguous_format if encoder.device.startswith("cuda") else torch.channels_last
    encode_image = encoder.model.encode_image
    encoder.model.visual.to(memory_format=layout)
    encoder.model.encode_image = lambda pixels: encode_image(
        pixels.contiguous(memory_format=layout)
    )
    yield


@contextmanager
def attention_without_fast_path(encoder: Encoder) -> Iterator[None]:
    """torch's scaled_dot_product_attention instead of the fast path of its MultiheadAttention."""
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


@contextmanager
def attention_without_fusion(encoder: Encoder) -> Iterator[None]:
    """Attention as plain products, which says what fused attention is worth."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with attention_without_fast_path(encoder), sdpa_kernel(SDPBackend.MATH):
        yield


@contextmanager
def compiled(encoder: Encoder) -> Iterator[None]:
    encoder.model.encode_image = torch.compile(encoder.model.encode_image)
    with attention_without_fast_path(encoder):
        yield


@contextmanager
def reduced(encoder: Encoder) -> Iterator[None]:
    """Partial sums of half-precision products in half precision, which is torch's own default."""
    products = torch.backends.cuda.matmul
    products.allow_fp16_reduced_precision_reduction = True
    try:
        yield
    finally:
        products.allow_fp16_reduced_precision_reduction = False


WAYS: dict[str, tuple[str | None, Callable[[Encoder], Any]]] = {
    "float32": ("float32", as_it_is),
    "float16": ("float16", as_it_is),
    "bfloat16": ("bfloat16", as_it_is),
    "the other memory format": (None, contiguous),
    "attention without the fast path": (None, attention_without_fast_path),
    "attention without fusion": (None, attention_without_fusion),
    "sums in half precision": (None, reduced),
    "compiled": (None, compiled),
}
"""Ways to compute: precision (None: that of `auto`), and what is changed."""


def in_another_way(
    place: Place, name: str, way: tuple[str | None, Callable[[Encoder], Any]], base: float
) -> Row:
    """Crops a second in this way, over those in the usual one."""
    precision, changed = way
    encoder = random_encoder(name, precision or half(place), place.device)
    crops = ready_crops(encoder, place.size.batch)
    started = time.perf_counter()
    try:
        with changed(encoder):
            encoder.encode_crops(crops)
            place.wait()
            first = time.perf_counter() - started
            turn = partial(encoder.encode_crops, crops)
            speed = rate(place, turn, len(crops))
    except Exception as error:  # of any kind: a compiler is missing, a kernel does not exist
        return {"not_measured": f"{type(error).__name__}: {error}".splitlines()[0][:160]}
    row: Row = {"crops_per_s": figures(speed), "seconds_to_the_first_batch": figures(first)}
    return row | ({"times_the_usual": figures(speed / base)} if base else {})


REGION_WAYS: dict[str, tuple[dict[str, Any], CutOn]] = {
    "exact": ({}, "processor"),
    "fast": ({"resampling": "fast"}, "processor"),
    "fast, cut on the device": ({"resampling": "fast"}, "device"),
    "dense": ({"source": "dense", "resampling": "fast"}, "processor"),
}


def throughput(place: Place) -> Rows:
    """JPEGs in memory to embeddings, over the model alone on ready tensors."""
    for size in place.size.photographs:
        data = photographs(place.size.pictures, size)
        for name in place.size.throughput:
            encoder = random_encoder(name, half(place), place.device)
            alone = crops_alone(place, encoder)
            for what, (changed, cut_on) in REGION_WAYS.items():
                row: Row = {"model": name, "picture": "{} x {}".format(*size), "regions": what}
                if not place.enough(8):
                    yield row | {"not_measured": "out of time"}
                    continue
                settings = RegionSettings(count=place.size.regions, **changed)
                limit = alone / (1 + settings.count)
                if what == "dense":
                    limit = looks_alone(place, encoder, data[0], settings)
                yield row | end_to_end(place, encoder, data, settings, cut_on, limit)


def crops_alone(place: Place, encoder: Encoder) -> float:
    """Crops a second of the model on ready tensors, fetched as the product fetches them."""
    crops = ready_crops(encoder, place.size.batch)
    return rate(place, partial(encoder.encode_crops, crops), len(crops))


def looks_alone(place: Place, encoder: Encoder, data: bytes, settings: RegionSettings) -> float:
    """Images a second: one ready look, and the whole picture's share of a batch."""
    picture = opened(data)
    dense = DenseEncoder(encoder, settings.scale)
    boxes = draw_boxes(*picture.size, "0", settings)
    look = dense.look(picture.image, picture.size, boxes[1:])
    looks = rate(place, partial(dense.encode, look), 1)
    return 1 / (1 / looks + 1 / crops_alone(place, encoder))


def end_to_end(
    place: Place,
    encoder: Encoder,
    data: list[bytes],
    settings: RegionSettings,
    cut_on: CutOn,
    limit: float,
    decoders: int | None = None,
) -> Row:
    """Images a second through the product, its share of the limit, and where the time went."""
    few = embedded(place, encoder, data, 2 * len(data), settings, cut_on, decoders)
    images = max(len(data), int(place.size.seconds * 2 * len(data) / few.seconds))
    began = time.process_time()
    work = partial(embedded, place, encoder, data, images, settings, cut_on, decoders)
    whole, memory = peak_memory(place, work)
    cores = time.process_time() - began
    speed = images / whole.seconds
    row = {
        "images_per_s": figures(speed),
        "crops_per_s": figures(whole.crops / whole.seconds),
        "of_the_model_alone": figures(speed / limit),
        "core_seconds_per_image": figures(cores / images),
        "waiting_for_the_model": figures(whole.model_seconds / whole.seconds),
    }
    return row | ({} if memory is None else {"memory_MiB": memory >> 20})


def embedded(
    place: Place,
    encoder: Encoder,
    data: list[bytes],
    images: int,
    settings: RegionSettings,
    cut_on: CutOn,
    decoders: int | None,
) -> RegionVectors:
    """The pictures over and over, as the product embeds a shard of so many images."""
    return embed_regions(
        images,
        lambda row: data[row % len(data)],
        encoder,
        settings,
        batch_size=place.size.batch,
        decoders=decoders or default_decoders(),
        max_pixels=10**9,
        cut_on=cut_on,
    )


def default_decoders() -> int:
    """As many as a job has where nothing is said."""
    import os

    return max(1, os.cpu_count() or 1)


def decoders(place: Place) -> Rows:
    """How many threads feed the device."""
    name = place.size.throughput[0]
    encoder = random_encoder(name, half(place), place.device)
    limit = crops_alone(place, encoder) / (1 + place.size.regions)
    data = photographs(place.size.pictures, place.size.photographs[0])
    for what in ("fast", "fast, cut on the device"):
        changed, cut_on = REGION_WAYS[what]
        settings = RegionSettings(count=place.size.regions, **changed)
        for threads in place.size.decoders:
            row: Row = {"model": name, "regions": what, "decoders": threads}
            if not place.enough(6):
                yield row | {"not_measured": "out of time"}
                continue
            yield row | end_to_end(place, encoder, data, settings, cut_on, limit, threads)


def profile(place: Place) -> Rows:
    """What the device does while pictures are embedded: how busy it is, and with what."""
    from torch.profiler import ProfilerActivity

    name = place.size.throughput[0]
    encoder = random_encoder(name, half(place), place.device)
    data = photographs(place.size.pictures, place.size.photographs[0])
    kinds = [ProfilerActivity.CUDA] if place.on_gpu else [ProfilerActivity.CPU]
    for what, (changed, cut_on) in REGION_WAYS.items():
        settings = RegionSettings(count=place.size.regions, **changed)
        images = max(4, int(1 + 8 * place.size.seconds)) if place.on_gpu else len(data)
        row: Row = {"model": name, "regions": what}
        if not place.enough(8):
            yield row | {"not_measured": "out of time"}
            continue
        embedded(place, encoder, data, len(data), settings, cut_on, None)
        with torch.profiler.profile(activities=kinds) as kept:
            whole = embedded(place, encoder, data, images, settings, cut_on, None)
            place.wait()
        events = [(spent(event, place), event.key) for event in kept.key_averages()]
        total = sum(seconds for seconds, _ in events)
        largest = sorted(events, reverse=True)[:5]
        yield row | {
            "busy": figures(total / whole.seconds) if place.on_gpu else "not told of a processor",
            "largest": "; ".join(f"{key[:60]} {part / total:.0%}" for part, key in largest),
        }


def spent(event: Any, place: Place) -> float:
    """Seconds of an event on the device, or on the processor."""
    microseconds = event.self_device_time_total if place.on_gpu else event.self_cpu_time_total
    return float(microseconds) / 1e6


def first(place: Place) -> Rows:
    """Seconds until the first crop is embedded, in a process that has imported everything."""
    for name in dict.fromkeys(("fieldguide", place.size.throughput[0])):
        started = time.perf_counter()
        encoder = random_encoder(name, half(place), place.device)
        loaded = time.perf_counter() - started
        encoder.encode_crops(ready_crops(encoder, place.size.batch))
        place.wait()
        yield {
            "model": name,
            "seconds_to_load": figures(loaded),
            "seconds_to_the_first_batch": figures(time.perf_counter() - started),
        }


def scoring(place: Place) -> Rows:
    """Images a second through scoring, and the memory it takes beside the setting."""
    images = 64 if place.size.product < 1024 else 256
    stored = unit(images, place.size.regions + 1, 512, seed=1)
    ways = {"paper": ScoringSettings(), "one-sided": scoring_settings()["one-sided"]}
    for classes in place.size.classes:
        sentences = unit(classes * 6, 512, seed=2)
        for device in dict.fromkeys((place.device, "cpu")):
            where = Place(device, place.size, place.until)
            packed = PackedAttributes.from_classes(sentences.to(device), [6] * classes)
            for aligner, setting in itertools.product(ways, (128, 512)):
                row: Row = {"classes": classes, "on": device, "aligner": aligner}
                row["memory_setting_MiB"] = setting
                if not place.enough(10):
                    yield row | {"not_measured": "out of time"}
                    continue
                work = partial(best, stored.to(device), packed, ways[aligner], setting * 2**20)
                work()
                speed, memory = peak_memory(where, partial(rate, where, work, images))
                row["images_per_s"] = figures(speed)
                yield row | ({} if memory is None else {"memory_MiB": memory >> 20})


def best(vectors: Tensor, packed: PackedAttributes, settings: ScoringSettings, memory: int) -> Any:
    """The 5 best classes, as the product scores a shard."""
    regions = taking_part(vectors, settings)
    given = regions.embeddings, vectors[:, 0], regions.keep, packed
    return top_classes(*given, k=5, **settings.aligning(memory))


SECTIONS: dict[str, Callable[[Place], Rows]] = {
    "machine": machine,
    "first": first,
    "forward": forward,
    "throughput": throughput,
    "decoders": decoders,
    "profile": profile,
    "scoring": scoring,
}
