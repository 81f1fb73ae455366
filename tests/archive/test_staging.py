"""Claims about fetching a shard: whole, as listed, bounded, and sound when the store is not."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pyarrow as pa
import pytest
from s3 import RESET, SHORT, SILENT, TORN, FaultyS3
from s3fs import S3FileSystem

from lazsl.archive import staging
from lazsl.archive.manifest import shard_images
from lazsl.archive.shard_planning import plan_shards
from lazsl.archive.staged_images import Staged, read_staged, unstage
from lazsl.errors import UserError
from lazsl.images.reasons import REASONS, Reject
from lazsl.store import schemas, seals
from lazsl.store.folder import Folder

OBJECTS = {f"{n % 3}/[{n}] a+b%20#é.jpg": os.urandom(100 + n) for n in range(9)} | {
    "empty.jpg": b""
}


def listed(url: str, workspace: Path, objects: dict[str, bytes] = OBJECTS) -> pa.Table:
    """Writes the objects and returns their one shard."""
    folder = Folder(url)
    for key, data in objects.items():
        folder.write_bytes(key, data)
    plan = plan_shards(Folder(str(workspace)), url, (".jpg",), 1000)
    assert len(plan.shards) == 1
    return shard_images(Folder(str(workspace)), plan.archive, plan.shards[0])


def stage(images: pa.Table, url: str, directory: Path, fetchers: int = 4, **options) -> Staged:
    return staging.stage(images, url, directory, fetchers, **{"pause": 0.001, **options})


def contents(staged: Staged) -> dict[str, bytes | Reject]:
    keys = staged.table["key"].to_pylist()
    return {key: staged.read(row) for row, key in enumerate(keys)}


def rejects(staged: Staged) -> dict[str, str]:
    rejects = {key: item for key, item in contents(staged).items() if isinstance(item, Reject)}
    for reject in rejects.values():
        assert reject.reason in REASONS and reject.detail
    return {key: reject.reason for key, reject in rejects.items()}


def at(bucket: str, key: str) -> str:
    return f"/{bucket.removeprefix('s3://')}/{key}"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "staging").mkdir()
    return tmp_path / "staging" / "shard"


def test_every_object_is_staged_byte_for_byte_in_the_order_of_the_shard(
    place: str, tmp_path: Path, directory: Path
) -> None:
    images = listed(place, tmp_path / "w")
    progress: list[tuple[int, int]] = []
    staged = stage(images, place, directory, on_progress=lambda *step: progress.append(step))
    assert staged.table.schema == schemas.STAGED
    assert staged.table["image_id"].equals(images["image_id"])
    assert contents(staged) == OBJECTS
    assert progress == [(count, 10) for count in range(1, 11)]


def test_any_file_system_of_fsspec_can_be_staged(tmp_path: Path, directory: Path) -> None:
    images = listed("memory://staged", tmp_path / "w")
    memory = fsspec.filesystem("memory")
    try:
        assert contents(stage(images, "memory://staged", directory)) == OBJECTS
        unstage(directory)
        memory.pipe_file("/staged/empty.jpg", b"no more")
        assert rejects(stage(images, "memory://staged", directory)) == {"empty.jpg": "changed"}
    finally:
        memory.store.clear()


def test_a_local_archive_is_pointed_at_and_not_copied(tmp_path: Path, directory: Path) -> None:
    url = str(tmp_path / "archive")
    staged = stage(listed(url, tmp_path / "w"), url, directory)
    assert os.listdir(directory) == ["staged.parquet"]
    keys, paths = staged.table["key"].to_pylist(), staged.table["path"].to_pylist()
    assert paths == [f"{url}/{key}" for key in keys]


def test_nothing_is_left_where_a_run_that_was_stopped_has_removed_its_folder(
    tmp_path: Path, directory: Path
) -> None:
    """A thread may be in the middle of a shard then, and begin with the next one after that."""
    url = str(tmp_path / "archive")
    images = listed(url, tmp_path / "w")
    with pytest.raises(UserError, match="cannot write to the staging directory"):
        stage(images, url, directory, on_progress=lambda *_: shutil.rmtree(directory.parent, True))
    with pytest.raises(UserError, match="cannot use the folder"):
        stage(images, url, directory)
    assert not directory.parent.exists()


def test_what_was_deleted_or_replaced_since_the_listing_is_rejected(
    place: str, tmp_path: Path, directory: Path
) -> None:
    images = listed(place, tmp_path / "w")
    folder = Folder(place)
    gone, same_size, longer = list(OBJECTS)[:3]
    folder.fs.rm_file(folder.path(gone))
    time.sleep(0.01)
    folder.write_bytes(same_size, bytes(len(OBJECTS[same_size])))
    folder.write_bytes(longer, OBJECTS[longer] + b"!")
    staged = stage(images, place, directory)
    assert rejects(staged) == {gone: "missing", same_size: "changed", longer: "changed"}
    assert len(staged.table) == len(images)


def test_a_local_file_that_changes_after_staging_is_caught_when_it_is_read(
    tmp_path: Path, directory: Path
) -> None:
    url = str(tmp_path / "archive")
    staged = stage(listed(url, tmp_path / "w"), url, directory)
    gone, changed = list(OBJECTS)[:2]
    Path(url, gone).unlink()
    time.sleep(0.01)
    Path(url, changed).write_bytes(bytes(len(OBJECTS[changed])))
    assert rejects(staged) == {gone: "missing", changed: "changed"}


def test_a_plain_etag_costs_one_request_per_object_and_any_other_two(
    bucket: str, faulty_s3: FaultyS3, tmp_path: Path, directory: Path
) -> None:
    plain = listed(bucket, tmp_path / "w", {"plain.jpg": b"plain"})
    assert rejects(stage(plain, bucket, directory)) == {}
    assert faulty_s3.gets[at(bucket, "plain.jpg")] == 1
    assert faulty_s3.heads[at(bucket, "plain.jpg")] == 0

    store = Folder(bucket).fs
    name = bucket.removeprefix("s3://")
    upload = store.call_s3("create_multipart_upload", Bucket=name, Key="parts.jpg")["UploadId"]
    part = {"Bucket": name, "Key": "parts.jpg", "UploadId": upload}
    etag = store.call_s3("upload_part", **part, PartNumber=1, Body=b"parts")["ETag"]
    done = {"Parts": [{"ETag": etag, "PartNumber": 1}]}
    store.call_s3("complete_multipart_upload", **part, MultipartUpload=done)
    store.rm_file(f"{name}/plain.jpg")
    parts = listed(bucket, tmp_path / "w2", {})
    assert parts["version"].to_pylist() != [hashlib.md5(b"parts").hexdigest()]
    assert contents(stage(parts, bucket, directory)) == {"parts.jpg": b"parts"}
    assert faulty_s3.heads[at(bucket, "parts.jpg")] == 1
    unstage(directory)
    store.pipe_file(f"{name}/parts.jpg", b"other")
    assert rejects(stage(parts, bucket, directory)) == {"parts.jpg": "changed"}


@pytest.mark.parametrize("fault", [500, 503, RESET, SHORT, TORN, SILENT])
def test_a_store_that_recovers_is_tried_again(
    fault: int,
    bucket: str,
    faulty_s3: FaultyS3,
    tmp_path: Path,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = listed(bucket, tmp_path / "w")
    # Long enough for a busy machine; by itself it is 15 seconds.
    monkeypatch.setattr(S3FileSystem, "read_timeout", 1.5)
    S3FileSystem.clear_instance_cache()
    path = at(bucket, next(iter(OBJECTS)))
    faulty_s3.faults[path] = [fault] * 2
    assert contents(stage(images, bucket, directory, attempts=3)) == OBJECTS
    assert faulty_s3.gets[path] == 3


def test_pauses_between_attempts_double_and_are_jittered(
    bucket: str,
    faulty_s3: FaultyS3,
    tmp_path: Path,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = listed(bucket, tmp_path / "w", {"a.jpg": b"a"})
    faulty_s3.faults[at(bucket, "a.jpg")] = [500] * 4
    pauses: list[float] = []

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0)
            return False

    monkeypatch.setattr(staging, "threading", SimpleNamespace(Event=Impatient))
    monkeypatch.setattr(
        staging, "random", SimpleNamespace(uniform=lambda low, high: (low, high)[len(pauses) % 2])
    )
    stage(images, bucket, directory, pause=0.1, attempts=5)
    assert pauses == pytest.approx([0.1 * 0.5, 0.2 * 1.5, 0.4 * 0.5, 0.8 * 1.5])


@pytest.mark.parametrize("fault", [500, RESET])
def test_a_store_that_keeps_failing_fails_the_shard_and_leaves_it_unstaged(
    fault: int, bucket: str, faulty_s3: FaultyS3, tmp_path: Path, directory: Path
) -> None:
    images = listed(bucket, tmp_path / "w")
    faulty_s3.faults[at(bucket, "empty.jpg")] = [fault] * 50
    with pytest.raises(UserError, match=r"empty\.jpg of archive .* in 2 attempts .*retry"):
        stage(images, bucket, directory, attempts=2)
    assert read_staged(directory) is None
    faulty_s3.faults.clear()
    assert contents(stage(images, bucket, directory)) == OBJECTS


def test_a_failing_store_is_given_up_at_once_and_not_object_by_object(
    bucket: str, faulty_s3: FaultyS3, tmp_path: Path, directory: Path
) -> None:
    many = {f"{number:03}.jpg": b"x" for number in range(100)}
    images = listed(bucket, tmp_path / "w", many)
    for key in many:
        faulty_s3.faults[at(bucket, key)] = [500] * 50
    with pytest.raises(UserError):
        stage(images, bucket, directory, fetchers=4, attempts=1)
    tried = sum(faulty_s3.gets[at(bucket, key)] for key in many)
    assert tried < 50


def test_access_denied_to_one_object_rejects_it_without_another_try(
    bucket: str, faulty_s3: FaultyS3, tmp_path: Path, directory: Path
) -> None:
    images = listed(bucket, tmp_path / "w")
    key = list(OBJECTS)[3]
    faulty_s3.faults[at(bucket, key)] = [403] * 50
    staged = stage(images, bucket, directory)
    assert rejects(staged) == {key: "unreadable"}
    assert faulty_s3.gets[at(bucket, key)] == 1


@pytest.mark.parametrize("validation", ["when_supported", "when_required"])
def test_an_object_that_never_arrives_whole_is_rejected(
    validation: str,
    bucket: str,
    faulty_s3: FaultyS3,
    tmp_path: Path,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = listed(bucket, tmp_path / "w")
    # With and without a checksum by which the client itself finds out.
    monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", validation)
    Folder(bucket).fs.clear_instance_cache()
    key = list(OBJECTS)[3]
    faulty_s3.faults[at(bucket, key)] = [SHORT] * 50
    staged = stage(images, bucket, directory, attempts=3)
    assert rejects(staged) == {key: "unreadable"}
    assert faulty_s3.gets[at(bucket, key)] == 3


def test_an_archive_that_is_gone_fails_the_shard_and_rejects_nothing(
    place: str, tmp_path: Path, directory: Path
) -> None:
    images = listed(place, tmp_path / "w")
    fs = Folder(place).fs
    fs.rm(place if "://" not in place else place.removesuffix("/place"), recursive=True)
    with pytest.raises(UserError):
        stage(images, place, directory, attempts=2)
    assert read_staged(directory) is None


def test_no_more_objects_than_fetchers_are_under_way_and_fetching_overlaps(
    bucket: str, faulty_s3: FaultyS3, tmp_path: Path, directory: Path
) -> None:
    images = listed(bucket, tmp_path / "w", {f"{number:02}.jpg": b"x" for number in range(24)})
    faulty_s3.slow, faulty_s3.peak = 0.05, 0
    stage(images, bucket, directory, fetchers=3)
    assert faulty_s3.peak == 3


def test_a_staged_shard_is_known_to_a_later_process_and_not_fetched_again(
    bucket: str, faulty_s3: FaultyS3, tmp_path: Path, directory: Path
) -> None:
    images = listed(bucket, tmp_path / "w")
    first = stage(images, bucket, directory)
    again = read_staged(directory)
    assert again is not None and again.table.equals(first.table)
    faulty_s3.gets.clear()
    assert contents(stage(images, bucket, directory)) == OBJECTS
    assert not faulty_s3.gets
    # Another shard in the same directory takes its place.
    other = stage(images.slice(2, 3), bucket, directory)
    assert list(contents(other)) == images["key"].to_pylist()[2:5]
    assert len(os.listdir(directory)) == 4


def test_a_half_staged_directory_is_told_from_a_staged_one_and_staged_anew(
    bucket: str, tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = listed(bucket, tmp_path / "w")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(seals, "sealed_parquet", killed)  # before the marker
        with pytest.raises(KeyboardInterrupt):
            stage(images, bucket, directory)
    assert len(os.listdir(directory)) == len(OBJECTS)
    assert read_staged(directory) is None
    assert contents(stage(images, bucket, directory)) == OBJECTS
    (directory / images["image_id"][0].as_py()).unlink()
    assert read_staged(directory) is None
    assert contents(stage(images, bucket, directory)) == OBJECTS
    (directory / "staged.parquet").write_bytes(b"damaged")
    assert read_staged(directory) is None
    assert contents(stage(images, bucket, directory)) == OBJECTS


def test_unstaging_removes_what_was_staged_and_nothing_else(
    bucket: str, tmp_path: Path, directory: Path
) -> None:
    images = listed(bucket, tmp_path / "w")
    unstage(directory)
    stage(images, bucket, directory)
    unstage(directory)
    assert not directory.exists()
    stage(images, bucket, directory)
    (directory / "mine.txt").write_text("keep")
    unstage(directory)
    assert os.listdir(directory) == ["mine.txt"]


def test_a_full_disk_is_one_sentence_and_leaves_the_shard_unstaged(
    bucket: str, tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = listed(bucket, tmp_path / "w")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(UserError, match=r"No space left on device.*free some space"):
            stage(images, bucket, directory)
    assert read_staged(directory) is None
