"""Claims about labels that are parents: all labels together keep the promise, also elsewhere."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lazsl.evaluation.backing_off import Candidates, fit_threshold
from lazsl.evaluation.calibration import lower_bound
from lazsl.evaluation.fitting import FLOOR
from lazsl.evaluation.sections.trust_section import TrustSection, usable_presence
from lazsl.evaluation.trust_measurement import measure_trust
from lazsl.scoring.confidence import confidence
from lazsl.scoring.tree import Tree, make_tree

SPECIES = tuple(f"species {i}" for i in range(24))
PARENTS = {name: f"family {i // 4}" for i, name in enumerate(SPECIES)}


def drawn(seed: int, images: int = 1200, blur: float = 0.035) -> tuple[np.ndarray, ...]:
    """Best scores and classes (B, 8) and the truth of images whose family is plainer than their
    species: scores are a family's share plus a species' share plus noise."""
    chance = np.random.default_rng(seed)
    truth = chance.integers(0, 24, images)
    family = np.arange(24) // 4
    scores = 0.2 + 0.12 * (family[None] == family[truth][:, None])
    scores = scores + 0.05 * (np.arange(24)[None] == truth[:, None])
    scores = scores + chance.normal(0, blur, scores.shape)
    best = np.argsort(-scores, axis=1)[:, :8]
    top = np.take_along_axis(scores, best, axis=1).astype(np.float32)
    return top, best, truth


def tree() -> Tree:
    made = make_tree(SPECIES, PARENTS)
    assert made is not None
    return made


def test_parents_label_what_classes_cannot_and_keep_the_promise() -> None:
    top, best, truth = drawn(1)
    right = best[:, 0] == truth
    trust = measure_trust(
        top, right, np.ones(len(truth), bool), 0.95, tree=tree(), best=best, truth=truth
    )
    more = trust.backing_off
    assert more is not None
    alone = trust.coverage_at_threshold or 0.0
    assert alone < 0.6 and more.coverage > 0.9  # nearly all are labelled, most by their family
    assert more.at_least >= 0.95
    assert more.held_out_precision is not None and more.held_out_precision >= 0.93
    # By a plain loop over images, with the thresholds that were found:
    sure = confidence(top, trust.temperature)
    labelled = correct = 0
    for i in range(len(truth)):
        exact = np.exp(top[i].astype(float) / trust.temperature)
        exact /= exact.sum()
        of_family = sum(exact[k] for k in range(8) if best[i, k] // 4 == best[i, 0] // 4)
        if trust.threshold is not None and sure[i] >= trust.threshold:
            labelled, correct = labelled + 1, correct + int(right[i])
        elif of_family >= more.threshold - 1e-6:  # up to rounding
            labelled, correct = labelled + 1, correct + int(truth[i] // 4 == best[i, 0] // 4)
    assert more.coverage == pytest.approx(labelled / len(truth))
    assert more.precision == pytest.approx(correct / labelled)
    assert sum(depth.labelled for depth in more.depths) == labelled


def test_promises_hold_on_draws_that_chose_nothing() -> None:
    kept = 0
    for seed in range(20):
        top, best, truth = drawn(seed, 600)
        trust = measure_trust(
            top, best[:, 0] == truth, np.ones(600, bool), 0.95, tree=tree(), best=best, truth=truth
        )
        assert trust.backing_off is not None
        other_top, other_best, other_truth = drawn(1000 + seed, 600)
        images = Candidates.of(tree(), other_best, other_top, other_truth, trust.temperature)
        threshold = np.inf if trust.threshold is None else trust.threshold
        by_class = confidence(other_top, trust.temperature) >= threshold
        given, right = images.labels(by_class, trust.backing_off.threshold)
        kept += right.sum() / (given >= 0).sum() >= 0.95
    assert kept >= 17


def test_where_no_parent_can_be_promised_there_is_none() -> None:
    images = Candidates(
        np.zeros((40, 1), int),
        np.full((40, 1), 0.9),
        np.zeros((40, 1), bool),
        np.ones(40, bool),
        np.arange(40),
    )
    assert fit_threshold(images, np.zeros(40, bool), 0.95) is None
    right = replace(images, true=np.ones((40, 1), bool))
    assert lower_bound(np.array([40]), np.array([40]))[0] < 0.95  # forty are too few to be sure
    assert fit_threshold(right, np.zeros(40, bool), 0.95) is None
    assert fit_threshold(right, np.zeros(40, bool), 0.9) == 0.9
    pairs = replace(right, cluster=np.arange(40) // 2)  # like images count as one: twenty
    assert fit_threshold(pairs, np.zeros(40, bool), 0.9) is None
    assert fit_threshold(pairs, np.zeros(40, bool), 0.85) == 0.9


def test_in_an_open_archive_thresholds_are_put_on_confidence_times_presence() -> None:
    """Pictures of nothing known are sure of themselves; only presence and the floor tell."""
    top, best, truth = drawn(3)
    chance = np.random.default_rng(9)
    strange = chance.random(len(truth)) < 0.4
    top[strange] -= 0.15  # of a foreign world: no class is like it, but one is ahead
    top[strange, 0] += 0.12
    known = ~strange
    right = (best[:, 0] == truth) & known
    presence = np.where(
        known, chance.uniform(0.6, 1.0, len(truth)), chance.uniform(0, 0.5, len(truth))
    )
    plain = measure_trust(top, right, known, 0.9)
    opened = measure_trust(top, right, known, 0.9, presence=presence, floored=True)
    assert opened.abstain_by == "presence" and plain.abstain_by is None
    assert (opened.coverage_at_threshold or 0) > (plain.coverage_at_threshold or 0)
    assert opened.floor == np.sort(top[known, 0])[int(FLOOR * (known.sum() - 1))]
    held = confidence(top, opened.temperature) * presence * (top[:, 0] >= opened.floor)
    labelled = held >= (opened.threshold or 1)
    assert labelled[strange].mean() <= 0.05
    assert opened.auroc_scores["presence"] == 1.0
    assert plain.floor is None


def test_presence_is_left_out_where_it_tells_less_than_the_best_score_and_that_is_said() -> None:
    known = np.arange(100) < 60
    score = np.where(known, 0.3, 0.2) + np.random.default_rng(1).normal(0, 0.03, 100)
    good, bad = np.where(known, 0.9, 0.1), np.random.default_rng(2).random(100)
    assert usable_presence(good, score, known) == (good, "")
    without, reason = usable_presence(bad, score, known)
    assert without is None and "less well than the best score" in reason
    assert usable_presence(bad, score, np.ones(100, bool)) == (bad, "")  # nobody can tell
    for nothing in (None, np.ones(100)):
        without, reason = usable_presence(nothing, score, known)
        assert without is None and "one-sided plans, and attributes that have rivals" in reason
    top, best, _ = drawn(3)
    trust = measure_trust(top, best[:, 0] > 3, best[:, 0] < 20, 0.9, floored=True)
    run: Any = SimpleNamespace(key="run")
    section = TrustSection(run, trust, "", without_presence=reason)
    assert reason in section.to_markdown()


def test_evaluate_says_over_how_many_classes_chances_of_parents_are_summed() -> None:
    top, best, truth = drawn(4)
    tree = make_tree(SPECIES, PARENTS)
    known = np.ones(len(truth), bool)
    right = best[:, 0] == truth
    trust = measure_trust(top, right, known, 0.9, tree=tree, best=best, truth=truth)
    run: Any = SimpleNamespace(key="run")
    assert "summed over the 8 classes kept" in TrustSection(run, trust, "").to_markdown()
