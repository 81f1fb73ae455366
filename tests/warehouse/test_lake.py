"""The lake: warehouses exported as Parquet, batch by batch, and asked as if they were one."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb
import fake_run
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lazsl.store import paths, schemas
from lazsl.store.folder import Folder
from lazsl.warehouse import opening, publishing, sqlfiles
from lazsl.warehouse.sqlfiles import CONFIG, Connection

TABLES = (
    "runs shards attributes truth samples reviews rejects images predictions scores evidence "
    "regions plans"
).split()
APART = ("examples/plans_in_bucket.sql", "examples/sites.sql")  # read files of the user's


@dataclass(frozen=True)
class Places:
    """A warehouse of everything, `whole`; the lake that two warehouses were exported to, `many`;
    and each of these two, by batch."""

    whole: Connection
    many: Connection
    batches: dict[str, Path]
    lake: Path


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """Some shards of a run are in one batch, the others in another batch with two runs more. Both
    batches have the label sets, the truth, the sample and the judgements of the run they share."""
    home = tmp_path_factory.mktemp("lake")
    lake = home / "it's a lake"
    lake.mkdir()
    batches = {}
    for batch in ("1", "2"):
        workspace, path = Folder(str(home / batch)), home / f"{batch}.duckdb"
        fake = fake_run.write_run(workspace, run="run-0", keep=())
        for shard in fake.shards[:2] if batch == "1" else fake.shards[2:]:
            fake_run.write_marker(workspace, fake, shard)
        if batch == "2":
            for seed in (1, 2):
                fake_run.write_run(workspace, run=f"run-{seed}", archive="archive-2", seed=seed)
        write_audit(workspace, fake)
        keys = [row["key"] for row in fake.images]
        truth = pa.table({"key": keys, "label": ["wren"] * len(keys)})
        for where in (path, home / "all.duckdb"):
            publishing.load(workspace, where, truth=truth, archive="archive-1")
        with closing(opening.open_warehouse(path, [lake])) as connection:
            named(connection, lake, batch)
            sqlfiles.run(connection, "lake/export.sql")
        batches[batch] = path
    with (
        closing(opening.open_warehouse(home / "all.duckdb")) as single,
        closing(duckdb.connect(config=CONFIG)) as many,
    ):
        named(many, lake)
        for name in ("lake/views.sql", "views.sql", "macros.sql"):
            sqlfiles.run(many, name)
        yield Places(single, many, batches, lake)


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


def named(connection: Connection, lake: Path, batch: str = "") -> None:
    """Set the variables that the files of sql/lake read."""
    for name, value in (("lake", str(lake)), ("batch", batch)):
        quoted = value.replace("'", "''")
        connection.execute(f"set variable {name} = '{quoted}'")


@pytest.mark.parametrize("table", TABLES)
def test_a_lake_of_two_batches_has_the_rows_of_one_warehouse(places: Places, table: str) -> None:
    single, many = (connection.table(table) for connection in (places.whole, places.many))
    assert dict(zip(single.columns, map(str, single.types), strict=True)) == dict(
        zip(many.columns, map(str, many.types), strict=True)
    )
    wanted, actual = (sorted(map(repr, relation.fetchall())) for relation in (single, many))
    assert actual == wanted
    assert len(wanted) > 0


@pytest.mark.parametrize(
    "name", [n for n in sqlfiles.names() if n.startswith("examples/") and n not in APART]
)
def test_a_lake_answers_as_the_warehouse_does(places: Places, name: str) -> None:
    single, many = (c.execute(sqlfiles.read(name)).fetchall() for c in (places.whole, places.many))
    assert single == many


@pytest.mark.parametrize("table", TABLES)
def test_rows_of_a_batch_keep_the_order_of_its_warehouse(places: Places, table: str) -> None:
    for batch, path in places.batches.items():
        with closing(opening.open_warehouse(path)) as connection:
            wanted = connection.table(table).fetchall()
        with closing(duckdb.connect(config=CONFIG)) as connection:
            file = places.lake / f"{table}.{batch}.parquet"
            assert connection.read_parquet(str(file)).fetchall() == wanted


@pytest.mark.parametrize(
    ("table", "columns"),
    [("regions", "encoder, regions, shard, image_id"), ("plans", "run, shard, image_id")],
)
def test_what_is_large_is_cut_into_groups_of_rows_that_a_condition_can_pass_over(
    tmp_path: Path, table: str, columns: str
) -> None:
    with closing(duckdb.connect(config=CONFIG)) as connection:
        sqlfiles.run(connection, "schema.sql")
        values = ", ".join("'x'" for _ in columns.split(","))
        connection.execute(f"insert into {table} ({columns}) select {values} from range(40000)")
        named(connection, tmp_path, "1")
        sqlfiles.run(connection, "lake/export.sql")
    file = pq.ParquetFile(tmp_path / f"{table}.1.parquet").metadata
    groups = [file.row_group(at).num_rows for at in range(file.num_row_groups)]
    assert sum(groups) == 40000 and max(groups) <= 16384


def test_every_table_of_the_schema_is_in_the_lake(places: Places) -> None:
    known = places.whole.execute(
        "select table_name from duckdb_tables() where database_name = 'warehouse'"
    )
    assert {name for (name,) in known.fetchall()} - {"schema_version"} == set(TABLES)


def test_batches_that_an_older_lazsl_exported_lack_columns_and_are_read(
    places: Places, tmp_path: Path
) -> None:
    for file in places.lake.glob("*.parquet"):
        table = pq.read_table(file)
        kind, batch = file.name.split(".")[:2]
        if batch == "1":
            table = table.drop_columns(list(schemas.LATER.get(kind, {})))
        pq.write_table(table, tmp_path / file.name)
    with closing(duckdb.connect(config=CONFIG)) as older:
        named(older, tmp_path)
        for name in ("lake/views.sql", "views.sql", "macros.sql"):
            sqlfiles.run(older, name)
        for kind, later in schemas.LATER.items():
            names = ", ".join(later)
            of = older.execute(f"select count(*) from (select {names} from {kind})").fetchall()
            assert of == places.many.execute(f"select count(*) from {kind}").fetchall()
        assert older.execute("from attribute_strength").fetchall()
