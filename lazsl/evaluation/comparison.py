"""One table of all methods: how right each is, how sure that is, and how it differs from LaZSL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lazsl.errors import UserError
from lazsl.evaluation.answers import Answers
from lazsl.evaluation.methods import REFERENCE, Method
from lazsl.evaluation.metrics import Confusion, McNemar, PerClass, confusions, mcnemar, per_class
from lazsl.intervals import ASSUMED, CLUSTERED, KIND, LEVEL, Interval, accuracy, difference


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
        assumes: what intervals and tests assume of the images.
    """

    images: int
    classes: tuple[str, ...]
    results: tuple[Result, ...]
    left_out: dict[str, str]
    confused: tuple[Confusion, ...]
    assumes: str = ASSUMED

    @cached_property
    def reference(self) -> Result:
        """LaZSL's."""
        return next(result for result in self.results if result.method.name == REFERENCE)

    def to_json(self) -> dict[str, Any]:
        """Every figure, per class too."""
        return {
            "images": self.images,
            "interval": {"kind": KIND, "level": LEVEL, "assumes": self.assumes},
            "methods": [_result_json(result) for result in self.results],
            "left_out": self.left_out,
            "classes": [
                {
                    "class": label,
                    "images": int(self.reference.classes.images[c]),
                    "precision": _number(self.reference.classes.precision[c]),
                    "accuracy": {
                        result.method.name: _number(result.classes.accuracy[c])
                        for result in self.results
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

    @cached_property
    def hardest(self) -> np.ndarray:
        """Classes that are shown, least accurate first, then in label set order."""
        accuracy = self.reference.classes.accuracy
        order: np.ndarray = np.argsort(accuracy, kind="stable")
        return order[: int((~np.isnan(accuracy)).sum())]  # NaN sorts last


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
    cluster = answers.clusters_of(known)

    def result(method: Method) -> Result:
        right = answers.right(method.name)[known]
        lazsl = answers.right(REFERENCE)[known]
        itself = method.name == REFERENCE
        counts = per_class(answers.truth[known], answers.best[method.name][known, 0], classes)
        return Result(
            method,
            accuracy(right, cluster),
            accuracy(answers.right(method.name, 5)[known], cluster),
            counts.mean_accuracy,
            None if itself else difference(right, lazsl, cluster),
            None if itself else mcnemar(right, lazsl, cluster),
            counts,
        )

    best = answers.best[REFERENCE][known, 0]
    return Comparison(
        int(known.sum()),
        answers.classes,
        tuple(map(result, methods)),
        left_out,
        confusions(answers.truth[known], best),
        ASSUMED if cluster is None else CLUSTERED,
    )


def _result_json(result: Result) -> dict[str, Any]:
    return {
        "name": result.method.name,
        "title": result.method.title,
        "formula": result.method.formula,
        "top1": asdict(result.top1),
        "top5": asdict(result.top5),
        "mean_per_class": result.mean_per_class,
        "difference": None if result.difference is None else asdict(result.difference),
        "paired": None if result.paired is None else asdict(result.paired),
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
