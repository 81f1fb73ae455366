"""Signals that come while DuckDB works, which tells of them in an error of its own."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager


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
    with closing(reading), closing(writing):
        reading.setblocking(False)
        writing.setblocking(False)
        before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        try:
            yield
        except RuntimeError as error:
            if str(error) != "Query interrupted":
                raise
            _handle_again(reading)
            raise KeyboardInterrupt from None
        finally:
            _tell_again(before)


def _tell_again(descriptor: int) -> None:
    """Have signals told to a descriptor as before, unless whoever it was of closed it meanwhile."""
    try:
        signal.set_wakeup_fd(descriptor)
    except (OSError, ValueError):  # closed, or another's that was opened under its number
        signal.set_wakeup_fd(-1)


def _handle_again(reading: socket.socket) -> None:
    """Call the handler of the last signal that came."""
    try:
        number = reading.recv(4096)[-1]
    except BlockingIOError:
        return
    handler = signal.getsignal(number)
    if callable(handler):
        handler(number, None)
