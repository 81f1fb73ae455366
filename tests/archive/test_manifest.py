"""Claims about the manifest of an archive and the shards it is cut into."""

from __future__ import annotations

import time
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from objects import fill, keys, remove
from refusals import complaint

from lazsl.archive import manifest, shard_planning
from lazsl.archive.manifest import read_manifest, shard_images
from lazsl.archive.shard_planning import plan_shards
from lazsl.store import keys as identity
from lazsl.store import paths, schemas
from lazsl.store.folder import Folder

SUFFIXES = (".jpg", ".png")


@pytest.fixture
def workspace(tmp_path: Path) -> Folder:
    return Folder(str(tmp_path / "workspace"))


def test_shards_cut_the_listing_in_key_order(place: str, workspace: Folder) -> None:
    names = [f"{number}.jpg" for number in range(8)]
    fill(place, {name: name.encode() for name in names})
    plan = plan_shards(workspace, place, SUFFIXES, 3)
    assert (plan.listed, plan.added, plan.removed, plan.unchanged) == (8, 8, 0, 0)
    assert plan.archive == identity.archive_key(place)
    shards = [shard_images(workspace, plan.archive, shard) for shard in plan.shards]
    assert [keys(shard) for shard in shards] == [names[:3], names[3:6], names[6:]]
    for name, shard in zip(plan.shards, shards, strict=True):
        assert shard.schema == schemas.MANIFEST
        assert name == identity.shard_id(plan.archive, shard["image_id"].to_pylist())
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
        patch.setattr("os.link", killed)
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
    sentence = complaint(lambda: shard_images(workspace, plan.archive, "feed"))
    assert "no shard 'feed'" in sentence


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


def test_a_large_plan_is_published_in_several_files_of_whole_shards_and_survives_being_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = Folder(str(tmp_path / "whole")), Folder(str(tmp_path / "cut"))
    archive = str(tmp_path / "archive")
    for number in range(30):
        Folder(archive).write_bytes(f"{number:02}.jpg", b"x")
    expected = shard_planning.plan_shards(whole, archive, SUFFIXES, 4)
    monkeypatch.setattr(shard_planning, "_IN_A_FILE", 10)
    publish, published = shard_planning.publish_generation, []

    def die(workspace: Folder, key: str, number: int, generation: pa.Table) -> bool:
        if len(published) == 2:
            raise KeyboardInterrupt
        published.append(len(generation))
        return publish(workspace, key, number, generation)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shard_planning, "publish_generation", die)
        shard_planning.plan_shards(cut, archive, SUFFIXES, 4)
    assert published == [12, 12]
    assert shard_planning.plan_shards(cut, archive, SUFFIXES, 4).shards == expected.shards
    assert len(cut.names(paths.manifests(expected.archive), ".parquet")) == 3
    for shard in expected.shards:
        rows = [manifest.shard_images(place, expected.archive, shard) for place in (whole, cut)]
        assert rows[0].equals(rows[1])
