"""What it costs to make model-ready crops of a photograph, on one core.

Core-seconds per JPEG of 1600 x 1200 with 90 crops, decoding included, of

- the ordinary way: cut every crop, then the model's own transform as open_clip makes it,
- `exact`: decode, and resize each crop in one step,
- `fast`: decode and cut as `regions.resampling = fast` does,
- `fast` with `cut_on = device`: decode alone, since the device cuts,

for the input of ViT-B (224 pixels) and of the embedded model (64). Wanted at 224: `fast` takes at
most 0.12 core-seconds, and what is left when the device cuts at most 0.02. On a slower processor
than that was written for, a sixth and a thirty-sixth of the ordinary way (0.72 there) will do.

    python benchmarks/bench_crops.py [--json] [--rounds N]
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable

import torch
from figures import Figure, best_of_turns, conclude, options
from noise import photographs
from open_clip.transform import PreprocessCfg, image_transform_v2

from lazsl.images.crop_boxes import draw_boxes
from lazsl.images.crops import cut_crops
from lazsl.images.decoding import Picture, decode
from lazsl.images.fast_crops import cut_fast, decoding_factor, leave_uncut
from lazsl.model.preprocessing import framing_of
from lazsl.settings import RegionSettings

SETTINGS = RegionSettings(resampling="fast")
QUICK = ("--rounds", "1")
WANTED = {"fast": 0.12, "fast, device": 0.02}  # core-seconds at 224 pixels
ORDINARY = 0.72  # core-seconds where that was written


def ways(data: bytes, size: int) -> dict[str, Callable[[], object]]:
    """Each way from the bytes of a picture to its crops for a model of this input size."""
    preprocess = PreprocessCfg(size=size)
    transform, framing = image_transform_v2(preprocess, is_train=False), framing_of(preprocess)
    digest = hashlib.sha256(data).hexdigest()

    def decoded(small: bool) -> Picture:
        def shrink(shorter: int) -> int:
            return decoding_factor(shorter, SETTINGS, framing) if small else 1

        picture = decode(data, max_pixels=10**8, shrink=shrink)
        assert isinstance(picture, Picture)
        return picture

    boxes = draw_boxes(*decoded(False).size, digest, SETTINGS)

    def ordinary() -> torch.Tensor:
        image = decoded(False).image
        return torch.stack([transform(image.crop(tuple(box))) for box in boxes.tolist()])

    return {
        "ordinary": ordinary,
        "exact": lambda: cut_crops(decoded(False).image, boxes, framing),
        "fast": lambda: cut_fast(decoded(True), boxes, framing),
        "fast, device": lambda: leave_uncut(decoded(True), boxes, framing),
        "decoding": lambda: decoded(False),
    }


def measure(size: int, rounds: int) -> dict[str, float]:
    """Core-seconds per image of each way: the least of several turns, which they take in turn."""
    [data] = photographs(1)
    functions = ways(data, size)
    return best_of_turns(functions, rounds, time.process_time)


def main() -> int:
    args = options(__doc__, rounds=3).parse_args()
    torch.set_num_threads(1)
    seconds = {size: measure(size, args.rounds) for size in (224, 64)}
    parts = []
    for size, by_way in seconds.items():
        listed = ", ".join(
            f"{name} {spent:.3f} ({by_way['ordinary'] / spent:.1f} x less)"
            for name, spent in by_way.items()
            if name != "ordinary"
        )
        parts.append(f"to {size} px: ordinary {by_way['ordinary']:.3f}, {listed}")
    ordinary = seconds[224]["ordinary"]
    figures = [
        Figure(
            name,
            ordinary / seconds[224][name],
            over="the ordinary way",
            at_least=min(ordinary, ORDINARY) / wanted,
        )
        for name, wanted in WANTED.items()
    ]
    sentence = "crops, core-seconds per 1600 x 1200 image with 90 crops: " + "; ".join(parts)
    return conclude(args, "crops", figures, sentence, core_seconds=seconds)


if __name__ == "__main__":
    sys.exit(main())
