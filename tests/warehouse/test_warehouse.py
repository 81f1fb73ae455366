"""The loader and the doors of the warehouse, on synthetic runs (`fake_run.py`)."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import fake_run
import pyarrow as pa
import pytest
from typer.testing import CliRunner
from warm_python import Program, WarmPython

from lazsl.cli.commands import app
from lazsl.errors import UserError
from lazsl.store import paths, schemas
from lazsl.store.folder import Folder
from lazsl.warehouse import finished_shards, loading, opening, run_keys, shard_loading, sqlfiles

LOADING = """
import os, signal, sys
from pathlib import Path
from lazsl.store.folder import Folder
from lazsl.warehouse import loader_file, loading, shard_loading, sqlfiles

shard_loading.TOGETHER = 1
workspace, path, step, count = sys.argv[1:]
left = int(count)

def killing(function, step_of):
    def wrapped(*arguments, **named):
        global left
        if step_of(*arguments) == step:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return wrapped

sqlfiles.run = killing(sqlfiles.run, lambda connection, name: name)
os.replace = killing(os.replace, lambda source, target: "replace")
loader_file._copy = killing(loader_file._copy, lambda source, target: "copy")
loading.publish_file = killing(loading.publish_file, lambda source, target: "publish")
print("ready", flush=True)
loading.load(Folder(workspace), Path(path))
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, fake_run.FakeRun]:
    """A workspace with one complete run, and its warehouse beside it; not to be changed."""
    root = tmp_path_factory.mktemp("finished") / "workspace"
    fake = fake_run.write_run(Folder(str(root)))
    loading.load(Folder(str(root)), root.parent / "warehouse.duckdb")
    return root, fake


@pytest.fixture
def root(tmp_path: Path, finished: tuple[Path, fake_run.FakeRun]) -> Path:
    """A copy of that workspace."""
    return Path(shutil.copytree(finished[0], tmp_path / "workspace"))


@pytest.fixture
def workspace(root: Path) -> Folder:
    return Folder(str(root))


