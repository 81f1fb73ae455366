"""SIGTERM ends a command whatever it is at."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import duckdb
import httpx
import pytest
import typer
from lazsl_flows.attempts import in_words
from prefect.exceptions import TerminationSignal
from prefect.states import Failed
from prefect.utilities.engine import capture_sigterm
from typer.testing import CliRunner

from lazsl.cli import app as application
from lazsl.cli.commands import app
from lazsl.cli.flow import failure
from lazsl.cli.sql_shell import converse
from lazsl.run.run import Run
from lazsl.warehouse.interruption import interruptible, watched
from lazsl.warehouse.opening import open_warehouse

ENDLESS = "select count(*) from range(100000) a, range(100000) b where (a.range * b.range) % 7 = 3"
"""Most of a minute; a single task of DuckDB's, at whose end it would look for signals."""


@pytest.fixture(autouse=True)
def handled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """SIGTERM as `lazsl` handles it."""
    monkeypatch.setattr(application, "_terminated", [])
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)}
    signal.signal(signal.SIGTERM, application.terminate)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_query_that_is_terminated_ends_as_any_command_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """DuckDB tells of a signal in an error of its own, which is no fault."""
    started = time.monotonic()
    with closing(watched(duckdb.connect())) as connection:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(typer.Exit) as ended:
            application.in_words(lambda: connection.execute(ENDLESS))()
    assert ended.value.exit_code == 128 + signal.SIGTERM and "stopped" in capsys.readouterr().err
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert time.monotonic() - started < 20


def test_within_a_flow_it_is_what_prefects_own_handler_raises() -> None:
    """No failure of a task, from which the flow would go on."""
    with closing(watched(duckdb.connect())) as connection, capture_sigterm():
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(TerminationSignal):
            in_words(lambda: connection.execute(ENDLESS))()


def test_a_descriptor_that_was_closed_meanwhile_fails_no_command(tmp_path: Path) -> None:
    """An event loop that was closed may leave its own to be told of signals."""
    reading, writing = socket.socketpair()
    with closing(reading), closing(writing):
        writing.setblocking(False)
        signal.set_wakeup_fd(writing.fileno())
        number = writing.fileno()
    with (tmp_path / "file").open("wb") as file:
        os.dup2(file.fileno(), number)  # the number is another's now, and written to by no signal
        try:
            assert application.in_words(lambda: "done")() == "done"
        finally:
            signal.set_wakeup_fd(-1)
            os.close(number)


def test_sql_ends_at_once_in_the_middle_of_a_join(labelled: Run) -> None:
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    started = time.monotonic()
    ended = CliRunner().invoke(app, ["sql", ENDLESS, "-w", labelled.job.workspace])
    assert ended.exit_code == 128 + signal.SIGTERM, ended.stderr
    assert "stopped" in ended.stderr and time.monotonic() - started < 20


def test_a_prompt_of_sql_ends_too(labelled: Run) -> None:
    """Ctrl-C ends a statement there, and SIGTERM the prompt."""

    class Session:
        texts = iter((KeyboardInterrupt, application.Terminated))

        def prompt(self) -> str:
            raise next(self.texts)

    with closing(open_warehouse(labelled.job.warehouse_path)) as connection:
        with pytest.raises(application.Terminated):
            converse(connection, labelled.job.warehouse_path, 5, cast(Any, Session()))
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
        asking = SimpleNamespace(prompt=lambda: ENDLESS)
        with pytest.raises(application.Terminated):
            converse(connection, labelled.job.warehouse_path, 5, cast(Any, asking))


def test_a_command_that_fails_leaves_no_thread_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    for _ in range(200):
        with pytest.raises(ValueError), interruptible():
            raise ValueError
    assert not failures


class Deaf:
    """Drops what a signal raises, as Python does while an object is deleted."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)


def test_a_signal_that_was_dropped_is_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "_REMINDER", 0.1)
    dropped: list[object] = []

    def drop(unraisable: object) -> None:
        dropped.append(unraisable)
        application._REMINDER = 60.0  # one reminder, and none that would end pytest itself

    monkeypatch.setattr(sys, "unraisablehook", drop)
    with pytest.raises(KeyboardInterrupt):
        deaf = Deaf()
        del deaf
        time.sleep(5)
    assert len(dropped) == 1


def test_a_server_that_fails_in_the_middle_is_one_sentence() -> None:
    lost = httpx.ConnectError("All connection attempts failed")
    sentence = str(failure(Failed(data=lost, message="Flow run encountered an exception")))
    assert "failed in the middle (All connection attempts failed)" in sentence
    assert "run the same command again" in " ".join(sentence.split())
