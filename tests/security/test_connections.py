"""Where a run of the sample connects to, process by process: this machine, and nowhere else; and
who gets an answer from the Prefect server beside it.

What the service connects to is looked at where it works longest: tests/flows/test_service.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from connections import connections, logging_connections, unguarded
from sample import copy_sample

from lazsl import fieldguide

ONE_AFTER_THE_OTHER = """
import json, sys
from pathlib import Path
from lazsl.cli.commands import app
for command, *options in json.loads(sys.argv[1]):
    runs = [path.name for path in sorted(Path("workspace/runs").glob("*"))]
    arguments = [command, *runs[:1], *options] if runs else [command, *options]
    assert not app(arguments, standalone_mode=False)
assert len(runs) == 2 and Path("site/index.html").is_file()
"""
"""Commands in one process, which imports what they need once; all but the first name a run."""


@dataclass(frozen=True)
class Commands:
    """A folder in which commands ran, and how the server beside the first answered a stranger."""

    home: Path
    answers: list[int]


@pytest.fixture(scope="module")
def commands(
    tmp_path_factory: pytest.TempPathFactory, prefect_home: Callable[[Path], Path]
) -> Commands:
    """Label, relabel, report and evaluate; nothing but lazsl keeps them to this machine."""
    home = tmp_path_factory.mktemp("commands")
    ours = ("PREFECT_", "LAZSL_", "AWS_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    environment = unguarded(environment) | {
        **logging_connections(home, os.environ.get("PYTHONPATH", "")),
        "PREFECT_HOME": str(prefect_home(home / "prefect")),
        "COLUMNS": "200",
    }

    archive = copy_sample(home / "archive", 6, odd=False)
    truth, labels = f"--truth={fieldguide.TRUTH_FILE}", f"--labels={fieldguide.LABELS_FILE}"
    few = ("--model=fieldguide", "--regions=4", "--open-set")
    lines = [
        ("label", str(archive), labels, truth, *few),
        ("relabel", labels, "--theta=0.3"),
        ("report", "--output=site"),
        ("evaluate",),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps(lines)],
        cwd=home,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    answers = answers_to_a_stranger(process)
    _, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors
    return Commands(home, answers)


def answers_to_a_stranger(label: subprocess.Popen[str]) -> list[int]:
    """What the server of a command answers whoever has no key, while the command runs."""
    answers: list[int] = []
    deadline = time.monotonic() + 240
    while label.poll() is None and not answers and time.monotonic() < deadline:
        with suppress(psutil.Error, httpx.HTTPError):
            for child in psutil.Process(label.pid).children(recursive=True):
                if port := re.search(r"server_process (\d+)", " ".join(child.cmdline())):
                    url = f"http://127.0.0.1:{port[1]}/api/block_documents/filter"
                    answers.append(httpx.post(url, json={}, timeout=10).status_code)
        time.sleep(0.05)
    return answers


def test_the_log_sees_connections_of_child_processes(tmp_path: Path) -> None:
    environment = os.environ | logging_connections(tmp_path)
    # A documentation address that leads nowhere; the attempt is what is written down.
    script = (
        "import socket; s = socket.socket(); s.setblocking(False); s.connect_ex(('192.0.2.1', 9))"
    )
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {script!r}])"
    subprocess.run([sys.executable, "-c", inner], env=environment, check=True)
    count, outside = connections(tmp_path)
    assert count == 1 and "192.0.2.1" in outside[0]


def test_label_relabel_report_and_evaluate_connect_to_this_machine_only(commands: Commands) -> None:
    count, outside = connections(commands.home)
    assert count > 0, "the log saw nothing, not even Prefect's own server"
    assert not outside


def test_while_an_archive_is_labelled_its_prefect_server_answers_nobody_else(
    commands: Commands,
) -> None:
    assert commands.answers == [401]
    assert (commands.home / "prefect").stat().st_mode & 0o077 == 0