@pytest.fixture
def fake(finished: tuple[Path, fake_run.FakeRun]) -> fake_run.FakeRun:
    return finished[1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ware house's.duckdb"


@pytest.fixture
def loaded(path: Path, finished: tuple[Path, fake_run.FakeRun]) -> Path:
    """A warehouse that an undisturbed load has made of the workspace."""
    return Path(shutil.copy(finished[0].parent / "warehouse.duckdb", path))


@pytest.fixture
def undisturbed(finished: tuple[Path, fake_run.FakeRun]) -> dict[str, list[str]]:
    """The content of such a warehouse."""
    return content(finished[0].parent / "warehouse.duckdb")


def content(path: Path) -> dict[str, list[str]]:
    """All rows of all tables, in an order that does not depend on how they got there."""
    connection = opening.open_warehouse(path)
    names = connection.execute(
        "select table_name from duckdb_tables() where database_name = 'warehouse'"
    ).fetchall()
    rows = {}
    for (name,) in sorted(names):
        # Of which file a shard was loaded is not content.
        subset = "* exclude (version)" if name == "shards" else "*"
        rows[name] = sorted(
            map(repr, connection.execute(f"select {subset} from {name}").fetchall())
        )
    connection.close()
    return rows


def rewrite(workspace: Folder, fake: fake_run.FakeRun, shard: str, name: str, to: pa.Table) -> None:
    """Write another table, of which the shard's marker knows no better."""
    marker = workspace.read_json(paths.marker(fake.run, shard))
    marker["files"] = {**marker["files"], name: workspace.write_table(name, to)}
    workspace.write_record(paths.marker(fake.run, shard), marker)


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = opening.open_warehouse(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def files(path: Path) -> list[str]:
    """Names beside the warehouse, without the workspace and the lock."""
    return sorted(p.name for p in path.parent.iterdir() if p.is_file() and p.suffix != ".lock")


# What a load brings in


@pytest.mark.parametrize("table", schemas.RUN_TABLES)
@pytest.mark.usefixtures("loaded")
def test_every_row_of_the_run_is_loaded_as_it_was_written(
    fake: fake_run.FakeRun, path: Path, table: str
) -> None:
    names = ["run", "shard", *schemas.RUN_TABLES[table].names]
    rows_read = rows(path, f"select {', '.join(names)} from {table}")
    wanted = [tuple(row[name] for name in names) for row in fake.tables[table]]
    assert sorted(map(repr, rows_read)) == sorted(map(repr, wanted))
    assert len(rows_read) > 0


@pytest.mark.usefixtures("loaded")
def test_images_rejects_boxes_and_attributes_are_loaded_with_hostile_names(
    fake: fake_run.FakeRun, path: Path
) -> None:
    names = ["image_id", "shard", "key", "uri", "size", "version", "digest", "format", "width"]
    names += ["height", "orientation"]
    assert sorted(map(repr, rows(path, f"select {', '.join(names)} from images"))) == sorted(
        repr(tuple(row[name] for name in names)) for row in fake.images
    )
    assert sorted(rows(path, "select image_id, reason, detail from rejects")) == sorted(
        (row["image_id"], row["reason"], row["detail"])
        for row in fake.images
        if row["reason"] is not None
    )
    assert dict(rows(path, "select image_id, boxes from regions")) == fake.boxes
    names = ["class_index", "class", "attribute_index", "attribute", "prompt"]
    assert sorted(map(repr, rows(path, f"select {', '.join(names)} from attributes"))) == sorted(
        repr(tuple(row[name] for name in names)) for row in fake.attributes
    )
    keys = {key for (key,) in rows(path, "select key from images")}
    assert fake_run.HOSTILE_KEY in keys


def test_the_run_and_its_shards_say_what_made_them(
    workspace: Folder, fake: fake_run.FakeRun, path: Path
) -> None:
    done = []
    loaded = loading.load(workspace, path, progress=lambda now, all: done.append((now, all)))
    assert loaded == loading.Loaded(shards=4, images=23, published=True)
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    ((run, archive, job, created),) = rows(path, "select run, archive, job, created from runs")
    assert (run, archive) == (fake.run, "archive-1")
    assert json.loads(job) == fake.record["job"]
    assert created.isoformat() == "2026-01-02T03:04:05"
    shards = rows(path, "select shard, listed, labelled, rejected, finished_at from shards")
    assert sorted(shard for shard, *_ in shards) == sorted(fake.shards)
    assert sorted(counts for _, *counts, _ in shards)[0] == [2, 0, 2], "the shard of garbage"
    assert {finished.isoformat() for *_, finished in shards} == {"2026-01-02T03:04:05"}


@pytest.mark.usefixtures("loaded")
def test_loading_twice_changes_nothing_and_does_not_touch_the_file(
    workspace: Folder, path: Path
) -> None:
    before = content(path), path.stat()
    assert loading.load(workspace, path) == loading.Loaded(0, 0, published=False)
    assert (content(path), path.stat()) == before
    assert files(path) == [path.name]


@pytest.mark.usefixtures("loaded")
def test_shards_that_finish_one_by_one_end_in_the_same_content_as_all_at_once(
    workspace: Folder, fake: fake_run.FakeRun, path: Path, tmp_path: Path
) -> None:
    slow = tmp_path / "slow.duckdb"
    for shard in fake.shards:
        (tmp_path / "workspace" / paths.marker(fake.run, shard)).unlink()
    for shard in reversed(fake.shards):
        fake_run.write_marker(workspace, fake, shard)
        assert loading.load(workspace, slow).shards == 1
    assert content(slow) == content(path)


def test_shards_are_loaded_some_at_a_time_and_whichever_these_are_the_content_is_the_same(
    workspace: Folder,
    path: Path,
    undisturbed: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_run.write_run(workspace, run="sample-b", seed=1)
    monkeypatch.setattr(shard_loading, "TOGETHER", 14)  # two shards of seven images
    commits = []
    transaction = sqlfiles.transaction
    monkeypatch.setattr(sqlfiles, "transaction", lambda c: commits.append("one") or transaction(c))
    loading.load(workspace, path)
    assert len(commits) == 1 + 4, "the definitions, then two shards at a time"
    rows = content(path)
    assert sorted(rows["shards"])[:4] == sorted(undisturbed["shards"])
    for together, shards, transactions in ((1, 128, 8), (4096, 2, 4), (4096, 128, 2)):
        monkeypatch.setattr(shard_loading, "TOGETHER", together)
        monkeypatch.setattr(shard_loading, "MOST_SHARDS", shards)
        other = path.with_name(f"{together} images, {shards} shards.duckdb")
        commits.clear()
        loading.load(workspace, other)
        assert len(commits) == 1 + transactions
        assert content(other) == rows


def test_runs_of_two_archives_are_loaded_at_once_as_they_are_one_by_one(
    tmp_path: Path, path: Path
) -> None:
    """Shards that share a transaction are of one run; all have their boxes to bring."""
    workspace = Folder(str(tmp_path / "both"))
    fakes = [
        fake_run.write_run(workspace, run=f"of-{archive}", archive=archive, encoder=archive)
        for archive in ("archive-1", "archive-2")
    ]
    loading.load(workspace, path)
    alone = path.with_name("one by one.duckdb")
    for fake in fakes:
        loading.load(workspace, alone, [fake.run])
    assert content(path) == content(alone)
    assert rows(path, "select run, shard from shards order by all") == sorted(
        (fake.run, shard) for fake in fakes for shard in fake.shards
    )


def test_a_run_of_which_some_boxes_are_there_already_brings_the_others(
    workspace: Folder, fake: fake_run.FakeRun, path: Path, tmp_path: Path
) -> None:
    for first in fake.shards:
        other = tmp_path / f"{first}.duckdb"
        two = Folder(str(tmp_path / first))
        fake_run.write_run(two, keep=[first])
        loading.load(two, other)
        fake_run.write_run(two, run="sample-b", seed=1)
        loading.load(two, other)
        assert dict(rows(other, "select image_id, boxes from regions")) == fake.boxes
        assert rows(other, "from reconciliation where not reconciled") == []


@pytest.mark.parametrize("limit", ["TOGETHER", "MOST_SHARDS"])
def test_shards_are_read_a_few_ahead_and_boxes_that_are_there_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    workspace = Folder(str(tmp_path / "longer"))
    fake = fake_run.write_run(workspace, images=60, shard_size=2, garbage_shard=False)
    read: list[str] = []
    read_json = Folder.read_json
    monkeypatch.setattr(Folder, "read_json", lambda f, n: read.append(n) or read_json(f, n))
    boxed = {("encoder-1", "r-1", fake.shards[1])}
    todo = [(fake.run, shard) for shard in fake.shards]
    monkeypatch.setattr(finished_shards, limit, 8 if limit == "TOGETHER" else 4)
    for done, reading in enumerate(
        finished_shards.read_ahead(workspace, todo, {fake.run: fake.record}, boxed), start=1
    ):
        assert ("new_regions" in reading.result().tables) == (done != 2)
        # This one, and as many as are loaded together; before the first one was read, two.
        assert len(read) <= done + 4
    assert done == len(fake.shards)


@pytest.mark.usefixtures("loaded")
def test_a_disk_that_is_full_is_one_sentence_and_the_load_goes_on_when_there_is_room(
    workspace: Folder, path: Path, tmp_path: Path
) -> None:
    tight, before = tmp_path / "tight.duckdb", resource.getrlimit(resource.RLIMIT_FSIZE)
    refused = 0
    try:
        for size in (20_000, 300_000, 600_000, 1_200_000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
            with pytest.raises(UserError, match="make room on the disk"):
                loading.load(workspace, tight)
            refused += not tight.exists()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refused == 4
    loading.load(workspace, tight)
    assert content(tight) == content(path)


def test_an_empty_workspace_makes_an_empty_warehouse(tmp_path: Path, path: Path) -> None:
    empty = Folder(str(tmp_path / "empty"))
    assert loading.load(empty, path) == loading.Loaded(0, 0, published=True)
    assert loading.load(empty, path) == loading.Loaded(0, 0, published=False)
    with pytest.raises(UserError, match="no run was loaded"):
        run_keys.status(path)


def test_a_workspace_in_memory_is_loaded_like_a_local_one(
    workspace: Folder, path: Path, tmp_path: Path
) -> None:
    memory = Folder(f"memory://{tmp_path.name}")
    fake_run.write_run(memory)
    other = tmp_path / "other.duckdb"
    loading.load(memory, other)
    loading.load(workspace, path)
    assert content(other) == content(path)


@pytest.mark.usefixtures("loaded")
def test_runs_share_images_boxes_and_label_sets(workspace: Folder, path: Path) -> None:
    shared = ("images", "regions", "attributes")
    before = content(path)
    fake_run.write_run(workspace, run="sample-b", seed=1)
    loading.load(workspace, path)
    after = content(path)
    assert {name: after[name] for name in shared} == {name: before[name] for name in shared}
    assert len(after["predictions"]) == 2 * len(before["predictions"])
    assert rows(path, "from reconciliation where not reconciled") == []


def test_only_the_runs_asked_for_are_loaded(workspace: Folder, path: Path) -> None:
    fake_run.write_run(workspace, run="sample-b", seed=1)
    loading.load(workspace, path, ["sample-b"])
    assert rows(path, "select run from runs") == [("sample-b",)]
    with pytest.raises(UserError, match=r"no run 'sample-x'.*sample-a, sample-b"):
        loading.load(workspace, path, ["sample-x"])


@pytest.mark.parametrize("first", ["rejecting", "reading"])
def test_an_image_that_only_one_run_could_read_has_its_size_whichever_came_first(
    tmp_path: Path, path: Path, first: str
) -> None:
    workspace = Folder(str(tmp_path / "two"))
    fake = fake_run.write_run(workspace, run="reading", encoder="e-1", reject_every=0)
    fake_run.write_run(workspace, run="rejecting", encoder="e-2", reject_every=5)
    loading.load(workspace, path, [first])
    loading.load(workspace, path)
    wanted = [(row["image_id"], row["width"], row["format"]) for row in fake.images]
    assert sorted(map(repr, rows(path, "select image_id, width, format from images"))) == sorted(
        map(repr, wanted)
    )
    assert rows(path, "from reconciliation where not reconciled") == []


# Cut off


def test_an_exception_in_mid_transaction_leaves_nothing_of_its_shard(
    workspace: Folder,
    path: Path,
    undisturbed: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shard_loading, "TOGETHER", 1)
    run, calls = sqlfiles.run, []

    def failing(connection: Any, name: str, **parameters: Any) -> Any:
        calls.append(name)
        if calls.count("load/shards.sql") == 2:
            raise RuntimeError("power cut")
        return run(connection, name, **parameters)

    monkeypatch.setattr(sqlfiles, "run", failing)
    with pytest.raises(RuntimeError, match="power cut"):
        loading.load(workspace, path)
    monkeypatch.undo()
    assert not path.exists(), "nothing half-loaded is published"
    with duckdb.connect(path.with_name("ware house's.loading.duckdb")) as connection:
        ((shard,),) = connection.execute("select shard from shards").fetchall()
        for table in ("images", "predictions", "plans", "rejects", "regions"):
            held = connection.execute(f"select distinct shard from {table}").fetchall()
            assert {name for (name,) in held} <= {shard}
    assert loading.load(workspace, path).shards == 3
    assert content(path) == undisturbed
    assert files(path) == [path.name]


Loader = Callable[..., Program]


@pytest.fixture(scope="module")
def loader() -> Iterator[Loader]:
    """Starts a loading process that has done its imports."""
    python = WarmPython("lazsl.warehouse.loading")

    def start(root: Path, path: Path, step: str = "", count: int = 0) -> Program:
        """Such a process, which kills itself at the count-th such step."""
        process = python.start("-c", LOADING, str(root), str(path), step, str(count))
        assert process.line() == "ready\n"
        return process

    yield start
    python.close()


STEPS = [
    ("schema.sql", 1),
    ("replace", 1),
    ("load/plans.sql", 3),
    ("publish", 1),
    ("replace", 2),
]


def test_killed_at_every_kind_of_step_and_run_again_the_content_is_that_of_an_undisturbed_load(
    root: Path, workspace: Folder, path: Path, undisturbed: dict[str, list[str]], loader: Loader
) -> None:
    for step, count in STEPS:
        for file in path.parent.glob("ware house's*"):
            file.unlink()
        process = loader(root, path, step, count)
        process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, step
        assert not path.exists(), step
        loading.load(workspace, path)
        assert content(path) == undisturbed, step
        assert files(path) == [path.name], step


def test_killed_while_it_copies_or_replaces_the_published_file_readers_see_the_old_one_whole(
    root: Path, workspace: Folder, path: Path, tmp_path: Path, loader: Loader
) -> None:
    loading.load(workspace, path)
    old = content(path)
    fake_run.write_run(workspace, run="sample-b", seed=1)
    undisturbed = tmp_path / "undisturbed.duckdb"
    loading.load(workspace, undisturbed)
    # The second "replace" is the one that publishes: the loader's file is there by then.
    for step, count in [("copy", 1), ("replace", 1), ("load/scores.sql", 2), ("replace", 1)]:
        process = loader(root, path, step, count)
        process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, step
        assert content(path) == old, step
    loading.load(workspace, path)
    assert content(path) == content(undisturbed)
    assert files(path) == sorted([path.name, undisturbed.name])


def test_killed_at_random_moments_and_run_again_the_content_is_that_of_an_undisturbed_load(
    tmp_path: Path, path: Path, loader: Loader
) -> None:
    root = tmp_path / "longer"
    workspace = Folder(str(root))
    fake_run.write_run(workspace, images=60, shard_size=2, garbage_shard=False)
    undisturbed = tmp_path / "undisturbed.duckdb"
    began = time.monotonic()
    loading.load(workspace, undisturbed)
    took = time.monotonic() - began
    moments = random.Random(int.from_bytes(os.urandom(4), "big"))
    killed = 0
    for _ in range(5):
        process = loader(root, path)
        time.sleep(moments.uniform(0, took / 2))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=120)
        killed += process.returncode == -signal.SIGKILL
        if path.exists():
            assert rows(path, "from reconciliation where not reconciled") == []
    assert killed > 0
    loading.load(workspace, path)
    assert content(path) == content(undisturbed)
    assert files(path) == sorted([path.name, undisturbed.name])


# Readers and writers at the same time


@pytest.mark.usefixtures("loaded")
def test_a_reader_keeps_its_version_while_a_load_succeeds_and_the_next_reader_sees_the_new_one(
    workspace: Folder, path: Path
) -> None:
    reader = opening.open_warehouse(path)
    fake_run.write_run(workspace, run="sample-b", seed=1)
    during: list[Any] = []

    def look(now: int, all: int) -> None:
        during.append(reader.execute("select count(*) from runs").fetchone())
        during.append(rows(path, "select count(*) from runs")[0])

    assert loading.load(workspace, path, progress=look).published
    assert set(during) == {(1,)}
    assert reader.execute("select count(*) from predictions").fetchone() == (17,)
    assert rows(path, "select count(*) from predictions") == [(34,)]
    reader.close()


def test_a_second_loader_gets_one_clear_sentence(workspace: Folder, path: Path) -> None:
    sentences = []

    def load_again(now: int, all: int) -> None:
        with pytest.raises(UserError) as caught:
            loading.load(workspace, path, patience=0.1)
        sentences.append(str(caught.value))

    loading.load(workspace, path, progress=load_again)
    assert len(set(sentences)) == 1
    assert "another load" in sentences[0]
    assert str(path) in sentences[0]


def test_a_place_that_cannot_be_written_is_named(workspace: Folder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file, no folder")
    with pytest.raises(UserError, match="cannot write beside"):
        loading.load(workspace, tmp_path / "file" / "warehouse.duckdb")


@pytest.fixture
def stray_writer(workspace: Folder, path: Path) -> Iterator[None]:
    """Another program that opened the published warehouse for writing."""
    loading.load(workspace, path)
    path.chmod(0o644)
    script = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); c.execute('create table x (a int)');"
        "print('ready', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield
    process.kill()
    process.communicate()


@pytest.mark.usefixtures("stray_writer")
def test_a_stray_writer_on_the_published_file_stops_no_load(workspace: Folder, path: Path) -> None:
    with pytest.raises(UserError, match="open for writing"):
        opening.open_warehouse(path)
    fake_run.write_run(workspace, run="sample-b", seed=1)
    assert loading.load(workspace, path).shards == 4
    assert rows(path, "select count(*) from runs") == [(2,)]
    assert files(path) == [path.name], "the writer's log must not meet the new file"


# Shards that do not add up


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"listed": 8}, "does not add up: images listed"),
        ({"labelled": 7, "rejected": 0}, "rows of predictions"),
        ({"listed": 0, "labelled": 0, "rejected": 0}, "does not add up"),
        ({"run": "other"}, "its marker is that of"),
        ({"listed": "many"}, "many"),
        ({"finished": "yesterday"}, "yesterday"),
    ],
)
def test_a_tampered_marker_is_refused_and_everything_else_is_loaded(
    workspace: Folder, fake: fake_run.FakeRun, path: Path, changes: dict[str, Any], sentence: str
) -> None:
    bad = fake.shards[1]
    fake_run.write_marker(workspace, fake, bad, **changes)
    with pytest.raises(UserError, match=sentence) as caught:
        loading.load(workspace, path)
    assert bad in str(caught.value)
    assert "1 of 4" in str(caught.value)
    for table in ("shards", "images", "regions", "rejects", *schemas.RUN_TABLES):
        assert rows(path, f"select * from {table} where shard = '{bad}'") == []
    assert rows(path, "select count(*) from shards") == [(3,)]
    fake_run.write_marker(workspace, fake, bad)
    assert loading.load(workspace, path).shards == 1
    assert rows(path, "from reconciliation where not reconciled") == []


