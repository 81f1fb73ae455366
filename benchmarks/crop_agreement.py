"""How near fast crops are to exact ones: the same labels? the same scores?

The same boxes are cut in several ways from the same pictures, embedded, and matched with the field
guide's label set by the paper's settings. Everything is compared with `exact`, and `fast` with
`cut first` too:

- `cut first`: every crop is cut out and then resized by Pillow, as the method's authors do; `exact`
  does both in one step, and its filter sees a little of what lies beyond a crop's edges;
- `fast`: as `regions.resampling = fast` cuts them; with `--device`, as `cut_on = device` does too;
- `re-saved`: exact crops of the picture saved once more as a JPEG of quality 95. Nobody would call
  that another picture, so this is the scale to judge by.

Pictures: `birds`, the field guide's own (60 species the model never saw, all worlds) with the
embedded model; `large birds`, the same enlarged five times with detail laid over; `photographs`,
with the embedded model, which knows nothing of them, and with a ViT-B-32 of random weights.
Fewer crops than the 90 of the paper average less out, so labels agree less than they would.

Wanted, to be the default: the same label for at least 99.5 % of images in every set.

    python benchmarks/crop_agreement.py [--json] [--only SET] [--images N] [--photographs DIR]
        [--device]
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import open_clip
import torch
from photographs import at_hand, photographs, with_detail
from PIL import Image
from safetensors.torch import save_file
from scipy.stats import binomtest

from lazsl import fieldguide
from lazsl.alignment.align import class_scores, select_regions
from lazsl.embedding.label_set import embed_labels
from lazsl.images.crop_boxes import draw_boxes
from lazsl.images.crops import cut_crops
from lazsl.images.decoding import Picture, decode
from lazsl.images.fast_crops import cut_fast, cut_on_device, decoding_factor, leave_uncut
from lazsl.images.framing import Framing
from lazsl.labelset.reading import load_labelset
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import Encoder, load_encoder
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.settings import RegionSettings, ScoringSettings
from studies.guide import QUALITY, WORLDS, sample_species, world_scenes

WANTED = 0.995
SCORING = ScoringSettings()


@dataclass(frozen=True)
class Pictures:
    """A set of pictures, the model that looks at them, and how many crops of each it sees."""

    model: str
    images: int
    crops: int
    make: Callable[[int], Iterator[bytes]]


@dataclass(frozen=True)
class Seen:
    """What one way of cutting gives: pixels' difference from exact crops (levels, root mean square
    per image), embeddings (images, M + 1, D), and scores (images, classes)."""

    levels: np.ndarray
    vectors: torch.Tensor
    scores: torch.Tensor


def birds(images: int) -> Iterator[bytes]:
    each = -(-images // (len(WORLDS) * len(sample_species())))
    for world in WORLDS:
        for _, _, scene in world_scenes(world, each):
            yield _jpeg(scene.image, QUALITY)


def large_birds(images: int, originals: list[Image.Image]) -> Iterator[bytes]:
    for number, data in enumerate(birds(images)):
        small = Image.open(io.BytesIO(data))
        large = small.resize((5 * small.width, 5 * small.height), Image.Resampling.BICUBIC)
        yield _jpeg(with_detail(large, originals, np.random.default_rng([7, number])), 88)


def ways(data: bytes, count: int, framing: Framing, device: bool) -> dict[str, np.ndarray]:
    """The same crops, cut in every way."""
    settings = RegionSettings(count=count, resampling="fast")
    whole = _decoded(data)
    small = _decoded(data, lambda shorter: decoding_factor(shorter, settings, framing))
    boxes = draw_boxes(*whole.size, hashlib.sha256(data).hexdigest(), settings)
    again = _decoded(_jpeg(whole.image, 95))
    cut = {
        "exact": cut_crops(whole.image, boxes, framing),
        "fast": cut_fast(small, boxes, framing),
        "cut first": cut_first(whole.image, boxes, framing),
        "re-saved": cut_crops(again.image, boxes, framing),
    }
    if device:
        uncut = leave_uncut(small, boxes, framing)
        cut["device"] = cut_on_device(uncut, framing, "cpu").numpy()
    return cut


def cut_first(image: Image.Image, boxes: np.ndarray, framing: Framing) -> np.ndarray:
    cut = [image.crop(tuple(box)) for box in boxes.tolist()]
    return np.stack([np.asarray(framing.frame(crop)) for crop in cut])


def look(
    encoder: Encoder, pictures: Pictures, images: int, device: bool, minutes: float
) -> dict[str, Seen]:
    """What every way of cutting gives for the first so many pictures, or as many as there is time
    for."""
    end = time.monotonic() + 60 * minutes
    labels = EmbeddedLabels.from_table(
        embed_labels(load_labelset(str(fieldguide.LABELS_FILE)), encoder)
    )
    levels: dict[str, list[float]] = {}
    vectors: dict[str, list[torch.Tensor]] = {}
    for _, data in zip(range(images), pictures.make(images), strict=False):
        cut = ways(data, pictures.crops, encoder.framing, device)
        exact = cut["exact"].astype(np.float32)
        together = encoder.encode_crops(torch.from_numpy(np.concatenate(list(cut.values()))))
        stored = together.half().float().chunk(len(cut))
        for (way, crops), crops_of_way in zip(cut.items(), stored, strict=True):
            levels.setdefault(way, []).append(float(np.sqrt(((crops - exact) ** 2).mean())))
            vectors.setdefault(way, []).append(crops_of_way)
        if time.monotonic() > end:
            break
    by_way = {}
    for way, images_of in vectors.items():
        stacked = torch.stack(images_of)
        regions, whole = stacked[:, 1:], stacked[:, 0]
        keep = select_regions(regions, whole, SCORING.gamma)
        scores = class_scores(
            regions, whole, keep, labels.packed, theta=SCORING.theta, epsilon=SCORING.epsilon
        )
        by_way[way] = Seen(np.array(levels[way]), stacked, scores)
    return by_way


def compare(by_way: dict[str, Seen], reference: str = "exact") -> dict[str, dict[str, object]]:
    """Every way against one of them."""
    exact = by_way[reference]
    two = exact.scores.topk(2, dim=1).values
    margins = (two[:, 0] - two[:, 1]).numpy()
    images = len(margins)
    crops = exact.vectors[:, 1:]
    spread = (crops - crops.mean(dim=1, keepdim=True)).square().sum(-1).mean() * 2
    rows: dict[str, dict[str, object]] = {}
    for way, seen in by_way.items():
        if way == reference:
            continue
        differs = (seen.scores.argmax(1) != exact.scores.argmax(1)).numpy()
        same = int(images - differs.sum())
        interval = binomtest(same, images).proportion_ci(method="exact")
        change = (seen.scores - exact.scores).abs()
        cosine = torch.cosine_similarity(seen.vectors, exact.vectors, dim=-1)
        apart = (seen.vectors - exact.vectors).square().sum(-1).mean()
        rows[way] = {
            "same_label": same,
            "images": images,
            "interval": [round(interval.low, 4), round(interval.high, 4)],
            "largest_margin_of_another_label": float(f"{margins[differs].max(initial=0):.2g}"),
            "median_margin": float(f"{np.median(margins):.2g}"),
            "mean_score_difference": float(f"{change.mean():.2g}"),
            "largest_score_difference": float(f"{change.max():.2g}"),
            "mean_cosine": round(float(cosine.mean()), 6),
            "least_cosine": round(float(cosine.min()), 4),
            "of_the_distance_between_two_crops": float(f"{(apart / spread).sqrt():.2g}"),
        }
        if reference == "exact":
            rows[way]["levels"] = float(f"{seen.levels.mean():.2g}")
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", help="one set: its name, or how it begins")
    parser.add_argument("--device", action="store_true", help="also as cut_on=device cuts")
    parser.add_argument("--images", type=int, help="of each set; default: as many as are measured")
    parser.add_argument("--crops", type=int, help="of each picture; default: likewise")
    parser.add_argument("--minutes", type=float, default=math.inf, help="for a set, at most")
    parser.add_argument("--seed", type=int, default=6, help="of the photographs")
    parser.add_argument("--photographs", type=Path, help="a folder of more real photographs")
    args = parser.parse_args()
    originals = at_hand(args.photographs)
    made = partial(photographs, originals=originals, seed=args.seed)
    sets = {
        "birds": Pictures("fieldguide", 600, 90, birds),
        "large birds": Pictures("fieldguide", 300, 90, partial(large_birds, originals=originals)),
        "photographs": Pictures("fieldguide", 600, 90, made),
        "ViT-B-32": Pictures("ViT-B-32", 200, 10, made),
    }
    chosen = {
        name: images_of_set
        for name, images_of_set in sets.items()
        if name.startswith(args.only or "")
    }
    if not chosen:
        parser.error(f"there is no set {args.only!r}; there are {', '.join(sets)}")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, pictures in chosen.items():
            model = pictures.model if pictures.model == "fieldguide" else random_model(folder)
            encoder = load_encoder(find_model(model, "float32"), "cpu")
            images = args.images or pictures.images
            crops = args.crops or pictures.crops
            seen = replace(pictures, crops=crops)
            by_way = look(encoder, seen, images, args.device, args.minutes)
            labels = by_way["exact"].scores.argmax(1).unique().numel()
            results[name] = {"crops": crops, "different_labels": labels, **compare(by_way)}
            against = compare({way: by_way[way] for way in ("cut first", "fast")}, "cut first")
            results[name]["fast, against cut first"] = against["fast"]
    if args.json:
        print(json.dumps({"benchmark": "crop_agreement", "wanted": WANTED, **results}, indent=1))
    else:
        for name, rows in results.items():
            for way, row in rows.items():
                if isinstance(row, dict):
                    print(f"{name} | {way} | " + ", ".join(f"{k} {v}" for k, v in row.items()))
    return 0 if all(_agrees(rows["fast"]) for rows in results.values()) else 1


def _agrees(row: object) -> bool:
    assert isinstance(row, dict)
    return bool(row["same_label"] >= WANTED * row["images"])


def _decoded(data: bytes, shrink: Callable[[int], int] | None = None) -> Picture:
    picture = decode(data, max_pixels=10**8, shrink=shrink)
    assert isinstance(picture, Picture)
    return picture


def _jpeg(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def random_model(folder: str) -> str:
    """A ViT-B-32 of random weights, as a model to give."""
    weights = Path(folder) / "random.safetensors"
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32")
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights)
    return f"ViT-B-32:{weights}"


if __name__ == "__main__":
    sys.exit(main())
