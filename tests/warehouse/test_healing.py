"""Claims about a warehouse whose workspace, or whose file, was damaged, and is then made well."""

from __future__ import annotations

import json
import logging
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import fake_run
import pyarrow as pa
import pytest
from refusals import complaint
from typer.testing import CliRunner

from lazsl.cli.commands import app
from lazsl.errors import DamagedError
from lazsl.run.status import run_status
from lazsl.store import paths, schemas
from lazsl.store.folder import Folder
from lazsl.warehouse import loading, opening


@pytest.fixture
def workspace(tmp_path: Path) -> Folder:
    return Folder(str(tmp_path / "workspace"))


@pytest.fixture
def fake(workspace: Folder) -> fake_run.FakeRun:
    """A finished run whose archive has a manifest: the first two images are no longer listed."""
    fake = fake_run.write_run(workspace)
    record = {**fake.record, "job": {"archive": "s3://bucket/archive-1", "labels": "birds.json"}}
    workspace.write_record(paths.run_record(fake.run), record)
    rows = [
        {**{name: row.get(name) for name in schemas.MANIFEST.names}, "event": "added"}
        for row in fake.images
    ]
    gone = [{**row, "event": "removed"} for row in rows[:2]]
    for number, generation in enumerate((rows, gone), start=1):
        table = pa.Table.from_pylist(generation, schema=schemas.MANIFEST)
        workspace.write_table(f"manifests/archive-1/{number:06d}.parquet", table)
    return fake


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.duckdb"


def content(path: Path) -> dict[str, list[str]]:
    """All rows of all tables, in an order that does not depend on how they got there."""
    with closing(opening.open_warehouse(path)) as connection:
        names = connection.execute(
            "select table_name from duckdb_tables() where database_name = 'warehouse'"
        ).fetchall()
        return {n: sorted(map(repr, connection.table(n).fetchall())) for (n,) in sorted(names)}


def count(path: Path, query: str) -> int:
    with closing(opening.open_warehouse(path)) as connection:
        return int(connection.execute(f"select count(*) from {query}").fetchall()[0][0])


