"""How embeddings are stored: bytes an image, how fast they are read, and what it does to labels.

    python benchmarks/bench_stored.py [--json] [--rounds N] [--workspace W]

Numbers: float32, float16, and int8 with a float32 scale per region (its largest number is 127).
Columns: a fixed-size list of numbers, which any reader of Parquet understands, and fixed-size
binary, which is the same bytes without levels. Reading is `pyarrow.parquet.read_table` in one
thread, from the page cache, of one shard of 256 images (91 regions, 512 dimensions).

Labels are those of 1,000 CLIP-like classes, float32 being what is right (`synthetic.clip_like`), of
images that show one class clearly, and of others whose two best classes are close; and, with a
workspace (`make label` makes one of the sample archive), those of its latest run, where the stored
float16 is what is right.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import synthetic
import torch
from figures import Figure, best_of_turns, conclude, options

from lazsl.alignment.align import select_regions, top_classes
from lazsl.alignment.attributes import PackedAttributes
from lazsl.run.label_set_step import embedded_labels
from lazsl.scoring.embedded import images_alike
from lazsl.store import paths
from lazsl.store.folder import Folder
from lazsl.store.vectors import vectors_of

IMAGES, DIMENSION, CLASSES = 256, 512, 1000
FAINT = 0.15  # of the clear images' class in their embeddings
QUICK = ("--rounds", "1", "--images", "256")
PLAIN: dict[str, Any] = {
    "compression": "none",
    "use_dictionary": False,
    "write_statistics": False,
}


def rounded(vectors: np.ndarray, kind: str) -> np.ndarray:
    """The vectors as they are read again, float32."""
    if kind == "int8":
        codes, scale = in_int8(vectors)
        return codes.astype(np.float32) * scale
    return vectors.astype(kind).astype(np.float32)


def in_int8(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes, and a scale per vector."""
    scale = np.abs(vectors).max(-1, keepdims=True).astype(np.float32) / 127
    return np.rint(vectors / scale).astype(np.int8), scale


def tables(vectors: np.ndarray) -> dict[str, pa.Table]:
    """(rows, D) float32 in every form."""
    forms = {}
    for kind in ("float32", "float16"):
        flat = np.ascontiguousarray(vectors.astype(kind))
        forms[f"{kind} list"] = pa.table(
            {"embedding": pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), DIMENSION)}
        )
        forms[f"{kind} binary"] = pa.table({"embedding": binary(flat)})
    codes, scale = in_int8(vectors)
    forms["int8 binary"] = pa.table({"embedding": binary(codes), "scale": scale.ravel()})
    return forms


def binary(rows: np.ndarray) -> pa.Array[Any]:
    kind = pa.binary(rows.shape[1] * rows.itemsize)
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(rows), [None, pa.py_buffer(rows)])


def agreement(
    vectors: np.ndarray, packed: PackedAttributes, truth: str, kinds: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Per kind of number: labels that are those of the `truth`, the largest and the mean difference
    of a best score, and of (B, 1 + M, D) vectors the mean margin, to compare with."""

    def best(kind: str) -> Any:
        regions = torch.from_numpy(rounded(vectors, kind))
        crops, whole = regions[:, 1:], regions[:, 0]
        return top_classes(crops, whole, select_regions(crops, whole), packed, k=2)

    right = best(truth)
    rates = {}
    for kind in kinds:
        other = best(kind)
        same = (other.classes[:, 0] == right.classes[:, 0]).double()
        apart = (other.scores[:, 0] - right.scores[:, 0]).abs().double()
        rates[kind] = {
            "images": len(vectors),
            "same": float(same.mean()),
            "largest": float(apart.max()),
            "mean": float(apart.mean()),
            "margin": float((right.scores[:, 0] - right.scores[:, 1]).double().mean()),
        }
    return rates


def of_workspace(url: str) -> dict[str, dict[str, float]]:
    """The same of the latest run of a workspace."""
    folder = Folder(url)
    run = paths.read_run_record(folder)
    labels = embedded_labels(folder, run["encoder"], run["labels"])
    vectors = []
    for shard in paths.done_shards(folder, run["run"]):
        key = paths.region_embeddings(run["encoder"], run["regions"], shard)
        table = folder.read_table(key)
        vectors += [vectors_of(table)[rows] for rows in images_alike(table)]
    whole = np.concatenate(vectors).astype(np.float32)
    return agreement(whole, labels.packed, "float16", ("int8",))


def main() -> int:
    parser = options(__doc__, rounds=3)
    parser.add_argument("--workspace", help="labels of its latest run are compared, too")
    parser.add_argument("--images", type=int, default=2048, help="CLIP-like images to label")
    args = parser.parse_args()
    labelset = synthetic.labels(CLASSES)
    names = np.arange(CLASSES) + labelset.starts[:-1]
    labelled = {}
    for where, clear in (("clear images", 1.0), ("faint images", FAINT)):
        labels, vectors = synthetic.clip_like(CLASSES, args.images, DIMENSION, clear)
        spoken = torch.from_numpy(np.delete(labels, names, 0))
        packed = PackedAttributes.from_classes(spoken, labelset.sizes.tolist())
        labelled[where] = agreement(vectors, packed, "float32", ("float16", "int8"))
    if args.workspace:
        labelled["workspace"] = of_workspace(args.workspace)
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for form, table in tables(vectors[:IMAGES].reshape(-1, DIMENSION)).items():
            files[form] = Path(folder) / f"{form}.parquet"
            pq.write_table(table, files[form], **PLAIN)
        size = {form: file.stat().st_size / IMAGES for form, file in files.items()}
        ways = {f: partial(pq.read_table, file, use_threads=False) for f, file in files.items()}
        spent = best_of_turns(ways, args.rounds + 1)
    stored = "float16 list"
    figures = [
        Figure(f"bytes, {form}", size[form] / size[stored], f"{stored}, as stored")
        for form in files
        if form != stored
    ]
    figures += [
        Figure(f"reading speed, {form}", spent[stored] / spent[form], f"{stored}, as stored")
        for form in files
        if form != stored
    ]
    for where, kinds in labelled.items():
        figures += [
            Figure(f"same labels, {kind}, {where}", seconds["same"], "what is right")
            for kind, seconds in kinds.items()
        ]
    parts = [
        f"{form} {size[form] / 1e3:.1f} kB an image, {IMAGES / spent[form]:,.0f} images/s read"
        for form in files
    ]
    parts += [
        f"{where}, {kind}: {seconds['same']:.2%} of {seconds['images']:.0f} labels the same, "
        f"scores {seconds['mean']:.1e} apart, {seconds['largest']:.1e} at most (mean margin "
        f"{seconds['margin']:.1e})"
        for where, kinds in labelled.items()
        for kind, seconds in kinds.items()
    ]
    return conclude(args, "stored", figures, "; ".join(parts), size=size, seconds=spent,
                    labelled=labelled)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
