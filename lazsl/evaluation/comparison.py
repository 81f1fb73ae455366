"""One table of all methods: how right each is, how sure that is, and how it differs from LaZSL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lazsl.display import short
from lazsl.errors import UserError
from lazsl.evaluation.answers import Answers
from lazsl.evaluation.methods import REFERENCE, Method
from lazsl.evaluation.metrics import Confusion, McNemar, PerClass, confusions, mcnemar, per_class
from lazsl.evaluation.sections.section import plain, table
from lazsl.intervals import ASSUMED, KIND, LEVEL, Interval, accuracy, difference

SHOWN = 10
"""Classes and confused pairs that a person is shown."""


@dataclass(frozen=True)
class Result:
    """How right one method is.

    Attributes:
        method: which.
        top1, top5: part of the images whose truth is the best class, or among the best five.
        mean_per_class: top-1 with every class counting the same.
        difference: its top-1 minus LaZSL's; None for LaZSL itself.
        paired: the test against LaZSL; None for LaZSL itself.
        classes: its figures by class.
    """

    method: Method
    top1: Interval
    top5: Interval
    mean_per_class: float
    difference: Interval | None
    paired: McNemar | None
    classes: PerClass


@dataclass(frozen=True)
class Comparison:
    """All methods on the same images, which are those of known classes.

    Attributes:
        images: how many.
        classes: names, in label set order.
        results: in the order of the table.
        left_out: why a method is not in it, by name.
        confused: pairs of classes that LaZSL confuses, most often first.
    """

    images: int
    classes: tuple[str, ...]
    results: tuple[Result, ...]
    left_out: dict[str, str]
    confused: tuple[Confusion, ...]

    name = "methods"

    @cached_property
    def reference(self) -> Result:
        """LaZSL's."""
        return next(one for one in self.results if one.method.name == REFERENCE)

    def to_json(self) -> dict[str, Any]:
        """Every figure, per class too."""
        return {
            "images": self.images,
            "interval": {"kind": KIND, "level": LEVEL, "assumes": ASSUMED},
            "methods": [_result_json(one) for one in self.results],
            "left_out": self.left_out,
            "classes": [
                {
                    "class": label,
                    "images": int(self.reference.classes.images[c]),
                    "precision": _number(self.reference.classes.precision[c]),
                    "accuracy": {
                        one.method.name: _number(one.classes.accuracy[c]) for one in self.results
                    },
                }
                for c, label in enumerate(self.classes)
            ],
            "confusions": [
                {
                    "truth": self.classes[pair.truth],
                    "called": self.classes[pair.called],
                    "images": pair.images,
                    "of": pair.of,
                }
                for pair in self.confused
            ],
        }

    def show(self, console: Console) -> None:
        """The table, what is left out, and what LaZSL finds hard."""
        shown = Table("method", *_HEADS[1:], title=f"{self.images:,} images of known classes")
        for column in shown.columns[1:]:
            column.justify = "right"
            column.no_wrap = True
        for one in self.results:
            style = "bold" if one.method.name == REFERENCE else ""
            shown.add_row(*map(escape, _cells(one)), style=style)
        console.print(shown)
        console.print(
            "[dim]only it: images that it calls rightly and LaZSL does not; only LaZSL: the other "
            f"way round; p: both equally often right (McNemar, exact). Intervals: {ASSUMED}[/]",
            highlight=False,
        )
        for name, reason in self.left_out.items():
            console.print(f"[dim]left out: {escape(name)}: {escape(reason)}[/]", highlight=False)
        if not self.confused:
            return
        pairs = Table("shown", "called", "images", "of", title="what LaZSL confuses most")
        for pair in self.confused[:SHOWN]:
            names = (escape(short(self.classes[c])) for c in (pair.truth, pair.called))
            pairs.add_row(*names, str(pair.images), str(pair.of))
        console.print(pairs)

    def to_markdown(self) -> str:
        """The table with its formulas, the hardest classes and the most confused pairs."""
        parts = [
            "## Methods",
            f"On {self.images:,} images of known classes, all from the same stored embeddings. "
            f"Intervals: {LEVEL:.0%}, {KIND}; {ASSUMED}. Only it: images "
            "that the method calls rightly and LaZSL does not; only "
            "LaZSL: the other way round; p: of both being right equally often (McNemar's exact "
            "paired test, each row by itself: among many rows, one may seem different by chance).",
            table(_HEADS, [_cells(one) for one in self.results]),
            *(f"Left out: {name}: {plain(reason)}." for name, reason in self.left_out.items()),
            "![top-1 of every method](methods.png)",
            table(
                ["method", "score of class c"],
                [[one.method.title, f"`{one.method.formula}`"] for one in self.results],
                text_columns=2,
            ),
            "## Classes",
            f"The classes that LaZSL finds hardest, of {self._shown_classes} that are shown: the "
            "part of their images that each method calls so, and LaZSL's precision, the part of "
            "what it calls so that is right.",
            table(
                ["class", "images", "LaZSL", "precision", *(o.method.title for o in self._others)],
                [self._class_cells(int(c)) for c in self.hardest[:SHOWN]],
            ),
            "![accuracy of every class](classes.png)",
            "## Confusions",
            "The pairs that LaZSL confuses most often."
            if self.confused
            else "LaZSL confuses no pair of classes.",
        ]
        if self.confused:
            pairs = [
                [short(self.classes[p.truth]), short(self.classes[p.called]), p.images, p.of]
                for p in self.confused[:SHOWN]
            ]
            parts += [
                table(["shown", "called", "images", "of"], pairs, text_columns=2),
                "![confused pairs](confusions.png)",
            ]
        return "\n\n".join(parts) + "\n"

    @cached_property
    def hardest(self) -> np.ndarray:
        """Classes that are shown, least accurate first, then in label set order."""
        accuracy = self.reference.classes.accuracy
        order: np.ndarray = np.argsort(accuracy, kind="stable")
        return order[: int((~np.isnan(accuracy)).sum())]  # NaN sorts last

    @property
    def _shown_classes(self) -> int:
        return len(self.hardest)

    @property
    def _others(self) -> list[Result]:
        wanted = ("dclip", "crop-mean")
        return [one for one in self.results if one.method.name in wanted]

    def _class_cells(self, c: int) -> list[object]:
        mine = self.reference.classes
        parts = [mine.accuracy[c], mine.precision[c]]
        parts += [one.classes.accuracy[c] for one in self._others]
        told = ("" if np.isnan(part) else f"{part:.0%}" for part in parts)
        return [short(self.classes[c]), int(mine.images[c]), *told]

    def write(self, folder: Path) -> list[Path]:
        """methods.png, classes.png and, where there are any, confusions.png."""
        from lazsl.evaluation.sections.comparison_plots import plot_comparison

        return plot_comparison(self, folder)


