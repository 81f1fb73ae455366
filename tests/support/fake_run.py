"""A small synthetic run, made of random numbers that add up: no image and no model is behind it.

It has the real schemas and the real places of every file; so the warehouse can be tested alone.
"""

from __future__ import annotations

import hashlib
import pickle
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lazsl.store import keys, paths, schemas
from lazsl.store.folder import Folder

DIMENSION = 4
CLASSES: dict[str, list[str]] = {
    "wren": ["a cocked tail", "a white eyebrow"],
    "o'Hara's \"finch\"; drop table runs; --": ["a 'thick' bill", "50% grey; wings", "a crest"],
    "Grünspecht 鳥 \u202egnirts": ["a red crown"],
    "$run ? {} \\ %s": ["used for $1", "a \\n bill"],
}
HOSTILE_KEY = 'it\'s; drop table images; -- 鳥/%41[0]"$run".jpg'
Row = dict[str, Any]


@dataclass(frozen=True)
class FakeRun:
    """What a synthetic run wrote, as rows in plain Python; rows carry run and shard besides."""

    record: Row
    shards: list[str]
    images: list[Row]
    boxes: dict[str, list[dict[str, int]]]
    tables: dict[str, list[Row]]
    attributes: list[Row]

    @property
    def run(self) -> str:
        """The run key."""
        return str(self.record["run"])

    @property
    def labelled(self) -> list[Row]:
        """Images that were not rejected."""
        return [row for row in self.images if row["reason"] is None]


def write_run(workspace: Folder, **changes: Any) -> FakeRun:
    """The rows of the run, which is complete in the workspace; for `changes` see `_made_run`.

    The same run is made once, and then copied.
    """
    name = repr(sorted(changes.items()))
    if name not in _made:
        with tempfile.TemporaryDirectory() as place:
            fake = _made_run(Folder(place), **changes)
            files = [path for path in Path(place).rglob("*") if path.is_file()]
            data = {path.relative_to(place).as_posix(): path.read_bytes() for path in files}
            _made[name] = pickle.dumps(fake), data
    rows, files_by_name = _made[name]
    for file, content in files_by_name.items():
        workspace.write_bytes(file, content)
    fake = pickle.loads(rows)
    assert isinstance(fake, FakeRun)
    return fake


_made: dict[str, tuple[bytes, dict[str, bytes]]] = {}


def _made_run(
    workspace: Folder,
    *,
    run: str = "sample-a",
    archive: str = "archive-1",
    encoder: str = "encoder-1",
    labels: str = "labels-1",
    classes: dict[str, list[str]] | None = None,
    images: int = 23,
    shard_size: int = 7,
    regions: int = 6,
    top_k: int = 3,
    plans: int = 2,
    reject_every: int = 5,
    abstain_every: int = 0,
    garbage_shard: bool = True,
    created: str = "2026-01-02T03:04:05+00:00",
    seed: int = 0,
    keep: Sequence[str] | None = None,
) -> FakeRun:
    """The rows of a run, which is written into a workspace.

    The same archive always has the same images, boxes and shards. The image with index 1 has a
    hostile key, 2 and 3 are the same bytes. With `garbage_shard` the last shard has only rejects.

    Args:
        seed: other seeds give other scores.
        abstain_every: every so manieth image of a shard gets no label; 0: the run has no
            temperature.
        keep: shards that get a completion marker; None marks all.
    """
    classes = CLASSES if classes is None else classes
    record: Row = {
        "run": run,
        "created": created,
        "archive": archive,
        "archive_url": f"s3://bucket/{archive}",
        "encoder": encoder,
        "regions": "r-1",
        "labels": labels,
        "model": "none (synthetic)",
        "classes": len(classes),
        "attributes": sum(map(len, classes.values())),
        "job": {"archive": f"s3://bucket/{archive}", "scoring": {"top_k": top_k, "plans": plans}},
        "software": {"lazsl": "synthetic"},
    }
    workspace.write_json(paths.run_record(run), record)
    attributes = _attributes(classes)
    vectors = [[0.0] * DIMENSION] * len(attributes)
    table = pa.Table.from_pylist(
        [{**row, "embedding": v} for row, v in zip(attributes, vectors, strict=True)],
        schema=schemas.attributes(DIMENSION),
    )
    workspace.write_table(paths.attributes(encoder, labels), table)

    rows = [_image(archive, index, images, reject_every) for index in range(images)]
    if garbage_shard:
        start = (images - 1) // shard_size * shard_size
        for row in rows[start:]:
            row.update(_REJECTED)
    fake = FakeRun(record, [], rows, {}, {name: [] for name in schemas.RUN_TABLES}, attributes)
    random = np.random.default_rng(seed)
    for start in range(0, images, shard_size):
        part = rows[start : start + shard_size]
        shard = keys.shard_id(archive, [row["image_id"] for row in part])
        fake.shards.append(shard)
        for row in part:
            row["shard"] = shard
        _write_embeddings(workspace, fake, shard, part, regions)
        _write_scores(
            workspace, fake, shard, part, classes, regions, top_k, plans, random, abstain_every
        )
        if keep is None or shard in keep:
            write_marker(workspace, fake, shard)
    return fake


