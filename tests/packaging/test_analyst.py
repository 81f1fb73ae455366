"""Claims about what an analyst need not install: to read a warehouse, requirements-analyst.txt is
enough."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest

from lazsl.run.run import Run

ROOT = Path(__file__).parents[2]
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
sys.argv = ["lazsl", *{arguments!r}]
from lazsl.cli import main
main()
"""
MODULES = {
    "fastapi", "httpx", "huggingface_hub", "imagecodecs", "jinja2", "markupsafe", "matplotlib",
    "open_clip", "PIL", "prefect", "safetensors", "sqlalchemy", "tifffile", "timm", "tokenizers",
    "torch", "torchvision", "tqdm", "transformers", "uvicorn",
}  # fmt: skip
"""What the libraries that requirements-analyst.txt leaves out are imported as."""


def lazsl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command where only the analyst's libraries can be imported."""
    script = WITHOUT.format(names=MODULES, arguments=arguments)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def declared(requirements: list[str]) -> dict[str, str]:
    names = (re.match(r"([A-Za-z0-9_.-]+)(.*)", line) for line in requirements)
    return {name[1].lower().replace("_", "-"): name[2] for name in names if name}


def read_both() -> tuple[dict[str, str], dict[str, str]]:
    """Requirements of the product and of an analyst."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "requirements-analyst.txt").read_text().splitlines()
    analyst = [line for line in lines if line and not line.startswith("#")]
    return declared(project["dependencies"]), declared(analyst)


def test_the_list_is_a_part_of_what_the_product_declares() -> None:
    product, analyst = read_both()
    assert analyst.items() <= product.items()
    left_out = {name.replace("-", "_") for name in product.keys() - analyst.keys()}
    modules = {"pillow": "PIL", "open_clip_torch": "open_clip"}
    assert {modules.get(name, name) for name in left_out} == MODULES


def test_the_list_brings_in_nothing_that_it_leaves_out() -> None:
    product, analyst = read_both()
    seen, waiting = set(), list(analyst)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            needed = [line for line in requires(name) or [] if "extra ==" not in line]
        except PackageNotFoundError:
            continue  # of another Python or system
        waiting += declared(needed)
    assert not seen & (product.keys() - analyst.keys())


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("runs",),
        ("load",),
        ("sql", "select count(*) from predictions"),
        ("audit", "estimate"),
    ],
    ids=" ".join,
)
def test_a_warehouse_is_read_without_model_flows_and_pictures(
    labelled: Run, arguments: tuple[str, ...]
) -> None:
    done = lazsl(*arguments, "--workspace", labelled.job.workspace)
    assert "Traceback" not in done.stderr
    expected = 2 if arguments[0] == "audit" else 0  # nothing was judged
    assert done.returncode == expected, done.stderr


def test_what_needs_more_says_what_to_install(labelled: Run) -> None:
    done = lazsl("evaluate", "--workspace", labelled.job.workspace)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert re.search(r"needs torch.*pip install lazsl", " ".join(done.stderr.split()))
