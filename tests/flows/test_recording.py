"""What Prefect's server writes down of many small tasks: together, and all of it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from lazsl_flows import recording
from prefect.settings import (
    PREFECT_API_DATABASE_CONNECTION_URL,
    Settings,
    temporary_settings,
)
from sqlalchemy import event
from sqlalchemy.engine import Engine

STATES = ("Pending", "Running", "Completed")
TASKS = 90


def changes() -> list[Any]:
    """What a flow says of its task runs, one after the other."""
    # Here, as it takes every process that only collects tests a second.
    from prefect.server.events.schemas.events import ReceivedEvent
    from prefect.server.utilities.messaging.memory import MemoryMessage

    begin = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    messages = []
    for task in range(TASKS):
        for step, state in enumerate(STATES):
            change = {
                "id": UUID(int=3 * task + step + 1),
                "occurred": begin + timedelta(seconds=task, milliseconds=step),
                "event": f"prefect.task-run.{state}",
                "resource": {
                    "prefect.resource.id": f"prefect.task-run.{UUID(int=task + 1)}",
                    "prefect.orchestration": "client",
                },
                "payload": {
                    "validated_state": {"type": state.upper(), "name": state},
                    "task_run": {"name": f"score {task}", "task_key": "score", "dynamic_key": "0"},
                },
            }
            data = ReceivedEvent.model_validate(change).model_dump_json()
            messages.append(MemoryMessage(data, {}))
    return messages


def test_many_changes_are_written_together_and_the_last_ones_within_a_moment(
    tmp_path: Path, prefect_home: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.server.services import task_run_recorder

    database = prefect_home(tmp_path / "home") / "prefect.db"
    for name, value in recording.TOGETHER.items():
        monkeypatch.setenv(name, value)
    # Prefect takes no notice of a name that it does not know.
    settings = Settings().server.services.task_run_recorder
    written: list[str] = []
    entered = "select name, state_type from task_run order by start_time"

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO task_run "):
            written.append(statement)

    async def record() -> None:
        handling = task_run_recorder.consumer(settings.batch_size, int(settings.flush_interval))
        async with handling as handle:
            for message in changes():
                await handle(message)
            async with asyncio.timeout(30):
                while {state for _, state in rows(database, entered)} != {"COMPLETED"} or (
                    len(rows(database, entered)) < TASKS
                ):
                    await asyncio.sleep(0.1)

    event.listen(Engine, "before_cursor_execute", note)
    url = f"sqlite+aiosqlite:///{database}"
    try:
        with temporary_settings({PREFECT_API_DATABASE_CONNECTION_URL: url}):
            asyncio.run(record())
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert len(rows(database, "select id from task_run_state")) == TASKS * len(STATES)
    assert 0 < len(written) <= TASKS * len(STATES) // 30


def rows(database: Path, question: str) -> list[tuple[str, ...]]:
    """What the database answers."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute(question).fetchall()
    finally:
        connection.close()