def write_marker(workspace: Folder, fake: FakeRun, shard: str, **changes: Any) -> None:
    """Mark one shard as done; `changes` replace what the marker truly says."""
    part = [row for row in fake.images if row.get("shard") == shard]
    labelled = sum(row["reason"] is None for row in part)
    encoder, regions = fake.record["encoder"], fake.record["regions"]
    files = [paths.run_table(fake.run, table, shard) for table in schemas.RUN_TABLES]
    files.append(paths.images(encoder, regions, shard))
    marker = {
        "run": fake.run,
        "shard": shard,
        "listed": len(part),
        "labelled": labelled,
        "rejected": len(part) - labelled,
        "crops": labelled * 7,
        "bytes": sum(row["size"] for row in part),
        "seconds": {"stage": 0.25, "embed": 1.5, "score": 0.5},
        "finished": "2026-01-02T05:04:05+02:00",
        "files": {name: hashlib.sha256(workspace.read_bytes(name)).hexdigest() for name in files},
    }
    workspace.write_json(paths.marker(fake.run, shard), {**marker, **changes})


_REJECTED: Row = {
    "reason": "undecodable",
    "detail": "it's no image; the bytes are text",
    "width": None,
    "height": None,
    "orientation": None,
    "format": None,
}


def _image(archive: str, index: int, count: int, reject_every: int) -> Row:
    key = HOSTILE_KEY if index == 1 else f"folder/{index:06d}.jpg"
    uri = f"s3://bucket/{archive}/{key}"
    content = 2 if index == 3 else index
    row: Row = {
        "image_id": keys.image_id(uri, f"etag-{index}"),
        "key": key,
        "uri": uri,
        "size": 1000 + index,
        "version": f"etag-{index}",
        "digest": hashlib.sha256(f"{archive} {content}".encode()).hexdigest(),
        "format": "JPEG",
        "width": 200 + index,
        "height": 150,
        "orientation": 1,
        "reason": None,
        "detail": None,
    }
    if reject_every and index % reject_every == reject_every - 1:
        row |= _REJECTED
    return row


def _attributes(classes: dict[str, list[str]]) -> list[Row]:
    rows: list[Row] = []
    for index, (name, words) in enumerate(classes.items()):
        common = {"class_index": index, "class": name}
        bare = {"attribute_index": -1, "attribute": None, "prompt": f"a photo of a {name}."}
        rows.append({**common, **bare})
        for position, word in enumerate(words):
            prompt = f"{name}, which has {word}."
            rows.append(
                {**common, "attribute_index": position, "attribute": word, "prompt": prompt}
            )
    return rows


def _write_embeddings(
    workspace: Folder, fake: FakeRun, shard: str, part: list[Row], regions: int
) -> None:
    rows: list[Row] = []
    for image in part:
        if image["reason"] is not None:
            continue
        random = np.random.default_rng(int(image["digest"][:8], 16))
        boxes = [{"left": 0, "top": 0, "right": image["width"], "bottom": image["height"]}]
        for _ in range(regions):
            side = int(random.integers(50, 140))
            left = int(random.integers(0, image["width"] - side))
            top = int(random.integers(0, image["height"] - side))
            boxes.append({"left": left, "top": top, "right": left + side, "bottom": top + side})
        fake.boxes[image["image_id"]] = boxes
        for region, box in enumerate(boxes):
            vector = np.zeros(DIMENSION, np.float16)
            rows.append(
                {"image_id": image["image_id"], "region": region, **box, "embedding": vector}
            )
    encoder, key = fake.record["encoder"], fake.record["regions"]
    table = pa.Table.from_pylist(rows, schema=schemas.regions(DIMENSION))
    workspace.write_table(paths.region_embeddings(encoder, key, shard), table)
    listed = pa.Table.from_pylist(part, schema=schemas.IMAGES)
    workspace.write_table(paths.images(encoder, key, shard), listed)


