"""`lazsl sql` as an analyst uses it: answers, errors, what can be asked, and the prompt."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import fake_run
import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from typer.testing import CliRunner

from lazsl.cli import sql_shell
from lazsl.cli.commands import app
from lazsl.store.folder import Folder
from lazsl.warehouse import loading
from lazsl.warehouse.catalog import read_catalog
from lazsl.warehouse.opening import open_warehouse
from lazsl.warehouse.sqlfiles import Connection


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("asked")
    workspace = Folder(str(home / "workspace"))
    fake_run.write_run(workspace)
    loading.load(workspace, home / "warehouse.duckdb")
    return home / "warehouse.duckdb"


@pytest.fixture
def connection(warehouse: Path) -> Iterator[Connection]:
    with closing(open_warehouse(warehouse)) as opened:
        yield opened


def ask(warehouse: Path, *arguments: str) -> str:
    answer = CliRunner().invoke(app, ["sql", *arguments, "--warehouse", str(warehouse)])
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def refused(warehouse: Path, *arguments: str) -> str:
    answer = CliRunner().invoke(app, ["sql", *arguments, "--warehouse", str(warehouse)])
    assert answer.exit_code == 2 and "Traceback" not in answer.output
    return answer.stderr


def test_statements_are_answered_one_by_one_in_every_form(warehouse: Path) -> None:
    three = "set variable n = 3; select getvariable('n') as a; select 'x|y' as b, null as c"
    shown = ask(warehouse, three)
    assert shown.index(" a ") < shown.index(" b ") and shown.count("1 row,") == 2
    decoder = json.JSONDecoder()
    text = ask(warehouse, three, "--json")
    first, end = decoder.raw_decode(text)
    second, _ = decoder.raw_decode(text[end:].lstrip())
    assert first == [{"a": 3}] and second == [{"b": "x|y", "c": None}]
    lines = ask(warehouse, "select 7 as n, 'x|y' as b", "--markdown").splitlines()
    assert lines == ["| n | b |", "| ---: | --- |", "| 7 | x\\|y |"]
    rows = list(csv.reader(ask(warehouse, "select 'a' as x; select 'b' as y", "--csv").split()))
    assert rows == [["x"], ["a"], ["y"], ["b"]]


def test_the_queries_of_the_docs_are_asked_as_they_stand(warehouse: Path) -> None:
    example = Path(__file__).parents[2] / "sql" / "examples" / "rejects.sql"
    (reasons,) = [json.loads(ask(warehouse, "--file", str(example), "--json"))]
    with closing(open_warehouse(warehouse)) as opened:
        counted = opened.sql("select count(*) from rejects").fetchall()[0][0]
    assert sum(row["images"] for row in reasons) == counted > 0


def test_what_went_wrong_keeps_its_place_and_what_was_meant(warehouse: Path) -> None:
    text = refused(warehouse, "select 1;\nselect * from predictons")
    assert 'Did you mean "predictions"' in text and "LINE" in text
    caret = next(line for line in text.splitlines() if set(line.strip()) == {"^"})
    line = next(line for line in text.splitlines() if "LINE" in line)
    assert line[caret.index("^") :].startswith("predictons")
    assert "^" in refused(warehouse, "selec 1")
    assert "--with NAME=FILE" in refused(warehouse, "from read_csv('/etc/passwd')")
    assert "--with NAME=FILE" in refused(warehouse, "from 'somewhere.parquet'")
    assert "exclude each other" in refused(warehouse, "select 1", "--json", "--csv")


def test_everything_that_can_be_asked_is_listed_with_its_meaning(warehouse: Path) -> None:
    listed = json.loads(ask(warehouse, "--schema", "--json"))
    assert {row["kind"] for row in listed} == {"table", "view", "macro"}
    assert all(row["meaning"] for row in listed)
    assert "why(the_run, the_image)" in {row["name"] for row in listed}
    labelled = json.loads(ask(warehouse, "Labelled", "--schema", "--json"))
    columns = {row["column"]: row for row in labelled}
    assert {"key", "label", "margin"} <= set(columns) and columns["key"]["meaning"]
    of_macro = [row["column"] for row in json.loads(ask(warehouse, "why", "--schema", "--json"))]
    assert of_macro[:2] == ["label", "best_guess"]
    assert "(nearest: 'labelled')" in refused(warehouse, "labeled", "--schema")


def test_names_are_completed_where_they_fit(connection: Connection) -> None:
    names = sql_shell.Names(read_catalog(connection), ["sample-a"])

    def offers(text: str) -> list[str]:
        return [c.text for c in names.get_completions(Document(text), CompleteEvent())]

    assert offers("select * from lab") == ["labelled"]
    assert offers("from wh") == ["why(", "why_class("]
    assert offers("from labelled select best") == ["best_guess", "best_classes"]
    assert offers("from why('sa") == ["sample-a"]
    assert "group by" in offers("select 1 gr")


def test_the_prompt_takes_several_lines_and_goes_on_after_an_error(
    connection: Connection, warehouse: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(sql_shell.typer, "get_app_dir", lambda name: str(tmp_path / name))
    typed = (
        "select 40 +\r2 as answer;\r"
        "select nothing_like_it;\r"
        "delete from runs;\r"
        ".schema labelled\r"
        "from runs select count(*) as runs\r\r"
        "\x04"
    )
    with create_pipe_input() as keyboard:
        keyboard.send_text(typed)
        made = sql_shell._session(connection)
        session: PromptSession[str] = PromptSession(
            "", multiline=True, history=made.history, key_bindings=made.key_bindings,
            input=keyboard, output=DummyOutput(),
        )  # fmt: skip
        sql_shell.converse(connection, warehouse, 40, session)
    printed = capsys.readouterr()
    assert "answer" in printed.out and "42" in printed.out
    assert "nothing_like_it" in printed.err and "only reads" in printed.err
    assert "best_guess" in printed.out and "runs" in printed.out
    history = tmp_path / "lazsl" / "sql-history"
    assert "+2 as answer;" in history.read_text("utf-8")
    assert history.stat().st_mode & 0o077 == 0
