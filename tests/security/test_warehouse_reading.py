"""`lazsl sql` only reads, and a warehouse of a stranger reaches nothing outside of it."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import duckdb
import psutil
import pytest
from sample import content
from typer.testing import CliRunner

from lazsl.cli.commands import app
from lazsl.errors import UserError
from lazsl.run.run import Run
from lazsl.store.folder import Folder
from lazsl.warehouse import loading
from lazsl.warehouse.only_reading import check_reads
from lazsl.warehouse.opening import open_warehouse


@pytest.fixture
def warehouse(labelled: Run, tmp_path: Path) -> Path:
    """A copy of a published warehouse whose owner may write it."""
    path = tmp_path / "warehouse.duckdb"
    shutil.copy(labelled.job.warehouse_path, path)
    path.chmod(0o644)
    return path


ATTACKS = {
    "attached and deleted from": "use memory; detach warehouse; attach '{0}' as w; "
    "delete from w.predictions; select 1",
    "overwritten": "copy (select 1) to '{0}' (use_tmp_file false, format csv); select 1",
    "overwritten under explain": "explain analyze copy (select 1) to '{0}' "
    "(use_tmp_file false, format csv)",
    "a setting": "set lock_configuration = true; select 1",
    "exported": "export database '{0}.folder'; select 1",
    "a prepared statement": "prepare p as delete from predictions; execute p",
    "checkpointed": "checkpoint; select 1",
    "a pragma": "pragma enable_profiling; select 1",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_sql_carries_out_nothing_but_questions(warehouse: Path, attack: str) -> None:
    before = warehouse.read_bytes()
    arguments = ["sql", attack.format(warehouse), "--warehouse", str(warehouse)]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 2 and "lazsl sql only reads" in " ".join(answer.stderr.split())
    assert warehouse.read_bytes() == before


def test_questions_of_every_form_are_still_answered(warehouse: Path) -> None:
    for question in (
        "select 1; select count(*) from predictions",
        "from predictions limit 1",
        "with p as (from predictions) select count(*) from p",
        "pivot (select label, abstained, 1 as n from predictions) on abstained using sum(n)",
        "values (1)",
        "show tables",
        "describe predictions",
        "summarize predictions",
        "explain select 1",
        "explain analyze select count(*) from predictions",
        "pragma table_info('predictions')",
    ):
        arguments = ["sql", question, "--warehouse", str(warehouse), "--csv"]
        answer = CliRunner().invoke(app, arguments)
        assert answer.exit_code == 0, answer.stderr


def test_questions_leave_half_of_the_memory_to_other_programs(warehouse: Path) -> None:
    with closing(open_warehouse(warehouse)) as connection:
        ((limit,),) = connection.sql("select current_setting('memory_limit')").fetchall()
    number, unit = limit.split()
    bytes_of_unit = {"MiB": 2**20, "GiB": 2**30, "TiB": 2**40}[unit]
    assert float(number) * bytes_of_unit < 0.6 * psutil.virtual_memory().total


def test_a_large_sort_still_spills_into_a_folder_of_this_user_alone(warehouse: Path) -> None:
    with closing(open_warehouse(warehouse)) as connection:
        connection.execute("set memory_limit = '70MB'; set threads = 2")
        spilled = connection.sql("select value from duckdb_settings() where name='temp_directory'")
        folder = Path(spilled.fetchall()[0][0])
        rows = connection.sql(
            "select count(*) from (select repeat('x', 100) || r as s from "
            "(select random() as r from range(1000000)) order by s) where s > ''"
        )
        assert rows.fetchall() == [(1_000_000,)]
        assert folder.exists() and folder.parent.stat().st_mode & 0o077 == 0


def test_a_forged_log_beside_a_published_warehouse_is_refused(
    warehouse: Path, tmp_path: Path
) -> None:
    # Made by a process that ends before its changes are packed into the file.
    forger = shutil.copy(warehouse, tmp_path / "forged.duckdb")
    connection = duckdb.connect(forger, config={"checkpoint_threshold": "1GB"})
    connection.execute("pragma disable_checkpoint_on_shutdown")
    connection.execute("update predictions set label = 'forged'")
    connection.close()
    shutil.copy(f"{forger}.wal", f"{warehouse}.wal")
    warehouse.chmod(0o444)
    arguments = ["sql", "select distinct label from predictions", "--warehouse", str(warehouse)]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 2 and "forged" not in answer.stdout
    assert "warehouse.duckdb.wal" in answer.stderr.replace("\n", "")


@pytest.mark.parametrize("named", ["warehouse.loading.duckdb", "warehouse.duckdb"])
def test_views_and_macros_of_a_foreign_warehouse_read_no_file(
    labelled: Run, warehouse: Path, named: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("private")
    foreign = tmp_path / named
    if foreign != warehouse:
        shutil.copy(warehouse, foreign)
    with closing(duckdb.connect(foreign)) as connection:
        connection.execute(
            f"create table stolen as select ''::varchar as text; alter table runs rename to kept; "
            f"create view runs as select k.* from kept k, read_text('{secret}'); "
            f"create or replace macro why(run, image) as table from read_text('{secret}')"
        )
    if named == "warehouse.duckdb":
        for query in ("select * from runs", "select * from why('', '')"):
            with (
                closing(open_warehouse(foreign)) as opened,
                pytest.raises(duckdb.Error, match="disabled"),
            ):
                opened.sql(query).fetchall()
        return
    warehouse.unlink()
    with pytest.raises(UserError, match="reaches for something outside"):
        loading.load(Folder(labelled.job.workspace), warehouse)


@pytest.mark.parametrize("planted", ["loading.duckdb", "loading.duckdb.wal", "duckdb.lock"])
def test_a_loading_file_its_log_or_a_lock_that_is_a_link_is_neither_read_nor_written(
    labelled: Run, warehouse: Path, tmp_path: Path, planted: str
) -> None:
    aim = tmp_path / "elsewhere.duckdb"
    shutil.copy(warehouse, aim)
    before = aim.read_bytes()
    warehouse.rename(tmp_path / "warehouse.loading.duckdb")
    link = tmp_path / ("." * planted.endswith("lock") + f"warehouse.{planted}")
    link.unlink(missing_ok=True)
    link.symlink_to(aim)
    with pytest.raises(UserError, match=r"is a link|cannot write beside"):
        loading.load(Folder(labelled.job.workspace), warehouse)
    assert aim.read_bytes() == before and content(aim)


def test_what_reads_is_told_by_the_parser_and_not_by_the_first_word() -> None:
    for text in (
        "with a as (select 1) delete from t",
        "/* select */ drop table t",
        "-- x\nset a=1",
    ):
        with pytest.raises(UserError, match="only"):
            check_reads(text)
