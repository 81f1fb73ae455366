"""Completion as bash and zsh do it: a person presses Tab at a real prompt."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lazsl.run.run import Run

PROMPT = "ready> "
PROGRAM = Path(sys.executable).with_name("lazsl")
START = {
    "bash": (["bash", "--norc", "-i"], "source {file}\n"),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -D; source {file}\n"),
}


class Prompt:
    """An interactive shell; `press` types and waits until the screen shows what is expected."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def press(self, text: str, expected: str) -> None:
        os.write(self._descriptor, text.encode())
        screen, deadline = "", time.monotonic() + 60
        while expected not in screen:
            ready, *_ = select.select([self._descriptor], [], [], deadline - time.monotonic())
            assert ready, f"{expected!r} never came: {screen!r}"
            screen += os.read(self._descriptor, 65536).decode(errors="replace")


@contextmanager
def prompt(shell: str, home: Path) -> Iterator[Prompt]:
    environment = os.environ | {
        "HOME": str(home), "PS1": PROMPT, "TERM": "dumb",
        "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }  # fmt: skip
    script = subprocess.run(
        [PROGRAM, "--show-completion", shell],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    file = home / f"completion.{shell}"
    file.write_text(script.stdout)
    command, source = START[shell]
    process, descriptor = pty.fork()
    if not process:
        os.execvpe(command[0], command, environment)
    try:
        typed = Prompt(descriptor)
        typed.press("", PROMPT)
        typed.press(source.format(file=file) + "echo so''urced\n", "sourced")
        yield typed
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(descriptor)


@pytest.mark.starts
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_completes_commands_and_images(shell: str, labelled: Run, tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"needs {shell}")
    with prompt(shell, tmp_path) as typed:
        typed.press("lazsl expl\t", "explain")
        typed.press(f"-w {labelled.job.workspace} 1858/plate-001\t", "1858/plate-001.jpg")
