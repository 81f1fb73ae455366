"""Sections that say whether the device's results are right: embeddings, bits, regions, scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.device.common import Place, Row, Rows, figures
from benchmarks.device.models import (
    PRECISIONS,
    nearness,
    opened,
    photograph_crops,
    random_encoder,
    same_bits,
)
from benchmarks.noise import photographs
from lazsl.alignment.align import class_scores, select_regions, top_classes
from lazsl.alignment.attributes import PackedAttributes
from lazsl.alignment.plans import plans_for
from lazsl.embedding.forward import ForwardPasses
from lazsl.embedding.region_vectors import embed_regions
from lazsl.fieldguide import IMAGES_DIR, LABELS_FILE
from lazsl.images.crop_boxes import draw_boxes
from lazsl.images.crops import cut_crops
from lazsl.images.fast_crops import cut_fast, cut_on_device, leave_uncut
from lazsl.labelset.native_form import parse_labelset
from lazsl.model.checkpoints import find_model
from lazsl.model.dense import DenseEncoder
from lazsl.model.encoder import Encoder, load_encoder
from lazsl.scoring.aligned import taking_part
from lazsl.settings import RegionSettings, ScoringSettings

HALF_MOST = 65504.0
"""The largest float16."""


def embeddings(place: Place) -> Rows:
    """Random models in every precision on the device, against float32 on the processor."""
    for name in place.size.models:
        reference = random_encoder(name, "float32", "cpu")
        crops = photograph_crops(reference, place.size.crops)
        expected = reference.encode_crops(crops)
        del reference
        for precision in PRECISIONS:
            if not place.enough(5):
                yield {"model": name, "precision": precision, "not_measured": "out of time"}
                continue
            encoder = random_encoder(name, precision, place.device)
            with largest_activation(encoder) as largest:
                vectors = encoder.encode_crops(crops)
            yield {
                "model": name,
                "precision": precision,
                **nearness(vectors, expected),
                "largest_activation": figures(largest[0]),
                "of_float16": figures(largest[0] / HALF_MOST),
            }


@contextmanager
def largest_activation(encoder: Encoder) -> Iterator[list[float]]:
    """Watches every layer of the vision tower: the largest absolute value that one gave."""
    largest = [0.0]

    def watch(module: Any, given: Any, result: Any) -> None:
        if isinstance(result, Tensor) and result.is_floating_point():
            largest[0] = max(largest[0], float(result.detach().abs().amax()))

    hooks = [m.register_forward_hook(watch) for m in encoder.model.visual.modules()]
    try:
        yield largest
    finally:
        for hook in hooks:
            hook.remove()


def overflow(place: Place) -> Rows:
    """A model whose values float16 cannot hold: is that reported, and does bfloat16 hold them?"""
    data = sample(1)
    for precision in ("float16", "bfloat16"):
        encoder = load_encoder(find_model("fieldguide", precision), place.device)
        encoder.model.visual.attnpool.c_proj.weight.mul_(30_000)
        embedded = embedded_sample(place, encoder, data, RegionSettings(count=7))
        wrong = int((~np.isfinite(embedded)).any(-1).sum())
        outcome = f"{wrong} of {embedded[..., 0].size} regions are no numbers: a reject"
        yield {"precision": precision, "said": outcome if wrong else "all are numbers"}


def labels(place: Place) -> Rows:
    """The field guide's labels with its own model on the device, against float32 on the processor:
    in every precision, for exact crops, fast ones cut on the device, dense regions, and layouts."""
    data = sample(place.size.images)
    settings = {
        "exact": RegionSettings(count=place.size.regions),
        "fast": RegionSettings(count=place.size.regions, resampling="fast"),
        "dense": RegionSettings(count=place.size.regions, source="dense"),
        **layouts(),
    }
    reference = load_encoder(find_model("fieldguide", "float32"), "cpu")
    packed = attributes(reference)
    expected = {
        way: scores_of(packed, embedded_sample(place, reference, data, changes))
        for way, changes in settings.items()
    }
    for precision in PRECISIONS:
        encoder = load_encoder(find_model("fieldguide", precision), place.device)
        embedded = attributes(encoder)
        for way, changes in settings.items():
            cut_on = "device" if way == "fast" else "processor"
            scores = scores_of(embedded, embedded_sample(place, encoder, data, changes, cut_on))
            same = scores.argmax(1) == expected[way].argmax(1)
            apart = (scores - expected[way]).abs().max()
            yield {
                "precision": precision,
                "regions": way + (", cut on the device" if way == "fast" else ""),
                "images": len(data),
                "same_label": int(same.sum()),
                "largest_score_difference": figures(float(apart)),
            }


def layouts() -> dict[str, RegionSettings]:
    """Layouts of crops beside the random one; a zoom looks again where embeddings say."""
    if "layout" not in RegionSettings.model_fields:
        return {}
    return {name: RegionSettings(layout=name, count=29) for name in ("pyramid", "zoom")}


def sample(count: int) -> list[bytes]:
    """So many pictures of the sample archive, from all over it."""
    files = sorted(IMAGES_DIR.glob("[0-9]*/*.jpg")) or sorted(IMAGES_DIR.rglob("*.jpg"))
    return [file.read_bytes() for file in files[:: max(1, len(files) // count)][:count]]


def embedded_sample(
    place: Place,
    encoder: Encoder,
    data: list[bytes],
    settings: RegionSettings,
    cut_on: Any = "processor",
) -> np.ndarray:
    """(images, 1 + M, D) float16, as the product embeds them."""
    embedded = embed_regions(
        len(data),
        data.__getitem__,
        encoder,
        settings,
        batch_size=place.size.batch,
        decoders=place.size.decoders[-1],
        max_pixels=10**9,
        cut_on=cut_on,
    )
    return embedded.vectors.reshape(len(data), settings.count + 1, -1)


def attributes(encoder: Encoder) -> PackedAttributes:
    """The field guide's label set, embedded by this model."""
    labelset = parse_labelset(json.loads(LABELS_FILE.read_text(encoding="utf-8")), "fieldguide")
    sentences = [
        sentence
        for name, prompts in zip(labelset.name_prompts, labelset.prompts, strict=True)
        for sentence in (prompts or (name,))
    ]
    return PackedAttributes.from_classes(
        encoder.encode_sentences(sentences), [len(prompts) or 1 for prompts in labelset.prompts]
    )