def damage(workspace: Folder, name: str) -> None:
    data = bytearray(workspace.read_bytes(name))
    data[len(data) // 2] ^= 16
    workspace.write_bytes(name, bytes(data))


TRUTH = pa.table({"key": ["a.jpg", "b.jpg"], "label": ["wren", "owl"]})


def test_a_warehouse_that_is_rebuilt_equals_the_one_that_was_lost(
    workspace: Folder, fake: fake_run.FakeRun, path: Path
) -> None:
    loading.load(workspace, path, truth=TRUTH, archive="archive-1")
    before = content(path)
    assert count(path, "images where not listed") == 2 and count(path, "truth") == 2
    path.unlink()
    loading.load(workspace, path)
    assert content(path) == before
    loading.load(workspace, path, rebuild=True)
    assert content(path) == before
    other = path.with_name("other.duckdb")
    loading.load(workspace, other)
    assert content(other) == before


@pytest.mark.parametrize("harm", ["cut to half", "header", "blocks", "empty"])
def test_a_damaged_warehouse_says_how_it_is_made_anew_and_that_does_it(
    harm: str, workspace: Folder, fake: fake_run.FakeRun, path: Path, tmp_path: Path
) -> None:
    loading.load(workspace, path, truth=TRUTH, archive="archive-1")
    before = content(path)
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    if harm == "cut to half":
        data = data[: len(data) // 2]
    elif harm == "header":
        data[:12288] = b"\x07" * 12288
    elif harm == "blocks":
        data[12288:] = bytes(byte ^ 0x55 for byte in data[12288:])
    else:
        data = bytearray()
    path.write_bytes(bytes(data))
    arguments = ["--workspace", workspace.url, "--warehouse", str(path)]
    for command in (["sql", "from images"], ["status"], ["load"]):
        result = CliRunner().invoke(app, [*command, *arguments])
        assert result.exit_code == 2, (command, result.output)
        assert "lazsl load --rebuild" in " ".join(result.output.split()), result.output
        assert "make room" not in result.output
    result = CliRunner().invoke(app, ["load", "--rebuild", *arguments])
    assert result.exit_code == 0, result.output
    assert content(path) == before and path.with_name("w.before-rebuild.duckdb").exists()


@pytest.mark.parametrize("kind", ["predictions", "scores", "evidence", "plans", "marker", "images"])
def test_one_damaged_artifact_is_set_aside_and_all_others_are_loaded(
    kind: str, workspace: Folder, fake: fake_run.FakeRun, path: Path
) -> None:
    bad = fake.shards[1]
    whole = path.with_name("whole.duckdb")
    loading.load(workspace, whole)
    if kind == "marker":
        name = paths.marker(fake.run, bad)
        workspace.write_record(name, workspace.read_json(name))
    elif kind == "images":
        name = paths.images("encoder-1", "r-1", bad)
    else:
        name = paths.run_table(fake.run, kind, bad)
    good = {n: workspace.read_bytes(n) for n in (name, paths.marker(fake.run, bad))}
    damage(workspace, name)
    sentence = complaint(lambda: loading.load(workspace, path))
    assert f"its file {name} is damaged" in sentence and "made anew" in sentence
    assert count(path, "shards") == len(fake.shards) - 1
    assert bad not in paths.done_shards(workspace, fake.run)
    assert workspace.exists(f"damaged/{name}") and not workspace.exists(name)
    # Made anew, it is loaded.
    for restored, data in good.items():
        workspace.write_bytes(restored, data)
    if kind == "images":
        aside = paths.region_embeddings("encoder-1", "r-1", bad)
        workspace.write_bytes(aside, workspace.read_bytes(f"damaged/{aside}"))
    loading.load(workspace, path)
    assert count(path, "shards") == len(fake.shards)


@pytest.mark.parametrize("text", ["", '{"run": "sam', "{}", "null", "[]", "3", "\x00\x01"])
@pytest.mark.parametrize("which", ["run", "marker"])
def test_records_that_hold_nothing_stop_nobody_else(
    which: str, text: str, workspace: Folder, fake: fake_run.FakeRun, path: Path
) -> None:
    other = fake_run.write_run(workspace, run="sample-b", labels="labels-2", seed=1)
    name = paths.marker(fake.run, fake.shards[0])
    name = paths.run_record(fake.run) if which == "run" else name
    workspace.write_bytes(name, text.encode())
    sentence = complaint(lambda: loading.load(workspace, path))
    assert name in sentence and "is damaged" in sentence
    with closing(opening.open_warehouse(path)) as connection:
        shards = dict(
            connection.execute("select run, count(*) from shards group by run").fetchall()
        )
    assert shards.get(fake.run, 0) == (0 if which == "run" else len(fake.shards) - 1)
    assert shards[other.run] == len(other.shards)
    assert paths.read_run_record(workspace)["run"] in (fake.run, other.run)
    if which == "run":
        assert "is damaged" in complaint(lambda: paths.read_run_record(workspace, fake.run))


def test_a_run_whose_record_is_gone_is_not_left_out_in_silence(
    workspace: Folder, fake: fake_run.FakeRun, path: Path
) -> None:
    other = fake_run.write_run(workspace, run="sample-b", labels="labels-2", seed=1)
    workspace.remove(paths.run_record(fake.run))
    sentence = complaint(lambda: loading.load(workspace, path))
    assert f"the record of run {fake.run} is gone" in sentence
    with closing(opening.open_warehouse(path)) as connection:
        assert connection.execute("select run from runs").fetchall() == [(other.run,)]


def test_a_shard_that_was_made_anew_replaces_what_was_loaded_of_it(
    workspace: Folder, fake: fake_run.FakeRun, path: Path
) -> None:
    loading.load(workspace, path)
    assert not loading.load(workspace, path).published
    shard = fake.shards[0]
    name = paths.run_table(fake.run, "predictions", shard)
    table = workspace.read_table(name)
    at = table.schema.get_field_index("label")
    changed = table.set_column(at, table.schema.field(at), pa.array(["seen anew"] * len(table)))
    marker = workspace.read_json(paths.marker(fake.run, shard))
    marker["finished"] = "2026-05-01T00:00:00+00:00"
    marker.pop("files", None)
    workspace.write_table(name, changed)
    workspace.write_record(paths.marker(fake.run, shard), marker)
    images = count(path, "predictions")
    assert loading.load(workspace, path).shards == 1
    assert count(path, "predictions where label = 'seen anew'") == len(table)
    assert count(path, "predictions") == images
    assert count(path, "reconciliation where not reconciled") == 0
    assert not loading.load(workspace, path).published


def test_an_image_is_in_a_run_once_whatever_led_there(
    workspace: Folder, fake: fake_run.FakeRun, path: Path
) -> None:
    loading.load(workspace, path)
    before = content(path)
    double, bad = fake.shards[0], "f" * 16
    for table in schemas.RUN_TABLES:
        data = workspace.read_bytes(paths.run_table(fake.run, table, double))
        workspace.write_bytes(paths.run_table(fake.run, table, bad), data)
    for of in (paths.images, paths.region_embeddings):
        workspace.write_bytes(
            of("encoder-1", "r-1", bad), workspace.read_bytes(of("encoder-1", "r-1", double))
        )
    marker = workspace.read_json(paths.marker(fake.run, double))
    marker |= {"shard": bad, "finished": "2026-05-01T00:00:00+00:00"}
    marker.pop("files", None)
    workspace.write_record(paths.marker(fake.run, bad), marker)
    sentence = complaint(lambda: loading.load(workspace, path))
    assert f"shard {bad}" in sentence and double in sentence and "already" in sentence
    for table in (*schemas.RUN_TABLES, "rejects", "shards"):
        assert content(path)[table] == before[table]
    workspace.remove(paths.marker(fake.run, bad))
    loading.load(workspace, path)
    assert content(path)["shards"] == before["shards"]


def test_a_damaged_sample_stops_no_shard(
    workspace: Folder, fake: fake_run.FakeRun, path: Path
) -> None:
    workspace.write_bytes("samples/archive-1/s1.parquet", b"nothing")
    sentence = complaint(lambda: loading.load(workspace, path))
    assert "samples s1" in sentence and "draw or import it again" in sentence
    assert count(path, "shards") == len(fake.shards)


def test_a_damaged_label_set_costs_no_shard(
    workspace: Folder, fake: fake_run.FakeRun, path: Path
) -> None:
    name = paths.attributes("encoder-1", "labels-1")
    data = workspace.read_bytes(name)
    damage(workspace, name)
    for why in ("damaged", "missing"):
        sentence = complaint(lambda: loading.load(workspace, path))
        assert f"the label set in {name} is {why}" in sentence
        assert len(paths.done_shards(workspace, fake.run)) == len(fake.shards)
    workspace.write_bytes(name, data)
    assert loading.load(workspace, path).shards == len(fake.shards)


def test_a_load_waits_for_another_one(
    workspace: Folder, fake: fake_run.FakeRun, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    under_way = threading.Event()

    def slowly(done: int, all: int) -> None:
        under_way.set()
        time.sleep(0.5)

    first = threading.Thread(target=lambda: loading.load(workspace, path, progress=slowly))
    first.start()
    assert under_way.wait(30)
    with caplog.at_level(logging.WARNING):
        second = loading.load(workspace, path)
    first.join()
    assert not second.published and "another load" in caplog.text
    assert count(path, "shards") == len(fake.shards)


def test_a_check_finds_every_damaged_artifact_and_sets_it_aside(
    workspace: Folder, fake: fake_run.FakeRun
) -> None:
    bad = [
        paths.region_embeddings("encoder-1", "r-1", fake.shards[0]),
        paths.attributes("encoder-1", "labels-1"),
        paths.run_record(fake.run),
        "manifests/archive-1/000001.parquet",
        paths.run_table(fake.run, "plans", fake.shards[1]),
    ]
    for name in bad:
        damage(workspace, name)
    result = CliRunner().invoke(app, ["check", "--workspace", workspace.url])
    assert result.exit_code == 1, result.output
    for name in bad:
        assert f"{name}: " in result.output and not workspace.exists(name)
    again = CliRunner().invoke(app, ["check", "--workspace", workspace.url])
    assert again.exit_code == 0 and "0 damaged" in again.output


def parts(status: dict[str, Any]) -> tuple[int, ...]:
    return tuple(status[n] for n in ("listed", "labelled", "rejected", "waiting", "missing"))


def test_counts_reconcile_at_every_moment(
    workspace: Folder, fake: fake_run.FakeRun, path: Path
) -> None:
    markers = {s: workspace.read_bytes(paths.marker(fake.run, s)) for s in fake.shards}
    for shard in fake.shards:
        workspace.remove(paths.marker(fake.run, shard))
    listed = len(fake.images) - 2

    def status() -> dict[str, Any]:
        status = run_status(workspace, fake.run, path)
        assert status["reconciled"] and sum(parts(status)[1:]) == status["listed"] == listed
        return status

    assert parts(status()) == (listed, 0, 0, 0, listed)
    fake_run.write_run(workspace, run="sample-b", archive="archive-2", labels="labels-2", seed=1)
    loading.load(workspace, path, ["sample-b"])
    # A run that was killed before any of it was loaded, beside another one.
    before = status()
    assert parts(before) == (listed, 0, 0, 0, listed) and not before["no_longer_listed"]
    for shard, data in markers.items():
        workspace.write_bytes(paths.marker(fake.run, shard), data)
        before = status()
        assert before["waiting"] > 0 and not before["loaded"]
        loading.load(workspace, path)
        after = status()
        assert after["waiting"] == 0 and after["loaded"]
    rejected = sum(row["reason"] is not None for row in fake.images[2:])
    assert parts(after) == (listed, listed - rejected, rejected, 0, 0)
    assert after["no_longer_listed"] == 2 and sum(after["rejects"].values()) == rejected
    workspace.remove(paths.marker(fake.run, fake.shards[0]))
    assert status()["missing"] > 0
    as_json = ["status", "sample-a", "--json", "--workspace", workspace.url]
    result = CliRunner().invoke(app, [*as_json, "--warehouse", str(path)])
    assert result.exit_code == 1 and json.loads(result.output)["missing"] == status()["missing"]


def test_a_warehouse_with_an_image_twice_does_not_reconcile(
    workspace: Folder, fake: fake_run.FakeRun, path: Path
) -> None:
    loading.load(workspace, path)
    path.chmod(0o644)
    with closing(duckdb.connect(path)) as connection:
        connection.execute("insert into predictions from predictions limit 5")
    assert not run_status(workspace, fake.run, path)["reconciled"]
    result = CliRunner().invoke(
        app, ["status", "--workspace", workspace.url, "--warehouse", str(path)]
    )
    assert result.exit_code == 1 and "do not add up" in result.output


def test_status_says_that_a_manifest_is_damaged(
    workspace: Folder, fake: fake_run.FakeRun, path: Path
) -> None:
    loading.load(workspace, path)
    damage(workspace, "manifests/archive-1/000001.parquet")
    with pytest.raises(DamagedError, match="lazsl check"):
        run_status(workspace, fake.run, path)
