"""The report of 100,000 images: how soon its first page shows, and what making it takes.

Two synthetic runs of random numbers in the real schemas, of 10,000 and of 100,000 images; the
report of each is made in a process of its own (without previews: there are no images behind it).
Then Chromium opens the larger one from disk, and the seconds are counted until the first cards are
there, until a filter over all images has answered, and until an image's attributes are there.

The first page should show within two seconds, and memory stay below 1 GiB: what DuckDB keeps of
the warehouse grows to the limits in `sql/report/memory.sql`, and no further.

    python benchmarks/bench_report.py [--json] [--images 10000]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from figures import Figure, conclude, options
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))
import fake_run

from lazsl.report.make import make_report
from lazsl.store import keys as identity
from lazsl.store import paths, schemas
from lazsl.store.folder import Folder
from lazsl.warehouse import loading

FIRST_PAGE = 2.0
MOST_MIB = 1024
QUICK = ("--images", "1000")
RUN = "synthetic"
SHARD = 256
CLASSES, ATTRIBUTES, REGIONS, KEPT, TOP_K, PLANS = 200, 6, 90, 45, 5, 2


def write_archive(images: int, folder: Path) -> Path:
    """A warehouse with one run of so many images, as wide as a real one with the defaults."""
    workspace = Folder(str(folder / "workspace"))
    classes = {
        f"class {c:03d}": [f"attribute {a} of class {c:03d}" for a in range(ATTRIBUTES)]
        for c in range(CLASSES)
    }
    small = fake_run.write_run(
        workspace, run=RUN, classes=classes, images=2, garbage_shard=False, reject_every=0, keep=[]
    )
    random = np.random.default_rng(0)
    for first in range(0, images, SHARD):
        write_shard(
            workspace, small, list(classes), range(first, min(images, first + SHARD)), random
        )
    path = folder / "warehouse.duckdb"
    loading.load(workspace, path)
    return path


def write_shard(
    workspace: Folder,
    run: fake_run.FakeRun,
    names: list[str],
    numbers: range,
    random: np.random.Generator,
) -> None:
    """One finished shard of random plans, a few hundred images at a stroke."""
    n = len(numbers)
    keys = [f"collection/drawer-{i // 1000:03d}/specimen-{i:06d}.jpg" for i in numbers]
    uris = [f"{run.record['archive_url']}/{key}" for key in keys]
    ids = [identity.image_id(uri, "etag") for uri in uris]
    shard = identity.shard_id(str(run.record["archive"]), ids)
    rows = [
        {
            "image_id": i, "key": key, "uri": uri, "size": 100_000, "version": "etag", "digest": i,
            "format": "JPEG", "width": 640, "height": 480, "orientation": 1, "reason": None,
            "detail": None, "shard": shard,
        }
        for i, key, uri in zip(ids, keys, uris, strict=True)
    ]  # fmt: skip
    part = fake_run.FakeRun(run.record, [shard], rows, {}, {}, [])
    encoder, regions = run.record["encoder"], run.record["regions"]
    side = random.integers(288, 432, (n, REGIONS + 1))
    left, top = random.integers(0, 640 - side), random.integers(0, 480 - side)
    left[:, 0], top[:, 0] = 0, 0
    right, bottom = left + side, top + side
    right[:, 0], bottom[:, 0] = 640, 480
    vectors = np.zeros(n * (REGIONS + 1) * fake_run.DIMENSION, np.float16)
    columns = {
        "image_id": np.repeat(ids, REGIONS + 1),
        "region": np.tile(np.arange(REGIONS + 1), n),
        **{
            name: values.ravel()
            for name, values in (("left", left), ("top", top), ("right", right), ("bottom", bottom))
        },
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors), fake_run.DIMENSION),
    }
    write(workspace, paths.region_embeddings(encoder, regions, shard), columns,
          schemas.regions(fake_run.DIMENSION))  # fmt: skip
    listed = pa.Table.from_pylist(rows, schema=schemas.IMAGES)
    workspace.write_table(paths.images(encoder, regions, shard), listed)

    # (n, classes, regions, attributes): plans with exact column sums.
    chosen = np.argsort(random.random((n, CLASSES)), axis=1)[:, :TOP_K]
    mass = random.random((n, TOP_K, KEPT, ATTRIBUTES))
    mass /= mass.sum(axis=2, keepdims=True) * ATTRIBUTES
    similarity = random.uniform(0.1, 0.4, mass.shape)
    similarity *= 1 - 0.02 * np.arange(TOP_K)[:, None, None]
    contribution = (mass * similarity).sum(axis=2)
    score = contribution.sum(axis=2)
    label = np.asarray(names)[chosen]
    each = {"image_id": np.repeat(ids, TOP_K), "rank": np.tile(np.arange(1, TOP_K + 1), n)}
    other = random.random((3, n, TOP_K))
    baselines = [f"{method}_score" for method in ("clip", "dclip", "crop_mean")]
    tables: dict[str, dict[str, Any]] = {
        "scores": {
            **each,
            "class": label.ravel(),
            "score": score.ravel(),
            **dict(zip(baselines, other.reshape(3, -1), strict=True)),
        },
        "evidence": {
            **{name: np.repeat(values, ATTRIBUTES) for name, values in each.items()},
            "class": np.repeat(label.ravel(), ATTRIBUTES),
            "attribute_index": np.tile(np.arange(ATTRIBUTES), n * TOP_K),
            "attribute": [
                f"attribute {a} of {c}" for c in label.ravel() for a in range(ATTRIBUTES)
            ],
            "contribution": contribution.ravel(),
            "similarity": contribution.ravel() * ATTRIBUTES,
            "best_region": np.ones(contribution.size),
            "best_share": np.full(contribution.size, 0.1),
        },
        "plans": {
            "image_id": np.repeat(ids, PLANS),
            "rank": np.tile(np.arange(1, PLANS + 1), n),
            "class": label[:, :PLANS].ravel(),
            "score": score[:, :PLANS].ravel(),
            "iterations": np.full(n * PLANS, 7),
            "residual": np.zeros(n * PLANS),
            "regions": lists(np.tile(np.arange(1, KEPT + 1), n * PLANS), KEPT, pa.int16()),
            "attributes": np.full(n * PLANS, ATTRIBUTES),
            "mass": lists(mass[:, :PLANS], KEPT * ATTRIBUTES, pa.float32()),
            "similarity": lists(similarity[:, :PLANS], KEPT * ATTRIBUTES, pa.float32()),
        },
        "predictions": {
            "image_id": ids,
            "label": label[:, 0],
            "score": score[:, 0],
            "runner_up": label[:, 1],
            "margin": np.abs(score[:, 0] - score[:, 1]),
            "kept": np.full(n, KEPT),
            **{f"{method}_label": label[:, 0] for method in ("clip", "dclip", "crop_mean")},
            **dict(zip(baselines, other[:, :, 0], strict=True)),
        },
    }
    for name, values in tables.items():
        write(workspace, paths.run_table(RUN, name, shard), values, schemas.RUN_TABLES[name])
    fake_run.write_marker(workspace, part, shard)


def write(workspace: Folder, name: str, columns: dict[str, Any], schema: pa.Schema) -> None:
    """Publish a table; columns that are not given are null."""
    rows = len(columns["image_id"])
    arrays = []
    for field in schema:
        values = columns.get(field.name)
        if values is None:
            values = pa.nulls(rows)
            if field.name == "abstained":
                values = np.zeros(rows, bool)
        arrays.append(pa.array(values).cast(field.type, safe=False))
    workspace.write_table(name, pa.Table.from_arrays(arrays, schema=schema))


def lists(values: np.ndarray, length: int, kind: pa.DataType) -> pa.ListArray:
    """Lists of one length."""
    flat = pa.array(values.ravel()).cast(kind, safe=False)
    offsets = pa.array(np.arange(0, len(flat) + 1, length), pa.int32())
    return pa.ListArray.from_arrays(offsets, flat)


def make(path: Path, site: Path) -> None:
    """One report in this process; prints what it took."""
    started = time.perf_counter()
    made = make_report(path, RUN, str(site), previews=False)
    seconds = time.perf_counter() - started
    # Not ru_maxrss, which a child inherits from the process that started it.
    status = Path("/proc/self/status").read_text().split()
    peak = int(status[status.index("VmHWM:") + 1]) / 1024
    index = sum(file.stat().st_size for file in (site / "data").glob("index-*.js"))
    files = sum(1 for _ in site.rglob("*"))
    print(json.dumps({
        "images": made.images, "seconds": round(seconds, 1), "peak_mib": round(peak),
        "bytes_per_image": round(made.bytes / made.images),
        "index_bytes_per_image": round(index / made.images), "files": files,
    }))  # fmt: skip


def look(site: Path) -> dict[str, float]:
    """Seconds a person waits in Chromium, from disk, with nothing cached."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    waited: dict[str, float] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()

        def until(name: str, expression: str, started: float) -> None:
            # The page's policy forbids the evaluation that waiting for a function would need.
            while not page.evaluate(expression):
                if time.perf_counter() > started + 120:
                    raise TimeoutError(f"{name} never came: {expression}")
                time.sleep(0.01)
            waited[name] = round(time.perf_counter() - started, 2)

        started = time.perf_counter()
        page.goto(f"{site.resolve().as_uri()}/gallery.html", wait_until="commit")
        until("first_page", "document.querySelectorAll('.card').length >= 48", started)
        loaded = "!document.getElementById('count').textContent.includes('loading')"
        until("whole_index", f"document.getElementById('count').textContent && {loaded}", started)
        before = page.locator("#count").text_content()
        started = time.perf_counter()
        page.locator("#q").fill("class 017")
        until(
            "search", f"document.getElementById('count').textContent !== {json.dumps(before)}",
            started,
        )  # fmt: skip
        started = time.perf_counter()
        page.locator(".card a").first.click()
        until("image", "document.querySelectorAll('#attributes .attribute').length > 0", started)
        browser.close()
    return waited


