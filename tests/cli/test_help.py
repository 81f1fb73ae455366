"""Claims about the help of every command, at the widths that people have."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from lazsl.cli import MODULES
from lazsl.cli.commands import app
from lazsl.cli.options import meaning
from lazsl.cli.runs import described
from lazsl.settings import Job

ROOT: Any = typer.main.get_command(app)
SETTINGS = {
    "archive": "archive",
    "labels": "labels",
    "workspace": "workspace",
    "model": "model",
    "truth": "truth",
    "open_set": "open_set",
    "only": "only",
    "warehouse": "warehouse",
    "device": "device",
    "precision": "precision",
    "regions": "regions.count",
    "aligner": "scoring.aligner",
    "theta": "scoring.theta",
    "epsilon": "scoring.epsilon",
    "gamma": "scoring.gamma",
    "rule": "scoring.rule",
    "top_k": "scoring.top_k",
    "shard_size": "shard_size",
    "batch_size": "batch_size",
}


def commands(command: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Path of every command, groups included."""
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


def find(path: tuple[str, ...]) -> Any:
    command = ROOT
    for name in path:
        command = command.commands[name]
    return command


PATHS = list(commands())


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
@pytest.mark.parametrize("width", [80, 120])
def test_help_fits_its_terminal_and_breaks_no_line_early(
    path: tuple[str, ...], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", width)
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.output.splitlines()]
    assert max(map(len, lines)) <= width
    prose = [line.strip() for line in lines if line and line[0] == " "]
    for line, following in pairwise(lines):
        if line.strip() in prose and following.strip() in prose:
            first_word = following.split()[0]
            # A line ends because the next word would not fit (a column is left on either side).
            assert len(line) + 1 + len(first_word) > width - 2, f"broken early: {line!r}"


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_command_argument_and_option_has_a_sentence(path: tuple[str, ...]) -> None:
    command = find(path)
    first = command.help.split("\n\n")[0]
    assert re.match(r"[A-Z].*\.$", first), first
    for parameter in command.params:
        help_text = parameter.help
        assert help_text, f"{parameter.name} has no help"
        assert re.match(r"([A-Z]|csv).*[.)]$", help_text), f"{parameter.name}: {help_text}"


@pytest.mark.parametrize("name", ["label", "relabel"])
def test_options_that_are_settings_say_what_the_settings_say(name: str) -> None:
    parameters = {p.name: p.help for p in find((name,)).params}
    checked = SETTINGS.keys() & parameters.keys()
    assert len(checked) >= 9
    for option in checked - {"model" if name == "relabel" else ""}:  # it says what is special there
        assert parameters[option] == meaning(SETTINGS[option])


def test_every_setting_has_a_sentence() -> None:
    for row in described(Job):
        assert re.match(r"[A-Z].*\.$", row["meaning"]), row


def test_a_command_that_is_named_is_wholly_in_the_module_that_is_imported_for_it() -> None:
    defined: dict[str, set[str]] = {}
    for path in PATHS:
        if (callback := find(path).callback) is not None and path:
            defined.setdefault(path[0], set()).add(inspect.unwrap(callback).__module__)
    assert set(MODULES) <= set(defined)
    for name, module in MODULES.items():
        assert defined[name] == {f"lazsl.cli.{module}"}
