"""How the cost grows with images, regions, classes, attributes and shards, one at a time.

The whole job (embedded model, step after step, load included) over more images, with more regions
and in more shards; and scoring alone (random embeddings of ViT-B's width) with more classes,
attributes of a class, and regions. The figure is what twice as much costs, from a straight line
through the logarithms: 2 is linear, 1 is free.

    python benchmarks/bench_growth.py [--json] [--rounds N]
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from bench_stations import labelled, regions_table
from figures import Figure, best_of_turns, conclude, options
from torch.nn.functional import normalize

from lazsl import fieldguide
from lazsl.alignment.attributes import PackedAttributes
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.scoring.tables import score_table
from lazsl.settings import ScoringSettings
from lazsl.warehouse import loading

QUICK = ("--rounds", "1")
DIMENSION = 512
JOB = {"images": 48, "regions": 12, "shards": 1}
SCORING = {"images": 32, "regions": 90, "classes": 1000, "attributes": 6}
SIZES: dict[str, tuple[int, ...]] = {
    "job, images": (24, 48, 96, 192),
    "job, regions": (6, 12, 24, 48),
    "job, shards": (1, 2, 4, 8, 16),
    "scoring, images": (16, 32, 64, 128),
    "scoring, regions": (30, 60, 120, 240),
    "scoring, classes": (250, 500, 1000, 2000, 4000),
    "scoring, attributes": (3, 6, 12, 24),
}
"""What grows, and through which sizes; everything else stays as in JOB and SCORING."""


def job(folder: Path, images: int, regions: int, shards: int) -> Callable[[], object]:
    """Label so many pictures in so many shards, and load them."""
    archive = folder / f"archive-{images}"
    if not archive.exists():
        archive.mkdir()
        for plate in sorted(fieldguide.IMAGES_DIR.glob("18*/*.jpg"))[:images]:
            shutil.copyfile(plate, archive / f"{plate.parent.name}-{plate.name}")
    changes = {"regions": {"count": regions}, "shard_size": -(-images // shards)}

    def work() -> None:
        workspace = folder / uuid.uuid4().hex
        run = labelled(archive, workspace, **changes)
        loading.load(run.workspace, run.job.warehouse_path, [run.key])
        shutil.rmtree(workspace)

    return work


def scoring(images: int, regions: int, classes: int, attributes: int) -> Callable[[], object]:
    """Score so many images of random embeddings against so many random classes."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return normalize(torch.randn(*shape, DIMENSION, generator=generator), dim=-1)

    common, meanings = noise(1)[0], noise(classes)
    sentences = meanings.repeat_interleave(attributes, 0)
    texts = normalize(0.5 * common + 0.5 * sentences + 0.7 * noise(len(sentences)), dim=-1)
    shown = meanings[torch.arange(images) % classes]
    scene = 0.45 * common + 0.25 * shown + 0.6 * noise(images)
    pictures = normalize(scene[:, None] + 0.6 * noise(images, regions + 1), dim=-1)
    labels = EmbeddedLabels(
        tuple(f"class {c}" for c in range(classes)),
        tuple(tuple(f"attribute {a}" for a in range(attributes)) for _ in range(classes)),
        PackedAttributes.from_classes(texts, [attributes] * classes),
        meanings,
    )
    table = regions_table(np.asarray(pictures))
    return lambda: score_table(table, labels, ScoringSettings(), 2**30)


def doubling(sizes: tuple[int, ...], seconds: list[float]) -> float:
    """Times that twice as much costs."""
    slope = np.polyfit(np.log2(sizes), np.log2(seconds), 1)[0]
    return float(2**slope)


def main() -> int:
    args = options(__doc__, rounds=2).parse_args()
    spent: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        job(folder, 8, 6, 1)()  # imports, and the model is loaded
        for what, sizes in SIZES.items():
            kind, grows = what.split(", ")
            started = time.perf_counter()
            ways: dict[str, Callable[[], object]] = {}
            for size in sizes:
                if kind == "job":
                    ways[str(size)] = job(folder, **{**JOB, grows: size})
                else:
                    ways[str(size)] = scoring(**{**SCORING, grows: size})
            spent[what] = list(best_of_turns(ways, args.rounds).values())
            print(f"{what}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    figures = [
        Figure(f"{what} doubled", doubling(sizes, spent[what]), "half as many")
        for what, sizes in SIZES.items()
    ]
    return conclude(
        args,
        "growth",
        figures,
        "what twice as many cost, times: "
        + ", ".join(
            f"{figure.name.removesuffix(' doubled')} {figure.ratio:.2f}" for figure in figures
        ),
        growth={w: {"sizes": SIZES[w], "seconds": spent[w]} for w in SIZES},
        fixed={"job": JOB, "scoring": SCORING},
    )


if __name__ == "__main__":
    sys.exit(main())
