"""A warehouse of many images: how fast it loads, how large it is, how fast it answers.

    python benchmarks/bench_warehouse.py [--json] [--images N] [--folder F] [--step S ...]

Two synthetic runs of one archive, with the real records and the default settings (5 best classes,
their evidence, 2 whole plans an image, 256 images a shard, 1,000 classes), lie in a workspace as
Parquet. Each of these in a process of its own, whose peak memory is what the kernel says of it:

- load: the real loader (`lazsl.warehouse.loading.load`), from nothing to the published file.
- plain: DuckDB alone, `create table as from read_parquet` of the same files; no check, no shard, no
  transaction, no log. What no loader can be faster than, under the same limit of its memory.
- ask: every question of `sql/examples`, of the status and the dashboard, and every macro, at the
  warehouse as `lazsl sql` opens it; the best of three turns after the first.

A million images (16 GB of Parquet, 8 GB of warehouse; twice that while a second load copies it) in
steps that can be repeated:

    python benchmarks/bench_warehouse.py --images 1000000 --folder F --step make
    python benchmarks/bench_warehouse.py --images 1000000 --folder F --step load --step plain
    python benchmarks/bench_warehouse.py --images 1000000 --folder F --step ask
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.csv as pacsv
import synthetic
from figures import Figure, conclude, file_bytes, kept_or_temporary, options

from lazsl.store import schemas
from lazsl.store.folder import Folder
from lazsl.warehouse import loading, opening, sqlfiles

CLASSES = 1000
QUICK = ("--images", "5120")
SECONDS = 1.0  # a warm answer, at most
MINUTES = 10.0  # a load of two runs over a million images, at most
MEMORY = 2.0  # GiB, at most
MACROS = {
    "image_of": "from image_of($run, $image)",
    "why": "from why($run, $image)",
    "why_class": "from why_class($run, $image, $class)",
    "best_classes": "from best_classes($run, $image)",
    "plan_of": "from plan_of($run, $image)",
    "strongest_attributes": "from strongest_attributes($run, $class)",
    "weakest_attributes": "from weakest_attributes($run, $class)",
    "close_calls": "from close_calls($run, 0.00001)",
    "disagreements": "from disagreements($other, $run) limit 100",
    "moved_attributes": "from moved_attributes($other, $run) limit 100",
}
FILES = ("status", "runs", "few_predictions", "dashboard/cost", "dashboard/shards",
         "dashboard/labels", "dashboard/evidence", "explain/verdict", "explain/which",
         "plans_drawn", "report/run", "report/labels_given")  # fmt: skip
APART = ("plans_in_bucket", "sites")  # read files of the user's


def load(folder: Path) -> dict[str, Any]:
    """The real load of everything."""
    path = folder / "warehouse.duckdb"
    for file in folder.glob("warehouse*.duckdb*"):
        file.unlink()
    truth = pacsv.read_csv(folder / "truth.csv")
    started = time.perf_counter()
    done = loading.load(Folder(str(folder)), path, truth=truth, archive=synthetic.ARCHIVE)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "shards": done.shards, "bytes": path.stat().st_size}


def plain(folder: Path) -> dict[str, Any]:
    """The same files into tables by DuckDB alone."""
    path = folder / "plain.duckdb"
    path.unlink(missing_ok=True)
    started = time.perf_counter()
    with closing(duckdb.connect(path, config={"memory_limit": "1GB"})) as connection:
        for table in schemas.RUN_TABLES:
            files = str(folder / f"runs/*/{table}/*.parquet")
            connection.execute(f"create table {table} as from read_parquet($1)", [files])
        embedded = folder / f"embeddings/{synthetic.ENCODER}/{synthetic.REGIONS}"
        connection.execute(
            "create table images as from read_parquet($1)", [f"{embedded}/*.images.parquet"]
        )
        boxes = f"{embedded}/{'[0-9a-f]' * 16}.parquet"
        connection.execute(
            "create table regions as select image_id, list({'left': \"left\", 'top': top, "
            "'right': \"right\", 'bottom': bottom} order by region) as boxes "
            "from read_parquet($1) group by image_id",
            [boxes],
        )
        connection.execute("checkpoint")
    seconds = time.perf_counter() - started
    size = path.stat().st_size
    path.unlink()
    return {"seconds": seconds, "bytes": size}


def ask(folder: Path) -> dict[str, Any]:
    """Seconds of every question, and bytes of every table."""
    path = folder / "warehouse.duckdb"
    results = answers(path)
    with closing(opening.open_warehouse(path)) as connection:
        sizes = dict(
            connection.execute(
                "select table_name, estimated_size from duckdb_tables() "
                "where database_name = 'warehouse' order by 2 desc"
            ).fetchall()
        )
        bytes_of = {name: table_bytes(connection, name) for name in sizes}
    return {**results, "rows": sizes, "bytes_of": bytes_of}


def answers(path: Path) -> dict[str, Any]:
    """Seconds of every question to a warehouse: the best of three turns, and the first turn."""
    names = [name for name in sqlfiles.names() if name.startswith("examples/")]
    questions = {
        Path(name).stem: sqlfiles.read(name) for name in names if Path(name).stem not in APART
    }
    questions |= {name: sqlfiles.read(f"{name}.sql") for name in FILES} | MACROS
    run, other = synthetic.RUNS[1], synthetic.RUNS[0]
    with closing(opening.open_warehouse(path)) as connection:
        shard, image, label = connection.execute(
            "select shard, image_id, label from predictions where run = $1 "
            "order by image_id limit 1 offset 1000",
            [run],
        ).fetchall()[0]
        given = {"run": run, "other": other, "image": image, "class": label, "shard": shard,
                 "how_many": 20, "images": None}  # fmt: skip
        seconds, first = {}, {}
        for name, text in questions.items():
            used = re.findall(r"\$(\w+)", re.sub(r"--.*", "", text))
            wanted = {key: value for key, value in given.items() if key in used}
            spent = []
            for _ in range(4):
                started = time.perf_counter()
                connection.execute(text, wanted or None).fetchall()
                spent.append(time.perf_counter() - started)
                if spent[-1] > 20 * SECONDS:
                    break
            seconds[name], first[name] = min(spent[1:] or spent), spent[0]
    return {"seconds": seconds, "first": first}


def table_bytes(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Bytes of the blocks that hold a table, whole ones."""
    sizes = connection.execute(
        "select count(distinct block_id) from pragma_storage_info($1) where block_id >= 0", [table]
    ).fetchall()[0][0]
    return int(sizes) * 2**18


