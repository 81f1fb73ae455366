"""What it costs to make model-ready crops of a photograph, on one core.

Core-seconds per JPEG of 1600 x 1200 with 90 crops, decoding included, of

- the ordinary way: cut every crop, then the model's own transform as open_clip makes it,
- `exact`: decode, and resize each crop in one step,
- `fast`: decode and cut as `regions.resampling = fast` does,
- `fast` with `cut_on = device`: decode alone, since the device cuts,

for the input of ViT-B (224 pixels) and of the embedded model (64). Wanted at 224: `fast` costs a
sixth of the ordinary way at most, and what is left when the device cuts a thirty-sixth. (Of 0.72
core-seconds, which the ordinary way took where this was planned, that is 0.12 and 0.02.)

    python benchmarks/bench_crops.py [--json] [--rounds N]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable

import torch
from bench_embedding import photographs
from figures import Figure
from open_clip.transform import PreprocessCfg, image_transform_v2

from lazsl.framing import framing_of
from lazsl.images import Picture, decode
from lazsl.regions import cut_crops, draw_boxes
from lazsl.resampling import cut_fast, decoding_factor, leave_uncut
from lazsl.settings import RegionSettings

SETTINGS = RegionSettings(resampling="fast")
QUICK = ("--rounds", "1")
WANTED = {"fast": 6, "fast, device": 36}  # times less than the ordinary way, at 224 pixels


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
    found = ways(data, size)
    least = dict.fromkeys(found, float("inf"))
    for _ in range(rounds):
        for name, work in found.items():
            started = time.process_time()
            work()
            least[name] = min(least[name], time.process_time() - started)
    return least


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    seconds = {size: measure(size, args.rounds) for size in (224, 64)}
    times = {
        size: {name: found["ordinary"] / spent for name, spent in found.items()}
        for size, found in seconds.items()
    }
    if args.json:
        figures = {
            size: {
                name: {"core_seconds": round(spent, 4), "times_less": round(times[size][name], 1)}
                for name, spent in found.items()
            }
            for size, found in seconds.items()
        }
        held = [
            Figure(name, times[224][name], "the ordinary way", at_least=wanted).as_json()
            for name, wanted in WANTED.items()
        ]
        found = {"benchmark": "crops", "wanted": WANTED, "sizes": figures, "figures": held}
        print(json.dumps(found, indent=1))
    else:
        parts = []
        for size, found in seconds.items():
            listed = ", ".join(
                f"{name} {spent:.3f} ({times[size][name]:.1f} x less)"
                for name, spent in found.items()
                if name != "ordinary"
            )
            parts.append(f"to {size} px: ordinary {found['ordinary']:.3f}, {listed}")
        print(
            "crops, core-seconds per 1600 x 1200 image with 90 crops: "
            + "; ".join(parts)
            + f" (wanted at 224 px: fast {WANTED['fast']} x, device {WANTED['fast, device']} x)"
        )
    return 0 if all(times[224][name] >= wanted for name, wanted in WANTED.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
