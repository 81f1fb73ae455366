"""The plots of `docs/research/performance.md`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

COLUMNS = 4
MET, MISSED = "#1b7f5c", "#b3261e"


def over_time(records: list[dict[str, Any]], file: Path) -> None:
    """Every figure that has a target, run after run; the missed side is shaded."""
    series: dict[tuple[str, str], list[tuple[int, dict[str, Any]]]] = {}
    for number, record in enumerate(records):
        for benchmark, results in record["benchmarks"].items():
            for figure in results["figures"]:
                if figure["target"] is not None:
                    series.setdefault((benchmark, figure["name"]), []).append((number, figure))
    if not series:
        return
    rows = -(-len(series) // COLUMNS)
    figure, grid = plt.subplots(
        rows, COLUMNS, figsize=(3 * COLUMNS, 1.9 * rows), squeeze=False, layout="constrained"
    )
    for axes, ((benchmark, name), points) in zip(grid.flat, sorted(series.items()), strict=False):
        _draw_figure(axes, f"{benchmark}: {name}", points, len(records))
    for axes in grid.flat[len(series) :]:
        axes.axis("off")
    figure.savefig(file, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _draw_figure(
    axes: Axes, title: str, points: list[tuple[int, dict[str, Any]]], runs: int
) -> None:
    last = points[-1][1]
    ratios = [point["ratio"] for _, point in points]
    target = last["target"]
    low, high = min([*ratios, target]), max([*ratios, target])
    margin = 0.25 * (high - low) or 0.5 * abs(target)
    axes.set_ylim(min(low - margin, 0.9 * low), high + margin)
    axes.set_xlim(-0.5, max(runs - 0.5, 0.5))
    below, above = axes.get_ylim()
    missed = (below, target) if last["sense"] == "at least" else (target, above)
    axes.axhspan(*missed, color=MISSED, alpha=0.08, linewidth=0)
    axes.axhline(target, color="#555", linewidth=1, linestyle="--")
    axes.plot([number for number, _ in points], ratios, color="#888", linewidth=1)
    for number, point in points:
        axes.plot(number, point["ratio"], "o", color=MET if point["met"] else MISSED, markersize=5)
    axes.set_title(f"{title}\n{last['ratio']:.3g} ({last['sense']} {target:g})", fontsize=8)
    axes.set_xticks([])
    axes.tick_params(labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def growth(results: dict[str, dict[str, list[float]]], file: Path) -> None:
    """Cost over size, one panel for the whole job and one for scoring, relative to the smallest."""
    figure, grid = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axes, kind in zip(grid, ("job", "scoring"), strict=True):
        most = 1.0
        for what, points in results.items():
            if not what.startswith(kind):
                continue
            sizes = [size / points["sizes"][0] for size in points["sizes"]]
            spent = [seconds / points["seconds"][0] for seconds in points["seconds"]]
            axes.loglog(sizes, spent, "o-", label=what.split(", ")[1], markersize=4)
            most = max(most, sizes[-1])
        axes.loglog([1, most], [1, most], color="#999", linestyle="--", label="as much more")
        axes.set_title({"job": "the whole job", "scoring": "scoring alone"}[kind], fontsize=10)
        axes.set_xlabel("times as many")
        axes.set_ylabel("times the cost")
        axes.legend(fontsize=8, frameon=False)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter("{x:g}")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.savefig(file, dpi=110, metadata={"Software": None})
    plt.close(figure)
