"""How long `lazsl find` takes: every region compared, or sketches first (`--index`).

Shards of synthetic embeddings in the real artifacts, 91 regions of 512 dimensions an image. Every
region is something common, the image's own background and the few things that it shows, each in a
part of its regions; a sentence is a thing. Seconds are of the processor, one thread, for a million
images from a straight line through the shards; recall is the part of the exact 20 images that the
index answers with.

    python benchmarks/bench_find.py [--json] [--images 2560]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from figures import Figure, conclude, options

from lazsl.explain import sketches
from lazsl.explain.similar import COMPARED, _compared
from lazsl.store import paths, schemas
from lazsl.store.folder import Folder

QUICK = ("--images", "512")
DIMENSION, REGIONS, SHARD, COUNT, SENTENCES = 512, 91, 256, 20, 20
THINGS = 2000
PLACE = ("vit", "r90")
MILLION = 1_000_000


def unit(vectors: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / lengths, np.float32)


def images(things: np.ndarray, common: np.ndarray, random: np.random.Generator) -> Iterator[Any]:
    """(REGIONS, DIMENSION) float16, one image after the other."""
    while True:
        seen = things[random.integers(0, len(things), random.integers(3, 8))]
        parts = random.random((REGIONS, len(seen))) ** 4
        parts /= parts.sum(axis=1, keepdims=True)
        noise = random.normal(size=(REGIONS + 1, DIMENSION)) / np.sqrt(DIMENSION)
        mixed = 0.7 * common + 0.5 * noise[-1] + 0.6 * (parts @ seen) + 0.35 * noise[:-1]
        yield unit(mixed).astype(np.float16)


def write_shard(workspace: Folder, shard: str, vectors: np.ndarray) -> None:
    rows = len(vectors) * REGIONS
    sides = dict.fromkeys(("left", "top", "right", "bottom"), np.zeros(rows, np.int32))
    columns = {
        "image_id": np.repeat([f"{shard}-{n}" for n in range(len(vectors))], REGIONS),
        "region": np.tile(np.arange(REGIONS), len(vectors)),
        **sides,
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSION),
    }
    schema = schemas.regions(DIMENSION)
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in schema]
    table = pa.Table.from_arrays(arrays, schema=schema)
    workspace.write_table(paths.region_embeddings(*PLACE, shard), table)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.thread_time()
    result = work()
    return result, time.thread_time() - started


def scan(read: Callable[[], pa.Table], sentence: np.ndarray) -> pa.Table:
    return _compared(read(), sentence)


def compare_one(read: Callable[[], pa.Table], sentence: np.ndarray) -> pa.Table:
    """An image of a shard, which the sketches found."""
    regions = read()
    image = regions["image_id"].slice(len(regions) // 2, 1).combine_chunks()
    return _compared(regions.filter(pc.is_in(regions["image_id"], image)), sentence)


def make(read: Callable[[], pa.Table]) -> pa.Table:
    return sketches.sketch(read())


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--images", type=int, default=2560)
    args = parser.parse_args()
    random = np.random.default_rng(0)
    things = unit(random.normal(size=(THINGS, DIMENSION)))
    common = unit(random.normal(size=DIMENSION))
    noise = random.normal(size=(SENTENCES, DIMENSION)) / np.sqrt(DIMENSION)
    sentences = unit(things[random.choice(THINGS, SENTENCES, replace=False)] + 0.5 * noise)
    made = images(things, common, random)
    spent = dict.fromkeys(("scan", "one", "sketch", "search"), 0.0)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Folder(folder)
        shards = [f"{number:04d}" for number in range(args.images // SHARD)]
        similarity: list[list[pa.Table]] = []
        for shard in shards:
            write_shard(workspace, shard, np.stack([next(made) for _ in range(SHARD)]))
            name = paths.region_embeddings(*PLACE, shard)
            read = partial(workspace.read_table, name)
            scanned, seconds = timed(partial(scan, read, sentences[0]))
            spent["scan"] += seconds
            spent["one"] += timed(partial(compare_one, read, sentences[0]))[1]
            table = read()
            similarity.append([scanned, *(_compared(table, s) for s in sentences[1:])])
            sketch, seconds = timed(partial(make, read))
            spent["sketch"] += seconds
            workspace.write_table(paths.sketch(*PLACE, shard), sketch)
        size = sum(file["size"] for file in workspace.details("sketches").values())
        stored = sum(file["size"] for file in workspace.details("embeddings").values())
        recalls = []
        for number, sentence in enumerate(sentences):
            exact = pa.concat_tables([answers[number] for answers in similarity])
            exact = exact.sort_by([("similarity", "descending")]).slice(0, COUNT)
            started = time.process_time()
            near = sketches.nearest_images(
                workspace, *PLACE, shards, sentence, COMPARED * COUNT, whole=False
            )
            spent["search"] += (time.process_time() - started) / SENTENCES
            wanted = set(exact["image_id"].to_pylist())
            recalls.append(len(wanted & set(near["image_id"].to_pylist())) / COUNT)
    million = {name: seconds * MILLION / args.images for name, seconds in spent.items()}
    # Every image that is compared exactly may lie in a shard of its own.
    million["index"] = million["search"] + spent["one"] / len(shards) * COMPARED * COUNT
    recall = float(np.mean(recalls))
    figures = [
        Figure("find --index", million["index"] / million["scan"], "every region", at_most=0.1),
        Figure("sketches, made once", million["sketch"] / million["scan"], "every region"),
        Figure("bytes of sketches", size / stored, "embeddings", at_most=0.06),
        Figure("recall of 20 images", recall, "the exact answer", at_least=0.9),
    ]
    sentence = (
        f"find: a million images on one thread: every region {million['scan']:.0f} s, sketches and "
        f"then {COMPARED * COUNT} images exactly {million['index']:.0f} s (the sketches alone "
        f"{million['search']:.0f} s, {size / args.images / 1e3:.1f} kB an image; made in "
        f"{million['sketch'] / 60:.0f} min), recall {recall:.3f}"
    )
    return conclude(args, "find", figures, sentence, million=million, recall=recall, bytes=size)


if __name__ == "__main__":
    sys.exit(main())
