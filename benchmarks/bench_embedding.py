"""How much of the model's own speed is left when pictures have to be read, decoded and cropped.

End-to-end crops per second of `embed.embed_images` over crops per second of the same model on
ready tensors, in one process, in turns. Wanted: at least 0.9 for ViT-B-32 (random weights, which
cost the same as trained ones) and 0.6 for the embedded model.

    python benchmarks/bench_embedding.py [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import open_clip
import pyarrow as pa
import torch
from PIL import Image
from safetensors.torch import save_file

from lazsl import fieldguide
from lazsl.checkpoints import find_model
from lazsl.embed import embed_images
from lazsl.encoder import Encoder, load_encoder
from lazsl.settings import RegionSettings

WANTED = {"ViT-B-32": 0.9, "fieldguide": 0.6}


def photographs(count: int) -> list[bytes]:
    """Detailed JPEGs of 1600 x 1200, made of noise at every scale."""
    import io

    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        picture = np.zeros((1200, 1600, 3), dtype=np.float32)
        for scale in (4, 16, 64, 256):
            tile = rng.uniform(0, 255, size=(1200 // scale + 1, 1600 // scale + 1, 3))
            layer = Image.fromarray(tile.astype(np.uint8)).resize(
                (1600, 1200), Image.Resampling.BICUBIC
            )
            picture += np.asarray(layer, dtype=np.float32) / 4
        buffer = io.BytesIO()
        Image.fromarray(picture.astype(np.uint8)).save(buffer, "JPEG", quality=88)
        found.append(buffer.getvalue())
    return found


def plates(count: int) -> list[bytes]:
    """Pictures of the sample archive, as they are."""
    files = sorted(fieldguide.IMAGES_DIR.glob("18*/*.jpg"))[:count]
    return [file.read_bytes() for file in files]


def compare(
    encoder: Encoder, pictures: list[bytes], rounds: int, batch: int
) -> tuple[float, float, float]:
    """Median crops per second end to end, of the model alone, and the median of their ratio."""
    settings = RegionSettings()
    crops = len(pictures) * (settings.count + 1)
    names = [str(i) for i in range(len(pictures))]
    table = pa.table(
        {"image_id": names, "key": names, "uri": names, "size": [0] * len(names), "version": names}
    )
    width, height = encoder.framing.size
    ready = torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8)
    encoder.encode_crops(ready)
    whole, alone = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(crops // batch):
            encoder.encode_crops(ready).cpu()
        alone.append(crops // batch * batch / (time.perf_counter() - started))
        started = time.perf_counter()
        embed_images(
            table,
            pictures.__getitem__,
            encoder,
            settings,
            batch_size=batch,
            decoders=2,
            max_pixels=10**8,
        )
        whole.append(crops / (time.perf_counter() - started))
    ratios = [w / a for w, a in zip(whole, alone, strict=True)]
    return statistics.median(whole), statistics.median(alone), statistics.median(ratios)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "random.safetensors"
        torch.manual_seed(0)
        model = open_clip.create_model("ViT-B-32")
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights)
        del model
        for name, source, pictures, batch in (
            ("ViT-B-32", f"ViT-B-32:{weights}", photographs(4), 32),
            ("fieldguide", "fieldguide", plates(24), 256),
        ):
            encoder = load_encoder(find_model(source, "float32"), device)
            whole, alone, ratio = compare(encoder, pictures, args.rounds, batch)
            results[name] = {
                "end_to_end_crops_per_s": round(whole, 1),
                "model_alone_crops_per_s": round(alone, 1),
                "ratio": round(ratio, 3),
                "wanted": WANTED[name],
            }
    if args.json:
        print(json.dumps({"benchmark": "embedding", "device": device, **results}, indent=1))
    else:
        parts = [
            f"{name} {r['end_to_end_crops_per_s']:.0f} of {r['model_alone_crops_per_s']:.0f} "
            f"crops/s = {r['ratio']:.2f} (wanted {r['wanted']})"
            for name, r in results.items()
        ]
        print(f"embedding, end to end over the model alone, on {device}: " + "; ".join(parts))
    return 0 if all(r["ratio"] >= r["wanted"] for r in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
