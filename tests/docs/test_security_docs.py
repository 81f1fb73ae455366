"""The list of borders names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_list_of_borders_names_exists_and_every_attack_is_in_it() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    borders = re.split(r"^- ", page.partition("\n## ")[0], flags=re.M)[1:]
    assert len(borders) >= 14
    named: set[str] = set()
    for border in borders:
        tests = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", border.partition("- tests:")[2])
        assert tests, border
        for file, name in tests:
            named.add(Path(file).name)
            text = (ROOT / file).read_text(encoding="utf-8")
            functions = {
                n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)
            }
            assert not name or name in functions, f"{file} has no {name}"
    attacks = {path.name for path in (ROOT / "tests" / "security").glob("test_*.py")}
    assert attacks <= named, attacks - named
