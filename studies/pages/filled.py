"""Pages of documentation from the templates beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

DOCS = Path(__file__).resolve().parents[2] / "docs"

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).resolve().parent / "templates"),
    undefined=StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["as"] = format  # {{ accuracy | as(".1%") }}, as in a format string


def filled(template: str, **values: Any) -> str:
    """The Markdown of a template; a value that is missing is an error."""
    return _TEMPLATES.get_template(template).render(**values)
