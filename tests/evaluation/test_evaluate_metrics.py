"""Claims about metrics: scikit-learn, scipy and plain loops say the same of random answers."""

from __future__ import annotations

from collections import Counter
from math import comb

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    precision_score,
    recall_score,
    top_k_accuracy_score,
)

from lazsl.evaluation.answers import Answers
from lazsl.evaluation.metrics import confusions, mcnemar, per_class

CLASSES = 12


def drawn(images: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth, and (B, C) scores in which the truth is a little ahead."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, CLASSES, images)
    scores = random.normal(0, 1, (images, CLASSES))
    scores[np.arange(images), truth] += 1.2
    return truth, scores


def answers(truth: np.ndarray, scores: np.ndarray) -> Answers:
    best = np.argsort(-scores, axis=1)
    names = tuple(str(i) for i in range(len(truth)))
    classes = tuple(f"class {c}" for c in range(CLASSES))
    return Answers(
        names, names, classes, truth, names, {"one": best}, {"one": -np.sort(-scores, axis=1)}
    )


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_top_k_accuracy_is_scikit_learns(depth: int) -> None:
    truth, scores = drawn()
    accuracy = answers(truth, scores).right("one", depth).mean()
    assert accuracy == pytest.approx(top_k_accuracy_score(truth, scores, k=depth))


def test_an_image_of_no_known_class_is_never_right() -> None:
    truth, scores = drawn()
    opened = np.where(np.arange(len(truth)) < 40, -1, truth)
    right = answers(opened, scores).right("one", 5)
    assert not right[:40].any()
    assert np.array_equal(right[40:], answers(truth, scores).right("one", 5)[40:])


def test_per_class_figures_are_scikit_learns() -> None:
    truth, scores = drawn()
    called = scores.argmax(axis=1)
    per_class_metrics = per_class(truth, called, CLASSES)
    assert per_class_metrics.accuracy == pytest.approx(recall_score(truth, called, average=None))
    assert per_class_metrics.precision == pytest.approx(
        precision_score(truth, called, average=None)
    )
    assert per_class_metrics.mean_accuracy == pytest.approx(balanced_accuracy_score(truth, called))
    assert per_class_metrics.right.sum() / len(truth) == pytest.approx(
        accuracy_score(truth, called)
    )


def test_classes_without_images_or_calls_have_no_figure() -> None:
    truth, called = np.array([0, 0, 2, -1]), np.array([0, 3, 2, 2])
    per_class_metrics = per_class(truth, called, 5)
    assert per_class_metrics.accuracy == pytest.approx(
        [0.5, np.nan, 1.0, np.nan, np.nan], nan_ok=True
    )
    assert per_class_metrics.precision == pytest.approx(
        [1.0, np.nan, 0.5, 0.0, np.nan], nan_ok=True
    )
    assert per_class_metrics.mean_accuracy == pytest.approx(0.75)


def test_confusions_are_the_confusion_matrix_off_its_diagonal() -> None:
    truth, scores = drawn()
    called = scores.argmax(axis=1)
    matrix = confusion_matrix(truth, called, labels=range(CLASSES))
    pairs = confusions(truth, called)
    again = np.zeros_like(matrix)
    for pair in pairs:
        again[pair.truth, pair.called] = pair.images
        assert pair.of == Counter(truth.tolist())[pair.truth]
    np.fill_diagonal(matrix, 0)
    assert np.array_equal(again, matrix)
    assert [pair.images for pair in pairs] == sorted((p.images for p in pairs), reverse=True)
    assert confusions(truth, truth) == ()


@pytest.mark.parametrize(
    ("ahead", "behind"), [(0, 0), (5, 0), (12, 1), (7, 9), (6, 38), (300, 280)]
)
def test_mcnemar_is_the_exact_sum_over_coin_tosses(ahead: int, behind: int) -> None:
    right = np.repeat([True, False, True, False], [ahead, behind, 40, 20])
    other = np.repeat([False, True, True, False], [ahead, behind, 40, 20])
    order = np.random.default_rng(0).permutation(len(right))
    test = mcnemar(right[order], other[order])
    assert (test.only_this, test.only_other) == (ahead, behind)
    n = ahead + behind
    chance = [comb(n, i) / 2**n for i in range(n + 1)]
    expected = sum(p for p in chance if p <= chance[ahead] * (1 + 1e-9))
    assert test.p_value == pytest.approx(expected)
