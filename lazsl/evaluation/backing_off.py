"""What a tree of labels adds where the truth is known: the threshold of parents, and what it gives.

Classes keep the labels that their own threshold gives. Of the other images, each gets its best
class's deepest parent above a second threshold, chosen so that all labels together, classes and
parents, keep the promised precision by its lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lazsl.evaluation.calibration import lower_bound
from lazsl.intervals import effective_size
from lazsl.scoring.tree import Tree, chances, chances_above, deepest

_TRIED = 256
"""Thresholds tried, at most."""


@dataclass(frozen=True)
class Depth:
    """Labels of one level: 0 are classes, 1 their nearest parents, and so on."""

    level: int
    labelled: int
    right: int


@dataclass(frozen=True)
class BackingOff:
    """Labels from a tree.

    Attributes:
        threshold: chance of a parent from which it is a label.
        coverage: part of the images with a label, class or parent.
        precision: part of these labels that is right; a parent is where the truth lies below it.
        at_least: lower bound of that precision.
        depths: by level.
        severity: mean number of steps from a wrong class, as every image would get one, up to the
            first parent that it shares with the truth; None where no class is wrong.
        held_out_coverage: part labelled where thresholds were chosen on one half of the images and
            applied to the other, both ways.
        held_out_precision: of these labels; None where none was given.
    """

    threshold: float
    coverage: float
    precision: float
    at_least: float
    depths: tuple[Depth, ...]
    severity: float | None
    held_out_coverage: float
    held_out_precision: float | None

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**vars(self), "depths": [vars(depth) for depth in self.depths]}


@dataclass(frozen=True)
class Candidates:
    """Images with the parents of their best class.

    Attributes:
        nodes: (B, L) numbers of parents, nearest first; -1 where there are no more.
        chance: (B, L) theirs; negative where an image gets no label whatever the threshold.
        true: (B, L) bool, the truth lies below.
        class_right: (B,) bool, the best class is the truth.
        cluster: (B,) int, the number of each image's cluster of like images.
    """

    nodes: np.ndarray
    chance: np.ndarray
    true: np.ndarray
    class_right: np.ndarray
    cluster: np.ndarray

    @classmethod
    def of(
        cls,
        tree: Tree,
        best: np.ndarray,
        top_scores: np.ndarray,
        truth: np.ndarray,
        temperature: float,
        cluster: np.ndarray | None = None,
    ) -> Candidates:
        """Of stored scores and classes (B, k), the truth's index (B,), -1 where the label set lacks
        it, the temperature, and the clusters, where images are not each one by itself."""
        nodes, chance = chances_above(tree, best, chances(top_scores, temperature))
        true = tree.shared(np.broadcast_to(truth[:, None], nodes.shape), nodes)
        cluster = np.arange(len(truth)) if cluster is None else cluster
        return cls(nodes, chance, true, (best[:, 0] == truth) & (truth >= 0), cluster)

    def subset(self, rows: np.ndarray) -> Candidates:
        """These rows."""
        return Candidates(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def labels(self, by_class: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """(B,) level of each label, -1 where there is none, and whether it is right.

        Args:
            by_class: (B,) bool, images whose class is the label.
            threshold: of the parents of the others.
        """
        node, level = deepest(self.nodes, self.chance, threshold)
        given = np.where(by_class, 0, np.where(node >= 0, level + 1, -1))
        right = np.where(by_class, self.class_right, self.true[np.arange(len(node)), level])
        return given, right & (given >= 0)


def fit_threshold(images: Candidates, by_class: np.ndarray, precision: float) -> float | None:
    """The threshold of parents with the most labels whose precision, of classes and parents
    together, is promised; None where no parent can be added."""
    values = np.unique(images.chance[~by_class][images.nodes[~by_class] >= 0])
    values = values[values >= 0]
    if len(values) > _TRIED:
        values = np.quantile(values, np.linspace(0, 1, _TRIED), method="nearest")
    counts = [_counts(images, *images.labels(by_class, float(value))) for value in values]
    labelled, correct, size = np.array(counts).reshape(-1, 3).T
    kept = (labelled > by_class.sum()) & (lower_bound(correct, labelled, size) >= precision)
    if not kept.any():
        return None
    return float(values[np.where(kept, labelled, -1).argmax()])


def _counts(images: Candidates, given: np.ndarray, right: np.ndarray) -> tuple[float, float, float]:
    """Labels, right ones, and how many independent images they are worth."""
    labelled = given >= 0
    size = effective_size(images.cluster[labelled]) if labelled.any() else 1.0
    return float(labelled.sum()), float(right.sum()), size


def measure_backing_off(
    images: Candidates,
    by_class: np.ndarray,
    precision: float,
    halves: tuple[tuple[np.ndarray, Candidates, np.ndarray], ...],
) -> BackingOff | None:
    """What a tree gives; None where no parent can be added to the classes' labels.

    Args:
        images: all of them.
        by_class: (B,) bool, images whose class is the label.
        precision: to promise.
        halves: for each half of the images its mask, and all images at the temperature and the
            class threshold of the other half.
    """
    threshold = fit_threshold(images, by_class, precision)
    if threshold is None:
        return None
    given, right = images.labels(by_class, threshold)
    labelled, correct, size = _counts(images, given, right)
    out = out_right = 0
    for half, crossed, classes in halves:
        fitted = fit_threshold(crossed.subset(~half), classes[~half], precision)
        half_images = crossed.subset(half)
        levels, hits = half_images.labels(classes[half], np.inf if fitted is None else fitted)
        out += int((levels >= 0).sum())
        out_right += int(hits.sum())
    return BackingOff(
        threshold,
        labelled / len(given),
        correct / labelled,
        float(lower_bound(*(np.array([value]) for value in (correct, labelled, size)))[0]),
        tuple(
            Depth(level, int((given == level).sum()), int(right[given == level].sum()))
            for level in range(int(given.max()) + 1)
        ),
        _severity(images),
        out / len(given),
        out_right / out if out else None,
    )


def _severity(images: Candidates) -> float | None:
    wrong = ~images.class_right
    if not wrong.any():
        return None
    levels = images.nodes.shape[1]
    first = np.where(images.true.any(axis=1), images.true.argmax(axis=1), levels)
    return float(first[wrong].mean() + 1)
