"""The server that Prefect starts beside `lazsl label` is no way in for other users, and the command
outlives it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
from sample import copy_sample
from warm_python import WarmPython

from lazsl.fieldguide import LABELS_FILE


def test_while_an_archive_is_labelled_its_prefect_server_answers_nobody_else(
    tmp_path: Path, prefect_home: Callable[[Path], Path], warm_python: WarmPython
) -> None:
    archive = copy_sample(tmp_path / "archive", 5, odd=False)
    plain = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    environment = plain | {
        "PREFECT_HOME": str(prefect_home(tmp_path / "prefect")),
        "COLUMNS": "200",
    }
    command = ["-m", "lazsl.cli", "label", str(archive), f"--labels={LABELS_FILE}"]
    command += [
        "--model=fieldguide",
        f"--workspace={tmp_path / 'work'}",
        "--regions=4",
        "--shard-size=1",
    ]
    label = warm_python.start(*command, environment=environment)
    answers: list[int] = []
    killed: list[int] = []
    deadline = time.monotonic() + 240
    while label.poll() is None and not killed and time.monotonic() < deadline:
        with suppress(psutil.Error, httpx.HTTPError):
            for child in psutil.Process(label.pid).children(recursive=True):
                port = re.search(r"server_process (\d+)", " ".join(child.cmdline()))
                if port and not answers:
                    url = f"http://127.0.0.1:{port[1]}/api/block_documents/filter"
                    answers.append(httpx.post(url, json={}, timeout=10).status_code)
                elif port and any((tmp_path / "work").glob("runs/*/shards/*.json")):
                    child.kill()
                    killed.append(child.pid)
        time.sleep(0.05)
    _, output = label.communicate(timeout=240)
    assert label.returncode == 0, output
    assert answers == [401]
    assert len(killed) == 1, "the command ended before its server could be killed"
    assert "server was killed; it is being restarted" in output
    assert "5 of 5 (100%)" in output
    assert "EventsWorker" not in output, "Prefect's own pages hide what the command says"
    assert (tmp_path / "prefect").stat().st_mode & 0o077 == 0
