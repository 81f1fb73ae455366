"""Claims about trees of labels: chances of parents are sums, and the deepest one that is sure
enough is the label."""

from __future__ import annotations

import numpy as np
import pytest

from lazsl.scoring.tree import chances, chances_above, deepest, make_tree

CLASSES = ("wren", "robin", "mallard", "teal", "oak")
PARENTS = {
    "wren": "songbird",
    "robin": "songbird",
    "mallard": "duck",
    "teal": "duck",
    "songbird": "bird",
    "duck": "bird",
    "bird": "thing",
    "oak": "thing",
}


def ancestors(label: str) -> list[str]:
    """Nearest first, without the one that all classes share."""
    actual = []
    while label in PARENTS:
        label = PARENTS[label]
        actual.append(label)
    return [node for node in actual if node != "thing"]


def test_parents_are_nearest_first_and_the_one_of_all_classes_is_left_out() -> None:
    tree = make_tree(CLASSES, PARENTS)
    assert tree is not None and "thing" not in tree.nodes
    for row, label in enumerate(CLASSES):
        names = [tree.nodes[node] for node in tree.above[row] if node >= 0]
        assert names == ancestors(label)


def test_without_a_parent_that_tells_classes_apart_there_is_no_tree() -> None:
    assert make_tree(CLASSES, {}) is None
    assert make_tree(("a", "b"), {"a": "x", "b": "x"}) is None


def test_the_chance_of_a_parent_is_the_sum_over_the_classes_below_it() -> None:
    chance_of = np.random.default_rng(1)
    tree = make_tree(CLASSES, PARENTS)
    assert tree is not None
    scores = -np.sort(-chance_of.normal(0.3, 0.02, (50, 4)).astype(np.float32), axis=1)
    best = np.stack([chance_of.permutation(5)[:4] for _ in range(50)])
    chance = chances(scores, 0.01)
    nodes, above = chances_above(tree, best, chance)
    for image in range(50):
        exact = np.exp(scores[image].astype(float) / 0.01)
        exact /= exact.sum()
        np.testing.assert_allclose(chance[image], exact, rtol=1e-9)
        names = ancestors(CLASSES[best[image, 0]])
        assert [tree.nodes[node] for node in nodes[image] if node >= 0] == names
        for level, name in enumerate(names):
            plain = sum(exact[k] for k in range(4) if name in ancestors(CLASSES[best[image, k]]))
            assert above[image, level] == pytest.approx(plain, rel=1e-6)
        assert (np.diff(above[image, : len(names)]) >= -1e-7).all()  # never less on the way up


def test_the_label_is_the_deepest_parent_above_the_threshold() -> None:
    tree = make_tree(CLASSES, PARENTS)
    assert tree is not None
    best = np.array([[0, 1, 2, 4], [0, 2, 1, 4], [0, 4, 2, 1], [4, 0, 1, 2]])
    chance = np.array(
        [[0.5, 0.45, 0.03, 0.02], [0.5, 0.4, 0.08, 0.02]] + [[0.4, 0.35, 0.15, 0.1]] * 2
    )
    node, _ = deepest(*chances_above(tree, best, chance), 0.9)
    names = [tree.nodes[number] if number >= 0 else None for number in node]
    assert names == ["songbird", "bird", None, None]
