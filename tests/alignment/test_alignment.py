"""Scores of whole label sets against the reference loop, however the work is batched and split."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import pytest
import reference
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from lazsl.alignment import attributes as packing
from lazsl.alignment import image_batches, matching
from lazsl.alignment.align import (
    class_scores,
    crop_mean_scores,
    dclip_scores,
    select_regions,
    top_classes,
)
from lazsl.alignment.attributes import PackedAttributes
from lazsl.alignment.int8 import eight_bits_pay
from lazsl.alignment.matching import Settings
from lazsl.alignment.plans import plans_for, similarities_for, top_plans

pytestmark = pytest.mark.usefixtures("one_thread")


class World(NamedTuple):
    """Random unit embeddings; `spread` 0 makes all alike, 1 leaves nothing in common."""

    regions: Tensor
    whole: Tensor
    attributes: Tensor
    sizes: Tensor
    packed: PackedAttributes

    def of(self, c: int) -> np.ndarray:
        """The class's attributes, float64."""
        return self.attributes.split(self.sizes.tolist())[c].double().numpy()


def world(
    images: int, regions: int, classes: int, dimension: int, spread: float, seed: int
) -> World:
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(dimension, generator=generator)

    def unit(*shape: int) -> Tensor:
        noise = torch.randn(*shape, dimension, generator=generator)
        return torch.nn.functional.normalize((1 - spread) * common + spread * noise, dim=-1)

    sizes = torch.randint(1, 12, (classes,), generator=generator)
    sizes[0] = 1
    attributes = unit(int(sizes.sum()))
    packed = PackedAttributes.from_classes(attributes, sizes)
    return World(unit(images, regions), unit(images), attributes, sizes, packed)


def expected_scores(w: World, **settings: float) -> np.ndarray:
    return np.array(
        [
            [
                reference.align(f.double().numpy(), f0.double().numpy(), w.of(c), **settings).score
                for c in range(len(w.sizes))
            ]
            for f, f0 in zip(w.regions, w.whole, strict=True)
        ]
    )


@pytest.mark.parametrize(
    "spread, dimension, theta, epsilon, gamma",
    [
        (0.5, 64, 0.8, 0.1, 0.0),  # as published
        (1.0, 4, 0.8, 0.1, 0.0),  # similarities from -1 to 1
        (0.02, 64, 0.8, 0.1, 0.0),  # similarities within 0.001
        (0.0, 16, 0.8, 0.1, 0.0),  # identical regions, identical attributes
        (0.5, 64, 1.0, 0.05, 0.0),  # without the global mix
        (0.5, 64, 0.0, 0.1, 0.0),  # without the regions
        (0.8, 16, 0.8, 0.02, -2.0),  # every region kept
        (0.8, 16, 0.8, 1.0, 2.0),  # one region kept
        (1.0, 3, 0.5, 0.3, 0.1),  # few regions kept
    ],
)
def test_scores_equal_the_reference_loop(spread, dimension, theta, epsilon, gamma) -> None:
    """9 x 120 problems of 1 to 11 attributes and 1 to 12 regions."""
    for seed, regions in enumerate((1, 7, 12)):
        w = world(2, regions, 20, dimension, spread, seed)
        keep = select_regions(w.regions, w.whole, gamma)
        scores = class_scores(w.regions, w.whole, keep, w.packed, theta=theta, epsilon=epsilon)
        expected = expected_scores(w, theta=theta, epsilon=epsilon, gamma=gamma)
        assert scores.shape == expected.shape
        assert np.abs(scores.numpy() - expected).max() < 1e-6
        if spread:
            assert (scores.argmax(1).numpy() == expected.argmax(1)).all()


def test_selection_is_the_references_and_always_keeps_one() -> None:
    for seed, gamma in enumerate((-2.0, -0.05, 0.0, 0.02, 0.3, 2.0)):
        w = world(6, 15, 2, 8, 0.7, seed)
        keep = select_regions(w.regions, w.whole, gamma)
        for image in range(6):
            expected = reference.kept_regions(
                w.regions[image].double().numpy(), w.whole[image].double().numpy(), gamma
            )
            assert keep[image].nonzero()[:, 0].tolist() == expected


