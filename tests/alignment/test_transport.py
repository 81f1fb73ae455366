"""Sinkhorn against the reference loop and POT, at every epsilon, whoever shares the batch."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from torch import Tensor

from lazsl.alignment.transport import Transport, Workspace, sinkhorn


def problems(
    images: int, regions: int, attributes: int, classes: int, low: float, high: float, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Similarities, uniform from `low` to `high`, and which regions are kept, about half."""
    generator = torch.Generator().manual_seed(seed)
    shape = (images, regions, attributes, classes)
    similarity = low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)
    keep = torch.rand(images, regions, generator=generator) < 0.5
    keep[:, 0] = True
    return similarity.float(), keep


def plan_of(solved: Transport) -> Tensor:
    assert solved.plan is not None
    return solved.plan


def residual_of(solved: Transport) -> Tensor:
    assert solved.residual is not None
    return solved.residual


def pot_plan(similarity: Tensor, keep: Tensor, epsilon: float) -> Tensor:
    """POT's plan of one problem (M, n), by its log-stabilised solver in float64."""
    import ot  # here, as it takes every process that only collects tests two seconds

    cost = 1 - similarity[keep].double().numpy()
    u, v = (np.full(size, 1 / size) for size in cost.shape)
    plan = ot.sinkhorn(
        u, v, cost, epsilon, method="sinkhorn_log", numItermax=200_000, stopThr=1e-13, warn=False
    )
    return torch.from_numpy(plan)


@pytest.mark.parametrize("low, high", [(0.15, 0.35), (-0.1, 0.1), (0.6, 0.62), (-0.3, 0.9)])
def test_paper_rule_stops_where_the_reference_stops_with_its_plan(low: float, high: float) -> None:
    for epsilon in (0.05, 0.1, 0.3, 1.0):
        similarity, keep = problems(3, 12, 4, 6, low, high)
        solved = sinkhorn(similarity, keep, epsilon=epsilon, with_plan=True)
        for image in range(3):
            for c in range(6):
                rows = similarity[image, keep[image], :, c].double().numpy()
                expected = reference.paper_sinkhorn(rows, 12, epsilon)
                plan = plan_of(solved)[image, keep[image], :, c]
                assert int(solved.iterations[image, c]) == expected.iterations
                assert np.abs(plan.numpy() - expected.plan).max() < 2e-6
                assert abs(float(solved.scores[image, c]) - expected.score) < 1e-6


@pytest.mark.parametrize("epsilon", [0.003, 0.005, 0.01, 0.02])
def test_at_small_epsilon_the_paper_rule_gives_the_references_plan(epsilon: float) -> None:
    similarity, keep = problems(2, 12, 4, 3, 0.1, 0.4)
    solved = sinkhorn(similarity, keep, epsilon=epsilon, with_plan=True)
    for image in range(2):
        for c in range(3):
            rows = similarity[image, keep[image], :, c].double().numpy()
            expected = reference.paper_sinkhorn(rows, 12, epsilon)
            plan = plan_of(solved)[image, keep[image], :, c]
            assert np.abs(plan.numpy() - expected.plan).max() < 1e-9


@pytest.mark.parametrize("rule", ["paper", "converged"])
@pytest.mark.parametrize("epsilon", [0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0, 3.0, 10.0])
def test_every_epsilon_gives_finite_plans_with_the_right_marginals(rule, epsilon) -> None:
    similarity, keep = problems(4, 20, 5, 8, 0.1, 0.4, seed=1)
    solved = sinkhorn(similarity, keep, epsilon=epsilon, rule=rule, with_plan=True)
    plan = plan_of(solved).double()
    mass = keep / keep.sum(1, keepdim=True)
    assert plan.isfinite().all() and solved.scores.isfinite().all() and (plan >= 0).all()
    assert (plan.sum(1) - 1 / 5).abs().max() < 1e-6, "columns are exact by either rule"
    assert plan[~keep].abs().max() == 0, "a region that is not kept carries nothing"
    off = (plan.sum(2) - mass[:, :, None]).abs().amax(1)
    assert (off - residual_of(solved)).abs().max() < 1e-6, "the residual tells how far rows are off"
    if rule == "converged":
        assert off.max() < 1e-6


@pytest.mark.parametrize("epsilon", [0.01, 0.02, 0.05, 0.1, 0.5, 5.0])
def test_converged_plans_equal_pots(epsilon: float) -> None:
    for attributes in (1, 2, 7):
        similarity, keep = problems(3, 15, attributes, 4, 0.1, 0.4, seed=attributes)
        solved = sinkhorn(similarity, keep, epsilon=epsilon, rule="converged", with_plan=True)
        for image in range(3):
            for c in range(4):
                expected = pot_plan(similarity[image, :, :, c], keep[image], epsilon)
                plan = plan_of(solved)[image, keep[image], :, c]
                assert (plan - expected).abs().max() < 1e-6


def test_a_problem_does_not_notice_its_neighbours() -> None:
    """Bit for bit, though the neighbours run longer, or stop earlier, than it does."""
    for rule, epsilon in (("paper", 0.1), ("paper", 0.05), ("converged", 0.1)):
        calm, calm_keep = problems(2, 40, 5, 37, 0.2, 0.25, seed=2)
        wild, wild_keep = problems(2, 40, 5, 37, -0.9, 0.95, seed=3)
        both = sinkhorn(
            torch.cat([calm, wild]),
            torch.cat([calm_keep, wild_keep]),
            epsilon=epsilon,
            rule=rule,
            with_plan=True,
        )
        assert both.iterations.unique().numel() > 1, "or there would be nothing to notice"
        for index, (similarity, keep) in enumerate([(calm, calm_keep), (wild, wild_keep)]):
            single = slice(2 * index, 2 * index + 2)
            alone = sinkhorn(similarity, keep, epsilon=epsilon, rule=rule, with_plan=True)
            assert torch.equal(alone.scores, both.scores[single])
            assert torch.equal(alone.iterations, both.iterations[single])
            assert torch.equal(plan_of(alone), plan_of(both)[single])


