"""Write the image's requirements with the hashes of their files: `python infra/docker/lock.py`.

pip says which files it would install on this machine (Linux and Python 3.11, as the image), and the
registry what their SHA-256 is; nothing is installed. Run it whenever constraints.txt changes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = {"hatchling", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers"}
"""What builds the wheel of lazsl itself."""


def main() -> None:
    """Ask pip, and write the three files."""
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.json"
        options = ["--dry-run", "--ignore-installed", "--report", str(report)]
        command = [sys.executable, "-m", "pip", "install", "--quiet", *options]
        command += [
            "--constraint",
            str(ROOT / "constraints.txt"),
            "hatchling>=1.25",
            f"{ROOT}[fast,formats]",
        ]
        subprocess.run(command, check=True)
        write(json.loads(report.read_text()))


def write(report: dict[str, Any]) -> None:
    """The three files of a report of pip's."""
    packages = {}
    for item in report["install"]:
        name, version = item["metadata"]["name"].lower(), item["metadata"]["version"]
        if name != "lazsl":
            digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
            packages[name] = f"{name}=={version} --hash=sha256:{digest}\n"
    files: dict[str, list[str]] = {"requirements-torch.txt": [], "requirements-build.txt": []}
    files["requirements.txt"] = []
    for name, line in sorted(packages.items()):
        # With other wheels of torch (for processors alone) this file is left out.
        torch = name in ("torch", "torchvision", "triton") or name.startswith(("nvidia", "cuda"))
        if name not in ("hatchling", "trove-classifiers"):
            files["requirements-torch.txt" if torch else "requirements.txt"].append(line)
        if name in BUILD:
            files["requirements-build.txt"].append(line)
    for name, lines in files.items():
        head = "# Linux, x86-64, Python 3.11; made by infra/docker/lock.py.\n"
        (HERE / name).write_text(head + "".join(lines))


if __name__ == "__main__":
    main()
