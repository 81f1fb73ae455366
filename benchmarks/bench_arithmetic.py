"""The same crops through the same model in other arithmetic: how fast, and how near.

Crops per second of the vision tower over those in float32, in turns in one process, and the least
cosine of an embedding with its float32 one, for random weights of ViT-B-32 and the embedded model:
bfloat16 and float16, pixels with channels last, weights of linear layers in int8, and what
`torch.compile` makes of it (`--compile`, minutes of compiling). There is no target: what is clearly
ahead here is worth setting, and `precision=auto` stays the same on all processors.

    python benchmarks/bench_arithmetic.py [--json] [--rounds N] [--compile]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import open_clip
import torch
from bench_embedding import photographs, plates
from figures import Figure
from safetensors.torch import save_file

from lazsl.checkpoints import find_model
from lazsl.encoder import Encoder, load_encoder
from lazsl.images import Picture, decode
from lazsl.regions import draw_boxes
from lazsl.resampling import cut_fast
from lazsl.settings import RegionSettings

QUICK = ("--rounds", "1")


def crops_for(encoder: Encoder, data: bytes, count: int) -> torch.Tensor:
    picture = decode(data, max_pixels=10**8)
    assert isinstance(picture, Picture)
    boxes = draw_boxes(*picture.size, "0", RegionSettings(count=count - 1))
    return torch.from_numpy(cut_fast(picture, boxes, encoder.framing))


def channels_last(source: str) -> Encoder:
    encoder = loaded(source)
    encoder.model.visual.to(memory_format=torch.channels_last)
    return encoder


def int8(source: str) -> Encoder:
    encoder = loaded(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoder.model = torch.ao.quantization.quantize_dynamic(
            encoder.model, {torch.nn.Linear}, dtype=torch.qint8
        )
    return encoder


def compiled(source: str, precision: str) -> Encoder:
    encoder = loaded(source, precision)
    encoder.model.encode_image = torch.compile(encoder.model.encode_image)
    return encoder


def loaded(source: str, precision: str = "float32") -> Encoder:
    return load_encoder(find_model(source, precision), "cpu")


def measure(
    source: str, data: bytes, batch: int, rounds: int, with_compile: bool
) -> dict[str, dict[str, float]]:
    """Of each way: crops per second, times those of float32, and the least cosine."""
    ways: dict[str, Callable[[], Encoder]] = {
        "float32": lambda: loaded(source),
        "bfloat16": lambda: loaded(source, "bfloat16"),
        "float16": lambda: loaded(source, "float16"),
        "channels last": lambda: channels_last(source),
        "int8 weights": lambda: int8(source),
    }
    if with_compile:
        ways["compiled float32"] = lambda: compiled(source, "float32")
        ways["compiled bfloat16"] = lambda: compiled(source, "bfloat16")
    encoders = {name: make() for name, make in ways.items()}
    crops = crops_for(encoders["float32"], data, batch)
    expected = encoders["float32"].encode_crops(crops)
    least = {}
    for name, encoder in encoders.items():
        least[name] = float((encoder.encode_crops(crops) * expected).sum(dim=1).min())
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, encoder in encoders.items():
            started = time.perf_counter()
            encoder.encode_crops(crops)
            best[name] = min(best[name], time.perf_counter() - started)
    return {
        name: {
            "crops_per_s": round(batch / spent, 1),
            "times_float32": round(best["float32"] / spent, 2),
            "least_cosine": round(least[name], 5),
        }
        for name, spent in best.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="try torch.compile too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "random.safetensors"
        torch.manual_seed(0)
        model = open_clip.create_model("ViT-B-32")
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights)
        del model
        sources = {
            "ViT-B-32": (f"ViT-B-32:{weights}", photographs(1)[0], 32),
            "fieldguide": ("fieldguide", plates(1)[0], 256),
        }
        found = {name: measure(*what, args.rounds, args.compile) for name, what in sources.items()}
    if args.json:
        figures = [
            Figure(f"{name} {way}", r["times_float32"], "float32").as_json()
            for name, ways in found.items()
            for way, r in ways.items()
            if way != "float32"
        ]
        every = {"benchmark": "arithmetic", "device": "cpu", "figures": figures, **found}
        print(json.dumps(every, indent=1))
    else:
        parts = [
            f"{name} float32 {ways['float32']['crops_per_s']:.0f} crops/s, "
            + ", ".join(
                f"{way} {r['times_float32']:.2f} x (cosine {r['least_cosine']:.4f})"
                for way, r in ways.items()
                if way != "float32"
            )
            for name, ways in found.items()
        ]
        print("arithmetic of the vision tower on the processor: " + "; ".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
