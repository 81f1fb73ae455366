"""Names in code say what they hold: no pronoun, no participle that could stand for anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("lazsl", "flows", "studies", "benchmarks", "infra", "tests")
EMPTY = frozenset("found said told one mine own how some there then".split())


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name that is assigned or is an argument, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def test_no_variable_is_called_after_a_pronoun_or_a_participle() -> None:
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 300
    empty = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in files
        for line, name in names(ast.parse(file.read_text(encoding="utf-8")))
        if name in EMPTY
    ]
    assert not empty, "name these after what they hold:\n" + "\n".join(empty)
