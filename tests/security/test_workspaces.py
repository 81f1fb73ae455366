"""A workspace or a warehouse is a stranger's: what it names stays inside, and is not obeyed."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from sample import copy_sample, small_job
from typer.testing import CliRunner

from lazsl.archive import manifest, named_archives
from lazsl.archive.manifest import read_manifest
from lazsl.archive.shard_planning import plan_shards
from lazsl.cli.commands import app
from lazsl.errors import UserError
from lazsl.report.make import make_report
from lazsl.run.into_warehouse import recorded_job
from lazsl.run.run import Run, open_relabelling, open_run
from lazsl.run.stage_step import stage_shard
from lazsl.store import paths
from lazsl.store.folder import Folder
from lazsl.store.seals import sealed_json


def planned(tmp_path: Path) -> Run:
    """A planned run of three pictures."""
    job = small_job(copy_sample(tmp_path / "archive", 3, odd=False), tmp_path / "work")
    run = open_run(job)
    plan_shards(run.workspace, job.archive, job.suffixes, job.shard_size)
    return run


def replant(run: Run, **columns: str) -> None:
    """Put other values into every row of the manifest."""
    name = f"manifests/{run.archive}/000001.parquet"
    file = Path(run.workspace.path(name))
    table = run.workspace.read_table(name)
    for column, value in columns.items():
        at = table.schema.get_field_index(column)
        filled = pa.array([f"{value}{row}" for row in range(len(table))], pa.string())
        table = table.set_column(at, table.schema.field(at), filled)
    file.chmod(0o644)
    Folder(str(file.parent)).write_table(file.name, table)


@pytest.mark.parametrize("column", ["image_id", "shard"])
def test_a_manifest_names_no_file_outside(tmp_path: Path, column: str) -> None:
    run = planned(tmp_path)
    replant(run, **{column: "../../planted"})
    with pytest.raises(UserError, match="is no name of a"):
        read_manifest(run.workspace, run.archive)


def test_a_key_that_leads_out_of_the_archive_is_a_reject(tmp_path: Path) -> None:
    run = planned(tmp_path)
    (tmp_path / "private0").write_bytes(b"private")
    (shard,) = {s for s in read_manifest(run.workspace, run.archive)["shard"].to_pylist()}
    replant(run, key="../private")
    manifest.last_read.clear()  # as a process has it that did not plan the archive
    staged = stage_shard(run, str(shard), tmp_path / "staged")
    assert set(staged.table["reason"].to_pylist()) == {"outside-the-archive"}


@pytest.fixture
def run_of_another(labelled: Run, tmp_path: Path) -> tuple[Folder, Path]:
    """A workspace with a finished run, and its record, which others may write."""
    shutil.copytree(labelled.workspace.path(""), tmp_path / "work")
    folder = Folder(str(tmp_path / "work"))
    record = Path(folder.path(paths.run_record(labelled.key)))
    record.chmod(0o666)
    return folder, record


def change(record: Path, job: dict[str, object] | None = None, **fields: object) -> str:
    """Change fields of a record, and of its job; the run's key."""
    document = json.loads(record.read_text())
    key = str(document["run"])
    document |= fields
    document["job"] |= job or {}
    # A seal tells accidents, not forgers: whoever changes a record can seal it again.
    record.write_bytes(sealed_json(document))
    return key


def test_relabel_loads_no_model_because_a_record_names_it(
    run_of_another: tuple[Folder, Path], tmp_path: Path
) -> None:
    folder, record = run_of_another
    key = change(record, {"model": f"local-dir:{tmp_path / 'model'}"})
    answer = CliRunner().invoke(app, ["relabel", key, "--workspace", folder.url])
    assert answer.exit_code == 2
    message = " ".join(answer.stderr.split())
    assert "not loaded by itself" in message and "--model" in message
    with pytest.raises(UserError, match="not loaded by itself"):
        open_relabelling(folder, key, {})
    # Named by the person it is taken, and here there is none.
    with pytest.raises(UserError, match="there is no"):
        open_relabelling(folder, key, {"model": f"local-dir:{tmp_path / 'model'}"})


def test_relabel_reads_no_other_file_as_a_label_set_because_a_record_names_it(
    run_of_another: tuple[Folder, Path], tmp_path: Path
) -> None:
    folder, record = run_of_another
    private = tmp_path / "private.txt"
    private.write_text("a private line\nanother one\n")
    before = set(folder.names(""))
    key = change(record, {"labels": str(private)})
    answer = CliRunner().invoke(app, ["relabel", key, "--workspace", folder.url])
    assert answer.exit_code == 2 and "--labels" in answer.stderr
    with pytest.raises(UserError, match="is not the label set that run"):
        open_relabelling(folder, key, {})
    assert set(folder.names("")) == before
    # Named by the person it is taken.
    assert open_relabelling(folder, key, {"labels": str(private)}).labelset.classes[0]


