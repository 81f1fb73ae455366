"""A lake of many images: what a night's load of a few new shards costs, and how fast it answers.

    python benchmarks/bench_lake.py [--json] [--images N] [--folder F] [--step S ...]

`synthetic_lake` makes the lake and a workspace; each of these is a process of its own, whose peak
memory is what the kernel says of it:

- make, make_file: the lake, and one DuckDB file with the same rows, which it is held against.
- settle: a first load, which looks at every completion marker once, as it does after a rebuild.
- nothing: a load that finds nothing new.
- night: a load of three new shards of both runs, into the lake.
- night_file: the same into the file.
- status: `lazsl status` of the run over everything.
- ask, ask_file: every question of `bench_warehouse.py`.

Ten million images, in steps that can be repeated (2 GB of lake; the file and its copy take three
times as much, and may be left out):

    python benchmarks/bench_lake.py --images 10000000 --folder F --step make
    python benchmarks/bench_lake.py --images 10000000 --folder F --step settle --step nothing \
        --step night --step status

(Questions about everything take as much memory as DuckDB is let, four fifths of the machine's.)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import bench_warehouse
import duckdb
import synthetic
import synthetic_lake
from bench_warehouse import SECONDS
from figures import Figure, conclude, kept_or_temporary, options

from lazsl.run.status import run_status
from lazsl.store.folder import Folder
from lazsl.warehouse import lake, loader_file, loading
from lazsl.warehouse.sqlfiles import CONFIG

QUICK = ("--images", "102400")
MEMORY = 1.5  # GiB, at most, of a load
"""As of the listing of an archive of any size."""
WRITTEN = 0.2  # of what the same load writes where the warehouse is a file, at most
LAKE, FILE = "a.lake", "a.duckdb"


def make_file(folder: Path) -> dict[str, Any]:
    """A warehouse of one file with the rows of the lake; how large it is."""
    path = folder / FILE
    names = lake.read_lake(folder / LAKE).names
    config = {**CONFIG, **loader_file.FORMAT, "memory_limit": "1GB"}
    with closing(duckdb.connect(path, config=config)) as connection:
        loader_file.define(connection)
        for table in (*lake.LARGE, *lake.SMALL):
            files = [str(lake.file_of(folder / LAKE, table, name)) for name in names[table]]
            if files:
                connection.execute(f"insert into {table} by name from read_parquet($1)", [files])
        connection.execute("checkpoint")
    return {"bytes": path.stat().st_size}


def load(folder: Path, name: str) -> dict[str, Any]:
    """A load into one of the warehouses: seconds, and bytes of the files that it wrote."""
    workspace = Folder(str(folder / "workspace"))
    before = {file: file.stat().st_mtime_ns for file in _files(folder / name)}
    started = time.perf_counter()
    loaded = loading.load(workspace, folder / name)
    seconds = time.perf_counter() - started
    written = [f for f in _files(folder / name) if before.get(f) != f.stat().st_mtime_ns]
    written_bytes = sum(file.stat().st_size for file in written)
    return {"seconds": seconds, "shards": loaded.shards, "written": written_bytes}


def _files(warehouse: Path) -> list[Path]:
    return sorted(warehouse.iterdir()) if warehouse.is_dir() else [warehouse]


def night(folder: Path, name: str) -> dict[str, Any]:
    """A load of the new shards."""
    synthetic_lake.finish_new(folder)
    done = load(folder, name)
    assert done["shards"] == 2 * synthetic_lake.NEW, done
    synthetic_lake.unfinish_new(folder)
    return done


def status(folder: Path) -> dict[str, Any]:
    """What the state of the run over everything takes."""
    synthetic_lake.finish_new(folder)
    started = time.perf_counter()
    stands = run_status(Folder(str(folder / "workspace")), synthetic.RUNS[1], folder / LAKE)
    assert stands["reconciled"] and stands["missing"] == 0, stands
    return {"seconds": time.perf_counter() - started, "listed": stands["listed"]}


STEPS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "make": synthetic_lake.make,
    "make_file": lambda folder, _: make_file(folder),
    "settle": lambda folder, _: load(folder, LAKE),
    "nothing": lambda folder, _: load(folder, LAKE),
    "night": lambda folder, _: night(folder, LAKE),
    "settle_file": lambda folder, _: load(folder, FILE),
    "night_file": lambda folder, _: night(folder, FILE),
    "status": lambda folder, _: status(folder),
    "ask": lambda folder, _: bench_warehouse.answers(folder / LAKE),
    "ask_file": lambda folder, _: bench_warehouse.answers(folder / FILE),
}


def apart(step: str, folder: Path, images: int) -> dict[str, Any]:
    """What a step gives, in a process of its own, with the peak of its memory in GiB."""
    command = [sys.executable, __file__, "--child", step, "--folder", str(folder)]
    done = subprocess.run(
        [*command, "--images", str(images)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    results: dict[str, Any] = json.loads(done.stdout)
    (folder / f"{step}.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    return results


def child(step: str, folder: Path, images: int) -> None:
    """One step in this process."""
    results = STEPS[step](folder, images)
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(line.split()[1] for line in text.splitlines() if line.startswith("VmHWM"))
    print(json.dumps(results | {"peak_gib": int(peak) / 2**20}))


def measure(args: argparse.Namespace, folder: Path) -> int:
    """Do the steps, or take what they gave before, and print it."""
    results = {}
    for step in STEPS:
        file = folder / f"{step}.json"
        if step in args.step:
            results[step] = apart(step, folder, args.images)
        elif file.exists():
            results[step] = json.loads(file.read_text(encoding="utf-8"))
    sentence = "; ".join(_parts(results))
    return conclude(args, "lake", _figures(results), sentence, **results)


def _parts(results: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What was measured, in words."""
    made = results["make"]
    yield f"lake of {made['images']:,} images, {made['bytes'] / made['images']:,.0f} bytes each"
    for step, taken in results.items():
        if "written" in taken:
            yield (
                f"{step}: {taken['seconds']:.1f} s, {taken['written'] / 1e6:.1f} MB written, "
                f"{taken['peak_gib']:.2f} GiB"
            )
    if "status" in results:
        taken = results["status"]
        yield f"status: {taken['seconds']:.1f} s, {taken['peak_gib']:.2f} GiB"
    if "ask" in results:
        seconds = results["ask"]["seconds"]
        slowest = sorted(seconds, key=lambda name: -seconds[name])[:5]
        over = sum(value > SECONDS for value in seconds.values())
        yield f"{len(seconds)} questions, {over} above {SECONDS:g} s"
        yield "slowest " + ", ".join(f"{name} {seconds[name]:.1f} s" for name in slowest)