@pytest.mark.parametrize(
    ("table", "damage"),
    [("plans", "missing"), ("boxes", "missing"), ("images", "cut short"), ("scores", "cut short")],
)
def test_a_missing_or_damaged_file_is_refused_by_name(
    root: Path, workspace: Folder, fake: fake_run.FakeRun, path: Path, table: str, damage: str
) -> None:
    bad = fake.shards[0]
    name = {
        "images": paths.images("encoder-1", "r-1", bad),
        "boxes": paths.region_embeddings("encoder-1", "r-1", bad),
    }.get(table, paths.run_table(fake.run, table, bad))
    if damage == "missing":
        (root / name).unlink()
    else:
        (root / name).write_bytes((root / name).read_bytes()[:-9])
    with pytest.raises(UserError, match=f"{name} is (missing|damaged)"):
        loading.load(workspace, path)
    assert rows(path, "select count(*) from shards") == [(3,)]


@pytest.mark.parametrize("table", ["predictions", "scores", "evidence", "boxes"])
def test_rows_that_belong_to_other_images_are_refused(
    workspace: Folder, fake: fake_run.FakeRun, path: Path, table: str
) -> None:
    bad = fake.shards[0]
    name = paths.run_table(fake.run, table, bad)
    if table == "boxes":
        name = paths.region_embeddings("encoder-1", "r-1", bad)
    whole = workspace.read_table(name)
    strange = pa.array(["stranger"] * len(whole))
    changed = whole.set_column(0, whole.schema.field(0), strange)
    rewrite(workspace, fake, bad, name, changed)
    with pytest.raises(UserError, match="does not add up"):
        loading.load(workspace, path)


