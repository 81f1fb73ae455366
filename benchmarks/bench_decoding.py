"""Two decoders side by side, lazsl's (Pillow with plugins) and libvips: speed and memory.

Speed: core-seconds from a file's bytes to upright sRGB pixels, one thread, for a photograph of
1600 x 1200 saved in each format. Memory: what sixteen threads hold at most while they decode
small files that claim 20 megapixels each in formats that take much, above what the process held
before; lazsl's budget for decoding is 1 GiB there. libvips has no budget over all threads.

    python benchmarks/bench_decoding.py [--json] [--rounds N] [--pictures N]
"""

from __future__ import annotations

import argparse
import ctypes
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("VIPS_CONCURRENCY", "1")

import imagecodecs
import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401  (JPEG XL for Pillow's save)
import pyvips
import tifffile
from figures import Figure, best_of_turns, conclude, options
from noise import photographs
from PIL import Image

from lazsl.images.budget import MEMORY
from lazsl.images.decoding import Picture, decode

QUICK = ("--rounds", "1", "--pictures", "4")
THREADS = 16
BUDGET = 2**30
WANTED_MEMORY = 1.25
"""Times the budget: what is freed and not given back yet comes on top."""


def by_lazsl(data: bytes) -> tuple[int, int]:
    picture = decode(data, max_pixels=10**9)
    assert isinstance(picture, Picture), picture
    return picture.size


def by_vips(data: bytes) -> tuple[int, int]:
    image = pyvips.Image.new_from_buffer(data, "").autorot()
    if image.get_typeof("icc-profile-data"):
        image = image.icc_transform("srgb", embedded=True, intent="relative")
    pixels = image.colourspace("srgb").cast("uchar").write_to_memory()
    assert len(pixels) >= 3 * image.width * image.height
    return image.width, image.height


def saved(image: Image.Image, kind: str, **written: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **written)
    return file.getvalue()


def tiff(values: np.ndarray, **written: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, metadata=None, **written)
    return file.getvalue()


def formats(photograph: bytes) -> Iterator[tuple[str, bytes]]:
    """The photograph in each format."""
    pillow_heif.register_heif_opener()
    image = Image.open(io.BytesIO(photograph)).convert("RGB")
    levels = np.asarray(image)
    p3 = bytes(pyvips.Operation.call("profile_load", "p3"))
    yield "JPEG", saved(image, "JPEG", quality=88)
    yield "JPEG, progressive", saved(image, "JPEG", quality=88, progressive=True)
    yield "JPEG, Display P3", saved(image, "JPEG", quality=88, icc_profile=p3)
    yield "PNG", saved(image, "PNG")
    yield "WebP", saved(image, "WEBP", quality=85)
    yield "TIFF, LZW", saved(image, "TIFF", compression="tiff_lzw")
    yield "TIFF, 16 bits", tiff(levels.astype(np.uint16) * 257, photometric="rgb")
    yield "AVIF", saved(image, "AVIF", quality=70)
    yield "HEIC", saved(image, "HEIF", quality=70)
    yield "JPEG 2000", saved(image, "JPEG2000", irreversible=True, quality_layers=[20])
    yield "JPEG XL", saved(image, "JXL", quality=85)


def hostile(pictures: int) -> list[bytes]:
    """Small files of 20 megapixels each."""
    side = 4472
    flat = Image.new("RGBA", (side, side))
    wide = np.zeros((side, side), np.float32)
    kinds = [
        tiff(np.stack([wide] * 3, -1), photometric="rgb", compression="zlib"),
        saved(flat, "PNG"),
        saved(flat, "WEBP", lossless=True),
        saved(Image.new("CMYK", (side, side)), "JPEG", progressive=True),
        saved(flat.convert("RGB"), "AVIF", speed=10),
        bytes(imagecodecs.jpegxl_encode(np.zeros((side, side, 3), np.uint16), effort=1)),
        saved(flat, "JPEG2000"),
        tiff(np.zeros((side, side, 3), np.uint16), photometric="rgb", compression="zlib"),
    ]
    return [kinds[number % len(kinds)] for number in range(pictures)]


def speed(rounds: int) -> dict[str, dict[str, float | None]]:
    """Core-seconds of each format, by decoder; None where libvips reads it not."""
    [photograph] = photographs(1)
    seconds: dict[str, dict[str, float | None]] = {}
    for name, data in formats(photograph):
        ways: dict[str, Callable[[], object]] = {"lazsl": partial(by_lazsl, data)}
        try:
            by_vips(data)
            ways["libvips"] = partial(by_vips, data)
        except pyvips.Error:
            pass
        seconds[name] = {"libvips": None, **best_of_turns(ways, rounds, time.process_time)}
    return seconds


def resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def child(decoder: str, pictures: int) -> None:
    """Decode in sixteen threads; prints the bytes held at most, and of the files."""
    MEMORY.total = BUDGET
    files = hostile(pictures)
    work = {"lazsl": by_lazsl, "libvips": by_vips}[decoder]

    def tried(data: bytes) -> bool:
        try:
            work(data)
        except pyvips.Error:
            return False
        return True

    ctypes.CDLL(None).malloc_trim(0)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    with ThreadPoolExecutor(THREADS) as pool:
        done = sum(pool.map(tried, files))
    peak = resident("VmHWM") - before
    print(json.dumps({"peak": peak, "read": done, "files": sum(map(len, files))}))


def memory(pictures: int) -> dict[str, dict[str, int]]:
    """What `child` prints, by decoder."""
    printed = {}
    for decoder in ("lazsl", "libvips"):
        command = [sys.executable, __file__, "--child", decoder, "--pictures", str(pictures)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        printed[decoder] = json.loads(done.stdout.splitlines()[-1])
    return printed


def main() -> int:
    parser = options(__doc__, rounds=3)
    parser.add_argument("--pictures", type=int, default=32, help="hostile pictures")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.pictures)
        return 0
    seconds = speed(args.rounds)
    held = memory(args.pictures)
    both = [(way["lazsl"], way["libvips"]) for way in seconds.values()]
    ratios = [ours / theirs for ours, theirs in both if ours and theirs]
    mib = {decoder: held[decoder]["peak"] / 2**20 for decoder in held}
    figures = [
        Figure("seconds, geometric mean", statistics.geometric_mean(ratios), "libvips"),
        Figure(
            "memory of sixteen threads",
            held["lazsl"]["peak"] / BUDGET,
            "the budget",
            at_most=WANTED_MEMORY,
        ),
        Figure("memory of sixteen threads, libvips", held["libvips"]["peak"] / BUDGET, "the same"),
    ]
    each = ", ".join(
        f"{name} {1000 * (way['lazsl'] or 0):.0f} ms"
        + (f" ({1000 * way['libvips']:.0f})" if way["libvips"] else " (not read)")
        for name, way in seconds.items()
    )
    return conclude(
        args,
        "decoding",
        figures,
        f"decoding (libvips in brackets): {each}; {args.pictures} hostile pictures in {THREADS} "
        f"threads hold {mib['lazsl']:.0f} MiB at most ({mib['libvips']:.0f})",
        core_seconds=seconds,
        hostile=held,
    )


if __name__ == "__main__":
    sys.exit(main())
