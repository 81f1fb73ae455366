"""Pages of documentation from the templates beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from studies.guide import sample_scene

DOCS = Path(__file__).resolve().parents[2] / "docs"

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).resolve().parent / "templates"),
    undefined=StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["as"] = format  # {{ accuracy | as(".1%") }}, as in a format string
_FIRST = (
    "the first field guide, flat shapes on clutter (LAZSL_FIELDGUIDE=tests/data/first_guide in the "
    "environment of the command)"
)
_PLATES = "the field guide that is shipped, drawn by `studies/plates`"
_TEMPLATES.globals["guide"] = _FIRST if "fieldguide" in sample_scene.__module__ else _PLATES


def filled(template: str, **values: Any) -> str:
    """The Markdown of a template; a value that is missing is an error."""
    return _TEMPLATES.get_template(template).render(**values)
