"""Every link between the project's pages leads to a file, and every anchor to a heading."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def _pages() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    return [name for name in names if "/templates/" not in name]


def _anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return set(plain) | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


@pytest.mark.parametrize("name", _pages())
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    broken = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        is_missing = not target.exists()
        if is_missing or (anchor and target.suffix == ".md" and anchor not in _anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_of_the_docs_is_linked_from_an_index() -> None:
    """A reader gets to it from `docs/index.md`, or from the index of the research."""
    docs = ROOT / "docs"
    linked = {
        (index.parent / link.partition("#")[0]).resolve()
        for index in (docs / "index.md", docs / "research" / "index.md")
        for link in LINK.findall(index.read_text(encoding="utf-8"))
    }
    pages = {ROOT / name for name in _pages() if name.startswith("docs/")}
    assert pages - linked - {docs / "index.md"} == set()
