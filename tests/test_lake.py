"""The lake: warehouses exported as Parquet, batch by batch, and asked as if they were one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import fake_run
import pyarrow as pa
import pytest

from lazsl import sqlfiles, warehouse
from lazsl.sqlfiles import CONFIG, Connection
from lazsl.storage import Folder

TABLES = (
    "runs shards attributes truth samples reviews rejects images predictions scores evidence "
    "regions plans"
).split()
APART = ("examples/plans_in_bucket.sql", "examples/sites.sql")  # read files of the user's


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Connection, Connection]]:
    """A warehouse of two archives, and the lake that a warehouse of each was exported to."""
    home = tmp_path_factory.mktemp("lake")
    workspace = Folder(str(home / "workspace"))
    lake = home / "it's a lake"
    lake.mkdir()
    for archive, seed in (("archive-1", 0), ("archive-2", 1)):
        fake = fake_run.write_run(workspace, run=f"run-{seed}", archive=archive, seed=seed)
        keys = [row["key"] for row in fake.images]
        truth = pa.table({"key": keys, "label": ["wren"] * len(keys)})
        path = home / f"{archive}.duckdb"
        warehouse.load(workspace, path, [fake.run], truth=truth, archive=archive)
        warehouse.load(workspace, home / "all.duckdb", [fake.run], truth=truth, archive=archive)
        with closing(warehouse.open_warehouse(path, [lake])) as connection:
            named(connection, lake, batch=archive)
            sqlfiles.run(connection, "lake/export.sql")
    with (
        closing(warehouse.open_warehouse(home / "all.duckdb")) as one,
        closing(duckdb.connect(config=CONFIG)) as many,
    ):
        named(many, lake)
        for name in ("lake/views.sql", "views.sql", "macros.sql"):
            sqlfiles.run(many, name)
        yield one, many


def named(connection: Connection, lake: Path, batch: str = "") -> None:
    """Set the variables that the files of sql/lake read."""
    for name, value in (("lake", str(lake)), ("batch", batch)):
        quoted = value.replace("'", "''")
        connection.execute(f"set variable {name} = '{quoted}'")


@pytest.mark.parametrize("table", TABLES)
def test_a_lake_of_two_batches_has_the_rows_of_one_warehouse(
    places: tuple[Connection, Connection], table: str
) -> None:
    one, many = (connection.table(table) for connection in places)
    assert dict(zip(one.columns, map(str, one.types), strict=True)) == dict(
        zip(many.columns, map(str, many.types), strict=True)
    )
    wanted, found = (sorted(map(repr, relation.fetchall())) for relation in (one, many))
    assert found == wanted
    assert wanted or table in ("samples", "reviews")


@pytest.mark.parametrize(
    "name", [n for n in sqlfiles.names() if n.startswith("examples/") and n not in APART]
)
def test_a_lake_answers_as_the_warehouse_does(
    places: tuple[Connection, Connection], name: str
) -> None:
    one, many = (c.execute(sqlfiles.read(name)).fetchall() for c in places)
    assert one == many


def test_every_table_of_the_schema_is_in_the_lake(places: tuple[Connection, Connection]) -> None:
    known = places[0].execute(
        "select table_name from duckdb_tables() where database_name = 'warehouse'"
    )
    assert {name for (name,) in known.fetchall()} - {"schema_version"} == set(TABLES)