def test_regions_exactly_at_the_mean_are_kept_whatever_its_rounding() -> None:
    w = world(50, 1, 2, 512, 1.0, 0)
    for copies in (3, 7, 90):
        assert select_regions(w.regions.expand(50, copies, 512), w.whole).all()


def test_padding_regions_change_nothing() -> None:
    """Whatever they hold. The paper's mean runs over real regions only."""
    w = world(3, 10, 30, 32, 0.5, 0)
    padded = torch.cat([w.regions, torch.full((3, 5, 32), torch.nan)], 1)
    valid = torch.arange(15).expand(3, 15) < 10
    keep = select_regions(w.regions, w.whole)
    keep_padded = select_regions(padded, w.whole, valid=valid)
    assert torch.equal(keep_padded[:, :10], keep) and not keep_padded[:, 10:].any()
    for epsilon in (0.1, 1.0):
        expected = class_scores(w.regions, w.whole, keep, w.packed, epsilon=epsilon)
        scores = class_scores(padded, w.whole, keep_padded, w.packed, valid, epsilon=epsilon)
        assert torch.equal(scores, expected)
    expected = crop_mean_scores(w.regions, w.packed)
    assert (crop_mean_scores(padded, w.packed, valid) - expected).abs().max() < 1e-7


def test_images_may_have_unequal_numbers_of_regions() -> None:
    w = world(4, 12, 30, 32, 0.5, 15)
    counts = [12, 1, 7, 3]
    valid = torch.arange(12) < torch.tensor(counts)[:, None]
    regions = w.regions.masked_fill(~valid[:, :, None], torch.nan)
    keep = select_regions(regions, w.whole, -2.0, valid)
    assert keep.sum(1).tolist() == counts
    scores = class_scores(regions, w.whole, keep, w.packed, valid)
    top = top_classes(regions, w.whole, keep, w.packed, valid, k=3)
    for image, count in enumerate(counts):
        single = slice(image, image + 1)
        subset = (w.regions[single, :count], w.whole[single], keep[single, :count], w.packed)
        assert (scores[single] - class_scores(*subset)).abs().max() < 1e-7
        assert torch.equal(top.classes[single], top_classes(*subset, k=3).classes)


@pytest.mark.parametrize("epsilon", [0.005, 0.02, 0.1])
def test_an_images_scores_do_not_depend_on_its_batch(epsilon: float) -> None:
    w = world(23, 30, 80, 64, 0.5, 1)
    keep = select_regions(w.regions, w.whole)
    scores = class_scores(w.regions, w.whole, keep, w.packed, epsilon=epsilon)
    for subset in ([0], [5, 9], [22, 3, 11], list(range(10))):
        alone = class_scores(
            w.regions[subset], w.whole[subset], keep[subset], w.packed, epsilon=epsilon
        )
        assert (alone - scores[subset]).abs().max() < 1e-7
    assert torch.equal(keep[:4], select_regions(w.regions[:4], w.whole[:4]))


def test_the_number_of_threads_changes_no_score() -> None:
    w = world(12, 30, 80, 64, 0.5, 14)
    keep = select_regions(w.regions, w.whole)
    expected = class_scores(w.regions, w.whole, keep, w.packed)
    torch.set_num_threads(3)
    scores = class_scores(w.regions, w.whole, keep, w.packed)
    assert (scores - expected).abs().max() < 1e-7


