"""A tree of labels: where the best class cannot be defended, its deepest parent that can.

The chance of a parent is the sum of the calibrated chances of the classes below it, among the
classes that are kept of an image; it never falls on the way up. Parents of every class say nothing
and are no label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tree:
    """The parents of classes.

    Attributes:
        nodes: (F,) names of parents.
        above: (C, L) int32, numbers of each class's parents, nearest first; -1 where there are no
            more.
    """

    nodes: tuple[str, ...]
    above: np.ndarray

    def shared(self, classes: np.ndarray, node: np.ndarray) -> np.ndarray:
        """Bool of the shape of both, whether a class lies below a node; never where either is -1.

        Args:
            classes: indices of classes, any shape.
            node: numbers of nodes, of a shape that broadcasts with it.
        """
        below = (self.above[classes] == node[..., None]).any(axis=-1)
        return np.asarray(below & (classes >= 0) & (node >= 0))


def make_tree(classes: Sequence[str], parents: Mapping[str, str]) -> Tree | None:
    """The tree of a label set; None where no parent tells classes apart."""
    chains = [_chain(label, parents) for label in classes]
    counts: dict[str, int] = {}
    for chain in chains:
        for node in chain:
            counts[node] = counts.get(node, 0) + 1
    chains = [[node for node in chain if counts[node] < len(classes)] for chain in chains]
    nodes = tuple(dict.fromkeys(node for chain in chains for node in chain))
    if not nodes:
        return None
    number = {node: place for place, node in enumerate(nodes)}
    above = np.full((len(classes), max(map(len, chains))), -1, np.int32)
    for row, chain in enumerate(chains):
        above[row, : len(chain)] = [number[node] for node in chain]
    return Tree(nodes, above)


def _chain(label: str, parents: Mapping[str, str]) -> list[str]:
    chain: list[str] = []
    while label in parents:
        label = parents[label]
        chain.append(label)
    return chain


def chances(top_scores: np.ndarray, temperature: float) -> np.ndarray:
    """(B, k) float64, the softmax of each image's best scores over a temperature; its first column
    is `confidence.confidence` before rounding."""
    scores = np.asarray(top_scores, np.float32).astype(np.float64)
    raised = np.exp((scores - scores[:, :1]) / temperature)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def chances_above(
    tree: Tree, best: np.ndarray, chance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The parents of each image's best class, (B, L) numbers, nearest first, -1 where there are no
    more; and the chance of each, (B, L) float64, 0 there.

    Args:
        tree: of the label set.
        best: (B, k) indices of classes, best first.
        chance: (B, k), theirs.
    """
    nodes = tree.above[best[:, 0]]
    below = np.stack(
        [tree.shared(best, np.broadcast_to(node[:, None], best.shape)) for node in nodes.T], axis=1
    )
    # Rounded as they are stored, so that a threshold taken from stored values parts images alike.
    sums = np.einsum("blk,bk->bl", below, chance).astype(np.float32)
    return nodes, sums.astype(np.float64)


def deepest(
    nodes: np.ndarray, chance: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Per image the deepest parent of at least this chance, (B,) its number or -1, and its level,
    (B,) int: 0 is the nearest parent.

    Args:
        nodes: (B, L), as `chances_above` gives them.
        chance: (B, L), likewise.
        threshold: of the chance.
    """
    defended = (nodes >= 0) & (chance >= threshold)
    level = defended.argmax(axis=1)
    rows = np.arange(len(nodes))
    return np.where(defended.any(axis=1), nodes[rows, level], -1), level