def _figures(results: dict[str, dict[str, Any]]) -> list[Figure]:
    """What is held against a target, or against the file."""
    figures = []
    loads = [
        results[name]["peak_gib"] for name in ("settle", "nothing", "night") if name in results
    ]
    if loads:
        figures.append(Figure("peak memory of a load", max(loads), "1 GiB", at_most=MEMORY))
    if "night" in results and "night_file" in results:
        night_of_file = results["night_file"]
        written = results["night"]["written"] / night_of_file["written"]
        times = results["night"]["seconds"] / night_of_file["seconds"]
        figures.append(Figure("written by a load", written, "one file", at_most=WRITTEN))
        figures.append(Figure("seconds of a load", times, "one file"))
    if "ask" in results and "ask_file" in results:
        beside = results["ask_file"]["seconds"]
        times_of_file = [spent / beside[name] for name, spent in results["ask"]["seconds"].items()]
        figures.append(Figure("seconds of an answer, median", median(times_of_file), "one file"))
    return figures


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--images", type=int, default=204_800, help="images of the lake")
    parser.add_argument("--folder", type=Path, help="where all of it is kept, for more steps")
    parser.add_argument("--step", action="append", choices=[*STEPS])
    parser.add_argument("--child", choices=[*STEPS], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.folder, args.images)
        return 0
    args.step = args.step or [*STEPS]
    with kept_or_temporary(args.folder) as folder:
        return measure(args, folder)


if __name__ == "__main__":
    sys.exit(main())