def apart(step: str, folder: Path) -> dict[str, Any]:
    """What a step found, in a process of its own, with the peak of its memory in GiB."""
    command = [sys.executable, __file__, "--child", step, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    results: dict[str, Any] = json.loads(done.stdout)
    (folder / f"{step}.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    return results


def child(step: str, folder: Path) -> None:
    """One step in this process."""
    results = {"load": load, "plain": plain, "ask": ask}[step](folder)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps(results | {"peak_gib": int(peak) / 2**20}))


def measure(args: argparse.Namespace, folder: Path) -> int:
    """Do the steps, or take what they found before, and print it."""
    if "make" in args.step:
        started = time.perf_counter()
        synthetic.write_runs(folder, args.images, CLASSES)
        made = {"images": args.images, "seconds": time.perf_counter() - started}
        (folder / "make.json").write_text(json.dumps(made), encoding="utf-8")
    results = {step: apart(step, folder) for step in ("load", "plain", "ask") if step in args.step}
    for step in ("make", "load", "plain", "ask"):
        file = folder / f"{step}.json"
        if step not in results and file.exists():
            results[step] = json.loads(file.read_text(encoding="utf-8"))
    images = results["make"]["images"]
    parts, figures = [f"warehouse of two runs over {images:,} images"], []
    if "load" in results:
        loading = results["load"]
        rate = 2 * images / loading["seconds"]
        minutes = 2e6 / rate / 60
        figures += [
            Figure("load of two runs over a million images", minutes, "a minute", at_most=MINUTES),
            Figure("peak memory of the load", loading["peak_gib"], "1 GiB", at_most=MEMORY),
        ]
        parts.append(
            f"loaded in {loading['seconds']:.0f} s ({rate:,.0f} images/s, {minutes:.1f} minutes "
            f"for a million), peak {loading['peak_gib']:.2f} GiB, "
            f"{loading['bytes'] / images / 2:,.0f} bytes an image and run"
        )
        if "plain" in results:
            times = loading["seconds"] / results["plain"]["seconds"]
            figures.append(Figure("time of the load", times, "DuckDB's own import"))
            parts.append(f"{times:.2f} x DuckDB's own import of the same files")
    if "ask" in results:
        seconds = results["ask"]["seconds"]
        slowest = sorted(seconds, key=lambda name: -seconds[name])
        figures.append(
            Figure("slowest warm answer", seconds[slowest[0]], "a second", at_most=SECONDS)
        )
        summary = ", ".join(f"{name} {seconds[name]:.2f} s" for name in slowest[:5])
        over = sum(value > SECONDS for value in seconds.values())
        parts.append(f"{len(seconds)} questions, {over} above {SECONDS:g} s, slowest {summary}")
    details = {"images": images, "bytes_of_workspace": file_bytes(folder, ".parquet"), **results}
    return conclude(args, "warehouse", figures, "; ".join(parts), **details)


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--images", type=int, default=51_200, help="images of the archive")
    parser.add_argument("--folder", type=Path, help="where all of it is kept, for more steps")
    parser.add_argument("--step", action="append", choices=["make", "load", "plain", "ask"])
    parser.add_argument("--child", choices=["load", "plain", "ask"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.folder)
        return 0
    args.step = args.step or ["make", "load", "plain", "ask"]
    with kept_or_temporary(args.folder) as folder:
        return measure(args, folder)


if __name__ == "__main__":
    sys.exit(main())