def test_what_is_unreadable_is_told_once_each_and_all_others_are_loaded(
    workspace: Folder, fake: fake_run.FakeRun, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_loading, "TOGETHER", 1)
    first, two, three, other = fake.shards
    marker = workspace.read_json(paths.marker(fake.run, first))
    workspace.write_json(paths.marker(fake.run, three), marker)
    del marker["crops"]
    workspace.write_json(paths.marker(fake.run, first), marker)
    name = paths.run_table(fake.run, "predictions", two)
    rewrite(workspace, fake, two, name, workspace.read_table(name).drop_columns(["margin"]))
    with pytest.raises(UserError, match="3 of 4 finished shards cannot be loaded") as caught:
        loading.load(workspace, path)
    sentence = str(caught.value)
    assert f"{paths.marker(fake.run, first)} is damaged: it lacks 'crops'" in sentence
    assert f"{name} is damaged: it lacks the column 'margin'" in sentence
    assert f"shard {three} of run {fake.run}: its marker is that of shard {first}" in sentence
    assert rows(path, "select shard from shards") == [(other,)]


def test_the_boxes_of_a_refused_shard_come_with_the_next_run_that_has_them(
    workspace: Folder, fake: fake_run.FakeRun, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_loading, "TOGETHER", 1)
    monkeypatch.setattr(finished_shards, "TOGETHER", 1)
    fake_run.write_marker(workspace, fake, sorted(fake.shards)[0], listed=99)
    fake_run.write_run(workspace, run="sample-b", seed=1)
    with pytest.raises(UserError, match="1 of 8"):
        loading.load(workspace, path)
    assert dict(rows(path, "select image_id, boxes from regions")) == fake.boxes
    assert rows(path, "from reconciliation where not reconciled") == []