def scores_of(packed: PackedAttributes, vectors: np.ndarray) -> Tensor:
    """(images, classes), by the paper's settings, on the processor."""
    stored = torch.from_numpy(vectors.astype(np.float32))
    regions, whole = stored[:, 1:], stored[:, 0]
    return class_scores(regions, whole, select_regions(regions, whole), packed)


def bits(place: Place) -> Rows:
    """Are an image's embeddings the same to the last bit, whatever is beside it?"""
    for name in place.size.models:
        for precision in PRECISIONS:
            if not place.enough(5):
                yield {"model": name, "precision": precision, "not_measured": "out of time"}
                continue
            encoder = random_encoder(name, precision, place.device)
            crops = photograph_crops(encoder, place.size.crops)
            batch = place.size.batch
            first = passed(encoder, crops, batch)
            cases = {
                "again": (crops, batch, 0),
                "other places and neighbours": (torch.roll(crops, 3, 0), batch, 3),
                "a shard of its own": (crops[:1], batch, 0),
                **{f"batch size {rows}": (crops, rows, 0) for rows in place.size.batches},
            }
            del cases[f"batch size {batch}"]
            for what, (regions, rows, shift) in cases.items():
                vectors = torch.roll(passed(encoder, regions, rows), -shift, 0)
                row: Row = {"model": name, "precision": precision, "against": what}
                yield row | same_bits(place, vectors, first[: len(vectors)])


def passed(encoder: Encoder, crops: Tensor, batch: int) -> Tensor:
    """(n, D) float16, as the product passes crops through the model."""
    passes = ForwardPasses(encoder, batch, on_device=False)
    parts = [*passes.add(crops), *passes.flush()]
    return torch.from_numpy(np.concatenate(parts))


