"""Every command and every Python example of README and docs works, in order, page by page.

A command runs in a folder with a labelled part of the sample, unless a comment before its block or
at the top of its page says `options only` and why (it needs a bucket, a service, a download or your
own photographs): then it is checked that the command and its options exist. The pages of label sets
and of SQL have tests of their own.
"""

from __future__ import annotations

import csv
import importlib.util
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from sample import copy_sample
from typer.testing import CliRunner

from lazsl import fieldguide
from lazsl.cli.commands import app
from lazsl.run.run import Run

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = {"labels.md", "sql.md", "formats.md"}  # formats: tests/warehouse/test_readers.py
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
DEVELOPERS = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "research").rglob("*.md"))]
"""Pages whose commands take minutes to hours, and make these pages: they exist, as written."""
OTHER_PROGRAMS = {
    "source",
    "python3.11",
    "export",
    "find",
    "cd",
    "prefect",
    "AWS_ACCESS_KEY_ID=...",
}
COMMAND: Any = typer.main.get_command(app)


@dataclass(frozen=True)
class Block:
    """A block of code: its language, the file it is shown as, its text, whether it is run."""

    language: str
    file: str
    text: str
    is_run: bool


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    whole_page = re.match(r"(#.*\n\s*)?<!-- examples: options only: .+? -->", text) is not None
    pattern = re.compile(r"^(?:<!-- (.+?) -->\n)?```(\w+)(?: (\S+))?\n(.*?)^```$", re.S | re.M)
    for comment, language, file, code in pattern.findall(text):
        is_run = not (whole_page or comment.startswith("options only: "))
        yield Block(language, file, code, is_run)


def commands(block: Block) -> list[list[str]]:
    """Its commands as words, without comments and continuations; a quoted text may have several
    lines."""
    every: list[list[str]] = []
    text = ""
    for line in block.text.replace("\\\n", " ").splitlines():
        text = f"{text}\n{line}" if text else line
        try:
            words = shlex.split(text, comments=True)
        except ValueError:
            continue  # within a quoted text
        every += [words] if words else []
        text = ""
    assert not text, f"a quotation that does not end: {text}"
    return every


def check_options(words: list[str]) -> None:
    """Raise if the command line does not understand the words after `lazsl`."""
    command = COMMAND
    words = list(words)
    while getattr(command, "commands", None) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    if words in (["--version"], ["--help"]):
        return
    command.make_context("lazsl", words).close()


def check_other(words: list[str]) -> None:
    """Raise if a command of another program names what this project does not have."""
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert words[1] in targets
    elif words[:2] == ["pip", "install"]:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        for extra in re.findall(r"\[(\w+)\]", " ".join(words)):
            assert extra in project["optional-dependencies"]
    elif "python" in words:
        script, *given = words[words.index("python") + 1 :]
        if script == "-m":
            assert importlib.util.find_spec(given[0]) is not None, given[0]
        else:
            assert (ROOT / script).is_file(), script
    else:
        assert words[0] in OTHER_PROGRAMS, words


@pytest.fixture
def desk(labelled: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a workspace, its truth, and a few pictures of the sample as the whole of it."""
    shutil.copytree(labelled.job.workspace, tmp_path / "workspace")
    shutil.copyfile(fieldguide.TRUTH_FILE, tmp_path / "truth.csv")
    pictures = copy_sample(tmp_path / "sample", 4)
    explained = "1858/plate-019.jpg"
    shutil.copyfile(fieldguide.IMAGES_DIR / explained, pictures / explained)
    monkeypatch.setattr(fieldguide, "IMAGES_DIR", pictures)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "110")
    return tmp_path


def judge(file: Path) -> None:
    """Fill in a sheet of an audit, as a person would."""
    with fieldguide.TRUTH_FILE.open() as opened:
        truth = {row["key"]: row["label"] for row in csv.DictReader(opened)}
    with file.open(encoding="utf-8-sig") as opened:
        rows = list(csv.DictReader(opened))
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, rows[0])
        writer.writeheader()
        writer.writerows({**row, "judged_label": truth[row["key"]]} for row in rows)


@pytest.mark.starts
@pytest.mark.filterwarnings("ignore:the embedded fieldguide model")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in ELSEWHERE], ids=lambda page: page.stem
)
def test_every_example_works(page: Path, desk: Path) -> None:
    names: dict[str, Any] = {}
    for block in blocks(page):
        if block.file:
            (desk / block.file).write_text(block.text, encoding="utf-8")
        if block.language == "python" and block.is_run:
            exec(compile(block.text, f"{page.name}: example", "exec"), names)
        if block.language != "sh":
            continue
        for words in commands(block):
            if words[0] != "lazsl":
                check_other(words)
                continue
            check_options(words[1:])
            if block.is_run:
                result = CliRunner().invoke(app, words[1:])
                assert result.exit_code == 0, (words, result.output)
            if block.is_run and words[1:3] == ["audit", "sample"]:
                judge(desk / words[words.index("--output") + 1])


@pytest.mark.parametrize("page", DEVELOPERS, ids=lambda page: page.stem)
def test_every_command_for_developers_exists(page: Path) -> None:
    for block in blocks(page):
        for words in commands(block) if block.language == "sh" else []:
            program = words[0].removeprefix(".venv/bin/")
            if program == "lazsl":
                words = words[: words.index(">")] if ">" in words else words
                check_options(words[1:])
            else:
                check_other([program, *words[1:]])


def test_every_example_of_the_command_reference_is_understood() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    examples = re.findall(r"^Example: `lazsl (.+)`$", text, re.M)
    assert len(examples) >= 18
    for example in examples:
        check_options(shlex.split(example))