# Listings and truth


@pytest.mark.usefixtures("loaded")
def test_images_that_are_no_longer_listed_are_marked(
    workspace: Folder, fake: fake_run.FakeRun, path: Path
) -> None:
    assert rows(path, "select count(*) from images where not listed") == [(0,)]
    everything = [row["image_id"] for row in fake.images]
    listed = {"archive-1": pa.table({"image_id": [*everything[3:], "an image of a later shard"]})}
    assert loading.load(workspace, path, listed=listed).published
    gone = rows(path, "select image_id from images where not listed")
    assert sorted(gone) == sorted((name,) for name in everything[:3])
    assert not loading.load(workspace, path, listed=listed).published
    assert run_keys.status(path)["no_longer_listed"] == 3
    back = {"archive-1": pa.table({"image_id": everything})}
    assert loading.load(workspace, path, listed=back).published
    assert rows(path, "select count(*) from images where not listed") == [(0,)]


def test_truth_replaces_what_was_known_of_its_archive(workspace: Folder, path: Path) -> None:
    table = pa.table({"key": ["a", fake_run.HOSTILE_KEY], "label": ["wren", "x"]})
    two = pa.table({"key": ["a", "a", None], "label": ["owl", "owl", "x"]})
    loading.load(workspace, path, truth=table, archive="archive-1")
    loading.load(workspace, path, truth=table, archive="archive-2")
    assert not loading.load(workspace, path, truth=table, archive="archive-1").published
    assert loading.load(workspace, path, truth=two, archive="archive-1").published
    assert sorted(rows(path, "from truth")) == sorted(
        [
            ("archive-1", "a", "owl"),
            ("archive-2", "a", "wren"),
            ("archive-2", fake_run.HOSTILE_KEY, "x"),
        ]
    )


