"""Claims about the wheel: it is the whole product, outside of the checkout too.

It is installed into an environment of its own, which sees the libraries of this one and nothing of
the checkout. The service of tests/flows/test_service.py runs in such an environment, too.
"""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

from installed import ROOT, install, outside

from lazsl import fieldguide


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
    wheel: Path, tmp_path: Path, prefect_home: Callable[[Path], Path]
) -> None:
    programs = install(wheel, tmp_path / "installed")
    where = "import lazsl, lazsl_flows; print(lazsl.__file__, lazsl_flows.__file__)"
    python = [str(programs / "python"), "-c", where]
    settings = outside(programs) | {
        "HOME": str(tmp_path),
        "PREFECT_HOME": str(prefect_home(tmp_path / "prefect")),
        "COLUMNS": "200",
    }
    run = {"cwd": tmp_path, "env": settings, "capture_output": True, "text": True}
    files = subprocess.run(python, check=True, **run).stdout.split()  # type: ignore[call-overload]
    assert all(file.startswith(str(programs.parent)) for file in files)
    keys = fieldguide.TRUTH_FILE.read_text(encoding="utf-8").splitlines()[:25]
    (tmp_path / "some.csv").write_text("\n".join(keys), encoding="utf-8")
    label = [str(programs / "lazsl"), "label", "--sample", "--only", "some.csv"]
    done = subprocess.run(label, check=False, **run)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr[-2000:]
    arguments = [str(programs / "lazsl"), "sql", "--csv", "select count(*) from predictions"]
    answer = subprocess.run(arguments, check=True, **run)  # type: ignore[call-overload]
    assert int(re.findall(r"\d+", answer.stdout)[-1]) == 24
