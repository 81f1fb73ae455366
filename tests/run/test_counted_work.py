"""How much is done, not how long it takes: counts of a small job, held against a committed file.

Seconds say little on a busy machine. That every crop is encoded once, every image fetched once,
that so many transport problems are solved, rows written and requests made, can be counted, and
whatever does it twice is seen. `counted_work.json` holds what is expected. If a change is meant:

    LAZSL_COUNTED=write python -m pytest tests/run/test_counted_work.py
"""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import torch
from s3 import FaultyS3
from s3fs import S3FileSystem
from sample import content, label_plainly, sample_files, small_job

from lazsl import fieldguide
from lazsl.alignment.matching import Matching
from lazsl.alignment.transport import Transport
from lazsl.model.encoder import Encoder
from lazsl.run import models
from lazsl.store.folder import Folder

EXPECTED = Path(__file__).with_name("counted_work.json")
WRITE = os.environ.get("LAZSL_COUNTED") == "write"
SHARD, CROPS, CLASSES = 4, 12, 60
KINDS = {
    "predictions": "predictions",
    "scores": "scores",
    "evidence": "evidence",
    "plans": "plans",
    "images.parquet": "images",
    "embeddings": "region embeddings",
    "manifests": "manifest",
    "attributes": "label set",
}


@dataclass(frozen=True)
class Expected:
    """A count, how far it may be off as a share of it, and what it counts in words."""

    count: int
    tolerance: float
    counts: str


def label(bucket: str, store: FaultyS3, folder: Path, images: int, classes: int) -> Counter[str]:
    """Label so many pictures in a bucket with so many classes; what that took."""
    place = f"{bucket}/{images}-{classes}"
    archive = Folder(f"{place}/archive")
    pictures = sample_files(images, odd=False)
    for file in pictures:
        archive.write_bytes(file.name, file.read_bytes())
    store.asked.clear()
    store.sent.clear()
    labels = folder / f"{classes}.json"
    every = json.loads(fieldguide.LABELS_FILE.read_text(encoding="utf-8"))
    every = every.get("classes", every)
    labels.write_text(json.dumps(dict(list(every.items())[:classes])), encoding="utf-8")
    job = small_job(
        f"{place}/archive",
        f"{place}/made",
        labels=str(labels),
        regions={"count": CROPS},
        shard_size=SHARD,
        warehouse=str(folder / f"{images}-{classes}.duckdb"),
    )
    # A model that is loaded already would not be loaded again.
    models._loaded.clear()
    with pytest.MonkeyPatch.context() as patch:
        done = watched(patch)
        run = label_plainly(job, folder / f"scratch-{images}-{classes}")
    for what, times in store.asked.items():
        done[f"requests: {what}"] = times
    for path, size in store.sent.items():
        if "/archive/" in path:
            done["bytes of images fetched"] += size
        elif "/made/" in path:
            done["bytes read from the workspace"] += size
    for name, info in run.workspace.details("", ".parquet").items():
        kind = next(kind for part, kind in KINDS.items() if part in name)
        done[f"bytes of Parquet: {kind}"] += info["size"]
    for table, rows in content(job.warehouse_path).items():
        done[f"rows: {table}"] = len(rows)
    return done


def watched(patch: pytest.MonkeyPatch) -> Counter[str]:
    """A count, from now on, of what goes through the model and through Sinkhorn."""
    done: Counter[str] = Counter()
    encode_crops, encode_sentences = Encoder.encode_crops, Encoder.encode_sentences
    solve = Matching.solve

    def crops(self: Encoder, batch: torch.Tensor) -> torch.Tensor:
        done["vision tower"] += len(batch)
        return encode_crops(self, batch)

    def sentences(self: Encoder, texts: Sequence[str], *more: Any, **named: Any) -> torch.Tensor:
        done["text tower"] += len(texts)
        return encode_sentences(self, texts, *more, **named)

    def solved(self: Matching, *given: Any, **named: Any) -> Transport:
        solution = solve(self, *given, **named)
        done["transport problems"] += solution.iterations.numel()
        done["Sinkhorn iterations"] += int(solution.iterations.sum())
        return solution

    patch.setattr(Encoder, "encode_crops", crops)
    patch.setattr(Encoder, "encode_sentences", sentences)
    patch.setattr(Matching, "solve", solved)
    return done


