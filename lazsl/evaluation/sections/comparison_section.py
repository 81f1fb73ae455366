"""The table of all methods, what LaZSL finds hard, and what it confuses: shown and written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lazsl.evaluation.comparison import Comparison, Result
from lazsl.evaluation.methods import REFERENCE
from lazsl.evaluation.sections.section import plain, table
from lazsl.intervals import KIND, LEVEL
from lazsl.visible_text import short

SHOWN = 10
"""Classes and confused pairs that a person is shown."""


@dataclass(frozen=True)
class ComparisonSection:
    """The `Section` of a comparison."""

    comparison: Comparison

    name = "methods"

    def to_json(self) -> dict[str, Any]:
        """Every figure, per class too."""
        return self.comparison.to_json()

    def show(self, console: Console) -> None:
        """The table, what is left out, and what LaZSL finds hard."""
        shown = Table(
            "method", *_HEADS[1:], title=f"{self.comparison.images:,} images of known classes"
        )
        for column in shown.columns[1:]:
            column.justify = "right"
            column.no_wrap = True
        for result in self.comparison.results:
            style = "bold" if result.method.name == REFERENCE else ""
            shown.add_row(*map(escape, _cells(result)), style=style)
        console.print(shown)
        console.print(
            "[dim]only it: images that it calls rightly and LaZSL does not; only LaZSL: the other "
            "way round; p: both equally often right (McNemar, exact). Intervals: "
            f"{self.comparison.assumes}[/]",
            highlight=False,
        )
        for name, reason in self.comparison.left_out.items():
            console.print(f"[dim]left out: {escape(name)}: {escape(reason)}[/]", highlight=False)
        if not self.comparison.confused:
            return
        pairs = Table("shown", "called", "images", "of", title="what LaZSL confuses most")
        for pair in self.comparison.confused[:SHOWN]:
            names = (escape(short(self.comparison.classes[c])) for c in (pair.truth, pair.called))
            pairs.add_row(*names, str(pair.images), str(pair.of))
        console.print(pairs)

    def to_markdown(self) -> str:
        """The table with its formulas, the hardest classes and the most confused pairs."""
        parts = [
            "## Methods",
            f"On {self.comparison.images:,} images of known classes, all from the same stored "
            f"embeddings. Intervals: {LEVEL:.0%}, {KIND}; {self.comparison.assumes}. "
            "Only it: images "
            "that the method calls rightly and LaZSL does not; only "
            "LaZSL: the other way round; p: of both being right equally often (McNemar's exact "
            "paired test, each row by itself: among many rows, one may seem different by chance).",
            table(_HEADS, [_cells(result) for result in self.comparison.results]),
            *(
                f"Left out: {name}: {plain(reason)}."
                for name, reason in self.comparison.left_out.items()
            ),
            "![top-1 of every method](methods.png)",
            table(
                ["method", "score of class c"],
                [
                    [result.method.title, f"`{result.method.formula}`"]
                    for result in self.comparison.results
                ],
                text_columns=2,
            ),
            "## Classes",
            f"The classes that LaZSL finds hardest, of {len(self.comparison.hardest)} that are "
            "shown: the part of their images that each method calls so, and LaZSL's precision, the "
            "part of what it calls so that is right.",
            table(
                ["class", "images", "LaZSL", "precision", *(o.method.title for o in self._others)],
                [self._class_cells(int(c)) for c in self.comparison.hardest[:SHOWN]],
            ),
            "![accuracy of every class](classes.png)",
            "## Confusions",
            "The pairs that LaZSL confuses most often."
            if self.comparison.confused
            else "LaZSL confuses no pair of classes.",
        ]
        if self.comparison.confused:
            pairs = [
                [
                    short(self.comparison.classes[p.truth]),
                    short(self.comparison.classes[p.called]),
                    p.images,
                    p.of,
                ]
                for p in self.comparison.confused[:SHOWN]
            ]
            parts += [
                table(["shown", "called", "images", "of"], pairs, text_columns=2),
                "![confused pairs](confusions.png)",
            ]
        return "\n\n".join(parts) + "\n"

    @property
    def _others(self) -> list[Result]:
        wanted = ("dclip", "crop-mean")
        return [result for result in self.comparison.results if result.method.name in wanted]

    def _class_cells(self, c: int) -> list[object]:
        reference = self.comparison.reference.classes
        parts = [reference.accuracy[c], reference.precision[c]]
        parts += [result.classes.accuracy[c] for result in self._others]
        cells = ("" if np.isnan(part) else f"{part:.0%}" for part in parts)
        return [short(self.comparison.classes[c]), int(reference.images[c]), *cells]

    def write(self, folder: Path) -> list[Path]:
        """methods.png, classes.png and, where there are any, confusions.png."""
        from lazsl.evaluation.sections.comparison_plots import plot_comparison

        return plot_comparison(self.comparison, folder)


_HEADS = ["method", "top-1", "95 %", "top-5", "only it", "only LaZSL", "p"]


def _cells(result: Result) -> list[str]:
    paired = result.paired
    test = ("", "", "")
    if paired is not None:
        test = (str(paired.only_this), str(paired.only_other), f"{paired.p_value:.1g}")
    return [
        result.method.title,
        f"{result.top1.value:.1%}",
        f"{100 * result.top1.low:.1f}–{100 * result.top1.high:.1f}",
        f"{result.top5.value:.1%}",
        *test,
    ]
