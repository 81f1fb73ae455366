"""What was measured, run after run: a line of JSON each in `benchmarks/history.jsonl`.

A record says when, which commit, on what processor in words, with how many threads and how busy the
machine was, and holds everything that each benchmark printed. It names no host, person or path.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
HISTORY = HERE / "history.jsonl"


def surroundings() -> dict[str, Any]:
    """Where and when: all of a record but what the benchmarks found."""
    import torch

    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "commit": commit(),
        "processor": processor(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "pyarrow", "duckdb", "prefect")},
    }


def commit() -> str:
    """The commit that is checked out; with a `+` where the code differs from it."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=HERE, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    measured = ("../lazsl", "../flows", "../sql", ":(glob)*.py")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", *measured)
    return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")


def processor() -> str:
    """The processor in words, with what of its arithmetic matters here."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    flags = set(fields.get("flags", "").split())
    known = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "bfloat16", "amx_tile": "AMX"}
    has = ", ".join(words for flag, words in known.items() if flag in flags)
    name = " ".join(fields.get("model name", platform.machine()).split())
    return f"{name} ({has})" if has else name


def append(record: dict[str, Any], file: Path = HISTORY) -> None:
    """One more line."""
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(record, ensure_ascii=False) + "\n")


def read(file: Path = HISTORY) -> list[dict[str, Any]]:
    """All records, oldest first."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]


def whole(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that were not measured in a hurry (`--quick`)."""
    return [record for record in records if not record["quick"]]


def latest(benchmark: str, records: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a benchmark found last, and the record it is in.

    Raises:
        LookupError: it was never run in full.
    """
    for record in reversed(whole(records)):
        if benchmark in record["benchmarks"]:
            return record["benchmarks"][benchmark], record
    raise LookupError(f"{benchmark} was never run: python -m benchmarks --only {benchmark}")
