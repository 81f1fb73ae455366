"""A first load of more and more images into a lake by the real loader: memory and seconds stay.

    python benchmarks/bench_first_load.py [--json] [--images 51200 204800] [--folder F]

Each size is made (two runs over one archive, as `bench_warehouse` has them but with ten boxes an
image, so that many fit on a disk) and loaded into a lake that was not there, in a process of its
own, whose peak memory is what the kernel says of it. Seconds are of the processor, per image and
run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import synthetic
from figures import Figure, conclude, file_bytes, kept_or_temporary, options

from lazsl.store.folder import Folder
from lazsl.warehouse import loading

QUICK = ("--images", "5120", "10240")
BOXES, CLASSES, SHARD = 10, 1000, 256
MEMORY, SECONDS = 1.2, 1.2
"""Times the smallest size's that a larger one may take."""


def child(folder: Path) -> None:
    """Load; prints what it took, as JSON."""
    started, spent = time.perf_counter(), time.process_time()
    points: list[tuple[int, float, float]] = []

    def progress(done: int, shards: int) -> None:
        if done % max(1, shards // 16) == 0:
            points.append((done, time.process_time() - spent, _peak()))

    loaded = loading.load(Folder(str(folder / "workspace")), folder / "a.lake", progress=progress)
    results = {
        "shards": loaded.shards,
        "images": loaded.images,
        "seconds": time.perf_counter() - started,
        "processor": time.process_time() - spent,
        "peak_gib": _peak(),
        "points": points,
    }
    print(json.dumps(results))


def _peak() -> float:
    """GiB that this process held at most."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(line.split()[1] for line in text.splitlines() if line.startswith("VmHWM"))
    return int(peak) / 2**20


def measured(images: int, folder: Path) -> dict[str, Any]:
    """What a first load of so many images takes."""
    synthetic.CROPS = BOXES
    synthetic.write_runs(folder / "workspace", images, CLASSES, SHARD)
    command = [sys.executable, __file__, "--child", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    results: dict[str, Any] = json.loads(done.stdout)
    results["lake_bytes"] = file_bytes(folder / "a.lake")
    results["workspace_bytes"] = file_bytes(folder / "workspace")
    assert results["shards"] == len(synthetic.RUNS) * -(-images // SHARD), results
    return {"of": images, **results}


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[51_200, 204_800])
    parser.add_argument("--folder", type=Path, help="where all of it is made, for a larger disk")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child)
        return 0
    loads = []
    with kept_or_temporary(args.folder) as folder:
        for images in args.images:
            loads.append(measured(images, folder / str(images)))
            shutil.rmtree(folder / str(images))
            print({k: v for k, v in loads[-1].items() if k != "points"}, file=sys.stderr)
    first, last = loads[0], loads[-1]
    fewest = f"{first['of']:,} images"
    rows = len(synthetic.RUNS)
    figures = [
        Figure("peak memory", last["peak_gib"] / first["peak_gib"], fewest, at_most=MEMORY),
        Figure(
            "processor seconds an image",
            last["processor"] / last["of"] / (first["processor"] / first["of"]),
            fewest,
            at_most=SECONDS,
        ),
    ]
    sentence = "; ".join(
        f"{load['of']:,} images of two runs: {load['seconds']:.0f} s, {load['processor']:.0f} s of "
        f"the processor ({1e6 * load['processor'] / load['of'] / rows:.0f} µs an image and run), "
        f"{load['peak_gib']:.2f} GiB, {load['lake_bytes'] / 1e9:.2f} GB of lake"
        for load in loads
    )
    return conclude(args, "first_load", figures, sentence, loads=loads)


if __name__ == "__main__":
    sys.exit(main())
