"""Record a newcomer's first hour: the commands of README and quick start, to the letter.

    python -m studies.pages.first_hour           # clones this checkout, builds its wheel
    python -m studies.pages.first_hour FOLDER    # the same in a folder, which is kept
    python -m studies.pages.first_hour FOLDER "Of this recording: ..."    # and what to know of it

Both ways in are recorded: a fresh clone, by README's commands, and an installed wheel, by those of
the quick start's rehearsal. Every block runs as it stands on its page, each in an environment that
knows nothing of this one; what it printed and how long it took is written to docs/first-hour.md. Of
a recording that was broken off, a folder keeps the way in that was recorded to its end.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from studies.pages.filled import DOCS, filled

ROOT = DOCS.parent
LINES = 34
"""Lines kept of a longer output, half from its beginning and half from its end."""
_CODE = re.compile(r"^```(sh|python)\n(.*?)^```$", re.S | re.M)
_NOISE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Step:
    """A block of a page that was run, with what it printed and the seconds it took."""

    language: str
    code: str
    output: str
    seconds: float

    @property
    def took(self) -> str:
        """The time as a person says it."""
        return f"{self.seconds:.0f} s" if self.seconds < 90 else f"{self.seconds / 60:.1f} min"


@dataclass(frozen=True)
class Place:
    """Where blocks run: a folder, the programs that come first, and how paths are shown."""

    folder: Path
    programs: Path
    shown: dict[str, str]

    def run(self, language: str, code: str) -> Step:
        """The block, run to its end.

        Raises:
            SystemExit: a command of it failed.
        """
        kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        environment = {
            **kept, "PATH": f"{self.programs}:{os.environ['PATH']}", "COLUMNS": "110",
            "PREFECT_HOME": str(self.folder / ".prefect"), "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }  # fmt: skip
        command = ["bash", "-euo", "pipefail", "-c", code] if language == "sh" else ["python", "-"]
        started = time.perf_counter()
        done = subprocess.run(
            command, cwd=self.folder, env=environment, text=True, errors="replace",
            input=code if language == "python" else None,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        print(f"{seconds:6.1f} s  {code.splitlines()[0]}", flush=True)
        if done.returncode:
            raise SystemExit(f"exit code {done.returncode} of:\n{code}\n{done.stdout}")
        return Step(language, code.rstrip(), self._readable(done.stdout), seconds)

    def _readable(self, output: str) -> str:
        text = _NOISE.sub("", output)
        for path, name in self.shown.items():
            text = text.replace(path, name)
        lines = [line.rstrip() for line in text.rstrip().splitlines()]
        if len(lines) > LINES:
            half = LINES // 2
            lines = [*lines[:half], f"… {len(lines) - 2 * half} lines …", *lines[-half:]]
        return "\n".join(lines)


def blocks(page: Path, section: str) -> Iterator[tuple[str, str]]:
    """Language and code of the section's blocks, in order."""
    text = page.read_text(encoding="utf-8")
    part = text[text.index(section) :]
    following = re.search(r"^## ", part[len(section) :], re.M)
    yield from _CODE.findall(part[: len(section) + following.start()] if following else part)


def clone(home: Path) -> list[Step]:
    """README's commands, in a fresh clone."""
    folder = home / "lazsl"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    place = Place(folder, folder / ".venv" / "bin", {str(folder): "~/lazsl", str(home): "~"})
    return [
        place.run("sh", line)
        for _, code in blocks(folder / "README.md", "**Try it**")
        for line in code.splitlines()
        if not line.startswith("source ")  # its programs come first for every block here
    ]


def wheel(home: Path) -> list[Step]:
    """The quick start's rehearsal, with an installed wheel and no checkout."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(home)]
    subprocess.run([*pip, str(ROOT)], check=True)
    (built,) = home.glob("lazsl-*.whl")
    folder = home / "birds"
    folder.mkdir()
    shutil.copy(built, folder)
    place = Place(folder, folder / ".venv" / "bin", {str(folder): "~/birds", str(home): "~"})
    install = [
        f"{Path(sys.executable).name} -m venv .venv",
        f"pip install --quiet --disable-pip-version-check ./{built.name}",
        "lazsl --version",
    ]
    steps = [place.run("sh", line) for line in install]
    return steps + [
        place.run(language, code)
        for language, code in blocks(DOCS / "quickstart.md", "## Rehearsal")
    ]


def _recorded(home: Path, part: Callable[[Path], list[Step]]) -> list[Step]:
    """The steps of a part, which are kept in its folder once it is recorded to its end."""
    kept = home / "steps.json"
    if not kept.exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        kept.write_text(json.dumps([asdict(step) for step in part(home)]), encoding="utf-8")
    return [Step(**step) for step in json.loads(kept.read_text(encoding="utf-8"))]


def main() -> None:
    """Record both, and write the page."""
    given = sys.argv[1:]
    home = Path(given[0] if given else tempfile.mkdtemp(prefix="first-hour-"))
    recorded = {part.__name__: _recorded(home / part.__name__, part) for part in (wheel, clone)}
    note = textwrap.fill(" ".join(given[1:]), 105)
    page = filled("first_hour.md", note=note, **recorded)
    (DOCS / "first-hour.md").write_text(page, encoding="utf-8")
    if not given:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
