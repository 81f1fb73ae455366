"""The table of borders names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_table_of_borders_names_exists_and_every_attack_is_in_it() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 14
    named: set[str] = set()
    for row in rows[1:]:
        tests = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row.split("|")[-2])
        assert tests, row
        for file, name in tests:
            named.add(Path(file).name)
            text = (ROOT / file).read_text(encoding="utf-8")
            functions = {
                n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)
            }
            assert not name or name in functions, f"{file} has no {name}"
    attacks = {path.name for path in (ROOT / "tests" / "security").glob("test_*.py")}
    assert attacks <= named, attacks - named
