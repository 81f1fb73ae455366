"""Claims about the wheel: it is the whole product, outside of the checkout too.

It is built and installed into an environment of its own, which sees the libraries of this one and
nothing of the checkout.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lazsl import fieldguide

ROOT = Path(__file__).parents[2]
PREFECT = "#!{python}\nfrom prefect.cli import app\n\napp()\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that has the wheel."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=False)
    programs = home / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    (site,) = home.glob("lib/python*/site-packages")
    # The libraries alone: a path in a .pth file has its own .pth files not read, so an editable
    # installation of the checkout stays out.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = programs / "prefect"
    command.write_text(PREFECT.format(python=programs / "python"))
    command.chmod(0o755)
    return programs


def outside(programs: Path, folder: Path) -> dict[str, str]:
    """An environment in which nothing points at the checkout."""
    pointing = ("PYTHONPATH", "PREFECT_API_URL", "LAZSL_FIELDGUIDE")
    kept = {k: v for k, v in os.environ.items() if k not in pointing}
    return {
        **kept,
        "PATH": f"{programs}:/usr/bin:/bin",
        "HOME": str(folder),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "COLUMNS": "200",
    }


def test_it_installs_lazsl_and_its_flows_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        text = file.read(metadata).decode()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"lazsl", "lazsl_flows"}
    sql = {str(path.relative_to(ROOT)) for path in (ROOT / "sql").rglob("*.sql")}
    assert {f"lazsl/{name}" for name in sql} <= set(names) and sql
    for name in ("lazsl/py.typed", "lazsl_flows/py.typed", "lazsl_flows/infra/prefect.yaml"):
        assert name in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)
    assert "License-Expression: Apache-2.0" in text
    urls = re.findall(r"^Project-URL: .*, (.*)$", text, re.M)
    assert urls and all(url.startswith("https://") for url in urls)


def test_the_sample_is_labelled_outside_of_the_checkout(
    environment: Path, tmp_path: Path, prefect_home: Callable[[Path], Path]
) -> None:
    prefect_home(tmp_path / "prefect")
    where = "import lazsl, lazsl_flows; print(lazsl.__file__, lazsl_flows.__file__)"
    python = [str(environment / "python"), "-c", where]
    settings = outside(environment, tmp_path)
    run = {"cwd": tmp_path, "env": settings, "capture_output": True, "text": True}
    files = subprocess.run(python, check=True, **run).stdout.split()  # type: ignore[call-overload]
    assert all(file.startswith(str(environment.parent)) for file in files)
    keys = fieldguide.TRUTH_FILE.read_text(encoding="utf-8").splitlines()[:25]
    (tmp_path / "some.csv").write_text("\n".join(keys), encoding="utf-8")
    label = [str(environment / "lazsl"), "label", "--sample", "--only", "some.csv"]
    done = subprocess.run(label, check=False, **run)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr[-2000:]
    arguments = [str(environment / "lazsl"), "sql", "--csv", "select count(*) from predictions"]
    answer = subprocess.run(arguments, check=True, **run)  # type: ignore[call-overload]
    assert int(re.findall(r"\d+", answer.stdout)[-1]) == 24


def test_the_service_starts_and_ends_outside_of_the_checkout(
    environment: Path, tmp_path: Path, unused_port: int
) -> None:
    command = [str(environment / "lazsl"), "serve", "--port", str(unused_port)]
    output = tmp_path / "output"
    with output.open("w") as file:
        service = subprocess.Popen(
            command, cwd=tmp_path, env=outside(environment, tmp_path), stdout=file, stderr=file
        )
    try:
        deadline = time.monotonic() + 240
        while "lazsl serves at" not in output.read_text():
            assert service.poll() is None and time.monotonic() < deadline, output.read_text()
            time.sleep(0.3)
        assert f"http://127.0.0.1:{unused_port}" in output.read_text()
    finally:
        service.send_signal(signal.SIGTERM)
        assert service.wait(60) == 0