def differences(counts: Counter[str], expected: dict[str, Expected]) -> list[str]:
    """A sentence for every count that is not what is expected."""
    sentences = []
    for name in sorted(counts.keys() | expected.keys()):
        wanted = expected.get(name, Expected(0, 0.0, "nothing that was counted before"))
        off = abs(counts[name] - wanted.count)
        if off > wanted.tolerance * wanted.count:
            times = f", {counts[name] / wanted.count:.2f} times" if wanted.count else ""
            sentences.append(
                f"{name}: {counts[name]:,} where {wanted.count:,} are expected{times} "
                f"({wanted.counts}). If this is meant, write {EXPECTED.name} anew with "
                "LAZSL_COUNTED=write python -m pytest tests/run/test_counted_work.py, and say why "
                "in the commit."
            )
    return sentences


def expected() -> dict[str, Expected]:
    return {name: Expected(**fields) for name, fields in json.loads(EXPECTED.read_text()).items()}


@pytest.fixture(scope="module")
def counted(
    s3_server: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[int, int], Counter[str]]:
    """What labelling took, by images and classes."""
    store = FaultyS3(s3_server)
    name = f"b-{uuid.uuid4().hex}"
    boto3.client("s3", endpoint_url=s3_server).create_bucket(Bucket=name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", store.url)
        S3FileSystem.clear_instance_cache()
        folder = tmp_path_factory.mktemp("counted")
        sizes = ((4, CLASSES), (8, CLASSES), (16, CLASSES), (8, CLASSES // 2))
        actual = {size: label(f"s3://{name}", store, folder, *size) for size in sizes}
    S3FileSystem.clear_instance_cache()
    store.stop()
    return actual


def test_a_job_does_as_much_as_is_expected_and_no_more(
    counted: dict[tuple[int, int], Counter[str]],
) -> None:
    counted_now = counted[16, CLASSES]
    if WRITE:
        known = (
            {name: vars(fields) for name, fields in expected().items()} if EXPECTED.exists() else {}
        )
        new = {"tolerance": 0.0, "counts": "?"}
        written = {
            name: {**known.get(name, new), "count": counted_now[name]}
            for name in sorted(+counted_now)
        }
        EXPECTED.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n")
    sentences = differences(counted_now, expected())
    assert not sentences, "\n".join(sentences)


def test_work_grows_with_images_classes_and_shards_as_stated(
    counted: dict[tuple[int, int], Counter[str]],
) -> None:
    four, eight, sixteen = (counted[images, CLASSES] for images in (4, 8, 16))
    for count, images in ((four, 4), (eight, 8), (sixteen, 16)):
        assert count["vision tower"] == images * (CROPS + 1)
        for table in ("images", "predictions", "regions"):
            assert count[f"rows: {table}"] == images
    assert four["text tower"] == eight["text tower"] == sixteen["text tower"]
    # Requests: so many a job and so many a shard of four images, whatever the archive's size.
    for kind in ("LIST", "GET", "HEAD", "PUT"):
        name = f"requests: {kind}"
        assert sixteen[name] - eight[name] == 2 * (eight[name] - four[name]), kind
    # Half the classes: half the sentences, no more than half the problems saved or spent.
    fewer = counted[8, CLASSES // 2]
    assert fewer["vision tower"] == eight["vision tower"]
    assert 0.4 < fewer["text tower"] / eight["text tower"] < 0.6
    assert fewer["transport problems"] <= eight["transport problems"]
    assert eight["transport problems"] <= 2.2 * fewer["transport problems"]


def test_twice_the_work_is_one_sentence_that_says_what_and_what_to_do() -> None:
    known = expected()
    for name, count in known.items():
        doubled = Counter({other: each.count for other, each in known.items()})
        doubled[name] *= 2
        (sentence,) = differences(doubled, known)
        assert sentence.startswith(
            f"{name}: {2 * count.count:,} where {count.count:,} are expected"
        )
        assert "LAZSL_COUNTED=write" in sentence and count.counts in sentence


def test_every_count_says_what_it_counts_and_how_near_it_has_to_be() -> None:
    for name, count in expected().items():
        assert count.count > 0 and len(count.counts) > 10, name
        assert count.tolerance <= 0.25, name
