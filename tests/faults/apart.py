"""Copies of this process for what may kill or hang one: forked, so nothing is imported anew."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil

from lazsl.errors import UserError

PATIENCE = 90.0
"""Seconds without anything done after which a process counts as hung: a machine may be busy, and
a store that fails is waited for up to 30 s."""
DONE, BROKEN, TOLD, STOPPED = 0, 1, 2, 143
"""Statuses of a copy: as those of a command, and 1 after a traceback."""
_SUBREAPER = 36


class Hung(Exception):
    """A process did not end."""


class Broken(Exception):
    """A process ended in a traceback."""


def adopt_orphans() -> None:
    """Have whatever a dead child leaves behind become a child of this process."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def forked(function: Callable[[], Any], seconds: float | None = None) -> int:
    """Number of a copy of this process that calls a function and ends with one of the statuses.

    Args:
        function: what it does.
        seconds: of its processor's time, after which it dies at once.
    """
    child = os.fork()
    if child:
        return child
    status = BROKEN
    try:
        if seconds is not None:
            # The default action: it ends there and then, as after SIGKILL.
            signal.setitimer(signal.ITIMER_PROF, seconds)
        function()
        status = DONE
    except UserError:
        status = TOLD
    except KeyboardInterrupt:
        status = STOPPED
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def waited(child: int) -> int:
    """Exit status of a child, negative after a signal.

    Raises:
        Hung: it used no processor's time for `PATIENCE`, and was killed.
    """
    used, since = -1.0, time.monotonic()
    while time.monotonic() < since + PATIENCE:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        now = sum(psutil.Process(child).cpu_times())
        if now > used:
            used, since = now, time.monotonic()
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise Hung(f"process {child} did nothing for {PATIENCE:.0f} s")


def apart(function: Callable[[], Any]) -> Any:
    """What a function gives, called in a copy of this process.

    Raises:
        Hung: the copy, or one that it waited for, did not end.
        Broken: it ended otherwise than by giving something.
    """
    reading, writing = os.pipe()

    def told() -> None:
        try:
            value: Any = function()
        except Hung as error:
            value = error
        except BaseException:
            value = Broken(traceback.format_exc(limit=-5))
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(value, pipe)

    child = forked(told)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        status = waited(child)
        data = pipe.read() if status == DONE else b""
    if not data:
        raise Broken(f"status {status}")
    value = pickle.loads(data)
    if isinstance(value, Broken | Hung):
        raise value
    return value


def left_behind(known: set[int] | None = None, seconds: float = 20.0) -> list[str]:
    """Processes below this one that do not end, besides those that are known; they are killed.

    A server has some seconds to close its database, of which a busy machine makes more.
    """
    deadline = time.monotonic() + seconds
    # To look once may take longer than that on a busy machine, so they are looked for twice.
    for _ in iter(lambda: time.monotonic() < deadline, False):
        if not _living(known or set()):
            return []
        time.sleep(0.02)
    left = _living(known or set())
    for process in left:
        process.kill()
    return [f"{process}" for process in left]


def _living(known: set[int]) -> list[psutil.Process]:
    """Processes below this one that have not ended, besides those that are known."""
    living = []
    for process in psutil.Process().children(True):
        with suppress(psutil.NoSuchProcess, ChildProcessError):
            if process.pid in known:
                continue
            if process.status() != psutil.STATUS_ZOMBIE:
                living.append(process)
            elif process.ppid() == os.getpid():
                os.waitpid(process.pid, os.WNOHANG)
    return living
