"""Claims about docs/labels.md: its files and commands run, and print what it says they print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from endpoint import Server
from typer.testing import CliRunner

from lazsl.cli.commands import app
from lazsl.labelset.class_entries import CLASS_FIELDS, FIELDS
from lazsl.labelset.finding import KINDS
from lazsl.labelset.formats import FORMATS
from lazsl.labelset.reading import load_labelset

PAGE = (Path(__file__).parents[2] / "docs" / "labels.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's files."""
    folder = tmp_path_factory.mktemp("page")
    for _, name, text in BLOCKS:
        if name:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_every_file_and_command_of_the_page_works(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk)
    monkeypatch.setenv("COLUMNS", "110")
    server = Server()
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("LAZSL_DESCRIBE_MODEL", "m")
    monkeypatch.setenv("XDG_CACHE_HOME", str(desk / "cache"))
    run = 0
    for language, _, text in BLOCKS:
        if language == "console":
            for entry in text.split("$ ")[1:]:
                command, _, shown = entry.partition("\n")
                assert printed(command) == shown.rstrip("\n")
                run += 1
        if language == "sh":
            for line in text.splitlines():
                if line.startswith("lazsl "):
                    assert not printed(line.partition(" > ")[0]).endswith("[exit code 2]")
                    run += 1
    server.close()
    assert run == 13 and sorted(set(server.asked())) == [
        "Great crested grebe",
        "Moorhen",
        "Tufted duck",
    ]
    assert load_labelset("pond.yaml").review == "pending"


def printed(command: str) -> str:
    """What a command prints, as the page shows it: notes and results, and an exit code above 0."""
    program, *arguments = shlex.split(command, comments=True)
    assert program == "lazsl"
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception  # no command ends so
    lines = [line.rstrip() for line in result.output.splitlines()]
    if result.exit_code:
        lines.append(f"[exit code {result.exit_code}]")
    return "\n".join(lines)


def test_the_page_lists_every_kind_field_and_form() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \|", PAGE, re.MULTILINE)
    first = [row[0] for row in rows]
    assert [row for row in rows if row[0].strip("`") in KINDS] == [
        (f"`{kind}`", meaning) for kind, meaning in KINDS.items()
    ]
    assert {f"`{form}`" for form in FORMATS} <= {*first}
    for field in (*FIELDS, *(f"classes.*.{class_field}" for class_field in CLASS_FIELDS)):
        assert any(f"`{field}`" in cell for cell in first), field


def test_the_native_example_holds_every_field_it_explains(desk: Path) -> None:
    labels = load_labelset(str(desk / "birds.yaml"))
    assert labels.synonyms == {"Kingfisher": ("Alcedo atthis",)}
    assert labels.sources == {"Kingfisher": "plate 4"}
    assert labels.provenance == "field guide of 1987, plates 3 to 9"
    assert labels.attributes[2] == ()
