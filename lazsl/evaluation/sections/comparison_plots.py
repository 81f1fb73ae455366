"""Pictures of a comparison: every method, every class, and the classes that are confused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lazsl.evaluation.comparison import Comparison, Result
from lazsl.evaluation.methods import REFERENCE
from lazsl.evaluation.sections.figures import BLUE, ORANGE, figure, name, percent
from lazsl.intervals import LEVEL

_BARS = 40
"""Classes in a picture, at most: the hardest."""

_CONFUSED = 20
"""Classes in the matrix of confusions, at most."""


def plot_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """The PNG files that were written: methods, classes and, where there are any, confusions."""
    written = [folder / "methods.png", folder / "classes.png"]
    with figure(written[0], (8, 0.9 + 0.36 * len(comparison.results))) as axes:
        _methods(axes, comparison)
    shown = min(_BARS, len(comparison.hardest))
    with figure(written[1], (8, 1.2 + 0.17 * max(shown, 6))) as axes:
        _classes(axes, comparison)
    if comparison.confused:
        written.append(folder / "confusions.png")
        with figure(written[2], (7.5, 6.4)) as axes:
            _confusions(axes, comparison)
    return written


def _methods(axes: Any, comparison: Comparison) -> None:
    """Top-1 of every method with its interval, and top-5."""
    results = comparison.results
    place = np.arange(len(results))
    value = np.array([result.top1.value for result in results])
    low, high = (
        np.array([getattr(result.top1, end) for result in results]) for end in ("low", "high")
    )
    is_lazsl = [result.method.name.startswith(REFERENCE) for result in results]
    axes.barh(place, value, color=[BLUE if lazsl else "#9fb8c8" for lazsl in is_lazsl], height=0.62)
    axes.errorbar(
        value, place, xerr=np.stack([value - low, high - value]), fmt="none", ecolor="#333333",
        elinewidth=1.2, capsize=2.5, label=f"{LEVEL:.0%} interval of top-1",
    )  # fmt: skip
    top5 = [result.top5.value for result in results]
    axes.plot(top5, place, "|", color=ORANGE, markersize=12, markeredgewidth=2, label="top-5")
    for at, result in zip(place, results, strict=True):
        # Beside the interval, or beside the mark of top-5 where that is in the way.
        near = result.top1.high < result.top5.value < min(result.top1.high + 0.09, 0.9)
        right_end = result.top5.value if near else result.top1.high
        axes.annotate(
            f"{result.top1.value:.1%}", (right_end, at), xytext=(4, 0), va="center",
            textcoords="offset points", fontsize=8,
        )  # fmt: skip
    axes.set_yticks(place, [result.method.title for result in results], fontsize=8.5)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(xlim=(0, 1.03), xlabel="images called by their truth")
    percent(axes.xaxis)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=8,
        borderaxespad=0.2,
    )  # fmt: skip
    axes.set_title(f"{comparison.images:,} images", fontsize=10, loc="left")


def _classes(axes: Any, comparison: Comparison) -> None:
    """Accuracy of every class, hardest first, LaZSL beside DCLIP."""
    chosen = comparison.hardest[:_BARS]
    place = np.arange(len(chosen))
    images = comparison.reference.classes.images
    axes.barh(
        place, comparison.reference.classes.accuracy[chosen], color=BLUE, height=0.66, label="LaZSL"
    )
    other: Result | None = next(
        (result for result in comparison.results if result.method.name in ("dclip", "cupl")), None
    )
    if other is not None:
        title = other.method.title.partition(":")[0]
        axes.plot(
            other.classes.accuracy[chosen], place, "|", color=ORANGE, markersize=8,
            markeredgewidth=2, label=title, clip_on=False,
        )  # fmt: skip
    names = [f"{name(comparison.classes[c], 28)} ({images[c]:,})" for c in chosen]
    axes.set_yticks(place, names, fontsize=6.5)
    axes.set_ylim(len(chosen) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set(xlim=(0, 1.01), xlabel="images of the class that are called so")
    percent(axes.xaxis)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=8,
        borderaxespad=0.2,
    )  # fmt: skip
    count = len(comparison.hardest)
    classes = (
        f"the {len(chosen)} hardest of {count:,} classes"
        if len(chosen) < count
        else f"{count} classes"
    )
    axes.set_title(f"{classes} (images)", fontsize=10, loc="left")


def _confusions(axes: Any, comparison: Comparison) -> None:
    """What LaZSL calls the classes of the most confused pairs, as parts of each class's images."""
    chosen: dict[int, None] = {}
    for pair in comparison.confused:
        wanted = {pair.truth: None, pair.called: None}
        if len(chosen | wanted) > _CONFUSED:
            break
        chosen |= wanted
    place = {c: i for i, c in enumerate(chosen)}
    counts = np.zeros((len(place), len(place)))
    for c, i in place.items():
        counts[i, i] = comparison.reference.classes.right[c]
    for pair in comparison.confused:
        if pair.truth in place and pair.called in place:
            counts[place[pair.truth], place[pair.called]] = pair.images
    images = comparison.reference.classes.images[list(place)]
    part = counts / np.maximum(images, 1)[:, None]
    drawn = axes.imshow(part, cmap="Blues", vmin=0, vmax=1)
    for i, k in zip(*np.nonzero(counts), strict=True):
        axes.text(
            k, i, f"{int(counts[i, k]):,}", ha="center", va="center", fontsize=7,
            color="white" if part[i, k] > 0.55 else "#222222",
        )  # fmt: skip
    names = [name(comparison.classes[c], 22) for c in place]
    rows = [f"{text} ({n:,})" for text, n in zip(names, images, strict=True)]
    axes.set_yticks(range(len(names)), rows, fontsize=7.5)
    axes.set_xticks(range(len(names)), names, fontsize=7.5, rotation=60, ha="right")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="called by LaZSL", ylabel="shown (images)")
    axes.figure.colorbar(drawn, ax=axes, shrink=0.6, label="part of the class's images")
    axes.set_title(
        f"The most confused {len(names)} of {len(comparison.hardest):,} classes", fontsize=10
    )