def regions(place: Place) -> Rows:
    """Crops cut on the device, and dense regions pooled there, against the processor's."""
    settings = RegionSettings(count=place.size.regions, resampling="fast")
    for width, height in place.size.photographs:
        [data] = photographs(1, (width, height))
        encoder = random_encoder(place.size.models[0], "float32", "cpu")
        picture = opened(data)
        boxes = draw_boxes(*picture.size, hashlib.sha256(data).hexdigest(), settings)
        exact = cut_crops(picture.image, boxes, encoder.framing).astype(float)
        fast = cut_fast(picture, boxes, encoder.framing).astype(float)
        uncut = leave_uncut(picture, boxes, encoder.framing)
        half = torch.float16 if place.on_gpu else torch.float32
        for dtype in dict.fromkeys((torch.float32, half)):
            cut = cut_on_device(uncut, encoder.framing, place.device, dtype).cpu().numpy()
            apart = np.abs(cut - fast)
            yield {
                "picture": f"{width} x {height}",
                "cut on the device in": str(dtype).removeprefix("torch."),
                "levels_from_fast": f"{apart.mean():.4f} in the mean, {apart.max():.0f} at most",
                "levels_from_exact": figures(float(np.sqrt(((cut - exact) ** 2).mean()))),
                "fast_from_exact": figures(float(np.sqrt(((fast - exact) ** 2).mean()))),
            }
    for name in place.size.models:
        reference = random_encoder(name, "float32", "cpu")
        dense = DenseEncoder(reference, settings.scale)
        look = dense.look(picture.image, picture.size, boxes[1:])
        expected = dense.encode(look)
        for precision in PRECISIONS:
            if not place.enough(5):
                yield {"dense": name, "precision": precision, "not_measured": "out of time"}
                continue
            encoder = random_encoder(name, precision, place.device)
            vectors = DenseEncoder(encoder, settings.scale).encode(look)
            yield {"dense": name, "precision": precision, **nearness(vectors, expected)}


def scores(place: Place) -> Rows:
    """The same embeddings scored on the device and on the processor, in every way to score."""
    images, classes = 4 * place.size.images, place.size.classes[0]
    stored = unit(images, place.size.regions + 1, 512, seed=1)
    packed = {
        device: PackedAttributes.from_classes(
            unit(classes * 6, 512, seed=2).to(device), [6] * classes
        )
        for device in dict.fromkeys(("cpu", place.device))
    }
    for what, settings in scoring_settings().items():
        if not place.enough(10):
            yield {"scoring": what, "not_measured": "out of time"}
            continue
        here, on_processor = (
            scored(packed[device], stored.to(device), settings) for device in ("cpu", place.device)
        )
        same = here[0] == on_processor[0].cpu()
        yield {
            "scoring": what,
            "images": images,
            "same_label": int(same[:, 0].sum()),
            "same_best_5": int(same.all(1).sum()),
            "largest_score_difference": figures(
                float((here[1] - on_processor[1].cpu()).abs().max())
            ),
            "largest_plan_difference": figures(
                float((here[2] - on_processor[2].cpu()).abs().max())
            ),
        }


def scoring_settings() -> dict[str, ScoringSettings]:
    """Every way to score: aligners and rules, in each arithmetic that they are solved in."""
    return {
        "paper": ScoringSettings(),
        "paper, without the mix": ScoringSettings(theta=1),
        "paper, epsilon 0.05 (float64)": ScoringSettings(epsilon=0.05),
        "paper, epsilon 0.005 (logarithms)": ScoringSettings(epsilon=0.005),
        "one-sided": ScoringSettings(aligner="one-sided").resolved(50.0),
        "one-sided, epsilon 0.01": ScoringSettings(aligner="one-sided", epsilon=0.01).resolved(50),
        "converged": ScoringSettings(rule="converged", max_iterations=1000, tolerance=1e-6),
    }


def scored(
    packed: PackedAttributes, stored: Tensor, settings: ScoringSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """The 5 best classes of each image, their scores, and the best one's plan."""
    regions = taking_part(stored, settings)
    given = regions.embeddings, stored[:, 0], regions.keep, packed
    aligning = settings.aligning(256 * 2**20)
    top = top_classes(*given, k=5, **aligning)
    plans = plans_for(*given, top.classes[:, :1], **aligning)
    return top.classes, top.scores, plans.plan


def unit(*shape: int, seed: int) -> Tensor:
    """Random unit vectors about a common direction, as CLIP's are, float16 digits in float32."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(shape, generator=generator) + 2 * torch.randn(
        shape[-1], generator=torch.Generator().manual_seed(0)
    )
    return torch.nn.functional.normalize(vectors, dim=-1).half().float()


SECTIONS: dict[str, Callable[[Place], Rows]] = {
    "embeddings": embeddings,
    "overflow": overflow,
    "labels": labels,
    "bits": bits,
    "regions": regions,
    "scores": scores,
}
