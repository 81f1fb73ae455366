"""What the measurements need beside torch and torchvision, as wheels in a folder.

    python -m benchmarks.device.wheels FOLDER      fills it, for CPython 3.12 on x86-64 Linux

`unpack` makes what is missing importable from such a folder, without a network and without
installing anything: a wheel is a zip file of what goes into site-packages.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

MOST_BYTES = 60_000_000
"""Of all wheels together."""

PYTHON = "3.12"
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")

MODULES = {
    "annotated_types": "annotated-types",
    "anyio": "anyio",
    "filelock": "filelock",
    "fsspec": "fsspec",
    "ftfy": "ftfy",
    "h11": "h11",
    "hf_xet": "hf-xet",
    "httpcore2": "httpcore2",
    "httpx2": "httpx2",
    "huggingface_hub": "huggingface_hub",
    "idna": "idna",
    "open_clip": "open_clip_torch",
    "packaging": "packaging",
    "PIL": "pillow",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic_core",
    "regex": "regex",
    "safetensors": "safetensors",
    "timm": "timm",
    "tokenizers": "tokenizers",
    "tqdm": "tqdm",
    "transformers": "transformers",
    "truststore": "truststore",
    "typing_extensions": "typing_extensions",
    "typing_inspection": "typing-inspection",
    "wcwidth": "wcwidth",
    "yaml": "pyyaml",
}
"""What is imported, and the name of its wheel. numpy comes with torchvision."""


NEVER_IMPORTED = (
    "annotated-doc",
    "click",
    "markdown-it-py",
    "mdurl",
    "pygments",
    "rich",
    "shellingham",
    "typer",
)
"""What wheels of MODULES require and the measurements do without. They are there so that pip can
install the folder's wheels, too, on a machine without a network."""


def missing() -> list[str]:
    """Modules of MODULES that cannot be imported here."""
    return [name for name in MODULES if importlib.util.find_spec(name) is None]


def unpack(folder: Path, target: Path) -> list[str]:
    """Unpack the wheels of what is missing here into the target; what is missing even so."""
    files = {file.name.split("-")[0].lower(): file for file in sorted(folder.glob("*.whl"))}
    lacking = []
    for module in missing():
        file = files.get(MODULES[module].replace("-", "_").lower())
        if file is None:
            lacking.append(MODULES[module])
            continue
        with zipfile.ZipFile(file) as wheel:
            wheel.extractall(target)
    return lacking


def main() -> int:
    """Fill the folder; the exit status."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "device-wheels")
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.whl"):
        file.unlink()
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    kinds = ["--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp"]
    names = versions(sorted((*MODULES.values(), *NEVER_IMPORTED)))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
    done = subprocess.run([*command, str(folder), *kinds, *platforms, *names], check=False)
    size = sum(file.stat().st_size for file in folder.glob("*.whl"))
    print(f"{len(names)} wheels, {size / 1e6:.1f} MB, in {folder}")
    if size > MOST_BYTES:
        print(f"more than the {MOST_BYTES / 1e6:.0f} MB that there is room for", file=sys.stderr)
        return 1
    return done.returncode


def versions(names: list[str]) -> list[str]:
    """The packages in the versions that are installed here, which are those that were tested."""
    from importlib.metadata import PackageNotFoundError, version

    pinned = []
    for name in names:
        try:
            pinned.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            pinned.append(name)
    return pinned


if __name__ == "__main__":
    sys.exit(main())