def child(*arguments: str) -> str:
    """What a process of this script printed last."""
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--images", type=int, default=10_000, help="images in the smaller archive")
    parser.add_argument("--make", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make:
        make(*args.make)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        made = []
        for images in (args.images, 10 * args.images):
            folder = Path(temporary) / str(images)
            site = folder / "site"
            folder.mkdir()
            path = write_archive(images, folder)
            shutil.rmtree(folder / "workspace")
            made.append(json.loads(child("--make", str(path), str(site))))
        waited = look(site)
    growth = made[1]["peak_mib"] / made[0]["peak_mib"]
    lines = [
        f"report: {report['images']} images in {report['seconds']} s, {report['peak_mib']} MiB at "
        f"the peak, {report['bytes_per_image']} bytes an image without its preview "
        f"({report['index_bytes_per_image']} of them in the gallery's index), "
        f"{report['files']} files"
        for report in made
    ]
    lines.append(
        f"memory: {made[1]['peak_mib']} MiB (wanted at most {MOST_MIB}), {growth:.2f} times as "
        f"much for ten times the images; waiting for the first page {waited['first_page']} s "
        f"(wanted at most {FIRST_PAGE}), the whole index {waited['whole_index']} s, a search "
        f"{waited['search']} s, an image {waited['image']} s"
    )
    figures = [
        Figure("first page", waited["first_page"] / FIRST_PAGE, "the two seconds", at_most=1),
        Figure("peak memory", made[1]["peak_mib"] / MOST_MIB, "the GiB that is allowed", at_most=1),
        Figure("growth of memory", growth, "a tenth of the images"),
        Figure(
            "seconds an image",
            made[1]["seconds"] / made[1]["images"] / (made[0]["seconds"] / made[0]["images"]),
            "a tenth of the images",
        ),
    ]
    return conclude(args, "report", figures, "\n".join(lines), made=made, waited=waited)


if __name__ == "__main__":
    sys.exit(main())