def compare(answers: Answers, methods: Sequence[Method], left_out: dict[str, str]) -> Comparison:
    """The comparison of methods that were asked about the same images.

    Args:
        answers: of all methods, LaZSL among them.
        methods: whose answers to compare, in the order of the table.
        left_out: why others were not asked, by name.

    Raises:
        UserError: no image shows a known class.
    """
    known = answers.truth >= 0
    if not known.any():
        raise UserError(
            f"none of the {len(known)} images with truth shows a class of the label set, so no "
            "method can be right; see that the truth names classes as the label set does"
        )
    classes = len(answers.classes)

    def result(method: Method) -> Result:
        right = answers.right(method.name)[known]
        lazsl = answers.right(REFERENCE)[known]
        itself = method.name == REFERENCE
        counts = per_class(answers.truth[known], answers.best[method.name][known, 0], classes)
        return Result(
            method,
            accuracy(right),
            accuracy(answers.right(method.name, 5)[known]),
            counts.mean_accuracy,
            None if itself else difference(right, lazsl),
            None if itself else mcnemar(right, lazsl),
            counts,
        )

    called = answers.best[REFERENCE][known, 0]
    return Comparison(
        int(known.sum()),
        answers.classes,
        tuple(map(result, methods)),
        left_out,
        confusions(answers.truth[known], called),
    )


_HEADS = ["method", "top-1", "95 %", "top-5", "only it", "only LaZSL", "p"]


def _cells(one: Result) -> list[str]:
    paired = one.paired
    test = ("", "", "")
    if paired is not None:
        test = (str(paired.only_this), str(paired.only_other), f"{paired.p_value:.1g}")
    return [
        one.method.title,
        f"{one.top1.value:.1%}",
        f"{100 * one.top1.low:.1f}–{100 * one.top1.high:.1f}",
        f"{one.top5.value:.1%}",
        *test,
    ]


def _result_json(one: Result) -> dict[str, Any]:
    return {
        "name": one.method.name,
        "title": one.method.title,
        "formula": one.method.formula,
        "top1": asdict(one.top1),
        "top5": asdict(one.top5),
        "mean_per_class": one.mean_per_class,
        "difference": None if one.difference is None else asdict(one.difference),
        "paired": None if one.paired is None else asdict(one.paired),
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
