"""Write docs/commands.md, the reference of commands and settings: `make docs`.

Commands come from the command line itself, settings from `lazsl.settings`; a test holds that the
page is current.
"""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.cli import get_docs_for_click

from lazsl.cli.commands import app
from lazsl.cli.runs import described
from lazsl.settings import Job
from studies.pages.filled import DOCS, filled

PAGE = DOCS / "commands.md"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The page, in Markdown."""
    command: Any = typer.main.get_command(app)
    reference = get_docs_for_click(obj=command, ctx=typer.Context(command), name="lazsl")
    # Typer escapes quotes and arrows for HTML, which Markdown does not need.
    for code, character in {"&#x27;": "'", "&quot;": '"', "-&gt;": "→"}.items():
        reference = reference.replace(code, character)
    reference = re.sub(r"^# `lazsl`$.*?(?=^## )", "", reference, flags=re.M | re.S)
    reference = re.sub(r"^(Example: )(.+)$", r"\1`\2`", reference, flags=re.M)
    settings = list(described(Job))
    return filled("commands.md", reference=reference.strip(), settings=settings)


if __name__ == "__main__":
    main()