@pytest.mark.parametrize("epsilon", [0.02, 0.1])
def test_a_problem_does_not_notice_its_place(epsilon: float) -> None:
    """Bit for bit: what a processor does with the rest of a row that fills no vector must not
    matter."""
    similarity, keep = problems(3, 13, 5, 37, 0.1, 0.4)
    whole = sinkhorn(similarity, keep, epsilon=epsilon)
    for first in range(37):
        solved = sinkhorn(similarity[..., first:], keep, epsilon=epsilon)
        assert torch.equal(solved.scores, whole.scores[:, first:])
    for image in range(3):
        alone = sinkhorn(similarity[image : image + 1], keep[image : image + 1], epsilon=epsilon)
        assert torch.equal(alone.scores[0], whole.scores[image])


@pytest.mark.parametrize("rows", [3, 9])
def test_rows_without_mass_change_nothing_once_the_count_is_said(rows: int) -> None:
    similarity, keep = problems(3, rows, 4, 21, 0.1, 0.4)
    keep[:2] = True
    longer = torch.cat([similarity, torch.full((3, 4, 4, 21), 0.7)], 1)
    keep_longer = torch.cat([keep, torch.zeros(3, 4, dtype=torch.bool)], 1)
    expected = sinkhorn(similarity, keep, epsilon=0.1)
    solved = sinkhorn(longer, keep_longer, epsilon=0.1, count=torch.full((3,), rows))
    assert torch.equal(solved.scores, expected.scores)
    assert torch.equal(solved.iterations, expected.iterations)


def test_the_paper_rule_averages_over_all_regions_of_the_image() -> None:
    """Regions without mass drop from 1 to 0 in the first update, and then they dilute the mean."""
    similarity = torch.full((1, 2, 3, 1), 1.0)
    keep = torch.tensor([[True, True]])
    # r goes from 1 to 1/2 / 3 and stays: a second update is needed to see it rest ...
    assert int(sinkhorn(similarity, keep, epsilon=1.0).iterations) == 2
    # ... unless the change is averaged away, which the drop from 1 to 0 prevents.
    many = sinkhorn(similarity, keep, epsilon=1.0, tolerance=0.9, count=torch.tensor([1000]))
    assert int(many.iterations) == 2
    assert int(sinkhorn(similarity, keep, epsilon=1.0, tolerance=0.9).iterations) == 1


def test_where_r_overflows_the_paper_rule_is_never_met_and_the_plan_is_still_right() -> None:
    similarity, keep = problems(1, 6, 3, 2, -0.9, -0.5)
    solved = sinkhorn(similarity, keep, epsilon=0.001, max_iterations=30, with_plan=True)
    assert (solved.iterations == 30).all()
    assert (plan_of(solved).sum(1) - 1 / 3).abs().max() < 1e-9


def test_a_single_attribute_takes_every_kept_region_equally() -> None:
    similarity, keep = problems(2, 10, 1, 3, -0.5, 0.9)
    solved = sinkhorn(similarity, keep, epsilon=0.1)
    mean = (similarity[:, :, 0] * keep[:, :, None]).sum(1) / keep.sum(1, keepdim=True)
    assert (solved.scores - mean).abs().max() < 1e-6


def test_the_problems_own_selection_may_differ_between_classes() -> None:
    similarity, keep = problems(1, 8, 3, 2, 0.1, 0.4)
    other = keep.clone()
    other[0, 1:4] ^= True
    both = sinkhorn(similarity, torch.stack([keep, other], 2), epsilon=0.1)
    for c, selection in enumerate([keep, other]):
        alone = sinkhorn(similarity[..., c : c + 1], selection, epsilon=0.1)
        assert torch.equal(alone.scores[:, 0], both.scores[:, c])


def test_a_used_workspace_changes_no_result_and_results_do_not_live_in_it() -> None:
    workspace = Workspace()
    large, small = problems(4, 30, 6, 50, -0.5, 0.9), problems(2, 7, 3, 5, 0.1, 0.4)
    first = sinkhorn(*small, epsilon=0.1, workspace=workspace, with_plan=True)
    plan, scores = plan_of(first).clone(), first.scores.clone()
    sinkhorn(*large, epsilon=0.1, workspace=workspace)
    assert torch.equal(plan_of(first), plan) and torch.equal(first.scores, scores)
    again = sinkhorn(*small, epsilon=0.1, workspace=workspace, with_plan=True)
    assert torch.equal(plan_of(again), plan)


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"epsilon": 0.0}, "epsilon must be above 0"),
        ({"epsilon": float("nan")}, "epsilon must be above 0"),
        ({"rule": "guess"}, "one of paper, converged, got 'guess'"),
        ({"max_iterations": 0}, "at least 1"),
        ({"tolerance": 0.0}, "tolerance must be above 0"),
        ({"keep": torch.zeros(2, 5, dtype=torch.bool)}, "no kept region"),
        ({"keep": torch.ones(5, 2, dtype=torch.bool)}, "keep must be"),
        ({"similarity": torch.zeros(2, 5, 0, 1)}, "similarity must be"),
    ],
)
def test_impossible_requests_are_refused_in_a_sentence(wrong, sentence) -> None:
    similarity, keep = problems(2, 5, 2, 3, 0.1, 0.4)
    request = {"similarity": similarity, "keep": keep, "epsilon": 0.1} | wrong
    with pytest.raises(ValueError, match=sentence):
        sinkhorn(**request)
