"""Claims about listing an archive and about its manifest."""

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
from s3 import FaultyS3

from lazsl import archive, identity, records
from lazsl.archive import list_archive, plan_shards, read_manifest, shard_images
from lazsl.errors import UserError
from lazsl.storage import Folder

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


def fill(url: str, objects: dict[str, bytes]) -> Folder:
    folder = Folder(url)
    for key, data in objects.items():
        folder.write_bytes(key, data)
    return folder


def remove(url: str, key: str) -> None:
    folder = Folder(url)
    folder.fs.rm_file(folder.path(key))


def keys(table) -> list[str]:
    return table["key"].to_pylist()


def complaint(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def workspace(tmp_path: Path) -> Folder:
    return Folder(str(tmp_path / "workspace"))


# Listing


def test_every_image_is_listed_once_in_bytewise_key_order_whatever_its_name(place: str) -> None:
    fill(place, {key: key.encode() for key in AWKWARD} | {"notes.txt": b"x", "zero.jpg": b""})
    listing = list_archive(place, SUFFIXES)
    assert listing.schema == archive.LISTING
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


def test_tens_of_thousands_of_images_are_planned_in_seconds(workspace: Folder) -> None:
    memory = fsspec.filesystem("memory")
    for number in range(30_000):
        memory.pipe_file(f"/many/{number % 100}/{number}.jpg", b"x")
    try:
        start = time.process_time()
        plan = plan_shards(workspace, "memory://many", SUFFIXES, 256)
        for shard in plan.shards:
            shard_images(workspace, plan.archive, shard)
        assert time.process_time() - start < 5
        assert plan.listed == 30_000 and len(plan.shards) == -(-30_000 // 256)
        assert plan_shards(workspace, "memory://many", SUFFIXES, 256).unchanged == 30_000
    finally:
        memory.store.clear()


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
    listing = list_archive(str(folder), SUFFIXES)
    assert keys(listing) == ["dead.jpg", "link.jpg"]
    assert listing["size"].to_pylist() == [0, 4]
    assert str(folder / "loop") in caplog.text
    # A link is as new as what it leads to.
    before = listing["version"].to_pylist()
    os.utime(tmp_path / "store/real.jpg", (1, 1))
    after = list_archive(str(folder), SUFFIXES)["version"].to_pylist()
    assert after[0] == before[0] and after[1] != before[1]


# What cannot be listed


def test_a_missing_archive_is_one_sentence(place: str) -> None:
    assert f"no archive at {place}/nowhere" in complaint(
        lambda: list_archive(f"{place}/nowhere", SUFFIXES)
    )


def test_an_archive_that_is_a_file_is_one_sentence(place: str) -> None:
    fill(place, {"a.jpg": b"a"})
    said = complaint(lambda: list_archive(f"{place}/a.jpg", SUFFIXES))
    assert "is a file, not a folder" in said


def test_an_archive_without_images_says_what_is_there_instead(place: str) -> None:
    fill(place, {"a.txt": b"", "b/c.TXT": b"", "d.csv": b"", "e": b""})
    said = complaint(lambda: list_archive(place, SUFFIXES))
    assert "4 other files (2 with .txt, 1 with .csv, 1 with no suffix)" in said
    assert "none ends with .jpg, .png" in said


def test_an_empty_folder_is_called_empty(tmp_path: Path, bucket: str) -> None:
    assert "is empty" in complaint(lambda: list_archive(str(tmp_path), SUFFIXES))
    assert "is empty" in complaint(lambda: list_archive(bucket, SUFFIXES))


def test_an_unknown_scheme_is_one_sentence() -> None:
    assert "nosuch" in complaint(lambda: list_archive("nosuch://x/y", SUFFIXES))


def test_a_missing_bucket_is_one_sentence(s3_server: str) -> None:
    said = complaint(lambda: list_archive("s3://no-such-bucket-here/x", SUFFIXES))
    assert "there is no archive at s3://no-such-bucket-here/x" in said


def test_an_unreachable_endpoint_is_one_sentence(
    bucket: str, s3_endpoint: Callable[[str], None]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        s3_endpoint(f"http://127.0.0.1:{free.getsockname()[1]}")
        said = complaint(lambda: list_archive(bucket, SUFFIXES))
    assert "cannot be listed" in said and "AWS_ENDPOINT_URL" in said


def test_denied_access_is_one_sentence(bucket: str, faulty_s3: FaultyS3) -> None:
    faulty_s3.faults[f"/{bucket.removeprefix('s3://')}"] = [403] * 3
    said = complaint(lambda: list_archive(bucket, SUFFIXES))
    assert f"access to archive {bucket} was denied" in said and "credentials" in said


def test_a_closed_subfolder_is_an_error_and_not_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(str(tmp_path), {"open/a.jpg": b"a", "closed/b.jpg": b"b"})
    may = os.access
    # Stands in for a folder without rights: a test that runs as root may open any.
    monkeypatch.setattr(
        archive.os, "access", lambda path, mode: not path.endswith("/closed") and may(path, mode)
    )
    said = complaint(lambda: list_archive(str(tmp_path), SUFFIXES))
    assert f"{tmp_path}/closed" in said and "permission denied" in said


def test_a_name_that_is_not_utf8_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "good.jpg").touch()
    with open(os.fsencode(tmp_path) + b"/caf\xe9.jpg", "wb"):
        pass
    assert "caf" in complaint(lambda: list_archive(str(tmp_path), SUFFIXES))


@pytest.mark.parametrize(
    "url",
    ["ftp://bob:hunter2@127.0.0.1:1/x", "nosuch://bob:hunter2@host/x", "s3://bob:hunter2@b/x"],
)
def test_no_error_shows_credentials_of_the_url(url: str, s3_server: str) -> None:
    said = complaint(lambda: list_archive(url, SUFFIXES))
    assert "hunter2" not in said


# Manifest and shards


def test_shards_cut_the_listing_in_key_order(place: str, workspace: Folder) -> None:
    names = [f"{number}.jpg" for number in range(8)]
    fill(place, {name: name.encode() for name in names})
    plan = plan_shards(workspace, place, SUFFIXES, 3)
    assert (plan.listed, plan.added, plan.removed, plan.unchanged) == (8, 8, 0, 0)
    assert plan.archive == identity.archive_key(place)
    shards = [shard_images(workspace, plan.archive, shard) for shard in plan.shards]
    assert [keys(shard) for shard in shards] == [names[:3], names[3:6], names[6:]]
    for name, shard in zip(plan.shards, shards, strict=True):
        assert shard.schema == records.MANIFEST
        assert name == identity.shard_id(shard["image_id"].to_pylist())
        assert set(shard["shard"].to_pylist()) == {name}
    first = shards[0].slice(0, 1).to_pylist()[0]
    assert first["image_id"] == identity.image_id(first["uri"], first["version"])


def test_planning_an_unchanged_archive_again_writes_nothing(place: str, workspace: Folder) -> None:
    fill(place, {"a.jpg": b"a", "b.jpg": b"b"})
    first = plan_shards(workspace, place, SUFFIXES, 1)
    files = {name: workspace.read_bytes(name) for name in workspace.names("")}
    second = plan_shards(workspace, place, SUFFIXES, 7)
    assert second.shards == first.shards
    assert (second.added, second.removed, second.unchanged) == (0, 0, 2)
    assert {name: workspace.read_bytes(name) for name in workspace.names("")} == files
    assert list(files) == [f"manifests/{first.archive}/000001.parquet"]


def test_only_new_and_changed_images_make_new_shards(place: str, workspace: Folder) -> None:
    fill(place, {f"{name}.jpg": name.encode() for name in "abcd"})
    first = plan_shards(workspace, place, SUFFIXES, 2)
    before = [shard_images(workspace, first.archive, shard) for shard in first.shards]
    time.sleep(0.01)
    fill(place, {"b.jpg": b"B!", "e.jpg": b"e"})
    remove(place, "d.jpg")
    second = plan_shards(workspace, place, SUFFIXES, 2)
    assert (second.listed, second.added, second.removed, second.unchanged) == (4, 2, 2, 2)
    assert second.shards[:2] == first.shards
    assert [keys(shard_images(workspace, second.archive, s)) for s in second.shards[2:]] == [
        ["b.jpg", "e.jpg"]
    ]
    # A shard never changes: only what became of its images does.
    for shard, images in zip(first.shards, before, strict=True):
        now = shard_images(workspace, first.archive, shard)
        assert now.drop_columns("event").equals(images.drop_columns("event"))
    events = read_manifest(workspace, first.archive).select(["key", "size", "event"]).to_pylist()
    assert [tuple(row.values()) for row in events] == [
        ("a.jpg", 1, "added"),
        ("b.jpg", 1, "removed"),
        ("c.jpg", 1, "added"),
        ("d.jpg", 1, "removed"),
        ("b.jpg", 2, "added"),
        ("e.jpg", 1, "added"),
    ]


def test_a_shard_that_lost_all_its_images_is_not_planned_but_still_known(
    place: str, workspace: Folder
) -> None:
    fill(place, {"a.jpg": b"a", "b.jpg": b"b"})
    first = plan_shards(workspace, place, SUFFIXES, 1)
    remove(place, "a.jpg")
    second = plan_shards(workspace, place, SUFFIXES, 1)
    assert second.shards == first.shards[1:]
    assert shard_images(workspace, first.archive, first.shards[0])["event"].to_pylist() == [
        "removed"
    ]


def test_an_image_that_comes_back_as_it_was_returns_to_its_shard(
    bucket: str, workspace: Folder
) -> None:
    fill(bucket, {"a.jpg": b"a", "b.jpg": b"b", "c.jpg": b"c"})
    first = plan_shards(workspace, bucket, SUFFIXES, 2)
    before = read_manifest(workspace, first.archive)
    fill(bucket, {"b.jpg": b"other"})
    remove(bucket, "c.jpg")
    plan_shards(workspace, bucket, SUFFIXES, 2)
    fill(bucket, {"b.jpg": b"b", "c.jpg": b"c"})
    third = plan_shards(workspace, bucket, SUFFIXES, 2)
    assert (third.added, third.removed, third.unchanged) == (2, 1, 1)
    assert third.shards == first.shards
    after = read_manifest(workspace, first.archive)
    assert after.slice(0, 3).equals(before)
    assert after["event"].to_pylist() == ["added"] * 3 + ["removed"]
    assert plan_shards(workspace, bucket, SUFFIXES, 2).shards == first.shards
    assert len(workspace.names("manifests")) == 3


def test_a_planner_killed_before_it_publishes_leaves_nothing_and_the_next_plan_is_the_same(
    place: str, workspace: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(place, {f"{number}.jpg": b"x" * number for number in range(5)})
    undisturbed = plan_shards(Folder(str(tmp_path / "other")), place, SUFFIXES, 2)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            plan_shards(workspace, place, SUFFIXES, 2)
    assert workspace.names("manifests") == []
    assert plan_shards(workspace, place, SUFFIXES, 2) == undisturbed


def test_the_manifest_lives_in_a_bucket_as_well(bucket: str) -> None:
    workspace = Folder(f"{bucket}/workspace")
    fill(f"{bucket}/archive", {"a.jpg": b"a", "b.jpg": b"b"})
    assert len(read_manifest(workspace, identity.archive_key(f"{bucket}/archive"))) == 0
    plan = plan_shards(workspace, f"{bucket}/archive", SUFFIXES, 1)
    fill(f"{bucket}/archive", {"c.jpg": b"c"})
    again = plan_shards(workspace, f"{bucket}/archive", SUFFIXES, 1)
    assert again.shards[:2] == plan.shards and again.added == 1
    assert keys(read_manifest(workspace, plan.archive)) == ["a.jpg", "b.jpg", "c.jpg"]


def test_a_workspace_made_anew_at_the_same_place_is_read_anew(
    tmp_path: Path, workspace: Folder
) -> None:
    fill(str(tmp_path / "a"), {"a.jpg": b"a"})
    plan = plan_shards(workspace, str(tmp_path / "a"), SUFFIXES, 1)
    assert keys(read_manifest(workspace, plan.archive)) == ["a.jpg"]
    workspace.fs.rm(workspace.root, recursive=True)
    assert len(read_manifest(workspace, plan.archive)) == 0
    fill(str(tmp_path / "a"), {"b.jpg": b"b"})
    plan_shards(workspace, str(tmp_path / "a"), SUFFIXES, 1)
    assert keys(read_manifest(workspace, plan.archive)) == ["a.jpg", "b.jpg"]


def test_an_unknown_shard_is_one_sentence(tmp_path: Path, workspace: Folder) -> None:
    fill(str(tmp_path / "a"), {"a.jpg": b"a"})
    plan = plan_shards(workspace, str(tmp_path / "a"), SUFFIXES, 1)
    said = complaint(lambda: shard_images(workspace, plan.archive, "feed"))
    assert "no shard 'feed'" in said