def _write_scores(
    workspace: Folder,
    fake: FakeRun,
    shard: str,
    part: list[Row],
    classes: dict[str, list[str]],
    regions: int,
    top_k: int,
    plans: int,
    random: np.random.Generator,
    abstain_every: int,
) -> None:
    written: dict[str, list[Row]] = {name: [] for name in schemas.RUN_TABLES}
    for image in part:
        if image["reason"] is None:
            for name, rows in _score(image["image_id"], classes, regions, random).items():
                limit = {"plans": plans}.get(name, top_k)
                written[name] += [row for row in rows if row.get("rank", 0) <= limit]
    for index, row in enumerate(written["predictions"]):
        row["abstained"] = bool(abstain_every) and index % abstain_every == 0
        row["confidence"] = 0.25 + 0.5 * (not row["abstained"]) if abstain_every else None
        row["label"] = None if row["abstained"] else row["label"]
    for name, schema in schemas.RUN_TABLES.items():
        table = pa.Table.from_pylist(written[name], schema=schema)
        workspace.write_table(paths.run_table(fake.run, name, shard), table)
        # Read back, so that values are rounded as they are stored.
        fake.tables[name] += [{**row, "run": fake.run, "shard": shard} for row in table.to_pylist()]


def _score(
    image_id: str, classes: dict[str, list[str]], regions: int, random: np.random.Generator
) -> dict[str, list[Row]]:
    """All classes of one image: a random plan with exact column sums, and what follows from it."""
    kept = np.sort(random.choice(np.arange(1, regions + 1), size=regions // 2, replace=False))
    scores = []
    for name, words in classes.items():
        mass = random.random((len(kept), len(words)))
        mass /= mass.sum(axis=0) * len(words)
        similarity = random.uniform(0.1, 0.4, mass.shape)
        scores.append(((mass * similarity).sum(), name, words, mass, similarity))
    scores.sort(key=lambda item: -item[0])
    tables: dict[str, list[Row]] = {name: [] for name in schemas.RUN_TABLES}
    for rank, (score, name, words, mass, similarity) in enumerate(scores, start=1):
        common = {"image_id": image_id, "rank": rank, "class": name}
        baselines = dict(
            zip(("clip_score", "dclip_score", "crop_mean_score"), random.random(3), strict=True)
        )
        tables["scores"].append({**common, "score": score, **baselines})
        cells = mass * similarity
        for index, word in enumerate(words):
            best = int(cells[:, index].argmax())
            tables["evidence"].append(
                {
                    **common,
                    "attribute_index": index,
                    "attribute": word,
                    "contribution": cells[:, index].sum(),
                    "similarity": cells[:, index].sum() * len(words),
                    "best_region": int(kept[best]),
                    "best_share": mass[best, index] / mass[:, index].sum(),
                }
            )
        tables["plans"].append(
            {
                **common,
                "score": score,
                "iterations": 7,
                "residual": 0.001,
                "regions": kept.tolist(),
                "attributes": len(words),
                "mass": mass.ravel().tolist(),
                "similarity": similarity.ravel().tolist(),
                "passed_over": np.full((regions - len(kept)) * len(words), 0.1).tolist(),
            }
        )
    names = [item[1] for item in scores]
    prediction: Row = {
        "image_id": image_id,
        "label": names[0],
        "score": scores[0][0],
        "runner_up": names[1] if len(names) > 1 else None,
        "margin": scores[0][0] - scores[1][0] if len(names) > 1 else None,
        "kept": len(kept),
    }
    for method in ("clip", "dclip", "crop_mean"):
        prediction[f"{method}_label"] = names[int(random.integers(len(names)))]
        prediction[f"{method}_score"] = float(random.random())
    tables["predictions"].append(prediction)
    return tables
