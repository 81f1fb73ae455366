"""Where a run of the sample connects to, process by process: this machine, and nowhere else.

What the service connects to is looked at where it works longest: tests/flows/test_service.py.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

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


def test_label_relabel_report_and_evaluate_connect_to_this_machine_only(
    tmp_path: Path, prefect_home: Callable[[Path], Path]
) -> None:
    """Nothing but lazsl keeps them to it."""
    ours = ("PREFECT_", "LAZSL_", "AWS_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    environment = unguarded(environment) | {
        **logging_connections(tmp_path, os.environ.get("PYTHONPATH", "")),
        "PREFECT_HOME": str(prefect_home(tmp_path / "prefect")),
        "COLUMNS": "200",
    }
    archive = copy_sample(tmp_path / "archive", 6, odd=False)
    classes = json.loads(fieldguide.LABELS_FILE.read_text(encoding="utf-8"))
    with fieldguide.TRUTH_FILE.open(encoding="utf-8") as file:
        shown = {row["label"] for row in islice(csv.DictReader(file), 6)}
    few = {"classes": {name: classes["classes"][name] for name in shown}}
    (tmp_path / "few.json").write_text(json.dumps(few), encoding="utf-8")
    truth, labels = f"--truth={fieldguide.TRUTH_FILE}", "--labels=few.json"
    model = ("--model=fieldguide", "--regions=4", "--open-set")
    lines = [
        ("label", str(archive), labels, truth, *model),
        ("relabel", labels, "--theta=0.3"),
        ("report", "--output=site"),
        ("evaluate",),
    ]
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps(lines)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    count, outside = connections(tmp_path)
    assert count > 0, "the log saw nothing, not even Prefect's own server"
    assert not outside
