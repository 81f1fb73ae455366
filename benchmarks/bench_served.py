"""A deployment over more and more small shards: memory, seconds, and when its page is complete.

Pictures of 16 x 16 pixels, one a shard and no two alike, are labelled by a deployment of `lazsl
serve`, each size in a service of its own. Memory is that of the largest process of a flow run, once
a sixteenth of the shards is done and at the end; seconds a shard are the processor's, of all such
processes over the second half. Prefect's server writes task runs down beside the flow: how long
after the run's end it has the last one is the lag. The page of the run is looked at in Chromium
where playwright is, and its pictures kept with `--folder`.

    python benchmarks/bench_served.py [--json] [--shards 500 2000] [--deployment plan-archive]
"""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import service
from figures import Figure, conclude, file_bytes, kept_or_temporary, options
from PIL import Image

from lazsl import fieldguide
from lazsl.settings import make_job

QUICK = ("--shards", "40", "80")
MEMORY, SECONDS, LAG = 1.1, 1.2, 0.1
"""Times the smallest size's, and of the run's own seconds, that the largest may take."""


def pictures(archive: Path, count: int) -> None:
    """An archive of so many pictures of noise."""
    archive.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        levels = random.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(levels).save(archive / f"{number:06d}.png")


def job(folder: Path) -> dict[str, Any]:
    """The parameters of a run with one picture a shard and two regions."""
    settings = make_job(
        archive=str(folder / "archive"),
        labels=str(fieldguide.LABELS_FILE),
        workspace=str(folder / "workspace"),
        model="fieldguide",
        device="cpu",
        shard_size=1,
        regions={"count": 1},
    )
    return settings.model_dump(mode="json", exclude_unset=True)


def measured(deployment: str, shards: int, folder: Path) -> dict[str, Any]:
    """What a run of the deployment over so many shards takes."""
    pictures(folder / "archive", shards)
    with service.serving(folder) as served:
        flow_run = served.start(deployment, job=job(folder))
        seen = service.follow(served, flow_run, folder / "workspace", shards)
        assert seen["state"] == "COMPLETED", seen["message"]
        has_browser = find_spec("playwright") and shutil.which("chromium")
        page = service.page(served, flow_run, folder / "page.png") if has_browser else {}
    points = seen["points"]
    middle, last = points[len(points) // 2], points[-1]
    spent = last["processor"] - middle["processor"]
    return {
        "shards": shards,
        "begin_mib": round(points[0]["mib"]),
        "end_mib": round(last["mib"]),
        "peak_mib": round(seen["peak"]["mib"]),
        "processor_a_shard": spent / (last["shards"] - middle["shards"]),
        "seconds": seen["seconds"],
        "lag": seen["lag"],
        "tasks": seen["tasks"],
        "completed": seen["completed"],
        "server_mib": round(seen["peak"]["server_mib"]),
        "server_processor_a_shard": seen["server_processor"] / shards,
        "database_kb_a_shard": file_bytes(folder / "home", ".db") / shards / 1e3,
        "page": page,
        "points": points,
        "behind": seen["behind"],
    }


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--deployment", default="label-archive", help="or plan-archive")
    parser.add_argument("--folder", type=Path, help="where all of it is kept, pictures too")
    args = parser.parse_args()
    runs = []
    with kept_or_temporary(args.folder) as folder:
        for shards in args.shards:
            runs.append(measured(args.deployment, shards, folder / str(shards)))
            shown = {k: v for k, v in runs[-1].items() if k not in ("points", "behind")}
            print(shown, file=sys.stderr, flush=True)
    first, last = runs[0], runs[-1]
    fewest = f"{first['shards']:,} shards"
    spent = last["processor_a_shard"] / first["processor_a_shard"]
    figures = [
        Figure("memory", last["peak_mib"] / first["peak_mib"], fewest, at_most=MEMORY),
        Figure("processor seconds a shard", spent, fewest, at_most=SECONDS),
        Figure(
            "seconds until its page is complete",
            last["lag"] / last["seconds"],
            "the run",
            at_most=LAG,
        ),
    ]
    sentence = "; ".join(
        f"{run['shards']:,} shards: {run['begin_mib']} MiB at first, {run['end_mib']} MiB at the "
        f"end, {1000 * run['processor_a_shard']:.0f} ms of processor a shard, the page complete "
        f"{run['lag']:.0f} s after the end, with {run['completed']:,} of {run['tasks']:,} task runs"
        for run in runs
    )
    return conclude(args, "served", figures, f"{args.deployment} over {sentence}", runs=runs)


if __name__ == "__main__":
    sys.exit(main())
