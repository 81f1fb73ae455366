"""One flow over more and more small shards: its memory and its seconds a shard should stay.

Pictures of 16 x 16 pixels, one a shard and no two alike, are labelled by the flow that `lazsl
label` runs, with the embedded model and two regions, on a temporary Prefect server; every size in
a process of its own. Memory is the process's, once a sixteenth of the shards is done (libraries
and the model are there then) and at the end; seconds a shard are those of the second half. Both
over the smallest size's. What Prefect's database takes is printed beside it.

    python benchmarks/bench_shards.py [--json] [--shards 500 2000 8000]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from figures import Figure, conclude, options
from PIL import Image

from lazsl import fieldguide
from lazsl.settings import make_job

QUICK = ("--shards", "60", "240")
MEMORY, SECONDS = 1.1, 1.2
"""Times the smallest size's that a larger one may take."""


class Sampled:
    """A watcher that notes memory and time as shards are done."""

    def __init__(self, shards: int) -> None:
        self.step = max(1, shards // 16)
        self.points: list[tuple[int, float, float, float]] = []
        self._done = 0
        self._lock = threading.Lock()

    def waiting(self, for_what: str) -> None: ...

    def begin(self, images: int, shards: int) -> None: ...

    def images(self, shard: str, done: int) -> None: ...

    def shard(self, marker: Mapping[str, Any]) -> None:
        with self._lock:
            self._done += 1
            if self._done % self.step == 0:
                point = self._done, resident(), time.perf_counter(), time.process_time()
                self.points.append(point)


def resident() -> float:
    """MiB of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def child(folder: Path, shards: int) -> None:
    """Label so many pictures in so many shards; prints what was noted, as JSON."""
    from lazsl_flows.temporary_server import keep_to_this_command, starting_api

    archive = folder / "archive"
    archive.mkdir()
    random = np.random.default_rng(0)
    for number in range(shards):
        levels = random.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(levels).save(archive / f"{number:06d}.png")
    job = make_job(
        archive=str(archive),
        labels=str(fieldguide.LABELS_FILE),
        workspace=str(folder / "workspace"),
        model="fieldguide",
        device="cpu",
        shard_size=1,
        regions={"count": 1},
    )
    keep_to_this_command()
    with starting_api() as answers:
        from lazsl_flows.label import label_archive
        from lazsl_flows.watching import watcher

        answers()
        sampled = Sampled(shards)
        watcher.set(sampled)
        state = label_archive(job, return_state=True)
        assert state.is_completed(), state.message
        end = resident()
    print(json.dumps({"points": sampled.points, "end_mib": end}))


def measured(shards: int, kept: Path | None = None) -> dict[str, Any]:
    """What one flow over so many shards takes; `kept`: a folder in which all of it stays."""
    with nullcontext(kept / str(shards)) if kept else TemporaryDirectory() as folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        home = Path(folder) / "prefect"
        surroundings = {
            **{name: text for name, text in os.environ.items() if not name.startswith("PREFECT_")},
            "PREFECT_HOME": str(home),
            "PREFECT_LOGGING_LEVEL": "WARNING",
            "LAZSL_EVIDENCE": "off",
        }
        command = [sys.executable, __file__, "--child", str(folder), str(shards)]
        done = subprocess.run(command, env=surroundings, stdout=subprocess.PIPE, text=True)
        done.check_returncode()
        noted = json.loads(done.stdout.splitlines()[-1])
        database = sum(file.stat().st_size for file in home.glob("prefect.db*"))
    points = noted["points"]
    (middle, _, wall, processor), (last, memory, late, spent) = points[len(points) // 2], points[-1]
    return {
        "shards": shards,
        "begin_mib": round(points[0][1]),
        "end_mib": round(memory),
        "loaded_mib": round(noted["end_mib"]),
        "seconds_a_shard": (late - wall) / (last - middle),
        "processor_a_shard": (spent - processor) / (last - middle),
        "database_kb_a_shard": database / shards / 1e3,
        "points": points,
    }


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[500, 2000, 8000])
    parser.add_argument("--folder", type=Path, help="where all of it is kept, Prefect's too")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(Path(args.child[0]), int(args.child[1]))
        return 0
    runs = []
    for shards in args.shards:
        runs.append(measured(shards, args.folder))
        print({k: v for k, v in runs[-1].items() if k != "points"}, file=sys.stderr, flush=True)
    first, last = runs[0], runs[-1]
    fewest = f"{first['shards']:,} shards"
    figures = [
        Figure("memory", last["end_mib"] / first["end_mib"], fewest, at_most=MEMORY),
        Figure(
            "processor seconds a shard",
            last["processor_a_shard"] / first["processor_a_shard"],
            fewest,
            at_most=SECONDS,
        ),
    ]
    sentence = "; ".join(
        f"{run['shards']:,} shards: {run['begin_mib']} MiB at first, {run['end_mib']} MiB at the "
        f"end, {1000 * run['seconds_a_shard']:.0f} ms and {1000 * run['processor_a_shard']:.0f} ms "
        f"of processor a shard, {run['database_kb_a_shard']:.0f} kB of Prefect's database"
        for run in runs
    )
    return conclude(args, "shards", figures, f"a flow over {sentence}", runs=runs)


if __name__ == "__main__":
    sys.exit(main())
