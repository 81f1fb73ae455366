"""Signals that come while DuckDB works, which tells of them in an error of its own."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from lazsl.warehouse.sqlfiles import Connection

_ENDING = frozenset((signal.SIGINT, signal.SIGTERM, signal.SIGALRM))
_watched: WeakSet[Connection] = WeakSet()
_lock = threading.Lock()  # a set that grows cannot be gone through


def watched(connection: Connection) -> Connection:
    """The connection, whose queries end at a signal within `interruptible`.

    By itself DuckDB ends a query between two of its tasks, of which a join may have a single one.
    """
    with _lock:
        _watched.add(connection)
    return connection


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise what a signal's handler raises, also where it came while DuckDB worked.

    DuckDB drops the handler's exception for a RuntimeError, which would be taken for a fault: a
    flow would go on, and a command would end in a traceback.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # where no signal comes to
        return
    reading, writing = socket.socketpair()
    numbers: SimpleQueue[int] = SimpleQueue()
    watch = threading.Thread(target=_interrupt, args=(reading, numbers), daemon=True)
    with closing(reading):
        try:
            with closing(writing):
                writing.setblocking(False)
                watch.start()
                before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
                try:
                    yield
                except RuntimeError as error:
                    if str(error) != "Query interrupted":
                        raise
                    _handle_again(numbers)
                    raise KeyboardInterrupt from None
                finally:
                    _tell_again(before)
        finally:
            watch.join()  # it reads to the end, before its socket is closed


def _interrupt(reading: socket.socket, numbers: SimpleQueue[int]) -> None:
    """Note the numbers of signals as they come, and end queries at those that end a command."""
    while data := reading.recv(64):
        for number in data:
            numbers.put(number)
        if _ENDING.intersection(data):
            with _lock:
                connections = list(_watched)
            for connection in connections:
                with suppress(Exception):  # closed meanwhile
                    connection.interrupt()


def _tell_again(descriptor: int) -> None:
    """Have signals told to a descriptor as before, unless whoever it was of closed it meanwhile."""
    try:
        signal.set_wakeup_fd(descriptor)
    except (OSError, ValueError):  # closed, or another's that was opened under its number
        signal.set_wakeup_fd(-1)


def _handle_again(numbers: SimpleQueue[int]) -> None:
    """Call the handlers of the signals that came."""
    with suppress(Empty):
        number = numbers.get(timeout=1)  # another thread reads it
        while True:
            handler = signal.getsignal(number)
            if callable(handler):
                handler(number, None)
            number = numbers.get_nowait()
