"""Claims about the methods of an evaluation: each is what a plain loop over its formula gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lazsl.alignment.align import select_regions
from lazsl.alignment.attributes import PackedAttributes
from lazsl.evaluation.compared_sentences import Sentences, unit
from lazsl.evaluation.methods import METHODS, Method, Views, method, methods_for, with_rule
from lazsl.settings import ScoringSettings

SIZES = (3, 1, 4, 3, 2)
IMAGES, REGIONS, DIMENSION = 7, 9, 16


def vectors(*shape: int, seed: int) -> torch.Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn + 0.7, dim=-1)


def world(padded: bool = False) -> tuple[Views, Sentences]:
    """Random unit vectors; with `padded`, some crops that do not count, different per image."""
    crops = vectors(IMAGES, REGIONS, DIMENSION, seed=0)
    whole = torch.nn.functional.normalize(crops.mean(1) + 0.1, dim=1)
    valid = None
    if padded:
        valid = torch.arange(REGIONS) < torch.arange(2, 2 + IMAGES)[:, None]
        crops = torch.where(valid[:, :, None], crops, torch.nan)
        crops = crops.nan_to_num(0.5)
    keep = select_regions(crops, whole, 0.0, valid)
    attributes = vectors(sum(SIZES), DIMENSION, seed=1)
    sentences = Sentences(
        classes=tuple("abcde"),
        names=vectors(len(SIZES), DIMENSION, seed=2),
        attributes=PackedAttributes.from_classes(attributes, SIZES),
        ensemble=vectors(len(SIZES), DIMENSION, seed=3),
        cupl=unit(vectors(len(SIZES), DIMENSION, seed=4)),
        left_out={},
        one_sided=ScoringSettings(aligner="one-sided", epsilon=0.05),
    )
    return Views(crops, whole, keep, valid), sentences


def plain_loop(
    name: str, views: Views, sentences: Sentences, settings: ScoringSettings
) -> np.ndarray:
    """The scores of a method by its formula, image by image, class by class, in NumPy and POT."""
    import ot  # here, as it takes every process that only collects tests two seconds

    numpy = {field: getattr(sentences, field) for field in ("names", "ensemble", "cupl")}
    names, ensemble, cupl = (numpy[field].double().numpy() for field in numpy)
    owned = np.split(sentences.attributes.embeddings.double().numpy(), np.cumsum(SIZES)[:-1])
    values = np.empty((IMAGES, len(SIZES)))
    for b in range(IMAGES):
        f0 = views.whole[b].double().numpy()
        crops = views.crops[b][views.every[b]].double().numpy()
        kept = views.crops[b][views.keep[b]].double().numpy()
        for c, t in enumerate(owned):
            if name == "clip":
                values[b, c] = f0 @ names[c]
            elif name == "clip-ensemble":
                values[b, c] = f0 @ ensemble[c]
            elif name == "cupl":
                values[b, c] = f0 @ cupl[c]
            elif name == "dclip":
                values[b, c] = np.mean([f0 @ text_vector for text_vector in t])
            elif name == "crop-mean":
                values[b, c] = np.mean([f @ text_vector for f in crops for text_vector in t])
            elif name == "region-weighted":
                weights = np.array([np.exp(f @ f0 / settings.epsilon) for f in crops])
                weights /= weights.sum()
                each = [[f @ text_vector for text_vector in t] for f in crops]
                values[b, c] = np.mean(weights @ np.array(each))
            elif name == "one-sided":
                similarity = np.concatenate([f0[None], crops]) @ t.T
                weights = np.exp(similarity / 0.05)
                values[b, c] = (weights * similarity / weights.sum(axis=0)).sum(axis=0).mean()
            else:
                theta = 1.0 if name.startswith("ot") else settings.theta
                f = crops if name == "ot-all" else kept
                similarity = theta * f @ t.T + (1 - theta) * (t @ f0)
                rows, columns = (np.full(n, 1 / n) for n in similarity.shape)
                plan = ot.sinkhorn(
                    rows, columns, 1 - similarity, settings.epsilon, stopThr=1e-12, numItermax=10000
                )
                values[b, c] = (plan * similarity).sum()
    return values


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_is_the_plain_loop_over_its_formula(method: Method, padded: bool) -> None:
    views, sentences = world(padded)
    settings = ScoringSettings(theta=0.7, epsilon=0.2)
    if method.name == "lazsl":  # the loop converges, the paper's rule stops early
        settings = ScoringSettings(theta=0.7, epsilon=0.2, tolerance=1e-9, max_iterations=10_000)
    if method.name.startswith("ot"):
        settings = settings.model_copy(update={"tolerance": 1e-9, "max_iterations": 10_000})
    scores = method.scores(views, sentences, settings)
    assert scores.dtype == torch.float32 and scores.shape == (IMAGES, len(SIZES))
    expected = plain_loop(method.name, views, sentences, settings)
    assert scores.numpy() == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_the_best_classes_are_those_of_all_scores_in_order(method: Method) -> None:
    views, sentences = world()
    settings = ScoringSettings()
    scores = method.scores(views, sentences, settings).numpy()
    top = method.top(views, sentences, settings, 3)
    for b in range(IMAGES):
        order = sorted(range(len(SIZES)), key=lambda c: (-scores[b, c], c))[:3]
        assert top.classes[b].tolist() == order
        # Reported scores are exact sums; those of all classes are float32 products.
        assert top.scores[b].numpy() == pytest.approx(scores[b, order], abs=1e-6)


def test_methods_differ_from_each_other() -> None:
    views, sentences = world()
    settings = ScoringSettings()
    actual = [method.scores(views, sentences, settings) for method in METHODS]
    for i, scores_of_method in enumerate(actual):
        for other in actual[:i]:
            assert (scores_of_method - other).abs().max() > 1e-6


def test_a_method_whose_sentences_are_missing_is_left_out() -> None:
    _, sentences = world()
    without = replace(sentences, cupl=None, left_out={"cupl": "no file"})
    assert [method.name for method in methods_for(without)] == [
        method.name for method in METHODS if method.name != "cupl"
    ]


@pytest.mark.parametrize("changes", [{"rule": "paper"}, {"rule": "converged"}])
def test_both_stopping_rules_are_asked_whatever_the_run_used(changes: dict[str, Any]) -> None:
    views, sentences = world()
    settings = ScoringSettings(**changes, theta=0.6)
    paper = method("lazsl").scores(views, sentences, settings)
    converged = method("lazsl-converged").scores(views, sentences, settings)
    other = ScoringSettings(theta=0.6)
    assert torch.equal(paper, method("lazsl").scores(views, sentences, other))
    assert torch.equal(converged, method("lazsl-converged").scores(views, sentences, other))
    assert not torch.equal(paper, converged)


def test_a_rule_keeps_the_limits_that_were_set_for_it() -> None:
    settings = ScoringSettings(tolerance=0.5, theta=0.1)
    assert with_rule(settings, "paper") is settings
    assert with_rule(settings, "converged").tolerance == ScoringSettings(rule="converged").tolerance
    assert with_rule(settings, "converged").theta == 0.1
