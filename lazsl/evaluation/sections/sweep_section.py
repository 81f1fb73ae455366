"""Sweeps as a part of an evaluation: a table and a picture per setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lazsl.evaluation.answers import Answers
from lazsl.evaluation.metrics import McNemar, mcnemar
from lazsl.evaluation.sections.figures import BLUE, GREEN, GREY, OLIVE, ORANGE, figure, percent
from lazsl.evaluation.sections.section import table
from lazsl.evaluation.sweeps import Probe
from lazsl.intervals import Interval, accuracy
from lazsl.settings import RegionSettings

TITLES = {
    "theta": "theta, the weight of the region against the whole image",
    "epsilon": "epsilon, the entropic regularisation",
    "gamma": "gamma, how far above the mean likeness a region must be",
    "regions": "number of random crops per image",
    "crops": "side of a crop as part of the image's shorter side",
}


@dataclass(frozen=True)
class Point:
    """What one value of a setting gives.

    Attributes:
        series: the line it belongs to.
        value: of the setting.
        current: it is the run's own value.
        top1: part of the images called by their truth, with its interval.
        top5: part of the images whose truth is among the best five.
        paired: the test against the run's own settings.
    """

    series: str
    value: float
    current: bool
    top1: Interval
    top5: float
    paired: McNemar


@dataclass(frozen=True)
class Sweep:
    """All values of one setting, all else as in the run.

    Attributes:
        setting: which.
        points: series by series, by value.
        others: top-1 of methods that the setting does not touch, by title.
        note: what to know about it; may be empty.
        images: how many.
    """

    setting: str
    points: tuple[Point, ...]
    others: dict[str, float]
    note: str
    images: int

    @property
    def name(self) -> str:
        """Its key in the JSON file."""
        return f"sweep_{self.setting}"

    @property
    def series(self) -> list[str]:
        """The lines, in order."""
        return list(dict.fromkeys(point.series for point in self.points))

    def to_json(self) -> dict[str, Any]:
        """Every point."""
        return {
            "setting": self.setting,
            "images": self.images,
            "note": self.note,
            "others": self.others,
            "points": [asdict(point) for point in self.points],
        }

    def show(self, console: Console) -> None:
        """A table of all values."""
        shown = Table(*_HEADS, title=TITLES[self.setting], title_justify="left")
        for column in shown.columns[1:]:
            column.justify = "right"
        for series in self.series:
            shown.add_section()
            if len(self.series) > 1:
                shown.add_row(series, style="italic")
            for point in self._of(series):
                shown.add_row(*self._cells(point), style="bold" if point.current else "")
        console.print(shown)
        if self.note:
            console.print(self.note, style="dim", highlight=False, markup=False)

    def to_markdown(self) -> str:
        """A heading, the picture, the table."""
        title = TITLES[self.setting]
        parts = [f"## Sweep: {title}", self.note, f"![{title}]({self.name}.png)"]
        for series in self.series:
            parts.append(f"{series[0].upper()}{series[1:]}:" if len(self.series) > 1 else "")
            parts.append(table(_HEADS, [self._cells(point) for point in self._of(series)]))
        parts.append(_READ)
        return "\n\n".join(part for part in parts if part) + "\n"

    def write(self, folder: Path) -> list[Path]:
        """One PNG file."""
        path = folder / f"{self.name}.png"
        with figure(path) as axes:
            self._draw(axes)
        return [path]

    def _of(self, series: str) -> list[Point]:
        return [point for point in self.points if point.series == series]

    def _cells(self, point: Point) -> list[str]:
        current = point.current
        return [
            f"{point.value:g}" + (" (run)" if current else ""),
            f"{point.top1.value:.1%}",
            f"{100 * point.top1.low:.1f}–{100 * point.top1.high:.1f}",
            f"{point.top5:.1%}",
            "" if current else str(point.paired.only_this),
            "" if current else str(point.paired.only_other),
            "" if current else f"{point.paired.p_value:.1g}",
        ]

    def _draw(self, axes: Any) -> None:
        for series, colour in zip(self.series, (BLUE, ORANGE, OLIVE), strict=False):
            points = self._of(series)
            values = [point.value for point in points]
            top1 = [point.top1.value for point in points]
            axes.plot(values, top1, "o-", color=colour, markersize=4, linewidth=1.5, label=series)
            low, high = ([getattr(p.top1, end) for p in points] for end in ("low", "high"))
            axes.fill_between(values, low, high, color=colour, alpha=0.13, linewidth=0)
            for point in points:
                if point.current:
                    axes.plot(
                        point.value, point.top1.value, "o", markersize=10, markeredgecolor=colour,
                        markerfacecolor="none", markeredgewidth=1.6,
                    )  # fmt: skip
        others = {title: v for title, v in self.others.items() if title not in self.series}
        for (title, value), style in zip(others.items(), ("--", ":"), strict=False):
            colour = GREY if style == "--" else GREEN
            axes.axhline(value, color=colour, linewidth=1.2, linestyle=style, label=title)
        if self.setting in ("epsilon", "regions"):
            axes.set_xscale("log")
            values = sorted({point.value for point in self.points})
            shown = [v for i, v in enumerate(values) if i % 2 == 0 or len(values) < 9]
            axes.set_xticks(shown, [f"{value:g}" for value in shown])
            axes.set_xticks([], minor=True)
        axes.set(xlabel=TITLES[self.setting], ylabel="images called by their truth (top-1)")
        percent(axes.yaxis)
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=4, frameon=False, fontsize=9
        )
        axes.set_title(
            f"{self.images:,} images; band: 95 % interval; ring: the run's own value", fontsize=10
        )


def gather(
    probes: Sequence[Probe],
    answers: Answers,
    run_method: str,
    others: dict[str, str],
    regions: RegionSettings,
) -> list[Sweep]:
    """The sweeps of probes whose answers are known, a setting each.

    Args:
        probes: as `sweeps.probes` made them.
        answers: of the probes by their names, and of the methods.
        own: name of the run's own method.
        others: methods to draw beside, by name, with what they are called.
        regions: of the run.
    """
    known = answers.truth >= 0
    reference = answers.right(run_method)[known]

    def point(probe: Probe) -> Point:
        right = answers.right(probe.name)[known]
        return Point(
            probe.series,
            probe.value,
            probe.current,
            accuracy(right, answers.clusters_of(known)),
            float(answers.right(probe.name, 5)[known].mean()),
            mcnemar(right, reference),
        )

    beside = {title: float(answers.right(name)[known].mean()) for name, title in others.items()}
    sweeps = []
    for setting in dict.fromkeys(probe.setting for probe in probes):
        points = tuple(point(probe) for probe in probes if probe.setting == setting)
        note = _note(setting, regions)
        sweeps.append(Sweep(setting, points, beside, note, int(known.sum())))
    return sweeps


def _note(setting: str, regions: RegionSettings) -> str:
    if setting == "crops":
        return (
            f"Of the {regions.count} stored crops of an image, which have sides from "
            f"{regions.smallest:g} to {regions.largest:g}, only those within the bound take part, "
            "so that a narrower range also has fewer crops: a sixth of them at its narrowest. "
            "Smaller or larger crops need new embeddings: label again with --set "
            "regions.smallest=0.3, for one."
        )
    if setting == "regions":
        return (
            f"The first crops of the {regions.count} that are stored. More need new embeddings: "
            f"label again with --regions {2 * regions.count}, for one."
        )
    return ""


_READ = (
    "(run): the run's own value. Only it: images that it calls rightly and the run does not; only "
    "the run: the other way round; p: McNemar's exact test. The best of many values on these "
    "images need not be the best on others: choose on some images, and measure on others."
)
_HEADS = ["value", "top-1", "95 %", "top-5", "only it", "only the run", "p"]
