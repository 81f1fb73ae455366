"""Every answer of the map in CONTRIBUTING.md is a file that has what the map promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = re.findall(
    r"^\| (.+?) \| \[(.+?)\]\((.+?)\) \| `(\w+)` \|$",
    (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
    re.M,
)


def test_the_map_has_ten_questions() -> None:
    assert len(ROWS) >= 10


@pytest.mark.parametrize(("question", "shown", "file", "name"), ROWS, ids=lambda text: text[:40])
def test_the_answer_is_there(question: str, shown: str, file: str, name: str) -> None:
    assert shown == file
    text = (ROOT / file).read_text(encoding="utf-8")
    defined = rf"(def {name}\b|^{name}\b|^\s+\w+={name}\b|\b{name}=|^{name} )"
    assert re.search(defined, text, re.M), f"{file} does not define {name}"
