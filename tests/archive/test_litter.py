"""Names as archives bring them: litter, globs, bytes that are no text, loops; what is left out."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import boto3
import pytest
from s3 import FaultyS3
from s3fs import S3FileSystem

from lazsl.archive.access import VARIABLE
from lazsl.archive.listing import list_archive, look_through
from lazsl.archive.litter import Excluded, passed_over_sentence
from lazsl.archive.manifest import read_passed_over, shard_images
from lazsl.archive.shard_planning import plan_shards
from lazsl.archive.staging import stage
from lazsl.errors import UserError
from lazsl.images.reasons import UNREADABLE, Reject
from lazsl.store.folder import Folder

SUFFIXES = (".jpg",)


def fill(folder: Path, *names: str | bytes) -> Path:
    for name in names:
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"x")
    return folder


def staged(url: str, tmp_path: Path) -> dict[str, bytes | Reject]:
    workspace = Folder(str(tmp_path / "workspace"))
    plan = plan_shards(workspace, url, SUFFIXES, 1000)
    images = shard_images(workspace, plan.archive, plan.shards[0])
    shard = stage(images, url, tmp_path / "staged", 4)
    return {key: shard.read(row) for row, key in enumerate(images["key"].to_pylist())}


def test_litter_and_what_is_excluded_are_left_out_and_counted_with_other_kinds(
    tmp_path: Path,
) -> None:
    folder = fill(
        tmp_path / "archive",
        *("a.jpg", "b/._a.jpg", "b/@eaDir/a.jpg", "$Recycle.Bin/x.JPG", ".ipynb_checkpoints/a.jpg"),
        *("old/2019/c.jpg", "old/2020/c.jpg", "b/a_thumb.jpg", "raw/a.jpg", "raw/deep/b.jpg"),
        *("notes.txt", "b/more.TXT", "README", "a.xmp"),
    )
    exclude = ("old/2019", "*_thumb.jpg", "raw/*.jpg")
    listing = look_through(str(folder), SUFFIXES, exclude=exclude)
    assert listing.images["key"].to_pylist() == ["a.jpg", "old/2020/c.jpg"]
    assert listing.passed_over == {
        "litter": 4, "excluded": 4, ".txt": 2, "no suffix": 1, ".xmp": 1
    }  # fmt: skip
    workspace = Folder(str(tmp_path / "workspace"))
    plan = plan_shards(workspace, str(folder), SUFFIXES, 10, exclude=exclude)
    assert read_passed_over(workspace, plan.archive) == plan.passed_over == listing.passed_over
    assert passed_over_sentence({".heic": 1239, ".txt": 2}) == (
        "1,241 other objects were not listed: 1,239 .heic, 2 .txt"
    )


def test_a_glob_is_of_a_path_a_folder_or_a_name_on_any_level() -> None:
    keys = ["a/b/c.jpg", "a/x.jpg", "b/c.jpg", "c.jpg"]

    def left(glob: str) -> list[str]:
        return [key for key in keys if key not in Excluded([glob])]

    assert left("a/b") == left("a/b/") == ["a/x.jpg", "b/c.jpg", "c.jpg"]
    assert left("b") == ["a/x.jpg", "c.jpg"]
    assert left("c.*") == ["a/x.jpg"]
    assert left("[bc]/*.jpg") == ["a/b/c.jpg", "a/x.jpg", "c.jpg"]
    assert left("nothing") == keys


def test_a_name_that_is_no_utf8_and_a_loop_of_links_are_rejects_and_the_rest_is_read(
    tmp_path: Path,
) -> None:
    folder = fill(tmp_path / "archive", "good.jpg", b"caf\xe9.jpg", "back\\xe9slash.jpg")
    (folder / "loop.jpg").symlink_to(folder / "pool.jpg")
    (folder / "pool.jpg").symlink_to(folder / "loop.jpg")
    outcomes = staged(str(folder), tmp_path)
    assert outcomes.pop("good.jpg") == outcomes.pop("back\\xe9slash.jpg") == b"x"
    assert outcomes.keys() == {"caf\\xe9.jpg", "loop.jpg", "pool.jpg"}
    for outcome in outcomes.values():
        assert isinstance(outcome, Reject) and outcome.reason == UNREADABLE
    assert "not valid UTF-8; rename" in str(outcomes["caf\\xe9.jpg"])


def test_a_tar_with_a_name_that_is_no_utf8_is_read(tmp_path: Path) -> None:
    folder = fill(tmp_path / "files", "x.jpg")
    with tarfile.open(tmp_path / "a.tar", "w", encoding="utf-8", format=tarfile.GNU_FORMAT) as tar:
        tar.add(folder / "x.jpg", b"caf\xe9.jpg".decode("utf-8", "surrogateescape"))
    assert staged(str(tmp_path / "a.tar"), tmp_path) == {"caf\\xe9.jpg": b"x"}


def test_a_key_with_a_version_in_it_is_never_another_object(tmp_path: Path, bucket: str) -> None:
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    name = bucket.removeprefix("s3://")
    for key, body in {"a.jpg": b"other", "a.jpg?versionId=1.jpg": b"own"}.items():
        client.put_object(Bucket=name, Key=key, Body=body)
    outcomes = staged(bucket, tmp_path)
    assert outcomes["a.jpg"] == b"other"
    rejected = outcomes["a.jpg?versionId=1.jpg"]
    assert isinstance(rejected, Reject) and "rename" in rejected.detail


def test_a_public_bucket_is_read_without_credentials_by_a_setting(
    bucket: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    client.put_object(Bucket=bucket.removeprefix("s3://"), Key="a.jpg", Body=b"a")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # A client that was made with credentials keeps them, and one without them has none.
    S3FileSystem.clear_instance_cache()
    request.addfinalizer(S3FileSystem.clear_instance_cache)
    with pytest.raises(UserError, match=f"{VARIABLE}=public"):
        list_archive(bucket, SUFFIXES)
    monkeypatch.setenv(VARIABLE, "public")
    assert list_archive(bucket, SUFFIXES)["key"].to_pylist() == ["a.jpg"]
    monkeypatch.setenv(VARIABLE, "mine")
    with pytest.raises(UserError, match="public or requester-pays"):
        list_archive(bucket, SUFFIXES)


def test_whoever_asks_pays_for_every_request_of_a_bucket_by_a_setting(
    bucket: str, faulty_s3: FaultyS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = boto3.client("s3", endpoint_url=f"http://{faulty_s3.upstream}")
    client.put_object(Bucket=bucket.removeprefix("s3://"), Key="photos/a.jpg", Body=b"a")
    monkeypatch.setenv(VARIABLE, "requester-pays")
    assert staged(f"{bucket}/photos", tmp_path) == {"a.jpg": b"a"}
    assert faulty_s3.asked["LIST"] and faulty_s3.gets and set(faulty_s3.payers) == {"requester"}
