"""Events of the service's server when its SQLite database is busy: late, but never lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from prefect.server.utilities import messaging
from prefect.server.utilities.messaging import Message, memory
from prefect.settings import PREFECT_HOME, PREFECT_MESSAGING_BROKER, temporary_settings
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

PREFECTS_OWN = "prefect.server.utilities.messaging.memory"


class Busy:
    """A handler that reads and then writes while another connection writes in between, so often."""

    def __init__(self, database: Path, times: int) -> None:
        self.engine = create_engine(f"sqlite:///{database}", isolation_level="AUTOCOMMIT")
        self.times = times
        self.refused = 0
        self.handled: list[bytes] = []
        with self.engine.connect() as connection:
            connection.exec_driver_sql("pragma journal_mode = wal")
            connection.exec_driver_sql("create table bucket (count integer)")

    async def __call__(self, message: Message) -> None:
        with self.engine.connect() as first, self.engine.connect() as other:
            first.exec_driver_sql("begin deferred")
            first.exec_driver_sql("select * from bucket").fetchall()
            if self.refused < self.times:
                other.exec_driver_sql("insert into bucket values (0)")
            try:
                first.exec_driver_sql("insert into bucket values (1)")
            except OperationalError:
                self.refused += 1
                first.exec_driver_sql("rollback")
                raise
            first.exec_driver_sql("commit")
        assert isinstance(message.data, bytes)
        self.handled.append(message.data)


def hand_out(broker: str, handler: Busy, home: Path) -> list[Path]:
    """Publish two events on that broker to that handler; the events that were put aside."""
    aside = home / "dlq"

    async def run() -> None:
        consumer = messaging.create_consumer("events")
        running = asyncio.create_task(consumer.run(handler))
        async with messaging.create_publisher("events") as publisher:
            for event in (b"Crashed", b"AwaitingRetry"):
                await publisher.publish_data(event, {})
        async with asyncio.timeout(60):
            while len(handler.handled) + len(list(aside.glob("*"))) < 2:
                await asyncio.sleep(0.01)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    with temporary_settings({PREFECT_MESSAGING_BROKER: broker, PREFECT_HOME: home}):
        memory.Topic.clear_all()
        asyncio.run(run())
        memory.Topic.clear_all()
    return list(aside.glob("*"))


def test_an_event_that_a_busy_database_refuses_is_handed_out_until_it_is_handled(
    tmp_path: Path,
) -> None:
    handler = Busy(tmp_path / "database", times=8)
    assert hand_out("lazsl_flows.messaging", handler, tmp_path) == []
    assert handler.refused == 8
    assert sorted(handler.handled) == [b"AwaitingRetry", b"Crashed"]


def test_prefects_own_bus_loses_such_an_event_which_is_why_there_is_ours(tmp_path: Path) -> None:
    handler = Busy(tmp_path / "database", times=8)
    assert len(hand_out(PREFECTS_OWN, handler, tmp_path)) == 2
    assert handler.handled == []


def test_what_no_waiting_mends_is_put_aside_as_prefect_does(tmp_path: Path) -> None:
    class Wrong(Busy):
        async def __call__(self, message: Message) -> None:
            raise ValueError("not of the database")

    handler = Wrong(tmp_path / "database", times=0)
    assert len(hand_out("lazsl_flows.messaging", handler, tmp_path)) == 2


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect logs each failure with its traceback."""
    monkeypatch.setattr(memory.logger, "exception", lambda *_: None)
