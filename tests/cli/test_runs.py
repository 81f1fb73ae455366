"""`lazsl runs`, `lazsl settings`, and what the shell completes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from typer.testing import CliRunner

from lazsl.cli.commands import app
from lazsl.run.run import Run
from lazsl.settings import Job, RegionSettings, ScoringSettings


def answer(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def completed(line: str) -> list[str]:
    """What bash is told when the line is completed at its end, from a process of its own."""
    words = line.split(" ")
    environment = os.environ | {
        "_LAZSL_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    script = "from lazsl.cli.commands import app; app(prog_name='lazsl')"
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    return result.stdout.split()


def test_runs_lists_what_a_workspace_has(labelled: Run) -> None:
    rows = json.loads(answer("runs", "--json", "-w", labelled.job.workspace))
    assert [row["run"] for row in rows] == [labelled.key]
    assert rows[0]["shards_done"] == 4 and rows[0]["classes"] == 60
    assert labelled.key in answer("runs", "-w", labelled.job.workspace)


def test_settings_lists_every_setting_with_its_meaning() -> None:
    rows = json.loads(answer("settings", "--json"))
    names = {row["name"] for row in rows}
    assert {f"regions.{name}" for name in RegionSettings.model_fields} <= names
    assert {f"scoring.{name}" for name in ScoringSettings.model_fields} <= names
    assert names >= Job.model_fields.keys() - {"regions", "scoring"}
    assert all(row["meaning"] for row in rows)
    assert {row["name"] for row in json.loads(answer("settings", "regions", "--json"))} == {
        name for name in names if name.startswith("regions.")
    }


def test_the_shell_completes_commands_runs_images_and_classes(labelled: Run) -> None:
    where = f"-w {labelled.job.workspace}"
    assert completed("lazsl expl") == ["explain"]
    assert completed(f"lazsl status {where} {labelled.key[:4]}") == [labelled.key]
    assert "1858/plate-001.jpg" in completed(f"lazsl explain {where} 1858/plate-00")
    assert completed(f"lazsl explain {where} --against Zapek") == ["Zapekaerk"]
    assert completed("lazsl status -w /nowhere x") == []
