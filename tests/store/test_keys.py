"""Claims about the names of archives, images and shards."""

from __future__ import annotations

from pathlib import Path

import pytest

from lazsl.store import keys
from lazsl.store.urls import canonical_url


def test_a_local_archive_has_one_key_however_its_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").mkdir()
    whole = f"{tmp_path}/a"
    ways = [whole, f"{whole}/", f"file://{whole}", f"file://{whole}/", f"local://{whole}"]
    ways += ["a", "a/", "./a", "b/../a", "~/a"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len({keys.archive_key(way) for way in ways}) == 1
    assert keys.archive_key("other") != keys.archive_key("a")


def test_the_same_relative_path_in_another_folder_is_another_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = keys.archive_key("images")
    monkeypatch.chdir(tmp_path)
    assert keys.archive_key("images") != here


def test_a_bucket_has_one_key_with_and_without_a_slash_and_its_folders_have_others() -> None:
    key = keys.archive_key("s3://bucket/photos")
    assert keys.archive_key("s3://bucket/photos/") == key
    assert keys.archive_key("s3://bucket/photos/x") != key
    assert keys.archive_key("gs://bucket/photos") != key
    assert key.startswith("photos-")


@pytest.mark.parametrize(
    ("secret", "plain"),
    [
        ("s3://bob:hunter2@bucket", "s3://bucket"),
        ("https://bob:hunter2@host/photos", "https://host/photos"),
        ("https://host/photos?token=hunter2", "https://host/photos?token=other"),
    ],
)
def test_no_credentials_are_in_the_key_of_an_archive(secret: str, plain: str) -> None:
    key = keys.archive_key(secret)
    assert "bob" not in key and "hunter2" not in key
    assert key == keys.archive_key(plain)


def test_a_folder_is_never_taken_for_a_secret() -> None:
    first, other = "s3://bucket/key=1/photos", "s3://bucket/key=2/photos"
    assert canonical_url(first) == first
    assert keys.archive_key(first) != keys.archive_key(other)


def test_two_archives_over_the_same_objects_share_no_shard() -> None:
    images = [keys.image_id("s3://b/x/1.jpg", "v")]
    outer, inner = map(keys.archive_key, ("s3://b", "s3://b/x"))
    assert keys.shard_id(outer, images) != keys.shard_id(inner, images)
    assert keys.shard_id(outer, images) == keys.shard_id(outer, list(images))


def test_another_version_of_an_object_is_another_image() -> None:
    assert keys.image_id("s3://b/1.jpg", "v1") != keys.image_id("s3://b/1.jpg", "v2")
