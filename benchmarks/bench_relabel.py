"""Labelling anew: from stored embeddings to a loaded warehouse, against only reading them.

    python benchmarks/bench_relabel.py [--json] [--rounds N] [--images N] [--classes N ...]

A workspace with the embeddings of ViT-B/16 (91 regions of 512 float16 numbers an image, 93 kB) is
labelled with label sets of several sizes by the steps that a relabelling flow runs, as many shards
at a time as it runs (`lazsl.run.score_step.score_shard`, then the load), without Prefect. Beside
it, in the same run, `pyarrow.parquet.read_table` reads the same files, all of them in the page
cache, which is the hardest to keep up with. Both in MB of embeddings a second; the best of some
turns each.

One-sided plans are measured beside it over 30 regions an image, as the fast layout has them,
against reading these: 60 classes, and one new class scored over everything that is stored, which is
all that adding or editing a class takes.

Wanted is half of the reading, where scoring has least to do, and that the digests by which every
byte is checked (`lazsl.store.seals`) cost a thirtieth at most: it is done once more without making
or comparing them. Beside it stand what scoring costs
alone, from embeddings in memory (`lazsl.scoring.tables.score_table`), and how much of the whole
that is: the rest is reading, writing and loading.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import synthetic
import torch
from figures import Figure, best_of_turns, conclude, options

from lazsl.alignment.align import class_scores
from lazsl.alignment.attributes import PackedAttributes
from lazsl.run.label_set_step import embedded_labels
from lazsl.run.run import Run
from lazsl.run.score_step import score_shard
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.scoring.tables import score_table
from lazsl.settings import ScoringSettings, make_job
from lazsl.store import paths, schemas, seals
from lazsl.store.folder import Folder
from lazsl.store.keys import shard_id
from lazsl.store.vectors import vectors_of
from lazsl.warehouse import loading

CLASSES = (10, 60, 200, 1000)
CHECKING = 1.03  # of relabelling without digests
DIMENSION, SHARD = 512, 256
WANTED, NEW = 0.5, 1.0  # of the speed of reading: labelling anew, and one new class
FAST, FEW = 30, 60
"""Regions and classes of the one-sided plans."""
ONE_SIDED: dict[str, Any] = {"aligner": "one-sided", "epsilon": 0.025, "presence_temperature": 0.01}
QUICK = ("--images", "512", "--rounds", "1", "--classes", "60")


def make_embeddings(folder: Path, images: int, crops: int = synthetic.CROPS) -> list[str]:
    """Shards of embeddings, of so many crops an image; the same vectors in every shard, which no
    step can know."""
    _, vectors = synthetic.clip_like(200, SHARD, DIMENSION)
    vectors = vectors[:, : crops + 1]
    shards = []
    for number in range(-(-images // SHARD)):
        count = min(SHARD, images - number * SHARD)
        table = synthetic.images_table(number, count, SHARD, rejects=False)
        boxes = synthetic.boxes_table(table, np.random.default_rng(number))
        boxes = boxes.filter(pc.less_equal(boxes["region"], pa.scalar(crops, pa.int16())))
        flat = pa.array(vectors[:count].astype(np.float16).ravel())
        embedding = pa.FixedSizeListArray.from_arrays(flat, DIMENSION)
        regions = pa.Table.from_arrays(
            [*boxes.columns, embedding], schema=schemas.regions(DIMENSION)
        )
        name = shard_id(synthetic.ARCHIVE, table["image_id"].to_pylist())
        key = synthetic.ENCODER, synthetic.REGIONS, name
        synthetic.write(folder, paths.region_embeddings(*key), regions)
        synthetic.write(folder, paths.images(*key), table)
        shards.append(name)
    return shards


def make_run(folder: Path, classes: int, **scoring: Any) -> Run:
    """A run over them with a label set of so many classes."""
    labelset, labels = synthetic.labels(classes), f"labels-{classes}"
    vectors, _ = synthetic.clip_like(classes, 1, DIMENSION)
    synthetic.write(
        folder,
        paths.attributes(synthetic.ENCODER, labels),
        synthetic.attributes_table(labelset, vectors),
    )
    run = f"photos-{classes}"
    record = synthetic.record(run, labels, labelset)
    synthetic.write_json(folder, paths.run_record(run), record)
    job = make_job(
        archive="s3://bucket/photos",
        labels="labels.json",
        workspace=str(folder),
        scoring=scoring,
    )
    model: Any = None  # none is needed to score
    keys = (synthetic.ARCHIVE, synthetic.ENCODER, synthetic.REGIONS, labels)
    return Run(job, run, *keys, model, labelset)


def relabel(run: Run, shards: list[str]) -> None:
    """Score and write every shard, and load them into a warehouse of their own."""
    shutil.rmtree(Path(run.job.workspace) / "runs" / run.key / "shards", ignore_errors=True)
    for file in Path(run.job.workspace).glob(f"{run.key}*.duckdb"):
        file.unlink()
    with ThreadPoolExecutor(run.job.staged_shards + 1) as pool:
        list(pool.map(lambda shard: score_shard(run, shard), shards))
    loading.load(run.workspace, Path(run.job.workspace) / f"{run.key}.duckdb", [run.key])


def unchecked(work: Callable[[], object]) -> None:
    """Do the same without making or comparing a digest."""
    nothing = {"check_columns": lambda *_: None, "seal_of": lambda _: f"{seals.KIND}{0:032x}"}
    nothing |= dict.fromkeys(("_digest", "_digest_without"), lambda *_: f"{0:032x}")
    with ExitStack() as patches:
        for name, function in nothing.items():
            patches.enter_context(mock.patch.object(seals, name, function))
        zeros = mock.patch.object(seals.xxhash, "xxh3_128_hexdigest", lambda *_: f"{0:032x}")
        patches.enter_context(zeros)
        work()


def score(run: Run, labels: EmbeddedLabels, regions: pa.Table, shards: int) -> None:
    """Score so many shards that are in memory, as many at a time."""
    settings = run.job.scoring, run.job.scoring_memory
    with ThreadPoolExecutor(run.job.staged_shards + 1) as pool:
        list(pool.map(lambda _: score_table(regions, labels, *settings), range(shards)))


def read(folder: Path, shards: list[str]) -> None:
    """Read the same files, whole, and nothing else."""
    for shard in shards:
        key = synthetic.ENCODER, synthetic.REGIONS, shard
        pq.read_table(folder / paths.region_embeddings(*key))


def score_new_class(folder: Path, shards: list[str], packed: PackedAttributes) -> None:
    """Read every shard, and score one class for each of its images."""
    settings = ScoringSettings(**ONE_SIDED).aligning(256 * 2**20)
    for shard in shards:
        key = synthetic.ENCODER, synthetic.REGIONS, shard
        name = paths.region_embeddings(*key)
        regions = Folder(str(folder)).read_table(name, ["embedding"])
        vectors = torch.from_numpy(vectors_of(regions).copy()).view(-1, FAST, DIMENSION)
        keep = torch.ones(vectors.shape[:2], dtype=torch.bool)
        class_scores(vectors, vectors[:, 0], keep, packed, **settings)


def measure_one_sided(images: int, rounds: int, folder: Path) -> dict[str, float]:
    """Seconds of reading 30 regions an image, of relabelling by them, and of one new class."""
    shards = make_embeddings(folder, images, FAST - 1)
    run = make_run(folder, FEW, **ONE_SIDED)
    labels = embedded_labels(run.workspace, run.encoder, run.labels)
    first = int(labels.packed.starts[1])
    one_class = PackedAttributes.from_classes(labels.packed.embeddings[:first], [first])
    ways: dict[str, Callable[[], object]] = {
        "read": lambda: read(folder, shards),
        "relabel": lambda: relabel(run, shards),
        "new class": lambda: score_new_class(folder, shards, one_class),
    }
    for work in ways.values():
        work()
    return best_of_turns(ways, rounds)


def measure(images: int, classes: list[int], rounds: int, folder: Path) -> dict[str, Any]:
    """Seconds of reading, and per size of label set those of relabelling and of scoring alone."""
    shards = make_embeddings(folder, images)
    runs = {count: make_run(folder, count) for count in classes}
    embeddings = paths.region_embeddings(synthetic.ENCODER, synthetic.REGIONS, shards[0])
    regions = Folder(str(folder)).read_table(embeddings)
    ways: dict[str, Callable[[], object]] = {"read": lambda: read(folder, shards)}
    for count, run in runs.items():
        labels = embedded_labels(run.workspace, run.encoder, run.labels)
        ways[f"score {count}"] = partial(score, run, labels, regions, len(shards))
        ways[f"relabel {count}"] = partial(relabel, run, shards)
    least = min(classes)
    ways["unchecked"] = partial(unchecked, ways[f"relabel {least}"])
    for work in ways.values():
        work()
    spent = best_of_turns(ways, rounds)
    return {
        "read": spent["read"],
        "unchecked": spent["unchecked"],
        "relabel": {count: spent[f"relabel {count}"] for count in classes},
        "score": {count: spent[f"score {count}"] for count in classes},
    }


def main() -> int:
    parser = options(__doc__, rounds=2)
    parser.add_argument("--images", type=int, default=2048, help="images with embeddings")
    parser.add_argument("--classes", type=int, nargs="+", default=list(CLASSES))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        one_sided = measure_one_sided(args.images, args.rounds, Path(folder) / "one-sided")
        measured = measure(args.images, args.classes, args.rounds, Path(folder))
    megabytes = args.images * (synthetic.CROPS + 1) * DIMENSION * 2 / 1e6
    checking = measured["relabel"][min(args.classes)] / measured["unchecked"]
    without = "relabelling without digests"
    figures = [Figure("relabelling with digests", checking, without, at_most=CHECKING)]
    lines = []
    for count, spent in measured["relabel"].items():
        wanted = WANTED if count == min(args.classes) else None
        ratio, alone = measured["read"] / spent, measured["score"][count] / spent
        name = f"relabelling with {count:,} classes"
        figures += [
            Figure(name, ratio, "reading the embeddings", at_least=wanted),
            Figure(f"scoring in it, {count:,} classes", alone, "relabelling"),
        ]
        lines.append(
            f"{count:,} classes {megabytes / spent:.0f} MB/s ({args.images / spent:,.0f} images/s, "
            f"{ratio:.3f} of reading; scoring is {alone:.2f} of it)"
        )
    ratio, new = (one_sided["read"] / one_sided[name] for name in ("relabel", "new class"))
    reading = f"reading {FAST} regions an image"
    figures += [
        Figure(f"one-sided, {FEW} classes, {FAST} regions", ratio, reading, at_least=WANTED),
        Figure(f"one new class, {FAST} regions", new, reading, at_least=NEW),
    ]
    lines.append(
        f"one-sided, {FAST} regions, {FEW} classes {ratio:.3f} of reading these "
        f"({args.images / one_sided['relabel']:,.0f} images/s), one new class {new:.3f} of it "
        f"({args.images / one_sided['new class']:,.0f} images/s)"
    )
    sentence = (
        f"relabel {args.images:,} images to a loaded warehouse: {', '.join(lines)}; reading alone "
        f"{megabytes / measured['read']:,.0f} MB/s (wanted {WANTED} of it); checking "
        f"every byte makes it {checking:.3f} of what it is without"
    )
    return conclude(
        args,
        "relabel",
        figures,
        sentence,
        images=args.images,
        megabytes=megabytes,
        seconds={**measured, "one_sided": one_sided},
    )


if __name__ == "__main__":
    sys.exit(main())
