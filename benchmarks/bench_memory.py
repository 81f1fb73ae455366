"""Peak memory when the archive grows tenfold: it should not.

The whole job (list, stage, embed, score, load) over an archive of pictures and over one ten times
as large, each in a process of its own, with the same shard size. The ratio of the peaks should be
near 1: memory is bounded by settings, not by the size of the archive.

    python benchmarks/bench_memory.py [--json]
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_stations import labelled
from figures import Figure, conclude, options

from lazsl import fieldguide
from lazsl.warehouse import loading

WANTED = 1.1
QUICK = ("--images", "16")


def label(archive: Path, workspace: Path) -> None:
    """One job in this process; prints its peak memory in MiB."""
    run = labelled(archive, workspace, regions={"count": 16}, shard_size=32)
    loading.load(run.workspace, run.job.warehouse_path, [run.key])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def peak(images: int, folder: Path) -> float:
    """Peak memory in MiB of labelling this many pictures."""
    archive = folder / f"archive-{images}"
    archive.mkdir()
    plates = sorted(fieldguide.IMAGES_DIR.glob("18*/*.jpg"))
    for number in range(images):
        shutil.copyfile(plates[number % len(plates)], archive / f"{number:06d}.jpg")
    command = [sys.executable, __file__, "--child", str(archive), str(folder / f"work-{images}")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(printed.split()[-1])


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--images", type=int, default=96, help="pictures in the smaller archive")
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        label(*args.child)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        small = peak(args.images, Path(folder))
        large = peak(10 * args.images, Path(folder))
    growth = Figure("peak memory", large / small, "a tenth of the images", at_most=WANTED)
    return conclude(
        args,
        "memory",
        [growth],
        f"memory: {small:.0f} MiB at {args.images} images, {large:.0f} MiB at "
        f"{10 * args.images}: {growth.ratio:.2f} times (wanted at most {WANTED})",
        images=[args.images, 10 * args.images],
        peak_mib=[round(small), round(large)],
    )


if __name__ == "__main__":
    sys.exit(main())
