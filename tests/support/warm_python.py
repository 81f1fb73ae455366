"""Programs in processes of their own that need not import the large libraries, which takes longer
than most of what they do: they are copies of one that has."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
LIBRARIES = ("open_clip", "prefect.flow_engine", "duckdb", "pyarrow.dataset", "s3fs", "typer")
"""What is imported unless other libraries are named; none starts a thread of Python's."""


class Program:
    """A program that was started, much as `subprocess.Popen` has it."""

    def __init__(self, status: int, out: IO[str], err: IO[str]) -> None:
        self._status = os.fdopen(status, buffering=1)
        self._out, self._err = out, err
        self.pid = int(self._status.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status, negative after a signal, once it has ended."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status. Raises TimeoutExpired where that many seconds are not enough."""
        if self.returncode is None:
            waiting = select.poll()
            waiting.register(self._status, select.POLLIN)
            if not waiting.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it wrote to its output, and as errors, once it has ended."""
        self.wait(timeout)
        return self._all_of(self._out), self._all_of(self._err)

    def line(self, timeout: float = 120) -> str:
        """The next line of its output."""
        deadline = time.monotonic() + timeout
        at = self._out.tell()
        while not (line := self._out.readline()).endswith("\n"):
            ended = self.poll() is not None
            assert not ended and time.monotonic() < deadline, self._all_of(self._err)
            self._out.seek(at)
            time.sleep(0.01)
        return line

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still lives."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    @staticmethod
    def _all_of(file: IO[str]) -> str:
        file.seek(0)
        return file.read()


class WarmPython:
    """A Python that has imported these libraries."""

    def __init__(self, *libraries: str) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = Path(__file__).with_name("warm_python_process.py")
        # As the commands themselves have it, before they import anything.
        surroundings = {"DO_NOT_TRACK": "1", "PYDANTIC_DISABLE_PLUGINS": "__all__"}
        self._process = subprocess.Popen(
            [sys.executable, str(program), str(theirs.fileno()), *(libraries or LIBRARIES)],
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
            env=os.environ | surroundings,
        )
        theirs.close()
        self._programs: list[Program] = []

    def start(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        folder: Path = ROOT,
    ) -> Program:
        """Start a program as Python would with these arguments, `-m` or `-c` first."""
        program = {
            "arguments": arguments,
            "environment": dict(os.environ if environment is None else environment),
            "folder": str(folder),
        }
        reading, writing = os.pipe()
        with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
            descriptors = [out.fileno(), err.fileno(), writing]
            socket.send_fds(self._control, [json.dumps(program).encode()], descriptors)
            # Opened again, as who shares a descriptor also shares the place that it is at.
            files = [open(file.name, encoding="utf-8") for file in (out, err)]  # noqa: SIM115
        os.close(writing)
        started = Program(reading, *files)
        self._programs.append(started)
        return started

    def run(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        folder: Path = ROOT,
        timeout: float | None = None,
    ) -> tuple[int, str, str]:
        """Exit status, output and errors of such a program."""
        program = self.start(*arguments, environment=environment, folder=folder)
        out, err = program.communicate(timeout)
        return program.wait(), out, err

    def close(self) -> None:
        """End it, and what it started."""
        for program in self._programs:
            program.kill()
        self._control.close()
        self._process.wait(30)