def test_the_memory_bound_changes_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    w = world(20, 30, 80, 64, 0.5, 2)
    keep = select_regions(w.regions, w.whole)
    expected = class_scores(w.regions, w.whole, keep, w.packed)
    for memory in (1, 2**20, 2**24, 2**40):
        scores = class_scores(w.regions, w.whole, keep, w.packed, memory_bytes=memory)
        assert (scores - expected).abs().max() < 1e-7
    monkeypatch.setattr(packing, "_BLOCK", 20)  # many blocks per size, as in a huge label set
    blocks = PackedAttributes.from_classes(w.attributes, w.sizes)
    assert len(blocks.blocks) > len(w.packed.blocks)
    scores = class_scores(w.regions, w.whole, keep, blocks)
    assert (scores - expected).abs().max() < 1e-7


@pytest.mark.parametrize("epsilon", [0.005, 0.1])
@pytest.mark.parametrize("task", ["all", "top"])
def test_scoring_stays_within_its_memory(task, epsilon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_batches, "_CACHE_BYTES", 2**40)  # the bound alone decides
    eight_bits_pay()  # is measured once in a process, on some megabytes
    w = world(80 if task == "all" else 12, 16, 200, 16, 0.5, 3)
    keep = select_regions(w.regions, w.whole)
    given = (w.regions, w.whole, keep, w.packed)
    peaks = []
    for bound in (2**20, 2**40):
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            settings = Settings(epsilon=epsilon, memory_bytes=bound, max_iterations=3)
            if task == "all":
                class_scores(*given, **settings)
            else:
                top_classes(*given, k=3, **settings)
        peaks.append(peak_bytes(profiled))
    assert peaks[0] < 2**20 < 2**21 < peaks[1], "without a bound it takes more than twice as much"


def peak_bytes(profiled: profile) -> int:
    """The most that tensors held at a time, from every allocation and release."""
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(itertools.accumulate(event.nbytes() for event in events))


@pytest.mark.parametrize("k", [1, 5, 500])
@pytest.mark.parametrize("spread", [0.3, 0.9])
def test_skipping_classes_by_the_bound_changes_nothing(k: int, spread: float) -> None:
    w = world(12, 25, 120, 32, spread, 4)
    keep = select_regions(w.regions, w.whole)
    skipped = top_classes(w.regions, w.whole, keep, w.packed, k=k)
    full = top_classes(w.regions, w.whole, keep, w.packed, k=k, skip=False)
    assert skipped.classes.shape == (12, min(k, 120))
    assert torch.equal(skipped.classes, full.classes)
    assert torch.equal(skipped.scores, full.scores)


def test_skipping_solves_few_classes_where_few_can_win(monkeypatch: pytest.MonkeyPatch) -> None:
    w = world(4, 25, 400, 256, 0.9, 5)
    solved = []
    sinkhorn = matching.sinkhorn

    def counting(similarity: Tensor, *args, **kwargs):
        solved.append(similarity.shape[0] * similarity.shape[3])
        return sinkhorn(similarity, *args, **kwargs)

    monkeypatch.setattr(matching, "sinkhorn", counting)
    # Images that show one class's attributes: that class stands out.
    shown = w.attributes.split(w.sizes.tolist())
    whole = torch.stack([torch.nn.functional.normalize(shown[c].sum(0), dim=0) for c in range(4)])
    regions = torch.nn.functional.normalize(whole[:, None] + 0.3 * w.regions, dim=2)
    keep = select_regions(regions, whole)
    top = top_classes(regions, whole, keep, w.packed, k=1)
    assert top.classes[:, 0].tolist() == [0, 1, 2, 3]
    assert sum(solved) < 0.2 * 4 * 400


def test_equal_scores_are_won_by_the_lower_class_index() -> None:
    w = world(3, 12, 6, 32, 0.5, 6)
    # The same attributes under four names, between others of other sizes.
    three, two = w.attributes[:3], w.attributes[3:5]
    packed = PackedAttributes.from_classes(
        torch.cat([two, three, two, three, three, three]), [2, 3, 2, 3, 3, 3]
    )
    keep = select_regions(w.regions, w.whole)
    for skip in (True, False):
        top = top_classes(w.regions, w.whole, keep, packed, k=6, skip=skip)
        for order in top.classes.tolist():
            assert [c for c in order if c in (1, 3, 4, 5)] == [1, 3, 4, 5]
            assert [c for c in order if c in (0, 2)] == [0, 2]


