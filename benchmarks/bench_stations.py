"""How near each station comes to what the machine can do: a roofline, station by station.

Measured in one process, in turns: what this machine can do (float32 multiply-adds of a large matrix
product, bytes copied in memory, bytes written to a disk and read back), and what each station makes
of it:

- staging: bytes fetched from a store in memory, over writing the same bytes to files;
- model: operations of ViT-B-32's vision tower, over those of the matrix product;
- scoring: operations of the products of kept regions and attributes, over the same;
- storing: bytes of a shard's embeddings as Parquet, over plain bytes (written with fsync, read);
- loading: rows of all tables put into DuckDB, over reading the same Parquet into Arrow.

    python benchmarks/bench_stations.py [--json] [--rounds N]
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cost
import fsspec
import numpy as np
import pyarrow as pa
import torch
from bench_scoring import embeddings
from figures import Figure, best_of_turns, conclude, file_bytes, options, random_weights
from torch import Tensor

from lazsl import fieldguide
from lazsl.alignment.align import select_regions, top_classes
from lazsl.alignment.attributes import PackedAttributes
from lazsl.archive.manifest import shard_images
from lazsl.archive.shard_planning import plan_shards
from lazsl.archive.staging import stage
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import load_encoder
from lazsl.run import embed_step, label_set_step, score_step, stage_step
from lazsl.run.run import Run, open_run, record_run
from lazsl.settings import make_job
from lazsl.store import schemas
from lazsl.store.folder import Folder
from lazsl.warehouse.loading import load as load_warehouse

QUICK = ("--rounds", "1")
MIB = 2**20
SIDE = 2048  # of the matrices whose product is the machine's peak
OPERAND = torch.rand(SIDE, SIDE)
OBJECTS, OBJECT = 64, MIB  # staged: as many objects of so many bytes
IMAGES, REGIONS, DIMENSION = 256, 91, 512  # a shard's embeddings
SCORED, BATCH = 64, 32


def machine(folder: Path, rounds: int) -> dict[str, float]:
    """What this machine can do: operations and bytes a second."""
    source, target = torch.rand(64 * MIB // 4), torch.empty(64 * MIB // 4)
    data = os.urandom(64 * MIB)
    file = folder / "plain"
    spent = best_of_turns(
        {
            "product": product,
            "copy": lambda: target.copy_(source),
            "write": lambda: synced(file, data),
            "read": file.read_bytes,
        },
        rounds + 1,
    )
    return {
        "flops": 2 * SIDE**3 / spent["product"],
        "memory_bytes": 2 * 64 * MIB / spent["copy"],
        "disk_write_bytes": len(data) / spent["write"],
        "disk_read_bytes": len(data) / spent["read"],
    }


def product() -> Tensor:
    """The large product that the model's and scoring's operations are held against."""
    return OPERAND @ OPERAND


def synced(file: Path, data: bytes) -> None:
    """As `lazsl.store.folder` writes an artifact."""
    with file.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def staging(folder: Path, rounds: int) -> dict[str, float]:
    """Bytes a second from a store in memory to the disk, and of writing them alone."""
    store, root = fsspec.filesystem("memory"), f"/{uuid.uuid4().hex}"
    data = os.urandom(OBJECT)
    for number in range(OBJECTS):
        store.pipe_file(f"{root}/{number:04d}.jpg", data)
    workspace = Folder(str(folder / "workspace"))
    url = f"memory:/{root}"
    plan = plan_shards(workspace, url, (".jpg",), OBJECTS)
    images = shard_images(workspace, plan.archive, plan.shards[0])

    def fetched() -> None:
        stage(images, url, folder / uuid.uuid4().hex, 16)

    def written() -> None:
        place = folder / uuid.uuid4().hex
        place.mkdir()
        for number in range(OBJECTS):
            (place / str(number)).write_bytes(data)

    spent = best_of_turns({"staged": fetched, "written": written}, rounds)
    store.rm(root, recursive=True)
    return {name: OBJECTS * OBJECT / seconds for name, seconds in spent.items()}


def model(rounds: int) -> dict[str, float]:
    """Operations of one crop through the vision tower, and crops a second."""
    with random_weights("ViT-B-32") as random:
        encoder = load_encoder(find_model(random, "float32"), "cpu")
    width, height = encoder.framing.size
    crops = torch.randint(0, 256, (BATCH, height, width, 3), dtype=torch.uint8)
    spent = best_of_turns(
        {"model": lambda: encoder.encode_crops(crops), "product": product}, rounds + 1
    )
    # Counted without fused attention, which torch's counter does not see into.
    return rates(cost.model("ViT-B-32").vision, BATCH / spent["model"], spent["product"])


def rates(flops: float, per_s: float, product_s: float) -> dict[str, float]:
    """Operations of one thing, things a second, and the share of the product's operations."""
    return {"flops": flops, "per_s": per_s, "share": flops * per_s / (2 * SIDE**3 / product_s)}


@torch.inference_mode()
def scoring(rounds: int) -> dict[str, float]:
    """Operations an image of the products of kept regions with 1,000 classes, images a second."""
    attributes, sizes, regions, whole = embeddings(SCORED)
    packed = PackedAttributes.from_classes(attributes, sizes)
    keep = select_regions(regions, whole)
    spent = best_of_turns(
        {
            "scoring": lambda: top_classes(regions, whole, keep, packed, k=5),
            "product": product,
        },
        rounds + 1,
    )
    kept = float(keep.sum()) / SCORED
    operations = 2 * kept * len(attributes) * attributes.shape[1]
    return rates(operations, SCORED / spent["scoring"], spent["product"])


