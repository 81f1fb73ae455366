"""Claims about several planners at once, lost generations, and listings that lost too much."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pytest

from lazsl.archive import shard_planning
from lazsl.archive.known_images import Compared, Names
from lazsl.archive.manifest import read_manifest, shard_images
from lazsl.archive.mended_manifest import mend_manifest
from lazsl.archive.shard_planning import Plan, plan_shards
from lazsl.errors import DamagedError, UserError
from lazsl.store import paths, schemas
from lazsl.store.folder import Folder

SUFFIXES = (".jpg",)


def fill(url: str, names: list[str], content: str = "") -> None:
    for name in names:
        Folder(url).write_bytes(f"{name}.jpg", f"{name}{content}".encode())


def plan(workspace: Folder, archive: str, size: int = 3, **more: float) -> Plan:
    return plan_shards(workspace, archive, SUFFIXES, size, **more)


def finish(workspace: Folder, planned: Plan, run: str = "photos-1") -> None:
    """What a run leaves of every shard, as far as a manifest can be rebuilt from it."""
    fields = dict.fromkeys(paths.RUN_FIELDS, "") | {"job": {}, "created": "2026"}
    record = {"run": run, "archive": planned.archive, "encoder": "e", "regions": "r", "labels": "l"}
    workspace.write_record(paths.run_record(run), fields | record)
    for shard in planned.shards:
        rows = shard_images(workspace, planned.archive, shard).to_pylist()
        images = [{**dict.fromkeys(schemas.IMAGES.names), **row} for row in rows]
        table = pa.Table.from_pylist(images, schema=schemas.IMAGES)
        workspace.write_table(paths.images("e", "r", shard), table)
        workspace.write_record(paths.marker(run, shard), {"run": run, "shard": shard})


def homes(workspace: Folder, archive: str) -> dict[str, str]:
    """The shard of every listed image; fails when an image is there twice."""
    rows = read_manifest(workspace, archive).to_pylist()
    listed = [row for row in rows if row["event"] == "added"]
    shard_of = {row["key"]: row["shard"] for row in listed}
    assert len(shard_of) == len(listed)
    return shard_of


def test_planners_at_once_publish_one_manifest_that_all_of_them_agree_on(
    place: str, tmp_path: Path
) -> None:
    archive = str(tmp_path / "archive")
    fill(archive, list("abcdefgh"))
    for generation in range(3):
        fill(archive, [f"{generation}-{name}" for name in "xyz"])
        start = threading.Barrier(4)
        plans: list[Plan] = []

        def planner(size: int, start: threading.Barrier, plans: list[Plan]) -> None:
            start.wait()
            plans.append(plan(Folder(place), archive, size))

        threads = [
            threading.Thread(target=planner, args=(size, start, plans)) for size in range(1, 5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({planned.shards for planned in plans}) == 1 and len(plans) == 4
        assert plans[0].listed == len(homes(Folder(place), plans[0].archive))
        assert set(homes(Folder(place), plans[0].archive).values()) == set(plans[0].shards)


def test_a_planner_that_was_overtaken_plans_on_top_of_the_faster_one(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, workspace = str(tmp_path / "archive"), Folder(place)
    fill(archive, list("abcd"))
    faster: list[Plan] = []
    published: list[bytes] = []
    compare = shard_planning.compare

    def first(planned: Plan) -> str:
        return f"{paths.manifests(planned.archive)}/000001.parquet"

    def overtaken(listed: Names, known: Names) -> Compared:
        if not faster:
            faster.append(Plan("", (), 0, 0, 0, 0))
            fill(archive, list("efgh"))
            faster[0] = plan(workspace, archive, 2)
            published.append(workspace.read_bytes(first(faster[0])))
        return compare(listed, known)

    monkeypatch.setattr(shard_planning, "compare", overtaken)
    slower = plan(workspace, archive, 3)
    assert published == [workspace.read_bytes(first(slower))], "a published generation stays"
    # What it listed lacked four images; the manifest keeps their shards for when they are listed.
    assert set(slower.shards) < set(faster[0].shards)
    assert plan(workspace, archive, 3).shards == faster[0].shards
    assert len(homes(workspace, slower.archive)) == 8


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("harm", ["a flipped bit", "cut short", "deleted"])
def test_a_lost_generation_is_rebuilt_from_what_the_shards_know(
    number: int, harm: str, tmp_path: Path
) -> None:
    archive, workspace = str(tmp_path / "archive"), Folder(str(tmp_path / "workspace"))
    for added in ("abcde", "fghij", "klmno"):
        fill(archive, list(added))
        planned = plan(workspace, archive)
        finish(workspace, planned)
    before = homes(workspace, planned.archive)
    name = f"{paths.manifests(planned.archive)}/{number:06d}.parquet"
    data = bytearray(workspace.read_bytes(name))
    data[len(data) // 2] ^= 4
    if harm == "deleted":
        workspace.remove(name)
    else:
        workspace.write_bytes(name, bytes(data) if harm == "a flipped bit" else bytes(data[:-50]))
        with pytest.raises(DamagedError, match="is damaged"):
            read_manifest(workspace, planned.archive)
    again = plan(workspace, archive, 7)
    assert set(again.shards) == set(planned.shards) and again.listed == 15
    assert homes(workspace, planned.archive) == before
    assert plan(workspace, archive).added == 0


def test_images_of_a_lost_generation_that_no_shard_knows_are_cut_anew(tmp_path: Path) -> None:
    archive, workspace = str(tmp_path / "archive"), Folder(str(tmp_path / "workspace"))
    fill(archive, list("abc"))
    finish(workspace, plan(workspace, archive))
    fill(archive, list("def"))
    planned = plan(workspace, archive)
    workspace.write_bytes(f"{paths.manifests(planned.archive)}/000002.parquet", b"nothing")
    again = plan(workspace, archive, 2)
    assert again.listed == 6 and planned.shards[0] in again.shards and len(again.shards) == 3
    assert len(homes(workspace, again.archive)) == 6


def test_a_manifest_is_mended_without_listing_the_archive(tmp_path: Path) -> None:
    archive, workspace = str(tmp_path / "archive"), Folder(str(tmp_path / "workspace"))
    fill(archive, list("abcd"))
    planned = plan(workspace, archive)
    finish(workspace, planned)
    workspace.write_bytes(f"{paths.manifests(planned.archive)}/000001.parquet", b"nothing")
    mended = mend_manifest(workspace, planned.archive)
    images = read_manifest(workspace, planned.archive)
    assert set(images["shard"].to_pylist()) == set(planned.shards)
    assert set(images["key"].to_pylist()) == {f"{name}.jpg" for name in "abcd"}
    # Whether they are still listed is for the next listing to say.
    assert mended == []


def test_a_listing_that_lost_more_than_its_share_stops_and_changes_nothing(
    place: str, tmp_path: Path
) -> None:
    archive, workspace = str(tmp_path / "archive"), Folder(place)
    fill(archive, list("abcdefghij"))
    plan(workspace, archive)
    kept = {name: workspace.read_bytes(name) for name in workspace.names("")}
    for name in "abc":
        Folder(archive).remove(f"{name}.jpg")
    fill(archive, list("defg"), "changed")
    with pytest.raises(UserError) as caught:
        plan(workspace, archive, loss_ceiling=0.2)
    sentence = str(caught.value)
    assert (
        "3 of the 10 images" in sentence and "'a.jpg'" in sentence and "loss_ceiling=1" in sentence
    )
    assert {name: workspace.read_bytes(name) for name in workspace.names("")} == kept
    assert plan(workspace, archive, loss_ceiling=0.3).listed == 7