def test_no_command_writes_a_warehouse_where_a_record_says(
    run_of_another: tuple[Folder, Path], tmp_path: Path
) -> None:
    folder, record = run_of_another
    planted = tmp_path / "planted.duckdb"
    key = change(record, {"warehouse": str(planted), "scratch": str(tmp_path / "planted")})
    answer = CliRunner().invoke(app, ["relabel", key, "--workspace", folder.url])
    assert answer.exit_code == 2 and "say where to write" in " ".join(answer.stderr.split())
    with pytest.raises(UserError, match="say where to write"):
        recorded_job(folder, key)
    job, _, _ = recorded_job(folder, key, str(tmp_path / "mine.duckdb"))
    assert job.warehouse_path == tmp_path / "mine.duckdb" and job.scratch is None
    assert not planted.exists()


@pytest.mark.parametrize("field", ["archive", "encoder", "regions", "labels"])
def test_a_record_whose_names_lead_elsewhere_is_refused(
    run_of_another: tuple[Folder, Path], field: str
) -> None:
    folder, record = run_of_another
    key = change(record, **{field: "../../elsewhere"})
    with pytest.raises(UserError, match="no name of"):
        paths.read_run_record(folder, key)


def test_a_record_that_names_another_run_is_refused(run_of_another: tuple[Folder, Path]) -> None:
    folder, record = run_of_another
    key = change(record)
    change(record, run="../../other")
    with pytest.raises(UserError, match="the record of another run"):
        paths.read_run_record(folder, key)


def test_a_hostile_warehouse_makes_the_report_write_nothing_outside(
    labelled: Run, tmp_path: Path
) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    shutil.copy(labelled.job.warehouse_path, warehouse)
    warehouse.chmod(0o644)
    with closing(duckdb.connect(warehouse)) as connection:
        tables = connection.execute(
            "select table_name from information_schema.columns where column_name = 'image_id' and "
            "table_name in (select table_name from duckdb_tables())"
        ).fetchall()
        for (table,) in tables:
            connection.execute(f"update {table} set image_id = '../../../planted-' || image_id")
    with pytest.raises(UserError, match="no name of an image"):
        make_report(warehouse, labelled.key, str(tmp_path / "a" / "b" / "site"))
    assert not list(tmp_path.rglob("planted*"))


def test_a_hostile_warehouse_shows_no_picture_of_a_place_that_its_reader_never_named(
    labelled: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(named_archives, "_of_this_process", set())
    warehouse, private = tmp_path / "warehouse.duckdb", tmp_path / "private"
    shutil.copy(labelled.job.warehouse_path, warehouse)
    shutil.copytree(labelled.job.archive, private)
    warehouse.chmod(0o644)
    with closing(duckdb.connect(warehouse)) as connection:
        connection.execute("update runs set archive_url = ?", [f"file://{private}"])
        (version,) = connection.execute("select version from images limit 1").fetchone() or ("",)
        connection.execute(f"update images set uri = 'file://{private}/' || key")
        labelled_key = (
            "select key from images where listed and image_id in (select image_id from predictions)"
        )
        (key,) = connection.execute(f"{labelled_key} limit 1").fetchone() or ("",)
    assert version
    options = ["--warehouse", str(warehouse), "--output"]
    site = tmp_path / "site"
    refused = CliRunner().invoke(app, ["report", *options, str(site)])
    assert refused.exit_code == 2 and "--archive" in refused.stderr
    assert not list(site.rglob("*.webp"))
    place = tmp_path / "explained.png"
    explained = CliRunner().invoke(app, ["explain", key, *options, str(place)])
    assert explained.exit_code == 0 and "never labelled" in " ".join(explained.stderr.split())
    # Below it is named, beside it is not; and what is named once stays so.
    assert not named_archives.is_named(f"{private}-2") and not named_archives.is_named(
        f"{private}/../other"
    )
    result = CliRunner().invoke(
        app, ["report", "--archive", str(private), *options, str(site), "--images=1"]
    )
    assert result.exit_code == 0, result.stderr
    assert named_archives.is_named(f"{private}/below") and named_archives.is_named(
        f"file://{private}"
    )
    assert (tmp_path / "state" / "lazsl" / "archives").stat().st_mode & 0o077 == 0


def test_a_path_with_dots_leaves_no_folder_but_a_key_of_a_bucket_may_have_them(
    tmp_path: Path, bucket: str
) -> None:
    with pytest.raises(UserError, match="lead out"):
        Folder(str(tmp_path / "in")).write_bytes("a/../../planted", b"-")
    assert not (tmp_path / "planted").exists()
    Folder(bucket).write_bytes("a/../../b", b"-")
    assert Folder(bucket).read_bytes("a/../../b") == b"-"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make another user's link")
def test_nothing_is_written_through_a_link_that_another_user_made(tmp_path: Path) -> None:
    aim, place = tmp_path / "aim", tmp_path / "place"
    aim.mkdir()
    place.mkdir()
    (place / "runs").symlink_to(aim)
    Folder(str(place)).write_bytes("runs/mine", b"-")  # one's own link: another disk, say
    os.lchown(place / "runs", 65534, 65534)
    with pytest.raises(UserError, match="another user made"):
        Folder(str(place)).write_bytes("runs/planted", b"-")
    assert sorted(path.name for path in aim.iterdir()) == ["mine"]
