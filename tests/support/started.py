"""What a test starts besides itself: processes, as Python's audit events tell, and servers."""

from __future__ import annotations

import _socket
import os
import socket
import sys
from typing import Any

PROGRAMS = ("python", "lazsl", "prefect", "chrom", "bash")
"""How names of programs begin whose start counts. Libraries ask small ones, such as ldconfig."""

started: list[str] = []
"""What was started since the list was last cleared."""


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen":
        program = os.path.basename(os.fspath(arguments[0]))
        if str(program).startswith(PROGRAMS):
            started.append(f"the process {program}")
    elif event in ("os.fork", "os.forkpty", "os.posix_spawn"):
        started.append("a process")


def _listen(server: socket.socket, *backlog: int) -> None:
    started.append("a server")
    _socket.socket.listen(server, *backlog)


def watch() -> None:
    """Note from now on what this process starts."""
    sys.addaudithook(_note)
    socket.socket.listen = _listen  # type: ignore[method-assign]
