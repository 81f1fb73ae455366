"""Claims about listing an archive."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from objects import fill, keys, remove
from refusals import complaint
from s3 import FaultyS3

from lazsl.archive import entries
from lazsl.archive.listing import LISTING, list_archive

SUFFIXES = (".jpg", ".png")
AWKWARD = [
    "#1.jpg",
    "100%41.JPG",
    "[x]/*.jpg",
    "a b/+plus & more?.Png",
    "a/b/c.jpg",
    "a.jpg",
    "é/鳥.jpg",
    "zero.jpg",
]


# Listing


def test_every_image_is_listed_once_in_bytewise_key_order_whatever_its_name(place: str) -> None:
    fill(place, {key: key.encode() for key in AWKWARD} | {"notes.txt": b"x", "zero.jpg": b""})
    listing = list_archive(place, SUFFIXES)
    assert listing.schema == LISTING
    assert keys(listing) == sorted(AWKWARD, key=str.encode)
    sizes = dict(zip(keys(listing), listing["size"].to_pylist(), strict=True))
    assert sizes == {key: len(key.encode()) for key in AWKWARD} | {"zero.jpg": 0}


def test_a_uri_is_the_archive_and_the_key_and_does_not_depend_on_how_a_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: str
) -> None:
    fill(str(tmp_path / "a"), {"x/1 %.jpg": b"1"})
    fill(f"{bucket}/a", {"x/1 %.jpg": b"1"})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").mkdir()
    ways = [str(tmp_path / "a"), f"file://{tmp_path}/a/", "a", "./a/", "b/../a"]
    assert {list_archive(way, SUFFIXES)["uri"][0].as_py() for way in ways} == {
        f"file://{tmp_path}/a/x/1 %.jpg"
    }
    for way in (f"{bucket}/a", f"{bucket}/a/"):
        assert list_archive(way, SUFFIXES)["uri"].to_pylist() == [f"{bucket}/a/x/1 %.jpg"]


def test_a_version_is_the_etag_where_there_is_one_and_changes_with_the_object(place: str) -> None:
    fill(place, {"a.jpg": b"one", "b.jpg": b"same"})
    before = list_archive(place, SUFFIXES)["version"].to_pylist()
    assert list_archive(place, SUFFIXES)["version"].to_pylist() == before
    time.sleep(0.01)
    fill(place, {"a.jpg": b"two"})
    after = list_archive(place, SUFFIXES)["version"].to_pylist()
    assert after[0] != before[0] and after[1] == before[1]
    if place.startswith("s3://"):
        assert after[0] == hashlib.md5(b"two").hexdigest()


def test_a_file_replaced_by_one_of_another_size_within_a_tick_of_the_clock_is_another_version(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"one")
    os.utime(tmp_path / "a.jpg", (1, 1))
    before = list_archive(str(tmp_path), SUFFIXES)["version"].to_pylist()
    (tmp_path / "a.jpg").write_bytes(b"four")
    os.utime(tmp_path / "a.jpg", (1, 1))
    assert list_archive(str(tmp_path), SUFFIXES)["version"].to_pylist() != before


def test_folder_placeholders_of_a_bucket_are_not_images(bucket: str, s3_server: str) -> None:
    fill(f"{bucket}/p", {"a.jpg": b"a"})
    store = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for key in ("p/", "p/sub/", "p/odd.jpg/"):
        store.put_object(bucket.removeprefix("s3://"), key, b"")
    assert keys(list_archive(f"{bucket}/p", SUFFIXES)) == ["a.jpg"]
    remove(f"{bucket}/p", "a.jpg")
    assert "is empty" in complaint(lambda: list_archive(f"{bucket}/p", SUFFIXES))


def test_keys_are_in_order_in_whatever_order_the_store_lists_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory = fsspec.filesystem("memory")
    find = type(memory).find

    def backwards(*args: object, **options: object) -> dict[str, dict]:
        return dict(reversed(find(*args, **options).items()))

    monkeypatch.setattr(type(memory), "find", backwards)
    fill("memory://backwards", dict.fromkeys(AWKWARD, b"x"))
    try:
        assert keys(list_archive("memory://backwards", SUFFIXES)) == sorted(AWKWARD)
    finally:
        memory.store.clear()


def test_a_prefix_does_not_list_its_neighbours(bucket: str) -> None:
    fill(bucket, {"birds/a.jpg": b"a", "birds2/b.jpg": b"b", "birds.jpg": b"c"})
    assert keys(list_archive(f"{bucket}/birds", SUFFIXES)) == ["a.jpg"]
    assert keys(list_archive(bucket, SUFFIXES)) == ["birds.jpg", "birds/a.jpg", "birds2/b.jpg"]


def test_a_bucket_of_many_pages_is_listed_whole(bucket: str) -> None:
    store = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for number in range(2_345):
        store.put_object(bucket.removeprefix("s3://"), f"{number % 7}/{number:05}.jpg", b"x")
    expected = sorted(f"{number % 7}/{number:05}.jpg" for number in range(2_345))
    assert keys(list_archive(bucket, SUFFIXES)) == expected


def test_links_to_files_are_followed_and_dead_ones_listed_and_links_to_folders_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(str(tmp_path / "store"), {"real.jpg": b"real", "deep/x.jpg": b"x"})
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "link.jpg").symlink_to(tmp_path / "store/real.jpg")
    (folder / "dead.jpg").symlink_to(tmp_path / "gone.jpg")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.jpg")
    listing = list_archive(str(folder), SUFFIXES, links="anywhere")
    assert keys(listing) == ["dead.jpg", "link.jpg"]
    assert listing["size"].to_pylist() == [0, 4]
    assert str(folder / "loop") in caplog.text
    # A link is as new as what it leads to.
    before = listing["version"].to_pylist()
    os.utime(tmp_path / "store/real.jpg", (1, 1))
    after = list_archive(str(folder), SUFFIXES, links="anywhere")["version"].to_pylist()
    assert after[0] == before[0] and after[1] != before[1]


# What cannot be listed


def test_a_missing_archive_is_one_sentence(place: str) -> None:
    assert f"no archive at {place}/nowhere" in complaint(
        lambda: list_archive(f"{place}/nowhere", SUFFIXES)
    )


def test_an_archive_that_is_a_file_is_one_sentence(place: str) -> None:
    fill(place, {"a.jpg": b"a"})
    sentence = complaint(lambda: list_archive(f"{place}/a.jpg", SUFFIXES))
    assert "is a file, not a folder" in sentence


def test_an_archive_without_images_says_what_is_there_instead(place: str) -> None:
    fill(place, {"a.txt": b"", "b/c.TXT": b"", "d.csv": b"", "e": b""})
    sentence = complaint(lambda: list_archive(place, SUFFIXES))
    assert "4 other files (2 with .txt, 1 with .csv, 1 with no suffix)" in sentence
    assert "none ends with .jpg, .png" in sentence


def test_an_empty_folder_is_called_empty(tmp_path: Path, bucket: str) -> None:
    assert "is empty" in complaint(lambda: list_archive(str(tmp_path), SUFFIXES))
    assert "is empty" in complaint(lambda: list_archive(bucket, SUFFIXES))


def test_an_unknown_scheme_is_one_sentence() -> None:
    assert "nosuch" in complaint(lambda: list_archive("nosuch://x/y", SUFFIXES))


def test_a_missing_bucket_is_one_sentence(s3_server: str) -> None:
    sentence = complaint(lambda: list_archive("s3://no-such-bucket-here/x", SUFFIXES))
    assert "there is no archive at s3://no-such-bucket-here/x" in sentence


def test_an_unreachable_endpoint_is_one_sentence(
    bucket: str, s3_endpoint: Callable[[str], None]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        s3_endpoint(f"http://127.0.0.1:{free.getsockname()[1]}")
        sentence = complaint(lambda: list_archive(bucket, SUFFIXES))
    assert "cannot be listed" in sentence and "AWS_ENDPOINT_URL" in sentence


def test_denied_access_is_one_sentence(bucket: str, faulty_s3: FaultyS3) -> None:
    faulty_s3.faults[f"/{bucket.removeprefix('s3://')}"] = [403] * 3
    sentence = complaint(lambda: list_archive(bucket, SUFFIXES))
    assert f"access to archive {bucket} was denied" in sentence and "credentials" in sentence


def test_a_closed_subfolder_is_an_error_and_not_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(str(tmp_path), {"open/a.jpg": b"a", "closed/b.jpg": b"b"})
    may = os.access
    # Stands in for a folder without rights: a test that runs as root may open any.
    monkeypatch.setattr(
        entries.os, "access", lambda path, mode: not path.endswith("/closed") and may(path, mode)
    )
    sentence = complaint(lambda: list_archive(str(tmp_path), SUFFIXES))
    assert f"{tmp_path}/closed" in sentence and "permission denied" in sentence


@pytest.mark.parametrize(
    "url",
    ["ftp://bob:hunter2@127.0.0.1:1/x", "nosuch://bob:hunter2@host/x", "s3://bob:hunter2@b/x"],
)
def test_no_error_shows_credentials_of_the_url(url: str, s3_server: str) -> None:
    sentence = complaint(lambda: list_archive(url, SUFFIXES))
    assert "hunter2" not in sentence
