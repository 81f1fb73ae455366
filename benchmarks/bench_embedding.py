"""How much of the model's own speed is left when pictures have to be read, decoded and cropped.

End-to-end crops per second of `shard.embed_images` over crops per second of the same model on
ready tensors, in one process, in turns. Wanted: at least 0.9 for ViT-B-32 (random weights, which
cost the same as trained ones) and 0.6 for the embedded model.

    python benchmarks/bench_embedding.py [--json]
"""

from __future__ import annotations

import statistics
import sys
import time

import pyarrow as pa
import torch
from figures import Figure, conclude, options, random_weights
from noise import photographs

from lazsl import fieldguide
from lazsl.embedding.shard import embed_images
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import Encoder, load_encoder
from lazsl.settings import RegionSettings

WANTED = {"ViT-B-32": 0.9, "fieldguide": 0.6}
QUICK = ("--rounds", "1")


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
    args = options(__doc__, rounds=3).parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    figures, parts, rates = [], [], {}
    with random_weights("ViT-B-32") as random:
        # The small one first, as in a process of its own: what a large model has freed lets the C
        # library keep blocks that it would else return, and the small one is a third faster.
        for name, source, pictures, batch in (
            ("fieldguide", "fieldguide", plates(24), 256),
            ("ViT-B-32", random, photographs(4), 32),
        ):
            encoder = load_encoder(find_model(source, "float32"), device)
            whole, alone, ratio = compare(encoder, pictures, args.rounds, batch)
            wanted = WANTED[name]
            figures.append(Figure(f"{name} end to end", ratio, "the model alone", at_least=wanted))
            parts.append(f"{name} {whole:.0f} of {alone:.0f} crops/s = {ratio:.2f} ({wanted})")
            rates[name] = {"end_to_end": round(whole, 1), "model_alone": round(alone, 1)}
    return conclude(
        args,
        "embedding",
        figures,
        f"embedding, end to end over the model alone, on {device} (and what is wanted): "
        + "; ".join(parts),
        device=device,
        crops_per_s=rates,
    )


if __name__ == "__main__":
    sys.exit(main())
