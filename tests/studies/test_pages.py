"""Printed pages say what their templates say: who edits the one has to edit the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import Environment

from studies.pages import filled
from studies.pages.filled import DOCS

TEMPLATES = Path(filled.__file__).with_name("templates")
EVALUATION = DOCS / "research" / "evaluation"
ELSEWHERE = {
    "commands": DOCS / "commands.md",
    "first_hour": DOCS / "first-hour.md",
    "sql": DOCS / "sql.md",
}
GO_ON = ("methods", "sql")
BLOCKS = {"endif": ")?", "endfor": ")*", "else": "|"}
SHIPPED = "the field guide that is shipped, drawn by `studies/plates`"
FIRST = "the first field guide, flat shapes on clutter (LAZSL_FIELDGUIDE="
OF_THE_FIRST = ("forward_passes",)
"""Pages that say why they were not measured again on the shipped field guide."""


def pattern(template: str, guide: str) -> re.Pattern[str]:
    """What a template can become: anything where a value is filled in, its own words elsewhere;
    blocks may be there or not. Where it names the field guide, that begins with these words."""
    environment = Environment(keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True)
    parts: list[str] = []
    inside = ""
    for _, kind, text in environment.lex(template):
        if kind == "data":
            parts.append(re.escape(text))
        elif kind in ("variable_begin", "block_begin"):
            inside = ""
        elif kind == "variable_end":
            parts.append((re.escape(guide) if inside.strip() == "guide" else "") + r"[\s\S]*?")
        elif kind == "block_end":
            parts.append(BLOCKS.get(inside.split()[0], "(?:"))
        else:
            inside += text
    return re.compile("".join(parts))


@pytest.mark.parametrize("name", sorted(path.stem for path in TEMPLATES.glob("*.md")))
def test_a_page_is_its_template_with_values(name: str) -> None:
    page = ELSEWHERE.get(name, EVALUATION / f"{name}.md").read_text(encoding="utf-8")
    template = (TEMPLATES / f"{name}.md").read_text(encoding="utf-8")
    # After some templates there are sections of the product's own, or answers.
    expected = pattern(template, FIRST if name in OF_THE_FIRST else SHIPPED)
    matching = expected.match if name in GO_ON else expected.fullmatch
    assert matching(page), f"{name}.md does not say what its template says"


def test_every_page_of_the_evaluation_has_a_template() -> None:
    pages = {path.stem for path in EVALUATION.glob("*.md")}
    assert pages == {path.stem for path in TEMPLATES.glob("*.md")} - set(ELSEWHERE)
