"""Make the tables and plots of `docs/research/performance.md` anew: `python -m benchmarks.page`.

The prose of the page is written by hand; what stands between `<!-- begin NAME -->` and
`<!-- end NAME -->` comes from `history.jsonl` and from the models themselves, and so do the plots
beside it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import cost, history, plots
from benchmarks.device import keep

PAGE = Path(__file__).resolve().parent.parent / "docs" / "research" / "performance.md"
PICTURES = PAGE.parent / "performance"

Records = list[dict[str, Any]]


def main() -> int:
    """Make it; the exit status."""
    make(Console())
    return 0


def make(out: Console) -> None:
    """Write the plots and what of the page is made; the rest stays as it is."""
    records = history.read()
    PICTURES.mkdir(exist_ok=True)
    plots.over_time(history.whole(records), PICTURES / "targets.png")
    with suppress(LookupError):
        plots.growth(history.latest("growth", records)[0]["growth"], PICTURES / "growth.png")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), records), encoding="utf-8")
    out.print(f"{PAGE} and its plots are made anew", highlight=False, soft_wrap=True)


def filled(text: str, records: Records) -> str:
    """The page with its made parts as these records have them."""
    for name, made in BLOCKS.items():
        marks = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        pattern = re.compile(f"{re.escape(marks[0])}.*?{re.escape(marks[1])}", re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise ValueError(f"the page needs one {marks[0]} and one {marks[1]}")
        try:
            block = f"{marks[0]}\n{made(records)}\n{marks[1]}"
        except LookupError as error:
            block = f"{marks[0]}\nNot measured yet: {error.args[0]}\n{marks[1]}"
        text = pattern.sub(lambda _, block=block: block, text)
    return text


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """A Markdown table; all columns but the first are right-aligned."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    lines = [head, tuple(rule), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def targets(records: Records) -> str:
    """What every benchmark found last, against what is wanted of it."""
    rows: list[tuple[object, ...]] = []
    names = sorted({name for record in history.whole(records) for name in record["benchmarks"]})
    for name in names:
        results, record = history.latest(name, records)
        for figure in results["figures"]:
            wanted = "" if figure["target"] is None else f"{figure['sense']} {figure['target']:g}"
            verdict = {True: "met", False: "**missed**", None: ""}[figure["met"]]
            what = f"{figure['name']}, over {figure['over']}"
            rows.append((name, what, f"{figure['ratio']:.3g}", wanted, verdict, record["commit"]))
    head = ("benchmark", "figure", "reached", "wanted", "", "at")
    return table(head, rows).replace("| --- | ---: |", "| --- | --- |", 1)


def machine(records: Records) -> str:
    """On what the latest records were made."""
    record = history.whole(records)[-1]
    return (
        f"Measured last on {record['date'][:10]} at commit {record['commit']}: "
        f"{record['processor']}, {record['cores']} cores, {record['threads']} threads, device "
        f"{record['device']}, torch {record['torch']}, DuckDB {record['duckdb']}, load "
        f"{record['load']} when it began."
    )


def roofline(records: Records) -> str:
    """Each station: what it does for an image, what that costs here, what the machine could do."""
    stations = history.latest("stations", records)[0]["stations"]
    crops = history.latest("crops", records)[0]["core_seconds"]["224"]
    can, model, scoring, stored = (stations[n] for n in ("machine", "model", "scoring", "storing"))
    staging, loading = stations["staging"], stations["loading"]
    peak, passes = can["flops"], cost.REGIONS + 1
    per_image = stored["bytes_per_image"]

    def station(name: str, work: str, seconds: float, limit: str, share: float | None) -> Any:
        reached = "" if share is None else f"{share:.0%}"
        return name, work, f"{1000 * seconds:,.2f}", limit, reached

    photograph = 1e6
    rows = [
        station(
            "staging",
            "1 MB",
            photograph / staging["staged"],
            f"network; here files written at {staging['written'] / 1e9:.1f} GB/s",
            staging["staged"] / staging["written"],
        ),
        station(
            "decoding",
            "1600 x 1200 JPEG",
            crops["decoding"],
            "one core of the decoder",
            None,
        ),
        station(
            "crops, `exact`",
            f"{cost.REGIONS} to 224 px",
            crops["exact"] - crops["decoding"],
            "one core; Pillow's bicubic",
            None,
        ),
        station(
            "decoding and crops, `fast`",
            f"{cost.REGIONS} to 224 px",
            crops["fast"],
            "one core",
            None,
        ),
        station(
            "model, ViT-B-32",
            f"{passes} x {model['flops'] / 1e9:.1f} GFLOP",
            passes / model["per_s"],
            f"{peak / 1e9:.0f} GFLOP/s of a float32 product",
            model["share"],
        ),
        station(
            "scoring, best 5 of 1,000 classes",
            f"{scoring['flops'] / 1e9:.2f} GFLOP of products",
            1 / scoring["per_s"],
            f"{peak / 1e9:.0f} GFLOP/s of a float32 product",
            scoring["share"],
        ),
        station(
            "embeddings written",
            f"{per_image / 1e3:.0f} kB",
            per_image / stored["parquet_written"],
            f"plain bytes and fsync at {stored['written'] / 1e9:.1f} GB/s",
            stored["parquet_written"] / stored["written"],
        ),
        station(
            "embeddings read (relabel)",
            f"{per_image / 1e3:.0f} kB",
            per_image / stored["parquet_read"],
            f"cached bytes at {stored['read'] / 1e9:.1f} GB/s",
            stored["parquet_read"] / stored["read"],
        ),
        station(
            "load",
            "rows of all tables",
            1 / loading["images_per_s"],
            "the same Parquet read into Arrow",
            loading["loaded"] / loading["read"],
        ),
    ]
    head = ("station", "for an image", "milliseconds here", "limit", "reached")
    return table(head, rows)


