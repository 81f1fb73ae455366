"""Pictures of what `measure_trust` found: reliability, risk against coverage, confidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lazsl.evaluation.calibration import CERTAINTY, Bin
from lazsl.evaluation.sections.figures import BLUE, GREEN, GREY, OLIVE, ORANGE, figure, percent
from lazsl.evaluation.trust import Trust

_RIGHT, _WRONG, _UNKNOWN, _MARK, _QUIET = BLUE, ORANGE, OLIVE, GREEN, GREY


def plot_trust(trust: Trust, folder: Path) -> list[Path]:
    """The PNG files that were written: reliability, risk and coverage, confidence."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = {
        "reliability": _reliability,
        "risk_coverage": _risk_coverage,
        "confidence": _confidence,
    }
    written = []
    for name, draw in plots.items():
        written.append(folder / f"{name}.png")
        with figure(written[-1]) as axes:
            draw(axes, trust)
    return written


def _reliability(axes: Any, trust: Trust) -> None:
    """How often labels of like confidence are right, before and after the temperature."""
    axes.plot([0, 1], [0, 1], color=_QUIET, linewidth=1, linestyle="--")
    axes.annotate(
        "as sure as right", (0.06, 0.06), xytext=(0, 9), rotation=45, color=_QUIET, fontsize=8,
        textcoords="offset points", rotation_mode="anchor", transform_rotates_text=True,
    )  # fmt: skip
    before = f"temperature 0.01 (CLIP's own), ECE {trust.ece_before:.3f}"
    after = f"temperature {trust.temperature:.3g} (fitted), ECE {trust.ece_after:.3f}"
    _bins(axes, trust.bins_before, _WRONG, "s", before)
    _bins(axes, trust.bins_after, _RIGHT, "o", after)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="mean confidence", ylabel="labels right")
    percent(axes.yaxis)
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    known = trust.images - trust.unknown
    per_bin = round(known / len(trust.bins_after))
    axes.set_title(
        f"Can confidence be believed? {known:,} images, about {per_bin} per point", fontsize=11
    )


def _bins(axes: Any, bins: tuple[Bin, ...], colour: str, marker: str, label: str) -> None:
    axes.plot(
        [b.confidence for b in bins],
        [b.accuracy for b in bins],
        color=colour,
        marker=marker,
        markersize=5,
        linewidth=1.4,
        label=label,
        clip_on=False,
    )


def _risk_coverage(axes: Any, trust: Trust) -> None:
    """What part of the labels is wrong if only the surest images are labelled."""
    curve = trust.risk_coverage
    axes.plot(
        curve.coverage,
        curve.risk,
        color=_RIGHT,
        linewidth=1.6,
        drawstyle="steps-post",
        label=f"labels by confidence, area {trust.aurc:.3f}",
    )
    axes.axhline(curve.risk[-1], color=_QUIET, linewidth=1, linestyle="--")
    axes.annotate(
        f"no abstaining: {curve.risk[-1]:.1%} wrong", (0.01, curve.risk[-1]), xytext=(0, 4),
        textcoords="offset points", color=_QUIET, fontsize=9,
    )  # fmt: skip
    axes.axhline(1 - trust.precision, color=_MARK, linewidth=1, linestyle=":")
    axes.annotate(
        f"wanted: {1 - trust.precision:.1%} wrong", (0.01, 1 - trust.precision), xytext=(0, 4),
        textcoords="offset points", color=_MARK, fontsize=9,
    )  # fmt: skip
    if trust.cut is not None:
        at = (trust.cut.coverage, 1 - trust.cut.precision)
        label = (
            f"confidence {trust.cut.threshold:.3f}: {trust.cut.coverage:.1%} labelled, "
            f"{1 - trust.cut.precision:.1%} wrong (at most {1 - trust.cut.at_least:.1%} with "
            f"{CERTAINTY:.0%} certainty)"
        )
        axes.plot(*at, "o", color=_MARK, markersize=8, label=label, clip_on=False)
        axes.vlines(at[0], at[1], 1 - trust.cut.at_least, color=_MARK, linewidth=2)
    top = 1.25 * max(curve.risk[-1], 1 - trust.precision, 0.02)
    axes.set(xlim=(0, 1.005), ylim=(0, min(top, 1.02)))
    axes.set(xlabel="images labelled (coverage)", ylabel="labels wrong (risk)")
    percent(axes.xaxis, axes.yaxis)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), frameon=False, fontsize=9)
    axes.set_title(f"What does abstaining buy? {trust.images:,} images", fontsize=11)


def _confidence(axes: Any, trust: Trust) -> None:
    """How sure right labels are, wrong ones, and those of images of no known class."""
    groups = {
        "right": (trust.right, _RIGHT),
        "wrong": (~trust.right & trust.known, _WRONG),
        "of no known class": (~trust.known, _UNKNOWN),
    }
    shown = {name: group for name, group in groups.items() if group[0].any()}
    axes.hist(
        [trust.confidence[where] for where, _ in shown.values()],
        bins=np.linspace(0, 1, 26).tolist(),
        stacked=True,
        color=[colour for _, colour in shown.values()],
        label=[f"{name} ({int(where.sum()):,})" for name, (where, _) in shown.items()],
        edgecolor="white",
        linewidth=0.5,
    )
    if trust.threshold is not None:
        axes.axvline(trust.threshold, color="black", linewidth=1.2, linestyle="--")
        axes.annotate(
            "abstain | label", (trust.threshold, 1), xycoords=("data", "axes fraction"),
            xytext=(0, -10), textcoords="offset points", ha="center", fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    axes.set(xlim=(0, 1), xlabel="confidence", ylabel="images")
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    axes.set_title(f"How sure were the labels? Temperature {trust.temperature:.3g}", fontsize=11)
