"""A part of an evaluation: the same findings for a terminal, a page, a program and the eye."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from lazsl.store.folder import Folder
from lazsl.visible_text import visible


class Section(Protocol):
    """What was found about one question. Sections know nothing of each other."""

    @property
    def name(self) -> str:
        """Its key in the JSON file."""

    def to_json(self) -> dict[str, Any]:
        """Everything that was found."""

    def show(self, console: Console) -> None:
        """Print what a person should know first."""

    def to_markdown(self) -> str:
        """A part of a page, from a heading of level 2 on; pictures by the names of `write`."""

    def write(self, folder: Path) -> list[Path]:
        """The files that were written into a folder: pictures, and what other commands read."""


def publish(
    sections: Sequence[Section], about: dict[str, Any], page: str, output: str
) -> list[str]:
    """Write `evaluation.json`, `evaluation.md` and every picture; their names.

    Args:
        sections: what was found.
        about: of the whole evaluation, for the JSON file.
        page: the head of the Markdown page.
        output: path or URL of a folder.
    """
    folder = Folder(output)
    document = {**about, **{section.name: section.to_json() for section in sections}}
    text = "\n".join([page, *(section.to_markdown() for section in sections)])
    with tempfile.TemporaryDirectory() as scratch:
        # Drawn here and copied, because a folder may be in a bucket.
        files = [path for section in sections for path in section.write(Path(scratch))]
        for path in files:
            folder.write_bytes(path.name, path.read_bytes())
    folder.write_bytes("evaluation.md", text.encode())
    # Written last: a program that finds it finds everything.
    data = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    folder.write_bytes("evaluation.json", (data + "\n").encode())
    return [*(path.name for path in files), "evaluation.md", "evaluation.json"]


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], text_columns: int = 1) -> str:
    """A Markdown table, numbers to the right of the first `text_columns`."""
    marks = ["---" if place < text_columns else "---:" for place in range(len(heads))]
    return "\n".join(map(_row, [heads, marks, *rows]))


def plain(text: object) -> str:
    """Text that Markdown shows as it is: names may hold anything."""
    escaped = visible(str(text)).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"[\\`*_\[\]|]", lambda sign: f"\\{sign[0]}", escaped)


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(value: object) -> str:
    text = str(value)
    return text.replace("|", "\\|") if text.startswith("`") else plain(text)