def test_truth_that_contradicts_itself_is_refused_before_anything_is_loaded(
    workspace: Folder, path: Path
) -> None:
    truth = pa.table({"key": ["a", "a"], "label": ["wren", "owl"]})
    with pytest.raises(UserError, match="two labels for 'a': 'owl' and 'wren'"):
        loading.load(workspace, path, truth=truth, archive="archive-1")
    assert files(path) == []
    with pytest.raises(ValueError, match="archive"):
        loading.load(workspace, path, truth=truth)


# Status


def test_status_gives_reconciled_counts_accuracy_and_timings(
    workspace: Folder, fake: fake_run.FakeRun, path: Path
) -> None:
    keys = {row["image_id"]: row["key"] for row in fake.images}
    right = {p["image_id"] for p in fake.tables["predictions"][:5]}
    truth = pa.table(
        {
            "key": [keys[p["image_id"]] for p in fake.tables["predictions"]],
            "label": [
                p["label"] if p["image_id"] in right else "other"
                for p in fake.tables["predictions"]
            ],
        }
    )
    loading.load(workspace, path)
    assert run_keys.status(path)["accuracy"] is None
    loading.load(workspace, path, truth=truth, archive="archive-1")
    counted = run_keys.status(path, fake.run)
    assert json.loads(json.dumps(counted)) == counted
    counts = {"listed": 23, "labelled": 17, "rejected": 6, "missing": 0, "shards": 4, "judged": 17}
    assert {name: counted[name] for name in counts} == counts
    assert counted["rejects"] == {"undecodable": 6}
    assert counted["accuracy"]["lazsl"] == pytest.approx(5 / 17)
    assert sorted(counted["accuracy"]) == ["clip", "crop_mean", "dclip", "lazsl"]
    assert counted["seconds"] == {"stage": 1.0, "embed": 6.0, "score": 2.0}
    assert counted["unreconciled_shards"] == 0
    assert counted["created"] == "2026-01-02T03:04:05Z"