def regions_table(vectors: np.ndarray) -> pa.Table:
    """`schemas.regions` of vectors (images, regions, dimension), without boxes."""
    images, regions, dimension = vectors.shape
    no_side = np.zeros(images * regions, np.int32)
    flat = pa.array(vectors.astype(np.float16).ravel())
    return pa.table(
        {
            "image_id": np.repeat([f"{n:032x}" for n in range(images)], regions),
            "region": np.tile(np.arange(regions, dtype=np.int16), images),
            **dict.fromkeys(("left", "top", "right", "bottom"), no_side),
            "embedding": pa.FixedSizeListArray.from_arrays(flat, dimension),
        },
        schema=schemas.regions(dimension),
    )


def storing(folder: Path, rounds: int) -> dict[str, float]:
    """Bytes a second of a shard's embeddings, written and read, as Parquet and plainly."""
    noise = np.random.default_rng(0).standard_normal((IMAGES, REGIONS, DIMENSION), np.float32)
    table = regions_table(noise)
    where = Folder(str(folder / "stored"))
    where.write_table("shard.parquet", table)
    size = file_bytes(folder / "stored")
    plain, data = folder / "plain.bin", os.urandom(size)
    spent = best_of_turns(
        {
            "parquet_written": lambda: where.write_table("shard.parquet", table),
            "written": lambda: synced(plain, data),
            "parquet_read": lambda: where.read_table("shard.parquet"),
            "read": plain.read_bytes,
        },
        rounds,
    )
    return {"bytes_per_image": size / IMAGES, **{name: size / s for name, s in spent.items()}}


def labelled(archive: Path, workspace: Path, **changes: Any) -> Run:
    """A run of the embedded model over an archive, all but the load, step after step."""
    values: dict[str, Any] = {
        "archive": str(archive),
        "labels": str(fieldguide.LABELS_FILE),
        "workspace": str(workspace),
        "model": "fieldguide",
        "device": "cpu",
    }
    job = make_job(**{**values, **changes})
    run = open_run(job)
    plan = plan_shards(run.workspace, job.archive, job.suffixes, job.shard_size)
    record_run(run)
    label_set_step.embed_attributes(run)
    for shard in plan.shards:
        staged = stage_step.stage_shard(run, shard, workspace / f"staged-{shard}")
        embed_step.embed_shard(run, shard, staged)
        score_step.score_shard(run, shard)
    return run


def loading(folder: Path, rounds: int) -> dict[str, float]:
    """Rows a second of loading a finished run, and of reading its files; bytes an image."""
    run = labelled(fieldguide.IMAGES_DIR, folder / "run", regions={"count": 12})
    names = [name for name in run.workspace.names("", ".parquet") if "manifests" not in name]
    rows = sum(run.workspace.read_table(name).num_rows for name in names)
    files = iter(range(10**6))

    def load() -> None:
        load_warehouse(run.workspace, folder / f"{next(files)}.duckdb", [run.key])

    def read() -> None:
        for name in names:
            run.workspace.read_table(name)

    spent = best_of_turns({"loaded": load, "read": read}, rounds)
    images = run.workspace.read_table(names[0]).num_rows
    return {
        **{name: rows / seconds for name, seconds in spent.items()},
        "images_per_s": images / spent["loaded"],
    }


def main() -> int:
    args = options(__doc__, rounds=3).parse_args()
    torch.manual_seed(0)
    rates: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        stations: dict[str, Callable[[Path], dict[str, float]]] = {
            "machine": lambda place: machine(place, args.rounds),
            "staging": lambda place: staging(place, args.rounds),
            "model": lambda _: model(args.rounds),
            "scoring": lambda _: scoring(args.rounds),
            "storing": lambda place: storing(place, args.rounds),
            "loading": lambda place: loading(place, args.rounds),
        }
        for name, measure in stations.items():
            place = Path(temporary) / name
            place.mkdir()
            started = time.perf_counter()
            rates[name] = measure(place)
            print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    can = rates["machine"]
    staged, stored = rates["staging"], rates["storing"]
    figures = [
        Figure("staging", staged["staged"] / staged["written"], "files written"),
        Figure("model", rates["model"]["share"], "operations of a matrix product"),
        Figure("scoring", rates["scoring"]["share"], "operations of a matrix product"),
        Figure("embeddings written", stored["parquet_written"] / stored["written"], "plain bytes"),
        Figure("embeddings read", stored["parquet_read"] / stored["read"], "plain bytes"),
        Figure("loading", rates["loading"]["loaded"] / rates["loading"]["read"], "Parquet read"),
    ]
    output = io.StringIO()
    print(
        f"machine: {can['flops'] / 1e9:.0f} GFLOP/s, memory {can['memory_bytes'] / 1e9:.1f} GB/s, "
        f"disk {can['disk_write_bytes'] / 1e9:.2f} GB/s written, "
        f"{can['disk_read_bytes'] / 1e9:.1f} read from its cache",
        *(f"{figure.name}: {figure.ratio:.2f} of {figure.over}" for figure in figures),
        sep="\n",
        end="",
        file=output,
    )
    return conclude(args, "stations", figures, output.getvalue(), stations=rates)


if __name__ == "__main__":
    sys.exit(main())
