"""A tree of labels, proposed from the attributes that classes share; for a person to accept."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from lazsl.errors import UserError
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.text import folded

MOST = 4_000
"""Classes that are compared with one another, at most."""

_TRIED = 60
_SHARED = 0.75
"""Part of a group that has an attribute for the group to be named after it."""


def propose_parents(labels: LabelSet) -> LabelSet:
    """The label set with a parent for every class that is like others, one level of them.

    Classes are compared by their attributes, rare ones counting more (Jaccard, each attribute
    weighed by the logarithm of how few classes have it), grouped by average linkage, and cut where
    groups are most apart (the mean silhouette is largest). A class alone in its group has none.

    Raises:
        UserError: there are too few or too many classes, the label set has parents, or no two
            classes share an attribute.
    """
    if labels.parents:
        raise UserError("the label set has parents already; remove them to have others proposed")
    if not 3 <= len(labels) <= MOST:
        raise UserError(
            f"parents are proposed for 3 to {MOST:,} classes, but there are {len(labels):,}; "
            "write parents by hand"
        )
    distance = _distances(labels)
    if distance.min() >= 1 - 1e-9:
        raise UserError(
            "no two classes share an attribute, so that none is like another; write parents by hand"
        )
    groups = _best_cut(distance)
    parents: dict[str, str] = {}
    for number, members in enumerate(_members(groups), start=1):
        if len(members) > 1:
            name = _name(labels, members, number)
            parents |= {labels.classes[place]: name for place in members}
    return replace(labels, parents=parents)


def _distances(labels: LabelSet) -> np.ndarray:
    """Weighed Jaccard distances of all pairs, condensed."""
    sets = [{folded(text) for text in attributes} for attributes in labels.attributes]
    counts = Counter(text for texts in sets for text in texts)
    place = {text: number for number, text in enumerate(counts)}
    weights = np.array([np.log((1 + len(sets)) / count) for count in counts.values()])
    has = np.zeros((len(sets), len(place)), np.float32)
    for row, texts in enumerate(sets):
        has[row, [place[text] for text in texts]] = 1
    shared = (has * weights) @ has.T
    sizes = np.diag(shared)
    union = sizes[:, None] + sizes[None] - shared
    distance = 1 - np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    np.fill_diagonal(distance, 0)
    return np.asarray(squareform(np.clip((distance + distance.T) / 2, 0, 1), checks=False))


def _best_cut(distance: np.ndarray) -> np.ndarray:
    """The number of each class's group."""
    tree = linkage(distance, "average")
    square = squareform(distance)
    classes = len(square)
    tried = np.unique(np.geomspace(2, max(2, classes // 2), _TRIED).round().astype(int))
    cuts = [fcluster(tree, int(number), "maxclust") for number in tried]
    return max(cuts, key=lambda groups: _silhouette(square, groups))


def _silhouette(distance: np.ndarray, groups: np.ndarray) -> float:
    """Mean over classes of how much nearer their own group is than the next (Rousseeuw 1987); 0
    for a class alone."""
    numbers, group = np.unique(groups, return_inverse=True)
    if len(numbers) < 2:
        return -1.0
    member = np.eye(len(numbers), dtype=np.float32)[group]
    sizes = member.sum(axis=0)
    sums = distance @ member
    rows = np.arange(len(distance))
    inside = sums[rows, group] / np.maximum(sizes[group] - 1, 1)
    means = sums / sizes
    means[rows, group] = np.inf
    other = means.min(axis=1)
    values = np.where(
        sizes[group] > 1, (other - inside) / np.maximum(np.maximum(inside, other), 1e-9), 0
    )
    return float(values.mean())


def _members(groups: np.ndarray) -> list[list[int]]:
    """Places of classes by group, in the order of the label set."""
    members: dict[int, list[int]] = {}
    for place, number in enumerate(groups.tolist()):
        members.setdefault(number, []).append(place)
    return list(members.values())


def _name(labels: LabelSet, members: list[int], number: int) -> str:
    """`group 3 (webbed feet, a flat bill)`, by what most of its classes share."""
    counts = Counter(text for place in members for text in dict.fromkeys(labels.attributes[place]))
    everywhere = Counter(text for texts in labels.attributes for text in dict.fromkeys(texts))
    shared = [text for text, count in counts.items() if count >= _SHARED * len(members)]
    shared.sort(key=lambda text: (everywhere[text] / counts[text], -counts[text]))
    description = ", ".join(shared[:3]) or f"{labels.classes[members[0]]} and the like"
    return f"group {number} ({description})"
