"""Synthetic runs of any size: the real records in their real places, made by numpy in seconds.

Keys, boxes, scores, evidence and plans are random numbers that add up as real ones do: the columns
of a plan sum to 1 / attributes, its contributions to the score of its class, the best region is the
one that contributes most. What runs over one archive share (images, boxes) is the same in each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lazsl.store import paths, schemas
from lazsl.store.keys import image_id, shard_id
from lazsl.store.seals import sealed_parquet

ARCHIVE, ENCODER, REGIONS, LABELS = "photos-3f2a9c1b77d0", "vit-b-16-0d1e2f", "r90-1a2b3c", "l-9f8e"
RUNS = ("photos-a1b2c3d4e5f6", "photos-f6e5d4c3b2a1")
"""Two runs: the second, of other settings, calls about an image in eight otherwise."""
CROPS, TOP, PLANS, FAMILY = 90, 5, 2, 10
SIZES = (0.03, 0.08, 0.14, 0.22, 0.21, 0.15, 0.08, 0.05, 0.03, 0.01)
"""Share of classes with 2, 3, ... 11 attributes; 5.8 in the mean, as in ImageNet's."""

_COLOURS = "white grey black brown red orange yellow green blue violet".split()
_SHAPES = "long short broad narrow curved straight round pointed".split()
_PARTS = "head back wing tail leg eye crest belly handle edge wheel stem".split()


@dataclass(frozen=True)
class Labels:
    """A label set: class names, attributes of each, and the attributes' texts class by class."""

    classes: list[str]
    sizes: np.ndarray
    starts: np.ndarray
    texts: list[str]
    parents: Mapping[str, str] = field(default_factory=dict)


@cache
def labels(classes: int) -> Labels:
    """So many classes with attributes that some of them share."""
    random = np.random.default_rng(0)
    sizes = 2 + random.choice(len(SIZES), classes, p=SIZES)
    words = [f"a {s} {c} {p}" for s in _SHAPES for c in _COLOURS for p in _PARTS]
    texts = [words[i] for n in sizes for i in random.choice(len(words), n, replace=False)]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    return Labels([f"class {number:04d}" for number in range(classes)], sizes, starts, texts)


def attributes_table(labelset: Labels, vectors: np.ndarray) -> pa.Table:
    """`records.attributes(D)`; vectors (C + N, D): per class its name's, then its attributes'."""
    rows: list[tuple[int, str, int, str | None, str]] = []
    for index, name in enumerate(labelset.classes):
        rows.append((index, name, -1, None, f"a photo of a {name}."))
        texts = labelset.texts[labelset.starts[index] : labelset.starts[index + 1]]
        rows += [
            (index, name, j, text, f"{name}, which has {text}.") for j, text in enumerate(texts)
        ]
    schema = schemas.attributes(vectors.shape[1])
    columns = [
        pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), list(schema)[:-1], strict=True)
    ]
    flat = pa.FixedSizeListArray.from_arrays(
        pa.array(vectors.astype(np.float32).ravel()), vectors.shape[1]
    )
    return pa.Table.from_arrays([*columns, flat], schema=schema)


