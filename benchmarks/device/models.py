"""Models of random weights, which cost what trained ones do; crops for them; how near vectors
are to each other."""

from __future__ import annotations

import hashlib
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from torch import Tensor

from benchmarks.device.common import Place, figures
from benchmarks.noise import photographs
from lazsl.images.crop_boxes import draw_boxes
from lazsl.images.crops import cut_crops
from lazsl.images.decoding import Picture, decode
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import Encoder, keep_precision, load_encoder
from lazsl.model.model_source import ModelSource
from lazsl.settings import RegionSettings

PRECISIONS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}

# One thin layer in place of the text tower, which no section needs.
_NO_TEXT = {"layers": 1, "width": 8, "heads": 1, "vocab_size": 49408, "context_length": 77}


def random_encoder(name: str, precision: str, device: str) -> Encoder:
    """The vision tower of an open_clip architecture, the same random weights every time; or the
    embedded model `fieldguide`, whose weights are its own."""
    if device.startswith("cuda"):
        keep_precision()
    if name == "fieldguide":
        return load_encoder(find_model(name, precision), device)
    logging.disable(logging.WARNING)  # that it has no weights
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    model = open_clip.create_model(
        name,
        precision=PRECISIONS[precision],
        device="cpu",
        pretrained_text=False,
        text_cfg=_NO_TEXT,
    )
    logging.disable(logging.NOTSET)
    source = ModelSource(name, name, None, Path("random"), f"random-{name}", precision)
    return Encoder(model.to(device), source, device, open_clip.SimpleTokenizer())


def photograph_crops(encoder: Encoder, count: int, size: tuple[int, int] = (800, 600)) -> Tensor:
    """So many crops of made photographs, uint8 (count, height, width, 3)."""
    parts, cut = [], 0
    for number, data in enumerate(photographs(-(-count // 12), size)):
        picture = opened(data)
        settings = RegionSettings(count=11, seed=number)
        digest = hashlib.sha256(data).hexdigest()
        boxes = draw_boxes(*picture.size, digest, settings)
        parts.append(cut_crops(picture.image, boxes, encoder.framing))
        cut += len(boxes)
    return torch.from_numpy(np.concatenate(parts)[:count])


def opened(data: bytes) -> Picture:
    """The picture in the bytes."""
    picture = decode(data, max_pixels=10**9)
    assert isinstance(picture, Picture)
    return picture


def ready_crops(encoder: Encoder, rows: int) -> Tensor:
    """Crops of random levels where the model wants them, uint8 (rows, height, width, 3)."""
    width, height = encoder.framing.size
    crops = torch.randint(0, 256, (rows, height, width, 3), dtype=torch.uint8)
    return crops.to(encoder.device)


def nearness(vectors: Tensor, expected: Tensor) -> dict[str, Any]:
    """How near unit vectors (n, D) are to the expected ones.

    Models of random weights see all pictures alike, so a cosine near 1 says little: the distance
    from what is expected is also given as a share of that between two different crops.
    """
    vectors, expected = vectors.double().cpu(), expected.double().cpu()
    finite = torch.isfinite(vectors).all(1)
    if not bool(finite.all()):
        return {"no_numbers": int((~finite).sum()), "of": len(vectors)}
    cosine = torch.cosine_similarity(vectors, expected, dim=1)
    apart = (vectors - expected).square().sum(1).mean().sqrt()
    spread = (expected - expected.mean(0)).square().sum(1).mean().mul(2).sqrt()
    return {
        "least_cosine": round(float(cosine.min()), 6),
        "of_the_distance_between_crops": figures(float(apart / spread)),
    }


def same_bits(place: Place, first: Tensor, second: Tensor) -> dict[str, Any]:
    """Whether two tensors are equal to the last bit, and if not, how far apart they are."""
    place.wait()
    if torch.equal(first, second):
        return {"same_bits": True}
    apart = (first.double() - second.double()).abs().max()
    return {"same_bits": False, "largest_difference": figures(float(apart))}