@pytest.mark.parametrize(
    "settings",
    [{}, {"epsilon": 0.02}, {"rule": "converged"}, {"theta": 1.0, "epsilon": 0.5}],
    ids=str,
)
def test_plans_give_the_scores_they_explain(settings) -> None:
    w = world(7, 20, 40, 48, 0.5, 7)
    keep = select_regions(w.regions, w.whole)
    scores = class_scores(w.regions, w.whole, keep, w.packed, **settings)
    classes = torch.stack([torch.randperm(40)[:3] for _ in range(7)])
    plans = plans_for(w.regions, w.whole, keep, w.packed, classes, **settings)
    assert torch.equal(plans.sizes, w.sizes[classes])
    assert (plans.scores - scores.gather(1, classes)).abs().max() < 1e-6
    for image in range(7):
        for rank in range(3):
            plan, similarity = plans.of(image, rank)
            assert plan.shape == (int(keep[image].sum()), int(plans.sizes[image, rank]))
            contributions = (plan * similarity).sum()
            assert abs(float(contributions - plans.scores[image, rank])) < 1e-6
            off = float((plan.sum(1) - 1 / len(plan)).abs().max())
            assert abs(off - float(plans.residual[image, rank])) < 1e-6
    assert plans.plan[~keep[:, None].expand(7, 3, 20)].abs().max() == 0


def test_plans_similarities_and_iterations_are_the_references() -> None:
    w = world(4, 14, 10, 32, 0.5, 8)
    keep = select_regions(w.regions, w.whole)
    classes = torch.arange(10).expand(4, 10)
    plans = plans_for(w.regions, w.whole, keep, w.packed, classes)
    for image in range(4):
        for c in range(10):
            expected = reference.align(
                w.regions[image].double().numpy(), w.whole[image].double().numpy(), w.of(c)
            )
            plan, similarity = plans.of(image, c)
            assert np.abs(plan.numpy() - expected.plan).max() < 1e-6
            assert np.abs(similarity.numpy() - expected.similarity).max() < 1e-6
            assert int(plans.iterations[image, c]) == expected.iterations


@pytest.mark.parametrize("classes", [3, 10, 11])
def test_plans_of_the_best_classes_are_the_same_whether_classes_are_few_or_many(classes) -> None:
    w = world(6, 20, classes, 64, 0.5, 4)
    keep = select_regions(w.regions, w.whole)
    best, plans = top_plans(w.regions, w.whole, keep, w.packed, 5)
    assert torch.equal(best, top_classes(w.regions, w.whole, keep, w.packed, k=5).classes)
    expected = plans_for(w.regions, w.whole, keep, w.packed, best)
    for name in ("sizes", "scores", "iterations", "residual"):
        assert torch.equal(getattr(plans, name), getattr(expected, name))
    for image in range(6):
        for rank in range(best.shape[1]):
            for actual, wanted in zip(plans.of(image, rank), expected.of(image, rank), strict=True):
                assert torch.equal(actual, wanted)


def test_similarities_alone_are_those_of_the_plans_to_the_last_bit() -> None:
    w = world(5, 40, 30, 64, 0.5, 3)
    keep = select_regions(w.regions, w.whole)
    classes = torch.tensor([[0, 7, 29], [1, 2, 3], [9, 9, 0], [4, 28, 5], [12, 0, 1]])
    plans = plans_for(w.regions, w.whole, keep, w.packed, classes)
    alone = similarities_for(w.regions, w.whole, keep, w.packed, classes)
    assert torch.equal(alone, plans.similarity)
    assert int((alone != 0).sum()) > 1000
    assert similarities_for(w.regions, w.whole, keep, w.packed, classes[:, :0]).numel() == 0