def write_runs(
    folder: Path, images: int, classes: int, shard_size: int = 256, processes: int = 2
) -> Path:
    """A CSV of the truth of one image in twenty. The workspace has both runs, complete.

    Of the embeddings only the boxes are written: the loader reads nothing else of them.
    """
    labelset = labels(classes)
    vectors = np.zeros((classes + len(labelset.texts), 4), np.float32)
    write(folder, paths.attributes(ENCODER, LABELS), attributes_table(labelset, vectors))
    for turn, run in enumerate(RUNS):
        row = {**record(run, LABELS, labelset), "created": f"2026-01-0{turn + 1}T03:04:05+00:00"}
        write_json(folder, paths.run_record(run), row)
    shards = range(-(-images // shard_size))
    with ProcessPoolExecutor(processes) as pool:
        parts = pool.map(
            _write_shard,
            repeat(folder),
            shards,
            (min(shard_size, images - shard * shard_size) for shard in shards),
            repeat(shard_size),
            repeat(classes),
            chunksize=8,
        )
        truth = folder / "truth.csv"
        truth.write_text("key,label\n" + "".join(parts), encoding="utf-8")
    return truth


def record(run: str, of_labels: str, labelset: Labels) -> dict[str, Any]:
    """What a run writes down of itself (`run.json`)."""
    return {
        "run": run,
        "created": "2026-01-01T03:04:05+00:00",
        "archive": ARCHIVE,
        "archive_url": "s3://bucket/photos",
        "encoder": ENCODER,
        "regions": REGIONS,
        "labels": of_labels,
        "model": "ViT-B-16-quickgelu:openai",
        "classes": len(labelset.classes),
        "attributes": len(labelset.texts),
        "job": {"archive": "s3://bucket/photos", "labels": "labels.json"},
        "software": {"lazsl": "synthetic"},
    }


def write(folder: Path, name: str, table: pa.Table) -> None:
    """Write an artifact as the workspace does, but without waiting for the disk."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sealed_parquet(table)[0])


def write_json(folder: Path, name: str, value: Any) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def images_table(shard: int, count: int, shard_size: int, rejects: bool = True) -> pa.Table:
    """`schemas.IMAGES`; one image in a hundred is a reject, one a copy of the one before."""
    first = shard * shard_size
    random = np.random.default_rng([1, shard])
    keys = [
        f"20{i // 100_000:02d}/{i // 1_000 % 100:02d}/{i:08d}.jpg"
        for i in range(first, first + count)
    ]
    uris = [f"s3://bucket/photos/{key}" for key in keys]
    versions = [sha256(key.encode()).hexdigest()[:32] for key in keys]
    ids = [image_id(uri, version) for uri, version in zip(uris, versions, strict=True)]
    copies = random.random(count) < 0.01
    contents = [
        sha256(f"{first + i - bool(copy and i)}".encode()).hexdigest()
        for i, copy in enumerate(copies)
    ]
    bad = (random.random(count) < 0.01) & rejects
    wide = np.where(random.random(count) < 0.7, 1600, 1200)
    known = ~bad
    return pa.Table.from_arrays(
        [
            pa.array(ids),
            pa.array(keys),
            pa.array(uris),
            pa.array(random.integers(100_000, 900_000, count)),
            pa.array(versions),
            pa.array(contents),
            pa.array(["JPEG"] * count, mask=bad),
            pa.array(wide.astype(np.int32), mask=bad),
            pa.array((2800 - wide).astype(np.int32), mask=bad),
            pa.array(np.ones(count, np.int8), mask=bad),
            pa.array(["undecodable"] * count, mask=known),
            pa.array(["it is no image; the bytes are text"] * count, mask=known),
            pa.nulls(count, pa.string()),
        ],
        schema=schemas.IMAGES,
    )


def boxes_table(images: pa.Table, random: np.random.Generator) -> pa.Table:
    """`schemas.regions` of the usable images, without their vectors."""
    usable = images.filter(images["reason"].is_null())
    count = usable.num_rows
    size = np.stack([usable["width"].to_numpy(), usable["height"].to_numpy()], 1)[:, None]
    side = random.uniform(0.6, 0.9, (count, CROPS, 1)) * size.min(2, keepdims=True)
    corner = random.random((count, CROPS, 2)) * (size - side)
    crops = np.concatenate([corner, corner + side], 2).astype(np.int32)
    whole = np.concatenate([np.zeros_like(size), size], 2).astype(np.int32)
    boxes = np.concatenate([whole, crops], 1).reshape(-1, 4)
    schema = schemas.regions(1)
    images_of_rows = np.repeat(np.arange(count), CROPS + 1)
    return pa.Table.from_arrays(
        [
            usable["image_id"].combine_chunks().take(pa.array(images_of_rows)),
            pa.array(np.tile(np.arange(CROPS + 1), count).astype(np.int16)),
            *(pa.array(np.ascontiguousarray(boxes[:, side])) for side in range(4)),
        ],
        schema=pa.schema(list(schema)[:-1]),
    )


def _write_shard(folder: Path, shard: int, count: int, shard_size: int, classes: int) -> str:
    """Lines of the truth of some of the shard's images."""
    random = np.random.default_rng([2, shard])
    images = images_table(shard, count, shard_size)
    name = shard_id(ARCHIVE, images["image_id"].to_pylist())
    usable = images.filter(images["reason"].is_null())
    write(folder, paths.images(ENCODER, REGIONS, name), images)
    write(folder, paths.region_embeddings(ENCODER, REGIONS, name), boxes_table(images, random))
    shown, ranked = _ranked(usable.num_rows, classes, random)
    kept = random.standard_normal((usable.num_rows, CROPS), np.float32)
    kept = kept >= kept.mean(1, keepdims=True)
    for turn, run in enumerate(RUNS):
        of_shard = np.random.default_rng([3, turn, shard])
        tables = _tables(
            usable["image_id"].combine_chunks(), ranked, kept, labels(classes), of_shard, turn
        )
        for table, rows in tables.items():
            write(folder, paths.run_table(run, table, name), rows)
        marker = {
            "run": run,
            "shard": name,
            "listed": count,
            "labelled": usable.num_rows,
            "rejected": count - usable.num_rows,
            "crops": 0 if turn else usable.num_rows * (CROPS + 1),
            "bytes": 0 if turn else sum(images["size"].to_pylist()),
            "seconds": {"stage": 2.0, "embed": 20.0, "score": 0.8},
            "finished": "2026-01-03T04:05:06+00:00",
            "files": {},
        }
        write_json(folder, paths.marker(run, name), marker)
    keys = usable["key"].to_pylist()
    known = random.random(len(keys)) < 0.05
    return "".join(
        f"{key},class {label:04d}\n" for key, label, k in zip(keys, shown, known, strict=True) if k
    )


def _ranked(count: int, classes: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(B,) what is shown, some classes far more often than others, and (B, TOP) classes, best
    first: one of each family of ten; in one image of five another one than that is first."""
    weights = 1 / np.arange(1, classes + 1) ** 0.7
    shown = random.choice(classes, count, p=weights / weights.sum())
    family = min(FAMILY, classes)
    others = random.random((count, family)).argsort(1)
    base = np.minimum(shown // family * family, classes - family)[:, None]
    ranked = base + others
    # What is shown goes first, or second.
    place = (random.random(count) < 0.2).astype(np.int64)
    order = np.where(ranked == shown[:, None], place[:, None] - 0.5, np.arange(family)[None])
    return shown, np.take_along_axis(ranked, order.argsort(1, kind="stable"), 1)[:, :TOP]


def _tables(
    ids: pa.Array[Any],
    ranked: np.ndarray,
    kept: np.ndarray,
    labelset: Labels,
    random: np.random.Generator,
    turn: int,
) -> dict[str, pa.Table]:
    images, top = ranked.shape
    if turn:
        # The closest calls come out the other way round.
        other = (random.random(images) < 0.13)[:, None] & (np.arange(top) < 2)
        ranked = np.where(other, ranked[:, [1, 0, *range(2, top)]], ranked)
    gaps = random.exponential(0.004, (images, top))
    gaps[:, 0] = 0
    scores = (random.normal(0.27, 0.02, (images, 1)) - gaps.cumsum(1)).astype(np.float32)
    names, texts = pa.array(labelset.classes), pa.array(labelset.texts)
    per_rank = ids.take(pa.array(np.repeat(np.arange(images), top)))
    ranks = pa.array(np.tile(np.arange(1, top + 1), images).astype(np.int16))
    classes = names.take(pa.array(ranked.ravel()))
    baselines = [
        (scores + random.normal(d, 0.01, scores.shape)).astype(np.float32) for d in (-0.03, 0, 0)
    ]
    sure = random.beta(4, 1.5, images).astype(np.float32)
    abstained = (sure < 0.4) & (turn == 0)
    columns: list[Any] = [
        ids,
        names.take(pa.array(ranked[:, 0], mask=abstained)),
        pa.array(scores[:, 0]),
        names.take(pa.array(ranked[:, 1])),
        pa.array(scores[:, 0] - scores[:, 1]),
        pa.array(sure, mask=np.full(images, turn > 0)),
        pa.array(abstained),
        pa.array(kept.sum(1).astype(np.int16)),
    ]
    for baseline in baselines:
        best = baseline.argmax(1)
        columns.append(names.take(pa.array(np.take_along_axis(ranked, best[:, None], 1)[:, 0])))
        columns.append(pa.array(baseline.max(1)))
    columns.append(pa.array(np.full(images, CROPS, np.int16)))
    columns += [pa.nulls(images, field.type) for field in [*schemas.PREDICTIONS][len(columns) :]]
    tables = {
        "predictions": pa.Table.from_arrays(columns, schema=schemas.PREDICTIONS),
        "scores": pa.Table.from_arrays(
            [per_rank, ranks, classes, pa.array(scores.ravel())]
            + [pa.array(baseline.ravel()) for baseline in baselines],
            schema=schemas.SCORES,
        ),
    }
    mass, similarity, real = _plans(ranked[:, :PLANS], kept, scores[:, :PLANS], labelset, random)
    tables["evidence"] = _evidence(
        per_rank, ranks, classes, texts, ranked, scores, mass * similarity, mass, labelset, random
    )
    tables["plans"] = _plans_table(per_rank, ranks, classes, scores, kept, mass, similarity, real)
    return tables


def _plans(
    ranked: np.ndarray,
    kept: np.ndarray,
    scores: np.ndarray,
    labelset: Labels,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mass and similarity (B, PLANS, CROPS, most attributes), and which attributes are real."""
    sizes = labelset.sizes[ranked]
    most = int(sizes.max(initial=1))
    real = np.arange(most) < sizes[:, :, None]
    shape = (*ranked.shape, CROPS, most)
    similarity = random.standard_normal(shape, np.float32)
    similarity *= 0.03
    mass = np.exp(similarity * 10 + 0.2 * random.standard_normal(shape, np.float32))
    mass *= kept[:, None, :, None] & real[:, :, None]
    mass /= np.maximum(mass.sum(2, keepdims=True), 1e-9) * sizes[:, :, None, None]
    # The mass sums to 1: moved by what is missing, the contributions sum to the score.
    similarity += (scores - (mass * similarity).sum((2, 3)))[:, :, None, None]
    return mass, similarity, np.broadcast_to(real[:, :, None], shape)


def _evidence(
    ids: pa.Array[Any],
    ranks: pa.Array[Any],
    classes: pa.Array[Any],
    texts: pa.Array[Any],
    ranked: np.ndarray,
    scores: np.ndarray,
    parts: np.ndarray,
    mass: np.ndarray,
    labelset: Labels,
    random: np.random.Generator,
) -> pa.Table:
    images, top = ranked.shape
    sizes = labelset.sizes[ranked]
    most = int(sizes.max(initial=1))
    real = np.arange(most) < sizes[:, :, None]
    # Ranks without a plan: shares of the score around an even one.
    contribution = random.normal(1, 0.1, real.shape) * real
    contribution *= (scores / contribution.sum(2))[:, :, None]
    region = random.integers(0, CROPS, real.shape)
    share = random.uniform(0.03, 0.06, real.shape)
    plans, wide = parts.shape[1], parts.shape[3]
    contribution[:, :plans, :wide] = parts.sum(2)
    best = parts.argmax(2)
    region[:, :plans, :wide] = best
    shares = np.take_along_axis(mass, best[:, :, None], 2)[:, :, 0] * sizes[:, :plans, None]
    share[:, :plans, :wide] = shares
    row = pa.array(np.repeat(np.arange(images * top), sizes.ravel()))
    within = np.broadcast_to(np.arange(most), real.shape)[real]
    text = (labelset.starts[ranked][:, :, None] + np.arange(most))[real]
    return pa.Table.from_arrays(
        [
            ids.take(row),
            ranks.take(row),
            classes.take(row),
            pa.array(within.astype(np.int16)),
            texts.take(pa.array(text)),
            pa.array(contribution[real].astype(np.float32)),
            pa.array((contribution * sizes[:, :, None])[real].astype(np.float32)),
            pa.array((region[real] + 1).astype(np.int16)),
            pa.array(share[real].astype(np.float32)),
            pa.nulls(len(row), pa.float32()),  # no presence: the paper's plans
        ],
        schema=schemas.EVIDENCE,
    )


def _plans_table(
    ids: pa.Array[Any],
    ranks: pa.Array[Any],
    classes: pa.Array[Any],
    scores: np.ndarray,
    kept: np.ndarray,
    mass: np.ndarray,
    similarity: np.ndarray,
    real: np.ndarray,
) -> pa.Table:
    images, plans = mass.shape[:2]
    sizes = real[:, :, 0].sum(2)
    cells = kept[:, None, :, None] & real
    passed = ~kept[:, None, :, None] & real
    regions = np.repeat(kept[:, None], plans, 1)
    counts = np.repeat(kept.sum(1)[:, None], plans, 1)
    chosen = pa.array((np.tile(np.arange(scores.shape[1]), images)) < plans)
    number = np.broadcast_to(np.arange(1, CROPS + 1, dtype=np.int16), regions.shape)
    return pa.Table.from_arrays(
        [
            *(column.filter(chosen) for column in (ids, ranks, classes)),
            pa.array(scores[:, :plans].ravel()),
            pa.array(np.full(images * plans, 4, np.int32)),
            pa.array(np.full(images * plans, 0.001, np.float32)),
            _lists(counts, number[regions]),
            pa.array(sizes.ravel().astype(np.int16)),
            _lists(counts * sizes, mass[cells]),
            _lists(counts * sizes, similarity[cells]),
            _lists((CROPS - counts) * sizes, similarity[passed]),
            _lists(counts, np.where(real, mass, 0).sum(3)[regions].astype(np.float32)),
        ],
        schema=schemas.PLANS,
    )


def _lists(lengths: np.ndarray, values: np.ndarray) -> pa.Array[Any]:
    offsets = np.concatenate([[0], np.cumsum(lengths.ravel())]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


def clip_like(
    classes: int, images: int, dimension: int = 512, clear: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of a label set (C + N, D), per class its name's then its attributes', and of regions
    (B, 1 + CROPS, D), the whole image first; float32, of unit length.

    All share a direction, as CLIP's do: cosines of regions and attributes are 0.22 in the mean,
    0.04 in deviation. Each image shows one class, in some crops more than in others; the less
    `clear` it is, the closer is the second best class.
    """
    random = np.random.default_rng(0)
    labelset = labels(classes)

    def noise(*shape: int) -> np.ndarray:
        return _unit(random.standard_normal((*shape, dimension), np.float32))

    common, meanings, scenes = noise(1)[0], noise(classes), noise(images)
    named = _unit(0.5 * common + 0.5 * meanings + 0.5 * noise(classes))
    sentences = np.repeat(meanings, labelset.sizes, 0)
    spoken = _unit(0.5 * common + 0.5 * sentences + 0.7 * noise(len(sentences)))
    first = np.arange(classes) + labelset.starts[:-1]
    vectors = np.empty((classes + len(sentences), dimension), np.float32)
    vectors[first] = named
    vectors[np.setdiff1d(np.arange(len(vectors)), first)] = spoken
    shown = meanings[np.arange(images) % classes][:, None]
    strength = clear * (0.15 + 0.2 * random.random((images, CROPS, 1), np.float32))
    crops = 0.45 * common + strength * shown + 0.6 * scenes[:, None] + 0.6 * noise(images, CROPS)
    whole = 0.45 * common + 0.25 * clear * shown + 0.85 * scenes[:, None]
    return vectors, _unit(np.concatenate([whole, crops], 1).astype(np.float32))


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit
