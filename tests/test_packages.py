"""Claims about packages: importing one imports nothing else, so commands start fast."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = sorted(
    file
    for top in ("lazsl", "flows/lazsl_flows", "studies")
    for file in (ROOT / top).rglob("__init__.py")
)


@pytest.mark.parametrize("file", PACKAGES, ids=lambda file: file.parent.name)
def test_a_package_imports_nothing_but_the_standard_library(file: Path) -> None:
    """What it imports inside a function is imported by who calls it."""
    imported = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported <= sys.stdlib_module_names


def test_every_package_is_looked_at() -> None:
    assert len(PACKAGES) > 20
    folders = {
        file.parent for top in ("lazsl", "flows", "studies") for file in (ROOT / top).rglob("*.py")
    }
    assert folders == {file.parent for file in PACKAGES}


def test_no_test_file_imports_another() -> None:
    """What several need is in tests/support: a file can then be run, moved and read alone."""
    imported = [
        f"{file.name}: {name}"
        for file in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name.rpartition(".")[2].startswith("test_")
    ]
    assert not imported