@pytest.mark.usefixtures("loaded")
def test_status_of_an_unknown_run_names_the_known_ones(path: Path) -> None:
    with pytest.raises(
        UserError, match=r"no run in the warehouse begins with 'x'; there are sample-a"
    ):
        run_keys.status(path, "x")


def test_status_speaks_of_the_latest_run_when_none_is_named(workspace: Folder, path: Path) -> None:
    fake_run.write_run(workspace, run="a-later", created="2026-03-01T00:00:00Z", seed=1)
    loading.load(workspace, path)
    assert run_keys.status(path)["run"] == "a-later"


# Opening


@pytest.mark.parametrize(
    "statement",
    [
        "insert into truth values ('a', 'b', 'c')",
        "delete from runs",
        "drop view labelled",
        "create table warehouse.mine (a int)",
        "copy runs to '{folder}/runs.csv'",
        "copy runs to '{path}' (format csv)",
        "from read_text('{folder}/secret.txt')",
        "attach '{folder}/other.duckdb'",
        "set enable_external_access = true",
        "install httpfs",
        "from 'https://example.org/a.parquet'",
    ],
)
def test_a_reader_can_neither_write_nor_reach_outside(
    workspace: Folder, path: Path, tmp_path: Path, statement: str
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    loading.load(workspace, path)
    before = path.read_bytes()
    connection = opening.open_warehouse(path)
    with pytest.raises(duckdb.Error):
        connection.execute(statement.format(folder=tmp_path, path=str(path).replace("'", "''")))
    connection.close()
    assert path.read_bytes() == before
    assert not (tmp_path / "runs.csv").exists()


@pytest.mark.usefixtures("loaded")
def test_a_reader_may_use_files_below_the_folders_it_was_given(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my data's"
    Folder(str(folder)).write_table("places.parquet", pa.table({"place": ["here"]}))
    connection = opening.open_warehouse(path, [folder])
    rows = connection.execute(
        "select place from read_parquet($name)", {"name": f"{folder}/*.parquet"}
    )
    assert rows.fetchall() == [("here",)]
    (tmp_path / "secret.txt").write_text("secret")
    with pytest.raises(duckdb.Error):
        connection.execute("from read_text($name)", {"name": str(tmp_path / "secret.txt")})
    connection.close()


def test_what_is_no_warehouse_is_refused_with_a_sentence(tmp_path: Path, path: Path) -> None:
    with pytest.raises(UserError, match="there is no warehouse at"):
        opening.open_warehouse(path)
    path.write_text("not a database")
    with pytest.raises(UserError, match="is damaged or no DuckDB file"):
        opening.open_warehouse(path)
    path.unlink()
    with duckdb.connect(path) as connection:
        connection.execute("create table somebody_elses (a int)")
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"cannot read .* as a warehouse"):
        opening.open_warehouse(path)
    with pytest.raises(UserError, match=r"cannot read .* as a warehouse"):
        loading.load(Folder(str(tmp_path / "empty")), path)
    assert path.read_bytes() == before
    assert files(path) == [path.name]


def change(path: Path, statement: str) -> None:
    """Change a published warehouse in place, which nobody should."""
    path.chmod(0o644)
    with duckdb.connect(path) as connection:
        connection.execute(statement)


@pytest.mark.usefixtures("loaded")
def test_a_warehouse_of_a_newer_version_is_neither_read_nor_loaded(
    workspace: Folder, path: Path
) -> None:
    assert rows(path, "select version from schema_version") == [(opening.SCHEMA_VERSION,)]
    change(path, f"update schema_version set version = {opening.SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    for attempt in (opening.open_warehouse, lambda path: loading.load(workspace, path)):
        with pytest.raises(UserError, match="newer lazsl"):
            attempt(path)
    assert path.read_bytes() == before
    assert files(path) == [path.name]


@pytest.mark.usefixtures("loaded")
def test_a_load_brings_views_and_macros_up_to_date(workspace: Folder, path: Path) -> None:
    change(path, "drop view labelled; update schema_version set definitions = 'of old'")
    assert loading.load(workspace, path) == loading.Loaded(0, 0, published=True)
    assert rows(path, "select count(*) from labelled") == [(17,)]


def test_an_unreadable_file_of_a_cut_off_load_is_named(workspace: Folder, path: Path) -> None:
    working = path.with_name("ware house's.loading.duckdb")
    working.write_text("not a database")
    with pytest.raises(UserError, match=r"ware house's\.loading\.duckdb.*delete it"):
        loading.load(workspace, path)
    working.unlink()
    assert loading.load(workspace, path).shards == 4


def test_a_file_of_a_cut_off_load_without_tables_is_named(workspace: Folder, path: Path) -> None:
    working = path.with_name("ware house's.loading.duckdb")
    duckdb.connect(working).close()
    with pytest.raises(UserError, match=r"ware house's\.loading\.duckdb.*no warehouse.*delete it"):
        loading.load(workspace, path)
    working.unlink()
    assert loading.load(workspace, path).shards == 4


def test_a_mistyped_workspace_is_one_sentence_and_nothing_is_written(tmp_path: Path) -> None:
    typo = tmp_path / "wrokspace"
    refused = CliRunner().invoke(app, ["load", "-w", str(typo)])
    assert refused.exit_code == 2
    assert "there is no run in" in " ".join(refused.output.split())
    assert not typo.exists()


@pytest.mark.usefixtures("loaded")
def test_the_beginning_of_a_runs_key_is_enough_wherever_a_run_is_named(path: Path) -> None:
    assert run_keys.status(path, "sample")["run"] == run_keys.status(path)["run"] == "sample-a"
