"""Planning an archive of more and more keys: peak memory and processor time a million keys.

The store is simulated: it gives pages of a thousand keys as S3 does and holds none of them, so what
is measured is the listing, the manifest and the shards. For every size, in a process of its own:
the first plan, a second one that finds nothing new, and the rows of one shard. Wanted: at most 6 s
of processor per million keys where nothing is new, and 1.5 GB at any size.

    python benchmarks/bench_planning.py [--json] [--keys 1000000 10000000]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

import fsspec
from figures import Figure, conclude, file_bytes, options
from fsspec.spec import AbstractFileSystem

from lazsl.archive.manifest import shard_images
from lazsl.archive.shard_planning import plan_shards
from lazsl.store.folder import Folder

QUICK = ("--keys", "100000", "400000")
SECONDS, GIGABYTES = 6.0, 1.5
PAGE = 1000


class Simulated(AbstractFileSystem):  # type: ignore[misc]
    """A bucket of `keys` pictures in folders of a thousand, whose etags follow from their names."""

    protocol = "simulated"
    cachable = False
    req_kw: ClassVar[dict[str, str]] = {}
    keys = 0

    def call_s3(self, method: str, ContinuationToken: str = "0", **_: Any) -> dict[str, Any]:
        begin = int(ContinuationToken)
        end = min(begin + PAGE, self.keys)
        contents = [
            {
                "Key": f"photos/{number // PAGE:06d}/IMG_{number:010d}.jpg",
                "Size": 100_000 + number % 5_000,
                "ETag": f'"{number:032x}"',
            }
            for number in range(begin, end)
        ]
        more = {"IsTruncated": end < self.keys, "NextContinuationToken": str(end)}
        return {"Contents": contents, **more}

    def exists(self, path: str, **_: Any) -> bool:
        return True


def child(keys: int, folder: str) -> None:
    """Plan so many keys twice; prints what that took as JSON."""
    fsspec.register_implementation("simulated", Simulated, clobber=True)
    Simulated.keys = keys
    workspace = Folder(folder)
    taken: dict[str, float] = {"keys": keys, "before_mib": _peak()}
    for what in ("first", "again"):
        started = time.process_time()
        plan = plan_shards(workspace, "simulated://bucket/photos", (".jpg",), 256)
        taken[f"{what}_s"] = time.process_time() - started
        taken[f"{what}_mib"] = _peak()
        assert (plan.listed, plan.added) == (keys, keys if what == "first" else 0)
    shard_images(workspace, plan.archive, plan.shards[0])
    started = time.process_time()
    for shard in plan.shards[-100:]:
        shard_images(workspace, plan.archive, shard)
    taken["shard_ms"] = 1000 * (time.process_time() - started) / len(plan.shards[-100:])
    taken["shards_mib"] = _peak()
    taken["manifest_gb"] = file_bytes(Path(folder), ".parquet") / 1e9
    print(json.dumps(taken))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(keys: int) -> dict[str, float]:
    """What `child` prints."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--child", str(keys), folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    taken: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return taken


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--keys", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(int(args.child[0]), args.child[1])
        return 0
    sizes = []
    for keys in args.keys:
        sizes.append(measured(keys))
        print(sizes[-1], file=sys.stderr, flush=True)
    last = sizes[-1]
    millions = last["keys"] / 1e6
    figures = [
        Figure("processor, nothing new", last["again_s"] / millions / SECONDS, "6 s a million keys",
               at_most=1.0),
        Figure("peak memory", last["shards_mib"] / 1024 / GIGABYTES, "1.5 GiB", at_most=1.0),
    ]  # fmt: skip
    sentence = "; ".join(
        f"{taken['keys']:,.0f} keys: {taken['first_s']:.1f} s of processor and "
        f"{taken['first_mib']:.0f} MiB at first, {taken['again_s']:.1f} s and "
        f"{taken['again_mib']:.0f} MiB where nothing is new, {taken['shard_ms']:.2f} ms a shard's "
        "rows"
        for taken in sizes
    )
    return conclude(args, "planning", figures, f"planning {sentence}", sizes=sizes)


if __name__ == "__main__":
    sys.exit(main())
