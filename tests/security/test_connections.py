"""Where a run of the sample connects to, process by process: this machine, and nowhere else."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lazsl import fieldguide

LOG = """
import json, os, socket, sys

def _log(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        address = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
        line = json.dumps([event, os.path.basename(sys.argv[0] if sys.argv else ""), address],
                          default=repr)
        file = os.open(os.environ["CONNECTION_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, (line + "\\n").encode())
        os.close(file)

sys.addaudithook(_log)
"""
HERE = {"127.0.0.1", "::1", "localhost", "0.0.0.0", "", None}


@pytest.fixture
def logged(tmp_path: Path, prefect_home: Callable[[Path], Path]) -> tuple[dict[str, str], Path]:
    """An environment in which every Python process writes down what it connects to."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(LOG)
    log = tmp_path / "connections"
    plain = {
        k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "LAZSL_", "AWS_"))
    }
    for name in ("DO_NOT_TRACK", "HF_HUB_OFFLINE"):  # lazsl must see to it by itself
        plain.pop(name, None)
    path = f"{tmp_path / 'hook'}:{os.environ.get('PYTHONPATH', '')}"
    return plain | {
        "PYTHONPATH": path,
        "CONNECTION_LOG": str(log),
        "PREFECT_HOME": str(prefect_home(tmp_path / "prefect")),
        "COLUMNS": "200",
    }, log


def strangers(log: Path) -> tuple[int, list[str]]:
    """How many connections were written down, and those that leave this machine."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    outside = [
        str(line)
        for line in lines
        if (line[2][0] if isinstance(line[2], list) and line[2] else line[2]) not in HERE
        and not str(line[2]).startswith(("/", "b'\\x00", "127."))
        and line[2] != socket.gethostname()
    ]
    return len(lines), outside


def test_the_log_sees_connections_of_child_processes(
    logged: tuple[dict[str, str], Path], tmp_path: Path
) -> None:
    environment, log = logged
    # A documentation address that leads nowhere; the attempt is what is written down.
    script = (
        "import socket; s = socket.socket(); s.setblocking(False); s.connect_ex(('192.0.2.1', 9))"
    )
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {script!r}])"
    subprocess.run([sys.executable, "-c", inner], env=environment, check=True)
    count, outside = strangers(log)
    assert count == 1 and "192.0.2.1" in outside[0]


def test_label_relabel_report_and_evaluate_connect_to_this_machine_only(
    logged: tuple[dict[str, str], Path], tmp_path: Path
) -> None:
    environment, log = logged

    def lazsl(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "lazsl.cli", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    images = tmp_path / "archive"
    images.mkdir()
    for file in sorted(fieldguide.IMAGES_DIR.rglob("plate-*.jpg"))[:6]:
        (images / file.parent.name).mkdir(exist_ok=True)
        (images / file.parent.name / file.name).write_bytes(file.read_bytes())
    truth = f"--truth={fieldguide.TRUTH_FILE}"
    labels = f"--labels={fieldguide.LABELS_FILE}"
    lazsl("label", str(images), labels, "--model=fieldguide", "--regions=4", truth, "--open-set")
    run = next(path.name for path in (tmp_path / "workspace" / "runs").iterdir())
    lazsl("relabel", run, labels, "--theta=0.3")
    lazsl("report", run, "--output", "site")
    lazsl("evaluate", run)
    count, outside = strangers(log)
    assert count > 0, "the log saw nothing, not even Prefect's own server"
    assert not outside


def test_the_service_connects_to_this_machine_only(
    logged: tuple[dict[str, str], Path], tmp_path: Path
) -> None:
    environment, log = logged
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "lazsl_flows.serve", f"--port={port}"]
    (tmp_path / "prefect").rename(tmp_path / "home")
    with (tmp_path / "log").open("w") as output:
        service = subprocess.Popen(
            [*command, f"--home={tmp_path / 'home'}"],
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=output,
        )
        try:
            deadline = time.monotonic() + 300
            while "lazsl serves" not in (tmp_path / "log").read_text():
                assert service.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.5)
            time.sleep(5)  # the workers ask the server now and then
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(60)
    count, outside = strangers(log)
    assert count > 10
    assert not outside
