"""lazsl as a wheel installs it, where nothing points at the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
PREFECT = "#!{python}\nfrom prefect.cli import app\n\napp()\n"


def build_wheel(folder: Path) -> Path:
    """The product's wheel, built in a folder."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def install(wheel: Path, home: Path) -> Path:
    """The programs of a new environment that has the wheel, and the libraries of this one."""
    venv.create(home, with_pip=False)
    programs = home / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    # The libraries alone: a path in a .pth file has its own .pth files not read, so an editable
    # installation of the checkout stays out.
    (packages_of(programs) / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = programs / "prefect"
    command.write_text(PREFECT.format(python=programs / "python"))
    command.chmod(0o755)
    return programs


def packages_of(programs: Path) -> Path:
    """Where an environment's packages lie."""
    (site,) = programs.parent.glob("lib/python*/site-packages")
    return site


def outside(programs: Path) -> dict[str, str]:
    """Environment variables in which nothing points at the checkout, or at a Prefect server."""
    ours = ("PYTHONPATH", "PREFECT_API_URL", "LAZSL_FIELDGUIDE")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {"PATH": f"{programs}:{os.environ['PATH']}"}
