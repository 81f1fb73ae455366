"""Measure a GPU, right first and then fast: `python -m benchmarks.device`.

    python -m benchmarks.device [--only NAME ...] [--device cuda] [--size full]
        [--wheels FOLDER] [--out FOLDER] [--minutes 8] [--patience 1]

Needs torch and torchvision, no network, server or Prefect; what else is missing is taken from
wheels in a folder (`make device-wheels` fills it). Each section runs in a process of its own and is
bounded in time; one that fails or takes too long does not stop the others. A short table comes
last, and `device.json` and `device.md` are written to the folder. Exits with 1 when a section
failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.device import page, wheels
from benchmarks.device.common import SIZES

ROOT = Path(__file__).resolve().parents[2]

SECONDS = {
    "machine": 30,
    "overflow": 30,
    "embeddings": 75,
    "labels": 45,
    "bits": 60,
    "regions": 45,
    "scores": 45,
    "first": 40,
    "throughput": 150,
    "forward": 120,
    "scoring": 75,
    "decoders": 75,
    "profile": 60,
}
"""The sections in the order they run in, and the most that each may take on a GPU."""

ON_A_PROCESSOR = 3
"""Times as long, at most, unless `--patience` says otherwise."""

LEAST = 5
"""Seconds below which a section is not begun."""

RESERVED = 15
"""Seconds kept for each later section, so that every one begins."""


def main() -> int:
    """Run what is asked for; the exit status."""
    given = options().parse_args()
    if strangers := [name for name in given.only or () if name not in SECONDS]:
        print(f"there is no section {strangers[0]!r}; known: {', '.join(SECONDS)}", file=sys.stderr)
        return 2
    end = time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory() as folder:
        lacking = wheels.unpack(given.wheels, Path(folder))
        if lacking:
            print(
                f"missing here and in {given.wheels}: {', '.join(lacking)}; fill the folder with "
                "make device-wheels on a machine with a network, and bring it along",
                file=sys.stderr,
            )
            return 2
        # What is installed here comes first: the wheels hold only what is not.
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", ""), folder])
        surroundings = about(path, given)
        names = list(given.only or SECONDS)
        reserved = min(RESERVED, 30 * given.minutes / len(names))
        document = {
            "surroundings": surroundings,
            "sections": {
                name: run(name, given, surroundings["device"], path, end - later * reserved)
                for later, name in zip(reversed(range(len(names))), names, strict=True)
            },
        }
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "device.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (given.out / "device.md").write_text(page.figures(document) + "\n", encoding="utf-8")
    print("\n" + page.summary(document))
    return 1 if any(section["error"] for section in document["sections"].values()) else 0


def options() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.device", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--only", action="append", metavar="SECTION", help=", ".join(SECONDS))
    parser.add_argument("--device", default="auto", help="auto, cuda, cuda:1, cpu")
    parser.add_argument("--size", choices=SIZES, help="default: full on a GPU, else processor")
    parser.add_argument("--minutes", type=float, default=8, help="for all sections together")
    parser.add_argument(
        "--patience", type=float, help="times a section's seconds; default: 1 on a GPU, else 3"
    )
    parser.add_argument("--wheels", type=Path, default=ROOT / "device-wheels", metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=ROOT / "device-figures", metavar="FOLDER")
    return parser


def about(path: str, given: argparse.Namespace) -> dict[str, Any]:
    """Where this runs, asked of a process that imports torch."""
    command = [sys.executable, "-m", "benchmarks.device.surroundings", given.device]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, check=True
    )
    surroundings: dict[str, Any] = json.loads(done.stdout)
    on_gpu = surroundings["device"].startswith("cuda")
    return surroundings | {"size": given.size or ("full" if on_gpu else "processor")}


def run(name: str, given: argparse.Namespace, device: str, path: str, end: float) -> dict[str, Any]:
    """A section's rows, and why there are no more of them: None when it is whole."""
    patience = given.patience or (1 if device.startswith("cuda") else ON_A_PROCESSOR)
    seconds = min(patience * SECONDS[name], end - time.monotonic())
    if seconds < LEAST:
        return {"rows": [], "seconds": 0.0, "error": "not begun: out of time"}
    size = given.size or ("full" if device.startswith("cuda") else "processor")
    print(f"{name}, {seconds:.0f} s at most", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows"
        words = ["--device", device, "--size", size, "--seconds", f"{0.9 * seconds - 3:.1f}"]
        error = None
        try:
            done = subprocess.run(
                [*section_command(name), "--rows", str(rows), *words],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": path},
                stderr=subprocess.PIPE,
                text=True,
                timeout=seconds,
                check=False,
            )
            if done.returncode:
                error = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        except subprocess.TimeoutExpired:
            error = f"stopped after {seconds:.0f} s"
        lines = rows.read_text(encoding="utf-8").splitlines() if rows.exists() else []
    # The last line of a section that was stopped may be cut off.
    measured = [json.loads(line) for line in lines if line.endswith("}")]
    for row in measured:
        print("  " + ", ".join(f"{key} {value}" for key, value in row.items()))
    if error is not None:
        print(f"  {error}")
    spent = round(time.monotonic() - started, 1)
    return {"rows": measured, "seconds": spent, "error": error}


def section_command(name: str) -> list[str]:
    """What runs a section in a process of its own."""
    return [sys.executable, "-m", "benchmarks.device.section", name]


if __name__ == "__main__":
    sys.exit(main())
