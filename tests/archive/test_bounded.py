"""Listings and manifests that are larger than what is held of them give the same plans."""

from __future__ import annotations

import random
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from lazsl.archive import generations, known_images, listing, manifest, shard_planning, spool
from lazsl.archive.known_images import bits_of
from lazsl.archive.manifest import read_listed, read_manifest, shard_images
from lazsl.archive.shard_planning import Plan, plan_shards
from lazsl.archive.spool import Spool
from lazsl.errors import UserError
from lazsl.store import keys
from lazsl.store.folder import Folder

ARCHIVE = "memory://bounded/photos"


def small(patch: pytest.MonkeyPatch) -> None:
    """Hold next to nothing, so that everything waits on the disk."""
    patch.setattr(spool, "_IN_MEMORY", 8)
    patch.setattr(spool, "_BATCH", 4)
    patch.setattr(known_images, "_IN_MEMORY", 5)
    patch.setattr(known_images, "_BUCKETS", 256)
    patch.setattr(generations, "_KEPT", 0)
    patch.setattr(shard_planning, "_IN_A_FILE", 9)


def planned(workspace: Folder) -> list[Plan]:
    """Three plans of an archive whose pictures come, change, go and come back."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    names = [f"/bounded/photos/{n % 7}/é{n}.jpg" for n in range(60)]
    plans = []
    for changed in ((), range(0, 60, 9), range(0, 60, 13)):
        for number, name in enumerate(names):
            if number in changed and number % 2:
                memory.rm(name)
            elif number in changed or not memory.exists(name):
                content = b"x" * (len(plans) + 1 if number in changed else 1)
                memory.pipe_file(name, content)
                memory.store[name].modified = memory.store[name].created = _moment(content)
        plans.append(plan_shards(workspace, ARCHIVE, (".jpg",), 4))
    memory.store.clear()
    return plans


def _moment(content: bytes) -> object:
    import datetime

    return datetime.datetime(2026, 1, len(content), tzinfo=datetime.UTC)


def test_what_waits_on_the_disk_changes_no_plan_and_no_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = Folder(str(tmp_path / "whole")), Folder(str(tmp_path / "cut"))
    expected = planned(whole)
    assert [(plan.added > 0, plan.removed > 0) for plan in expected] == [
        (True, False), (True, True), (True, True)
    ]  # fmt: skip
    with monkeypatch.context() as patch:
        small(patch)
        manifest.last_read.clear()
        assert planned(cut) == expected
        files = cut.names("manifests", ".parquet")
        assert len(files) > len(whole.names("manifests", ".parquet")) + 3
        archive = expected[-1].archive
        for shard in expected[0].shards:
            assert shard_images(cut, archive, shard).equals(shard_images(whole, archive, shard))
        for read in (read_manifest, read_listed):
            rows = [read(workspace, archive).sort_by("image_id") for workspace in (whole, cut)]
            assert rows[0].equals(rows[1])
        with pytest.raises(UserError, match="loss_ceiling=1"):
            fsspec.filesystem("memory").pipe_file("/bounded/photos/0/é0.jpg", b"x")
            plan_shards(cut, ARCHIVE, (".jpg",), 4, loss_ceiling=0.5)
    fsspec.filesystem("memory").store.clear()


def test_a_shard_is_read_without_the_rest_of_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Folder(str(tmp_path))
    monkeypatch.setattr(shard_planning, "_IN_A_FILE", 9)
    plans = planned(workspace)
    files = workspace.names("manifests", ".parquet")
    manifest.last_read.clear()
    generations.read_file.cache_clear()
    read: list[str] = []
    table = Folder.read_table

    def noted(self: Folder, name: str, columns: list[str] | None = None, **more: object) -> object:
        if columns is None:
            read.append(name)
        return table(self, name, columns, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Folder, "read_table", noted)
    untouched = next(
        shard
        for shard in plans[0].shards
        if len(generations.spans_of_shards(workspace, generations.read_generations(
            workspace, plans[0].archive))[shard]) == 1
    )  # fmt: skip
    shard_images(workspace, plans[0].archive, untouched)
    assert len(read) == 1 < len(files)


@pytest.mark.parametrize("in_order", [True, False])
def test_rows_come_in_the_order_of_their_keys_and_of_one_key_the_last(
    in_order: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a", "b", "é", "z", "\U00010000", *(f"{n:03}" for n in range(50))]
    if in_order:
        names.sort(key=str.encode)
    else:
        random.Random(0).shuffle(names)
    monkeypatch.setattr(spool, "_IN_MEMORY", 8)
    monkeypatch.setattr(spool, "_BATCH", 4)
    rows = Spool(tmp_path)
    for name in names:
        rows.add(name, 1, "first")
        rows.add(name, None, "last")
    rows.done()
    for _ in range(2):
        table = pa.concat_tables(rows.tables())
        assert table["key"].to_pylist() == sorted(names, key=str.encode)
        assert set(table["version"].to_pylist()) == {"last"}
    assert len(list(tmp_path.iterdir())) in ((1,) if in_order else range(10, 15))


def test_a_name_of_an_image_is_what_it_always_was() -> None:
    for text in ("a", 'a"b\\c', "\x00\x1f\x7f\n\t", "é\u2028/\U0001f600", ""):
        assert keys.image_id(text, text) == keys.digest("image", text, text, length=32)


def test_names_are_their_hexadecimal_digits_and_whatever_else_stays_apart() -> None:
    ids = [keys.image_id(str(n), "") for n in range(20)]
    whole = pa.chunked_array([pa.array(["x", *ids]).slice(1, 7), pa.array(ids[7:])])
    assert [bytes(row).hex() for row in bits_of(whole)] == ids
    others = ["feed", ids[0].upper(), "0" * 31 + "g", "", *ids]
    assert len({bytes(row) for row in bits_of(pa.array(others))}) == len(others)
    assert bits_of(pa.array([], pa.string())).shape == (0, 16)


def test_the_listing_of_a_store_is_never_held_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `look_through` has in memory of many keys is a batch."""
    monkeypatch.setattr(spool, "_IN_MEMORY", 64)
    monkeypatch.setattr(spool, "_BATCH", 16)
    memory = fsspec.filesystem("memory")
    for number in range(500):
        memory.pipe_file(f"/bounded/many/{number:04}.jpg", b"x")
    tables = list(listing.look_through("memory://bounded/many", (".jpg",)).tables())
    memory.store.clear()
    assert sum(map(len, tables)) == 500 and max(map(len, tables)) <= 17
