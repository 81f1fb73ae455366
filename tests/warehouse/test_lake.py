"""The lake: loads that add Parquet files to a folder, which is asked as a warehouse is."""

from __future__ import annotations

import datetime
import shutil
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import fake_run
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from lazsl.cli.commands import app
from lazsl.errors import UserError
from lazsl.fieldguide import IMAGES_DIR, LABELS_FILE
from lazsl.report.make import make_report
from lazsl.run.run import Run
from lazsl.run.status import run_status
from lazsl.store import paths, schemas
from lazsl.store.folder import Folder
from lazsl.warehouse import lake, lake_files, lake_loading, loading, opening, run_keys, sqlfiles
from lazsl.warehouse.sqlfiles import Connection

TABLES = (*lake.SMALL, *lake.LARGE)
APART = ("examples/plans_in_bucket.sql", "examples/sites.sql")  # read files of the user's


@dataclass(frozen=True)
class Places:
    """A warehouse of two workspaces, and lakes of the same: `loaded`, one load after the other, and
    `exported`, as an older lazsl made them, of two warehouses."""

    whole: Path
    loaded: Path
    exported: Path
    workspaces: tuple[Folder, Folder]
    shared: fake_run.FakeRun


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Some shards of a run are in one workspace, the others in another with two runs more. Both
    have the label sets, the truth, the sample and the judgements of the run they share."""
    home = tmp_path_factory.mktemp("lake")
    whole, loaded, exported = (
        home / name for name in ("all.duckdb", "it's a.lake", "it's exported")
    )
    exported.mkdir()
    workspaces = []
    for batch in ("1", "2"):
        workspace, path = Folder(str(home / batch)), home / f"{batch}.duckdb"
        workspaces.append(workspace)
        fake = fake_run.write_run(workspace, run="run-0", keep=())
        for shard in fake.shards[:2] if batch == "1" else fake.shards[2:]:
            fake_run.write_marker(workspace, fake, shard)
        if batch == "2":
            for seed in (1, 2):
                fake_run.write_run(workspace, run=f"run-{seed}", archive="archive-2", seed=seed)
        write_audit(workspace, fake)
        keys = [row["key"] for row in fake.images]
        truth = pa.table({"key": keys, "label": ["wren"] * len(keys)})
        for where in (path, whole, loaded):
            loading.load(workspace, where, truth=truth, archive="archive-1")
        with closing(opening.open_warehouse(path)) as connection:
            for table in TABLES:
                rows = connection.table(table).to_arrow_table()
                pq.write_table(rows, exported / f"{table}.{batch}.parquet")
    return Places(whole, loaded, exported, (workspaces[0], workspaces[1]), fake)


def write_audit(workspace: Folder, fake: fake_run.FakeRun) -> None:
    """A sample of three images, judged right."""
    judgements = [
        {
            "sample": "sample-1",
            "archive": "archive-1",
            "run": fake.run,
            "image_id": image["image_id"],
            "key": image["key"],
            "digest": image["digest"],
            "label": "wren",
            "stratum": 0,
            "population": 17,
            "drawn": 3,
            "strata": "nothing",
            "seed": 0,
            "batch": "batch-1",
            "judged_label": "wren",
            "verdict": "right",
            "reviewer": "somebody",
            "judged_at": datetime.datetime(2026, 1, 2, 3, 4, 5),
            "source": "csv",
        }
        for image in fake.labelled[:3]
    ]
    for table, name in (("samples", "sample-1"), ("reviews", "batch-1")):
        rows = pa.Table.from_pylist(judgements, schema=schemas.AUDIT_TABLES[table])
        workspace.write_table(paths.audit_table(table, "archive-1", name), rows)


@pytest.fixture
def kept(places: Places, tmp_path: Path) -> Path:
    """A copy of the loaded lake."""
    shutil.copytree(places.loaded, tmp_path / "kept.lake")
    return tmp_path / "kept.lake"


def content(path: Path) -> dict[str, list[str]]:
    """Every row of every table; of shards not as which version their markers were loaded."""
    # Without the views, which a lake makes anew for everybody who opens it.
    opened = lake.open_tables(path) if path.is_dir() else opening.open_warehouse(path)
    with closing(opened) as connection:
        return {table: rows_of(connection, table) for table in TABLES}


def rows_of(connection: Connection, table: str) -> list[str]:
    rows = connection.table(table)
    names = [name for name in rows.columns if (table, name) != ("shards", "version")]
    return sorted(map(repr, rows.project(", ".join(f'"{name}"' for name in names)).fetchall()))


def files_in(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.glob("*.parquet")}


@pytest.mark.parametrize("kind", ["loaded", "exported"])
def test_a_lake_has_the_rows_the_columns_and_the_answers_of_one_warehouse(
    places: Places, kind: str
) -> None:
    path: Path = getattr(places, kind)
    assert content(path) == content(places.whole)
    assert all(content(path).values())
    with (
        closing(opening.open_warehouse(places.whole)) as single,
        closing(opening.open_warehouse(path)) as many,
    ):
        for table in TABLES:
            kinds = [
                dict(zip(c.table(table).columns, map(str, c.table(table).types), strict=True))
                for c in (single, many)
            ]
            assert kinds[0] == kinds[1]
        for name in [n for n in sqlfiles.names() if n.startswith("examples/") and n not in APART]:
            answers = [c.execute(sqlfiles.read(name)).fetchall() for c in (single, many)]
            assert answers[0] == answers[1], name
        assert single.execute("select bool_and(reconciled) from reconciliation").fetchone() == (
            many.execute("select bool_and(reconciled) from reconciliation").fetchone()
        )


def test_exports_of_an_older_lazsl_lack_columns_and_are_read_and_added_to(
    places: Places, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    older.mkdir()
    for file in places.exported.glob("*.1.parquet"):
        later = schemas.LATER.get(file.name.split(".")[0], {})
        pq.write_table(pq.read_table(file).drop_columns(list(later)), older / file.name)
    with closing(opening.open_warehouse(older)) as connection:
        for kind, later in schemas.LATER.items():
            names = ", ".join(later)
            connection.execute(f"select {names} from {kind}").fetchall()
        assert connection.execute("from attribute_strength").fetchall()
    before = files_in(older)
    loading.load(places.workspaces[1], older)
    assert files_in(older).items() >= before.items()
    assert [len(rows) for rows in content(older).values()] == [
        len(rows) for rows in content(places.whole).values()
    ]


def test_a_load_adds_what_is_new_touches_no_file_that_is_there_and_finds_nothing_the_next_time(
    places: Places, kept: Path
) -> None:
    workspace = Folder(str(kept.parent / "third"))
    fake_run.write_run(workspace, run="run-3", archive="archive-3", images=9)
    before = files_in(kept)
    loaded = loading.load(workspace, kept)
    assert (loaded.images, loaded.published) == (9, True)
    after = files_in(kept)
    assert after.items() > before.items()
    of_new = [name for name in after.keys() - before.keys() if "predictions" in name]
    assert sum(pq.read_table(kept / name).num_rows for name in of_new) < 9
    again = loading.load(workspace, kept)
    assert (again.shards, again.published) == (0, False)
    assert files_in(kept) == after


def test_killed_at_every_file_it_writes_readers_see_the_lake_as_it_was_and_a_repeated_load_ends_it(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[str] = []
    write, publish = lake_files.NewFiles._write, lake_loading.write_lake

    def counted(after: int, function: Callable[..., object]) -> Callable[..., object]:
        def call(*given: object) -> object:
            result = function(*given)
            writes.append(function.__name__)
            if len(writes) == after:
                raise KeyboardInterrupt
            return result

        return call

    path, expected = tmp_path / "a.lake", content(places.loaded)
    loading.load(places.workspaces[0], path)
    first = content(path)
    for after in range(1, 40):
        writes.clear()
        with monkeypatch.context() as patch:
            patch.setattr(lake_files.NewFiles, "_write", counted(after, write))
            patch.setattr(lake_loading, "write_lake", counted(after, publish))
            try:
                loading.load(places.workspaces[1], path)
                break
            except KeyboardInterrupt:
                pass
        state = content(path)
        assert state == first or "write_lake" in writes
        first = state
    assert after > 10  # or nothing was interrupted
    assert {**content(path), "truth": expected["truth"]} == expected
    assert not list(path.glob(".loading*"))


def test_an_image_that_a_run_has_in_two_shards_is_refused(places: Places, kept: Path) -> None:
    doubled = Folder(str(kept.parent / "doubled"))
    fake = fake_run.write_run(doubled, run="run-0", shard_size=5, keep=())
    fake_run.write_marker(doubled, fake, fake.shards[0])
    before = content(kept)
    with pytest.raises(UserError, match=r"5 of its images, such as \w+, are in shard .* already"):
        loading.load(doubled, kept)
    after = content(kept)
    assert {t: after[t] for t in schemas.RUN_TABLES} == {t: before[t] for t in schemas.RUN_TABLES}
    assert after["shards"] == before["shards"]


def test_a_shard_that_was_made_anew_replaces_what_was_there(places: Places, kept: Path) -> None:
    workspace = Folder(str(kept.parent / "anew"))
    shutil.copytree(places.workspaces[1].url, workspace.url)
    fake = fake_run.write_run(workspace, run="run-1", archive="archive-2", seed=7, keep=())
    fake_run.write_marker(workspace, fake, fake.shards[1], finished="2026-05-02T03:04:05+00:00")
    single = kept.parent / "single.duckdb"
    shutil.copyfile(places.whole, single)
    single.chmod(0o600)
    for path in (kept, single):
        assert loading.load(workspace, path, ["run-1"]).shards == 1
    assert content(kept) == content(single)
    assert content(kept)["scores"] != content(places.whole)["scores"]
    with closing(opening.open_warehouse(kept)) as connection:
        wrong = connection.execute("from reconciliation where run = 'run-1' and not reconciled")
        assert wrong.fetchall() == []


def test_images_that_are_no_longer_listed_and_listed_again_are_marked(
    places: Places, kept: Path
) -> None:
    ids = [row["image_id"] for row in places.shared.images]
    for listed in (ids[3:], ids):
        loading.load(
            *(places.workspaces[0], kept, []), listed={"archive-1": pa.table({"image_id": listed})}
        )
        with closing(opening.open_warehouse(kept)) as connection:
            gone = connection.execute("select image_id from images where not listed").fetchall()
        assert {image for (image,) in gone} == set(ids) - set(listed)


def test_readers_go_on_while_loads_add_and_see_a_load_whole_or_not_at_all(
    places: Places, tmp_path: Path
) -> None:
    path = tmp_path / "a.lake"
    loading.load(places.workspaces[0], path)
    counts = {publishing_count(path)}
    stop, seen, troubles = threading.Event(), set[tuple[int, ...]](), list[BaseException]()

    def read() -> None:
        try:
            while not stop.is_set():
                seen.add(publishing_count(path))
        except BaseException as error:
            troubles.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    with closing(opening.open_warehouse(path)) as old:
        for reader in readers:
            reader.start()
        loading.load(places.workspaces[1], path)
        stop.set()
        for reader in readers:
            reader.join()
        counts.add(publishing_count(path))
        assert old.execute("select count(*) from predictions").fetchone() == (min(counts)[0],)
    assert troubles == [] and seen <= counts and len(counts) == 2


def publishing_count(path: Path) -> tuple[int, ...]:
    with closing(opening.open_warehouse(path)) as connection:
        return tuple(connection.table(t).count("*").fetchall()[0][0] for t in schemas.RUN_TABLES)


def test_many_small_files_become_one_and_old_ones_go_after_a_day(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_loading, "_SHARDS", 1)
    monkeypatch.setattr(lake_files, "_SMALL_FILES", 3)
    path = tmp_path / "a.lake"
    for workspace in places.workspaces:
        loading.load(workspace, path)
    assert content(path) == content(places.whole)
    assert len(lake.read_lake(path).names["scores"]) <= 4
    many = len(files_in(path))
    monkeypatch.setattr(lake_loading, "_GRACE", -1.0)
    loading.load(places.workspaces[0], path)
    assert len(files_in(path)) < many
    assert content(path) == content(places.whole)


def test_a_lake_is_asked_and_loaded_by_the_command_line(places: Places, tmp_path: Path) -> None:
    runner = CliRunner()
    path = tmp_path / "anywhere"
    of = ["--workspace", places.workspaces[1].url]
    done = runner.invoke(app, ["load", *of, "--lake", str(path)])
    assert done.exit_code == 0 and "images loaded into" in done.output, done.output
    question = "select count(*) as n from labelled where run = 'run-1'"
    asked = runner.invoke(app, ["sql", question, "--lake", str(path), "--csv"])
    assert (
        asked.output
        == runner.invoke(app, ["sql", question, "--warehouse", str(places.whole), "--csv"]).output
    )
    for outside in ("from read_csv('/etc/passwd')", f"from '{places.whole}'"):
        refused = runner.invoke(app, ["sql", outside, "--lake", str(path)])
        assert refused.exit_code == 2 and "reads no file by its path" in refused.output
    schema = runner.invoke(app, ["sql", "--schema", "--lake", str(path)])
    assert "one row per run and labelled image" in schema.output
    both = runner.invoke(app, ["sql", question, "--lake", "a", "--warehouse", "b"])
    assert "exclude each other" in both.output
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("x")
    other = runner.invoke(app, ["load", *of, "--lake", str(tmp_path / "full")])
    assert other.exit_code == 2 and "holds something else" in other.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["load", "--lake", "s3://bucket/photos.lake"],
        ["load", "--warehouse", "s3://bucket/w.duckdb"],
        ["sql", "select 1", "--lake", "s3://bucket/photos.lake"],
        ["report", "--lake", "gs://bucket/photos.lake"],
        ["label", "{archive}", "-l", "{labels}", "--warehouse", "s3://bucket/photos.lake"],
    ],
)
def test_a_warehouse_in_a_bucket_is_refused_and_makes_no_folders(
    arguments: list[str], places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inputs = {"archive": str(IMAGES_DIR), "labels": str(LABELS_FILE)}
    workspace = ["--workspace", places.workspaces[1].url]
    given = [argument.format_map(inputs) for argument in arguments]
    done = CliRunner().invoke(app, [*given, *workspace])
    assert done.exit_code == 2 and list(tmp_path.iterdir()) == [], done.output
    words = " ".join(done.output.split())
    assert "//bucket/" in words and "is a URL" in words and "name a path there" in words


def test_the_report_over_a_lake_is_that_over_the_warehouse(labelled: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.lake"
    loading.load(labelled.workspace, path)
    sites = []
    for warehouse in (labelled.job.warehouse_path, path):
        site = tmp_path / f"site-{len(sites)}"
        make_report(warehouse, labelled.key, str(site), previews=False)
        sites.append({f.relative_to(site): f.read_bytes() for f in site.rglob("*.*")})
    assert sites[0].keys() == sites[1].keys() and len(sites[0]) > 10
    others = [str(name) for name in sites[0] if sites[0][name] != sites[1][name]]
    assert others == []
    assert run_status(labelled.workspace, labelled.key, path)["reconciled"]


def test_a_damaged_lake_is_one_sentence_and_a_rebuilt_one_is_made_from_the_workspace(
    places: Places, kept: Path
) -> None:
    catalog = kept / lake.CATALOG
    catalog.write_bytes(catalog.read_bytes()[:-9])
    with pytest.raises(UserError, match="is damaged"):
        opening.open_warehouse(kept)
    loading.load(places.workspaces[1], kept, rebuild=True)
    assert run_keys.status(kept, "run-1")["missing"] == 0
    assert kept.with_name("kept.before-rebuild.lake").is_dir()
    for file in kept.glob("scores.*"):
        file.unlink()
    with pytest.raises(UserError, match="cannot be read as a lake"):
        opening.open_warehouse(kept)
