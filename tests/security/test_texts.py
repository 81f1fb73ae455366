"""What strangers write steers no terminal, spreadsheet or shell, and takes no endless time."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import shlex
import shutil
import subprocess
import time
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lazsl.archive.selection import select
from lazsl.archive.truth import read_truth
from lazsl.cli import label_summary
from lazsl.cli.completing import class_names, image_keys
from lazsl.cli.console import SafeConsole, Seen
from lazsl.datasets import prepare
from lazsl.datasets.registry import DATASETS
from lazsl.labelset.describing.asking import Asking
from lazsl.labelset.describing.endpoint import Asker, Endpoint, Failed
from lazsl.labelset.document import Unreadable, read_yaml
from lazsl.labelset.grammar import complaints
from lazsl.labelset.native_form import parse_labelset
from lazsl.run.run import Run
from lazsl.store.folder import Folder
from lazsl.warehouse.query_results import write_csv, write_result

ESCAPE = "a\x1b]0;owned\x07b\x1b[2J\x9b31m\u202ec"


def test_no_escape_sequence_of_a_text_reaches_a_terminal() -> None:
    from rich.markup import escape
    from rich.table import Table

    terminal = io.StringIO()
    console = SafeConsole(file=terminal, force_terminal=True, width=200)
    console.print(escape(ESCAPE), markup=False)
    console.print(f"[bold]{escape(ESCAPE)}[/]")
    table = Table(escape(ESCAPE))
    table.add_row(escape(ESCAPE))
    console.print(table)
    Seen(terminal).write(f"{ESCAPE}\r\n")
    shown = terminal.getvalue()
    for steering in ("\x1b]0", "\x1b[2J", "\x07", "\x9b", "\u202e", "\r"):
        assert steering not in shown
    assert shown.count("‹U+001B›") >= 5 and "\x1b[1m" in shown  # the layout's own stays


def test_a_text_that_begins_like_a_formula_is_a_text_in_csv_and_as_it_is_elsewhere(
    tmp_path: Path,
) -> None:
    texts = ["=cmd|'/c calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "plain", "a=b"]
    table = pa.table({"text": texts, "number": [-1] * len(texts)})
    file = io.StringIO()
    write_csv(table.to_reader(), file)
    rows = list(csv.reader(io.StringIO(file.getvalue())))[1:]
    assert [row[0] for row in rows] == [f"'{t}" for t in texts[:5]] + texts[5:]
    assert {row[1] for row in rows} == {"-1"}
    write_csv(pa.table({"=1+1": ["a"]}).to_reader(), named := io.StringIO())
    assert named.getvalue().startswith("'=1+1")
    write_result(table.to_reader(), tmp_path / "x.parquet")
    assert duckdb.sql(f"select text from '{tmp_path / 'x.parquet'}'").fetchall() == [
        (text,) for text in texts
    ]


def test_names_of_a_data_set_are_no_formula_in_its_files_and_are_read_as_they_were(
    tmp_path: Path,
) -> None:
    formula = "=cmd|'/c calc'!A0"
    labels = parse_labelset({formula: ["a beak"], "Wren": ["a tail"]}, "hostile")
    keys = [f"{formula}.jpg", "'quoted.jpg", "plain.jpg"]
    truth = pa.table({"key": keys, "label": [formula, "Wren", "Wren"], "class": [formula] * 3})
    joined = {formula: formula, "Wren": "Wren"}
    known = next(iter(DATASETS.values()))
    prepare.write(prepare.Prepared(known, "a", truth, labels, joined, 0, ()), str(tmp_path))
    for name in (prepare.TRUTH, prepare.CLASSES):
        with (tmp_path / name).open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if cell.startswith("=")] and f"'{formula}" in cells
    read = read_truth(str(tmp_path / prepare.TRUTH), labels)
    assert read["key"].to_pylist() == keys and read["label"].to_pylist()[0] == formula
    assert set(select(str(tmp_path / prepare.TRUTH)).keys) == set(keys)


def test_a_replaced_file_keeps_the_mode_that_its_owner_gave_it(tmp_path: Path) -> None:
    table = pa.table({"a": [1]})
    for name in ("x.csv", "x.json", "x.parquet"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o600)
        write_result(table.to_reader(), tmp_path / name)
    (tmp_path / "labels.json").touch()
    (tmp_path / "labels.json").chmod(0o600)
    Folder(str(tmp_path)).write_bytes("labels.json", b"{}")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_printed_command_that_is_pasted_runs_nothing_of_a_name(
    labelled: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse = tmp_path / 'w$(touch W) `touch V`".duckdb'
    shutil.copy(labelled.job.warehouse_path, warehouse)
    warehouse.chmod(0o644)
    hostile = "x$(touch X)'`touch Y`\"; touch Z #.jpg"
    with closing(duckdb.connect(warehouse)) as connection:
        connection.execute("update images set key = ? || key", [hostile])
    job = labelled.job.model_copy(update={"warehouse": str(warehouse)})
    run = replace(labelled, job=job)
    label_summary.show_labelled(run)
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  lazsl")]
    assert len(printed) == 5
    for line in printed:
        assert len(shlex.split(line)) >= 2
    stub = tmp_path / "bin"
    stub.mkdir()
    (stub / "lazsl").write_text("#!/bin/sh\n")
    (stub / "lazsl").chmod(0o755)
    place = tmp_path / "place"
    place.mkdir()
    subprocess.run(
        ["bash", "-c", "\n".join(printed)],
        cwd=place,
        env={**os.environ, "PATH": f"{stub}:{os.environ['PATH']}"},
        check=True,
    )
    assert not list(place.iterdir())
    # What a shell completes is put into the line, and run with it.
    context: Any = SimpleNamespace(params={"warehouse": warehouse})
    assert image_keys(context, "x") == [] and class_names(context, "Zapek") == ["Zapekaerk"]


def test_aliases_of_one_long_text_are_refused_before_they_fill_the_memory() -> None:
    text = "a: &x " + "y" * 700_000 + "\nb:\n" + "  - *x\n" * 30_000
    with pytest.raises(Unreadable, match="values"):
        read_yaml(text)
    assert len(read_yaml("a: &x text\nb:\n" + "  - *x\n" * 30_000).value["b"]) == 30_000


@pytest.mark.parametrize(
    "piece", ["!", "! ", "a ", "a a-", " x", "which ", "is ", "word ", "often ", ", ", "x.", "'"]
)
def test_sentences_are_checked_in_time_in_proportion_to_their_length(piece: str) -> None:
    def seconds(times: int) -> float:
        attribute = piece * times + "x"
        started = time.thread_time()
        list(complaints(f"a bird, which has {attribute}.", attribute, None))
        return time.thread_time() - started

    seconds(100)
    assert seconds(32_000) < 40 * seconds(4_000) + 0.2


class Elsewhere(BaseHTTPRequestHandler):
    """Sends on to another server, or sends for ever."""

    aim = ""
    asked: list[str] = []  # noqa: RUF012

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        Elsewhere.asked.append(self.path)
        if Elsewhere.aim:
            self.send_response(307)
            self.send_header("Location", Elsewhere.aim)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        try:
            for _ in range(4096):
                self.wfile.write(b" " * 2**16)
        except OSError:
            Elsewhere.asked.append("cut off")

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("redirects", [True, False], ids=["redirects", "endless"])
def test_an_endpoint_sends_the_question_nowhere_else_and_no_endless_reply(
    redirects: bool,
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    Elsewhere.asked = []
    Elsewhere.aim = f"{url}/planted" if redirects else ""

    async def ask() -> None:
        asker = Asker(Endpoint(f"{url}/v1", "k"), Asking(model="m"), timeout=20, retries=0)
        try:
            await asker.ask([{"role": "user", "content": "private"}])
        finally:
            await asker.close()

    with pytest.raises(Failed):
        asyncio.run(ask())
    server.shutdown()
    assert "/planted" not in Elsewhere.asked
    assert redirects or "cut off" in Elsewhere.asked


def test_the_documented_commands_for_many_machines_send_no_telemetry() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "operate.md").read_text(encoding="utf-8")
    block = next(part for part in guide.split("```") if "prefect worker start" in part)
    before, command, _ = block.partition("\nprefect ")
    assert command and "PREFECT_SERVER_ANALYTICS_ENABLED=false" in before
    assert "DO_NOT_TRACK=1" in before