def test_baselines_equal_plain_loops() -> None:
    w = world(3, 6, 12, 16, 0.6, 9)
    dclip, crops = dclip_scores(w.whole, w.packed), crop_mean_scores(w.regions, w.packed)
    keep = torch.ones(3, 6, dtype=torch.bool)
    ungrouped = class_scores(w.regions, w.whole, keep, w.packed, theta=0.0)
    for image in range(3):
        f0 = w.whole[image].double().numpy()
        for c in range(12):
            attributes = w.of(c)
            mean = sum(float(f0 @ t) for t in attributes) / len(attributes)
            assert abs(float(dclip[image, c]) - mean) < 1e-6
            # Theta = 0 leaves nothing to transport: LaZSL is then DCLIP.
            assert abs(float(ungrouped[image, c]) - mean) < 1e-6
            total = sum(float(f.double().numpy() @ t) for f in w.regions[image] for t in attributes)
            assert abs(float(crops[image, c]) - total / 6 / len(attributes)) < 1e-6


def test_half_precision_embeddings_score_as_their_float32_copies() -> None:
    w = world(4, 12, 20, 64, 0.5, 10)
    regions, whole = w.regions.half(), w.whole.half()
    keep = select_regions(regions, whole)
    assert torch.equal(keep, select_regions(regions.float(), whole.float()))
    scores = class_scores(regions, whole, keep, w.packed)
    assert torch.equal(scores, class_scores(regions.float(), whole.float(), keep, w.packed))


def test_no_images_give_no_scores() -> None:
    w = world(2, 5, 7, 16, 0.5, 11)
    keep = select_regions(w.regions[:0], w.whole[:0])
    assert class_scores(w.regions[:0], w.whole[:0], keep, w.packed).shape == (0, 7)
    assert top_classes(w.regions[:0], w.whole[:0], keep, w.packed, k=3).classes.shape == (0, 3)


def test_without_onednn_the_scores_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    w = world(5, 20, 30, 64, 0.5, 12)
    keep = select_regions(w.regions, w.whole)
    expected = class_scores(w.regions, w.whole, keep, w.packed)
    monkeypatch.setattr(packing, "has_onednn", lambda: False)
    plain = PackedAttributes.from_classes(w.attributes, w.sizes)
    scores = class_scores(w.regions, w.whole, keep, plain)
    assert (scores - expected).abs().max() < 1e-6
    for image in range(5):
        single = slice(image, image + 1)
        alone = class_scores(w.regions[single], w.whole[single], keep[single], plain)
        assert (alone - scores[single]).abs().max() < 1e-7


def test_impossible_requests_are_refused_in_a_sentence() -> None:
    w = world(2, 5, 7, 16, 0.5, 13)
    keep = select_regions(w.regions, w.whole)
    none = torch.zeros_like(keep)
    with pytest.raises(ValueError, match=r"theta must be from 0 to 1, got 1\.5"):
        class_scores(w.regions, w.whole, keep, w.packed, theta=1.5)
    with pytest.raises(ValueError, match="epsilon must be above 0"):
        class_scores(w.regions, w.whole, keep, w.packed, epsilon=0.0)
    with pytest.raises(ValueError, match="rule must be one of"):
        class_scores(w.regions, w.whole, keep, w.packed, rule="guess")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no kept region"):
        class_scores(w.regions, w.whole, none, w.packed)
    with pytest.raises(ValueError, match="no valid region"):
        select_regions(w.regions, w.whole, valid=none)
    with pytest.raises(ValueError, match="k must be at least 1"):
        top_classes(w.regions, w.whole, keep, w.packed, k=0)
    with pytest.raises(ValueError, match="every class needs at least one attribute"):
        PackedAttributes.from_classes(w.attributes[:3], [2, 0, 1])
    with pytest.raises(ValueError, match="4 attributes declared, 3 embedded"):
        PackedAttributes.from_classes(w.attributes[:3], [2, 2])