def prices(_: Records) -> str:
    """Assumptions, and what a million images cost under them."""
    models = [cost.model(name) for name in cost.MODELS]
    assumed = table(
        ("assumed", "precision", "peak, TFLOP/s", "utilisation", "dollars an hour"),
        [
            (h.name, h.precision, f"{h.peak / 1e12:.0f}", f"{h.utilisation:.0%}", f"{h.price:.2f}")
            for h in cost.HARDWARE
        ],
    )
    counted = table(
        (
            "counted",
            "GFLOP a crop",
            "GFLOP a sentence",
            f"TFLOP an image ({cost.REGIONS + 1} crops)",
        ),
        [
            (
                m.name,
                f"{m.vision / 1e9:.2f}",
                f"{m.text / 1e9:.2f}",
                f"{(cost.REGIONS + 1) * m.vision / 1e12:.2f}",
            )
            for m in models
        ],
    )
    computed = table(
        ("images a second, dollars a million", *(m.name for m in models)),
        [
            (
                h.name,
                *(
                    f"{cost.images_per_second(m, h):,.1f}, ${cost.dollars_per_million(m, h):,.0f}"
                    for m in models
                ),
            )
            for h in cost.HARDWARE
        ],
    )
    return f"{counted}\n\n{assumed}\n\n{computed}\n\n{measured()}"


def measured() -> str:
    """Images a second on GPUs that `make device` ran on, beside what is computed for them."""
    rates = keep.measured_rates(history.read(keep.RECORDS))
    if not rates:
        return "Measured: nothing yet; no GPU was at hand (`make device` measures one)."
    rows: list[tuple[object, ...]] = [
        (card, model, regions, f"{rate:,.1f}") for card, model, regions, rate in rates
    ]
    return table(("measured, end to end", "model", "regions", "images a second"), rows)


def feeding(records: Records) -> str:
    """Cores that keep each accelerator busy, by how crops are cut, and that score beside it."""
    crops = history.latest("crops", records)[0]["core_seconds"]["224"]
    scoring = history.latest("scoring", records)[0]
    scored = scoring["threads"] / scoring["images_per_second"]["lazsl"]
    ways = {"exact": "exact", "fast": "fast", "fast, device": "fast, cut on the device"}
    network = cost.model("ViT-B-32")
    rows: list[tuple[object, ...]] = []
    for hardware in cost.HARDWARE:
        rate = cost.images_per_second(network, hardware)
        needed = [f"{rate * crops[way]:,.1f}" for way in ways]
        needed.append(f"{rate * scored:,.1f}")
        rows.append((hardware.name, f"{rate:,.0f}", *needed, hardware.cores))
    head = (
        "cores for ViT-B-32",
        "images a second",
        *ways.values(),
        "scoring 1,000 classes",
        "cores beside it (assumed)",
    )
    return table(head, rows)


def growth(records: Records) -> str:
    """What twice as many cost."""
    results = history.latest("growth", records)[0]
    rows: list[tuple[object, ...]] = []
    for figure in results["figures"]:
        what = figure["name"].removesuffix(" doubled")
        points = results["growth"][what]
        summary = ", ".join(
            f"{size:,}: {seconds:.3g}"
            for size, seconds in zip(points["sizes"], points["seconds"], strict=True)
        )
        rows.append((what, summary, f"{figure['ratio']:.2f}"))
    head = ("what grows", "seconds at each size", "twice as many cost, times")
    return table(head, rows).replace("| --- | ---: |", "| --- | --- |", 1)


BLOCKS: dict[str, Callable[[Records], str]] = {
    "targets": targets,
    "machine": machine,
    "roofline": roofline,
    "prices": prices,
    "feeding": feeding,
    "growth": growth,
}


if __name__ == "__main__":
    sys.exit(main())
