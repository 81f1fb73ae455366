"""Refusals that need no model are quick: no large library is imported for them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lazsl import fieldguide
from lazsl.run.run import Run

SCRIPT = """
import json, sys
from typer.testing import CliRunner
from lazsl.cli.commands import app
for arguments in json.loads(sys.argv[1]):
    result = CliRunner().invoke(app, arguments)
    heavy = [name for name in sys.argv[2].split() if name in sys.modules]
    print(json.dumps([arguments, result.exit_code, result.stderr, heavy]))
    assert not heavy, arguments
"""


def test_refusals_that_need_no_model_import_none(labelled: Run, tmp_path: Path) -> None:
    images, labels = str(fieldguide.IMAGES_DIR), str(fieldguide.LABELS_FILE)
    nothing = str(tmp_path / "nothing")
    here = ["-w", labelled.job.workspace]
    truth = tmp_path / "truth.csv"
    truth.write_text("key,label\n1858/plate-001.jpg,Wren\n")
    refused = [
        ["label", images, "-l", labels, "-w", nothing, "--truth", str(truth)],
        ["label", images, "-l", labels, "--set", "regions.count=0", "-w", nothing],
        ["label", images, "-l", labels, "-q", "-v", "-w", nothing],
        ["relabel", "nope", *here],
        ["relabel", labelled.key, *here, "--epsilon", "-1"],
        ["relabel", labelled.key, *here, "--set", "scoring.plans=99"],
        ["explain", "nosuch.jpg", *here],
        ["explain", "plate-001", "--run", "nope", *here],
        ["evaluate", "nope", *here],
        ["report", "nope", *here],
        ["status", "nope", *here],
        ["audit", "estimate", "nope", *here],
        ["audit", "import", "nope.csv", *here],
        ["find", "a red crest", "--run", "nope", *here],
        ["check", "-w", nothing],
        ["sql", "selec 1", *here],
        ["settings", "nope"],
    ]
    check_refused(refused, "torch open_clip prefect scipy")


def test_what_is_not_there_is_missed_before_arrow_and_duckdb_are_imported(tmp_path: Path) -> None:
    """Half a second of the processor, of which these would take the most."""
    labels, nothing = str(fieldguide.LABELS_FILE), ["-w", str(tmp_path / "nothing")]
    refused = [
        ["label", "/nope", "-l", labels, *nothing],
        ["label", str(fieldguide.IMAGES_DIR), "-l", "/nope.json", *nothing],
        ["estimate", "/nope", "-l", labels],
        ["relabel", "nope", *nothing],
        ["evaluate", "nope", *nothing],
        ["load", *nothing],
        ["runs", *nothing],
        ["export", *nothing],
        ["explain", "nosuch.jpg", *nothing],
        ["find", "a red crest", *nothing],
        ["sql", "from runs", *nothing],
        ["report", *nothing],
        ["audit", "sample", *nothing],
        ["audit", "estimate", *nothing],
        ["audit", "import", "nope.csv", *nothing],
        ["settings", "nope"],
    ]
    check_refused(refused, "torch open_clip prefect scipy numpy pyarrow duckdb")


def check_refused(refused: list[list[str]], heavy: str) -> None:
    """Each is refused in one sentence, in a process that imports none of the heavy libraries."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(refused), heavy]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for line in result.stdout.splitlines():
        arguments, code, sentence, _ = json.loads(line)
        # A query's sentence is followed by the place of the error.
        lines = 4 if arguments[:2] == ["sql", "selec 1"] else 1
        assert code == 2 and len(sentence.splitlines()) == lines, (arguments, sentence)


@pytest.mark.parametrize("options", [["--version"], ["-h"], ["label", "-h"]])
def test_version_and_help_are_answered(options: list[str]) -> None:
    command = [sys.executable, "-m", "lazsl.cli", *options]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "lazsl" in answer and not answer.startswith("Traceback")
