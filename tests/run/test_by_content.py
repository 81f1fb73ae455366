"""A picture whose bytes were embedded before costs no forward pass, wherever it lies now."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from sample import content, copy_sample, label_plainly, small_job

from lazsl.run import embed_step, known_content, plan_step, score_step
from lazsl.run.known_content import KnownContent
from lazsl.run.run import open_relabelling, record_run
from lazsl.store import paths

FEW = {"regions": {"count": 6}, "shard_size": 4}


def passes(run: object) -> int:
    workspace, key = run.workspace, run.key  # type: ignore[attr-defined]
    names = paths.done_shards(workspace, key)
    return sum(workspace.read_record(paths.marker(key, n))["crops"] for n in names)


def without_places(path: Path, table: str) -> list[tuple[object, ...]]:
    """Rows of a table by their values alone: images have other names where they lie elsewhere."""
    ids = {row[2]: row[7] for row in content(path)["images"]}
    rows = content(path, by_shard=False)[table]
    named = [
        tuple(ids.get(value, value) if isinstance(value, str) else value for value in row)
        for row in rows
    ]
    return sorted(named, key=repr)


def test_a_moved_archive_and_copies_cost_no_forward_pass_and_have_the_same_scores(
    tmp_path: Path,
) -> None:
    archive = copy_sample(tmp_path / "archive", 6, odd=False)
    first = label_plainly(small_job(archive, tmp_path / "w", **FEW), tmp_path / "scratch")
    assert passes(first) == 6 * 7 and embed_step.count_copies(first) == 0

    moved = tmp_path / "moved" / "deep"
    shutil.copytree(archive, moved)
    again = small_job(moved.parent, tmp_path / "w", warehouse=str(tmp_path / "b.duckdb"), **FEW)
    second = label_plainly(again, tmp_path / "scratch")
    assert passes(second) == 0 and embed_step.count_copies(second) == 6
    for table in ("predictions", "scores", "evidence", "plans"):
        old = without_places(first.job.warehouse_path, table)
        new = without_places(second.job.warehouse_path, table)
        # The run and the archive have other keys.
        assert [row[1:] for row in old] == [row[1:] for row in new], table

    for number in range(3):
        picture = sorted(moved.rglob("*.jpg"))[number]
        shutil.copy(picture, picture.with_name(f"copy {number}.jpg"))
    new_picture = sorted(copy_sample(tmp_path / "more", 7, odd=False).rglob("*.jpg"))[-1]
    for name in ("x.jpg", "y.jpg"):  # twins in one shard
        shutil.copy(new_picture, moved / name)
    third = label_plainly(again, tmp_path / "scratch")
    assert passes(third) == 7 and embed_step.count_copies(third) == 6 + 4


def test_a_run_is_scored_again_after_its_label_set_was_taken_away(tmp_path: Path) -> None:
    archive = copy_sample(tmp_path / "archive", 2, odd=False)
    job = small_job(archive, tmp_path / "w", **FEW)
    labels = tmp_path / "labels.json"
    shutil.copy(job.labels, labels)
    run = label_plainly(job.model_copy(update={"labels": str(labels)}), tmp_path / "scratch")
    labels.unlink()
    relabelled = open_relabelling(run.workspace, run.key, {"scoring": {"theta": 0.5}})
    assert relabelled.labels == run.labels and relabelled.key != run.key
    record_run(relabelled, run.key)
    assert (
        score_step.score_shard(relabelled, plan_step.archive_shards(relabelled)[0])["labelled"] == 2
    )


@pytest.mark.parametrize("name", ["images.parquet", "parquet"])
def test_content_whose_embeddings_are_damaged_is_embedded_anew(tmp_path: Path, name: str) -> None:
    archive = copy_sample(tmp_path / "archive", 1, odd=False)
    first = label_plainly(small_job(archive, tmp_path / "w", **FEW), tmp_path / "scratch")
    (shard,) = paths.done_shards(first.workspace, first.key)
    place = tmp_path / "w" / f"embeddings/{first.encoder}/{first.regions}/{shard}.{name}"
    place.write_bytes(b"no parquet")
    moved = shutil.copytree(archive, tmp_path / "moved")
    second = label_plainly(
        small_job(moved, tmp_path / "w", warehouse=str(tmp_path / "b.duckdb"), **FEW),
        tmp_path / "scratch",
    )
    assert passes(second) == 7 and embed_step.count_copies(second) == 0


def test_embeddings_of_an_older_lazsl_which_converted_no_colour_are_not_taken(
    tmp_path: Path,
) -> None:
    archive = copy_sample(tmp_path / "archive", 1, odd=False)
    first = label_plainly(small_job(archive, tmp_path / "w", **FEW), tmp_path / "scratch")
    (shard,) = paths.done_shards(first.workspace, first.key)
    name = paths.images(first.encoder, first.regions, shard)
    images = first.workspace.read_table(name)
    first.workspace.write_table(name, images.drop_columns("notes"))
    moved = shutil.copytree(archive, tmp_path / "moved")
    other = small_job(moved, tmp_path / "w", warehouse=str(tmp_path / "b.duckdb"), **FEW)
    second = label_plainly(other, tmp_path / "scratch")
    assert passes(second) == 7 and embed_step.count_copies(second) == 0


def test_the_index_of_content_is_that_of_a_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_content, "_MERGED", 50)
    known, places, sizes = KnownContent(), {}, set()
    for shard in range(40):
        rows = range(shard % 7, shard % 7 + 9)
        digests = [hashlib.sha256(f"{shard * 6 + row}".encode()) for row in rows]
        usable = [row % 5 > 0 for row in rows]
        known.add(
            str(shard),
            pa.table(
                {
                    "digest": [digest.hexdigest() for digest in digests],
                    "size": pa.array([shard * 10 + row for row in rows], pa.int64()),
                    "reason": pa.array([None if use else "corrupt" for use in usable], pa.string()),
                }
            ),
        )
        for row, (digest, use) in enumerate(zip(digests, usable, strict=True)):
            if use:
                places.setdefault(digest.digest(), (str(shard), row))
                sizes.add(shard * 10 + rows[row])
    assert len(places) > 200
    for number in range(300):
        digest = hashlib.sha256(f"{number}".encode()).digest()
        assert known.place(digest) == places.get(digest)
    assert {size for size in range(500) if known.may_hold(size)} == sizes
    assert known.may_hold(None) and not KnownContent().may_hold(None)
