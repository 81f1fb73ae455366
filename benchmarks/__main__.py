"""Run every benchmark, compare with the targets, keep the figures: `python -m benchmarks`.

    python -m benchmarks [--only NAME ...] [--quick] [--dry-run]

Each `bench_*.py` beside this file runs in its own process with `--json`. The figures are appended
to `history.jsonl`, from which the plots and tables of `docs/research/performance.md` are made anew.
Exits with 1 when a target is missed or a benchmark fails. Ctrl-C keeps what is measured.
What `--quick` measures (fewer turns, smaller sizes, where a benchmark says how in `QUICK`) is kept,
but neither plotted nor shown.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import history, page

HERE = Path(__file__).resolve().parent
FIRST_GUIDE = {"LAZSL_FIELDGUIDE": str(HERE.parent / "tests" / "data" / "first_guide")}
"""Pictures and model of every figure in the history, so that later ones can be compared."""


def main() -> int:
    """Run what is asked for; the exit status."""
    out = Console()
    known = {file.stem.removeprefix("bench_"): file for file in sorted(HERE.glob("bench_*.py"))}
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--only", action="append", metavar="NAME", help=", ".join(known))
    parser.add_argument("--quick", action="store_true", help="fewer turns, smaller sizes")
    parser.add_argument("--dry-run", action="store_true", help="keep nothing, draw nothing")
    given = parser.parse_args()
    names = given.only or list(known)
    if strangers := [name for name in names if name not in known]:
        print(f"there is no benchmark {strangers[0]!r}; known: {', '.join(known)}", file=sys.stderr)
        return 2

    record: dict[str, Any] = {**history.surroundings(), "quick": given.quick, "benchmarks": {}}
    out.print(
        f"{record['processor']}, {record['threads']} threads, torch {record['torch']}, "
        f"commit {record['commit']}, load {record['load']}"
    )
    failed = []
    for number, name in enumerate(names, start=1):
        started = time.perf_counter()
        try:
            with out.status(f"{number}/{len(names)} {name}"):
                measured, output = measure(known[name], given.quick)
        except KeyboardInterrupt:
            failed += names[number - 1 :]
            out.print(f"stopped; not measured: {', '.join(names[number - 1 :])}", style="red")
            break
        spent = time.perf_counter() - started
        if measured is None:
            failed.append(name)
            out.print(f"{number}/{len(names)} {name}: failed after {spent:.0f} s", style="red")
            out.print(output, markup=False, highlight=False)
            continue
        measured["seconds"] = round(spent, 1)
        record["benchmarks"][name] = measured
        missed = [figure["name"] for figure in measured["figures"] if figure["met"] is False]
        verdict = f"missed: {', '.join(missed)}" if missed else "every target met"
        out.print(f"{number}/{len(names)} {name}: {spent:.0f} s, {verdict}", highlight=False)

    out.print(shown(record))
    if record["benchmarks"] and not given.dry_run:
        history.append(record)
        if not given.quick:
            page.make(out)
    figures = [figure for results in record["benchmarks"].values() for figure in results["figures"]]
    return 1 if failed or any(figure["met"] is False for figure in figures) else 0


def measure(file: Path, quick: bool) -> tuple[dict[str, Any] | None, str]:
    """What a benchmark printed as JSON, None if it failed; and what else it said."""
    command = [sys.executable, str(file), "--json", *(quick_form(file) if quick else ())]
    done = subprocess.run(
        command, cwd=HERE.parent, env=os.environ | FIRST_GUIDE, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    try:
        start = done.stdout.index("{")
        results: dict[str, Any] = json.loads(done.stdout[start:])
        results["figures"] = results.get("figures", [])
    except ValueError:
        return None, (done.stderr or done.stdout)[-2000:]
    return results, done.stderr


def quick_form(file: Path) -> tuple[str, ...]:
    """The options of a benchmark's quick form, which it says in `QUICK`; none: it has but one."""
    for line in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "QUICK":
            return tuple(ast.literal_eval(line.value))
    return ()


def shown(record: dict[str, Any]) -> Table:
    """The figures as a table."""
    table = Table("benchmark", "figure", "reached", "wanted", "", "times", box=None)
    marks = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}
    for name, results in record["benchmarks"].items():
        for figure in results["figures"]:
            wanted = "" if figure["target"] is None else f"{figure['sense']} {figure['target']:g}"
            table.add_row(
                name,
                figure["name"],
                f"{figure['ratio']:.4g}",
                wanted,
                marks[figure["met"]],
                figure["over"],
            )
    return table


if __name__ == "__main__":
    sys.exit(main())
