"""Prefect's event bus in memory, patient with a database that is busy.

In SQLite a transaction that has read cannot write once another one has written: "database is
locked", at once, whatever the timeout. Prefect 3.8 reads and then writes for every event that an
automation looks at, hands an event that failed so out again three times within a tenth of a second,
and then puts it aside. No automation sees such an event, nor, for a quarter of an hour, any later
one of the same flow run: a crashed run is not started again, a failure is not told.

So here an event is handed out again until the database has a moment. `serve.py` names this
module to its server; a server on PostgreSQL does not need it.
"""

from __future__ import annotations

import asyncio

from prefect.server.utilities.messaging import Message, MessageHandler, memory
from prefect.server.utilities.messaging.memory import (
    Publisher,
    break_topic,
    ephemeral_subscription,
)
from sqlalchemy.exc import OperationalError

__all__ = ["Consumer", "Publisher", "break_topic", "ephemeral_subscription"]

WAITS = (0.05, 0.1, 0.2, 0.4, 0.8, *[1.5] * 20)
"""Seconds between the attempts to handle one event: half a minute in all."""


class Consumer(memory.Consumer):
    """Prefect's own, whose handlers are called again when the database was busy."""

    async def run(self, handler: MessageHandler) -> None:
        """Hand out events until it is stopped."""
        await super().run(patient(handler))


def patient(handler: MessageHandler) -> MessageHandler:
    """The handler, called again after each of `WAITS` as long as the database refuses."""

    async def handled(message: Message) -> None:
        for wait in WAITS:
            try:
                await handler(message)
                return
            except OperationalError:
                await asyncio.sleep(wait)
        await handler(message)

    return handled
