"""Claims about groups of images: a threshold for a mix is shown for every part of it, and a cluster
of like images weighs as one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lazsl.errors import UserError
from lazsl.evaluation.calibration import lower_bound, risk_coverage, widest_cut
from lazsl.evaluation.grouping import numbered, read_groups
from lazsl.evaluation.metrics import mcnemar
from lazsl.evaluation.sections.trust_of_groups import by_group
from lazsl.evaluation.sections.trust_section import TrustSection
from lazsl.evaluation.trust_measurement import measure_trust
from lazsl.intervals import accuracy, effective_size, exact
from lazsl.scoring.confidence import confidence


def test_a_group_in_which_labels_are_worse_comes_first() -> None:
    chance = np.random.default_rng(2)
    images = 800
    bad = np.arange(images) % 4 == 0
    gap = chance.exponential(np.where(bad, 0.01, 0.05))
    top = np.stack([0.3 + gap, np.full(images, 0.3)], axis=1).astype(np.float32)
    right = chance.random(images) < np.where(bad, 0.7, 0.98)
    trust = measure_trust(top, right, np.ones(images, bool), 0.9)
    assert trust.threshold is not None
    groups = by_group(trust, ["painting" if b else "photo" for b in bad])
    assert [group.group for group in groups] == ["painting", "photo"]
    # The mix keeps what it promises, the part does not.
    assert groups[0].precision < 0.9 < groups[1].precision
    given = trust.confidence >= trust.threshold
    assert groups[0].labelled == (given & bad).sum()
    assert groups[0].right == (given & bad & right).sum()
    assert groups[0].images == bad.sum()
    like = replace(trust, cluster=np.arange(images) // 20)  # five of each twenty are bad
    [bad_group, _] = by_group(like, ["x" if b else "y" for b in bad])
    assert bad_group.precision == groups[0].precision
    assert bad_group.at_least < groups[0].at_least


def test_one_group_is_not_told_from_itself() -> None:
    top = np.tile(np.array([[0.4, 0.3]], np.float32), (100, 1))
    trust = measure_trust(top, np.ones(100, bool), np.ones(100, bool), 0.9)
    assert by_group(trust, ["a"] * 100) == ()
    run: Any = SimpleNamespace(key="run")
    # Nobody asked for folders; who asks for groups is told why there are none.
    assert "No group is shown" in TrustSection(run, trust, "", (), "class").to_markdown()
    assert "No group is shown" not in TrustSection(run, trust, "", (), "folder").to_markdown()


def test_groups_are_folders_classes_or_what_a_file_says(tmp_path: Path) -> None:
    keys, labels = ["a/1.jpg", "a/2.jpg", "3.jpg"], ["Wren", "Coot", "Wren"]
    assert read_groups("folder", keys, labels, "groups") == ["a", "a", "(none)"]
    assert read_groups("class", keys, labels, "groups") == labels
    file = tmp_path / "sites.csv"
    file.write_text("key,camera,group\na/1.jpg,7,x\na/2.jpg,07,x\n")
    assert read_groups(str(file), keys, labels, "groups") == ["x", "x", "(none)"]
    assert read_groups(f"{file}:camera", keys, labels, "groups") == ["7", "07", "(none)"]
    # Without a group an image is one by itself.
    assert len(set(numbered(["x", "x", "(none)", "(none)"]))) == 3
    for text, words in {
        "key,group\na/1.jpg,x\na/1.jpg,y\n": "gives 'a/1.jpg' two groups, 'x' and 'y'",
        "key,group\n1.jpg,x\n": r"none of the 3 images with truth; it has '1.jpg' \(nearest: 'a/1",
        "key,group\n": "has no rows",
        "key,site\na/1.jpg,x\n": "must have columns key and group",
    }.items():
        file.write_text(text)
        with pytest.raises(UserError, match=words):
            read_groups(str(file), keys, labels, "clusters")


def test_a_threshold_counts_clusters_as_a_plain_loop_does() -> None:
    chance = np.random.default_rng(5)
    cluster = chance.integers(0, 60, 300)
    sure = np.round(chance.random(300), 2)
    right = chance.random(300) < 0.7 + 0.3 * sure
    curve = risk_coverage(sure, right, cluster)
    for place, threshold in enumerate(curve.threshold):
        given = sure >= threshold
        sizes = [np.sum(cluster[given] == c) for c in set(cluster[given].tolist())]
        expected = sum(sizes) ** 2 / sum(size**2 for size in sizes)
        assert curve.size[place] == pytest.approx(expected)
        assert effective_size(cluster[given]) == pytest.approx(expected)
    cut = widest_cut(curve, 0.8)
    assert cut is not None
    given = sure >= cut.threshold
    interval = accuracy(right[given], cluster[given])
    assert (interval.low, interval.high) == exact(
        right[given].mean(), effective_size(cluster[given])
    )
    alone = risk_coverage(sure, right, np.arange(300))
    assert np.array_equal(alone.size, alone.labelled)
    assert np.array_equal(
        lower_bound(alone.correct, alone.labelled, alone.size),
        lower_bound(alone.correct, alone.labelled),
    )


def bursts(seed: int, clusters: int, each: int) -> tuple[np.ndarray, ...]:
    """Margins, right and cluster of images that come in bursts: those of a burst are alike, and
    are right or wrong together."""
    chance = np.random.default_rng(seed)
    margin = chance.exponential(0.05, clusters)
    right = chance.random(clusters) < 1 - 0.25 * np.exp(-margin / 0.03)
    margins = np.abs(np.repeat(margin, each) + chance.normal(0, 0.001, clusters * each))
    return margins, np.repeat(right, each), np.repeat(np.arange(clusters), each)


def kept(by_cluster: bool) -> float:
    """In how many of 200 draws a promise from bursts is kept on images of other bursts."""
    held = []
    for seed in range(200):
        margins, right, cluster = bursts(seed, 150, 8)
        cut = widest_cut(risk_coverage(margins, right, cluster if by_cluster else None), 0.93)
        if cut is not None:
            others, right_of_others, _ = bursts(1000 + seed, 4000, 1)
            held.append(right_of_others[others >= cut.threshold].mean() >= 0.93)
    assert len(held) > 120
    return float(np.mean(held))


def test_a_promise_from_bursts_is_kept_only_where_clusters_are_counted() -> None:
    assert kept(by_cluster=True) >= 0.93
    assert kept(by_cluster=False) < 0.85


def test_clusters_stay_in_one_half_and_too_few_are_refused() -> None:
    margins, right, cluster = bursts(3, 150, 8)
    top = np.stack([0.3 + margins, np.full(len(margins), 0.3)], axis=1).astype(np.float32)
    known = np.ones(len(right), bool)
    trust = measure_trust(top, right, known, 0.9, cluster=cluster)
    assert trust.clusters == 150
    assert "its 150 clusters of like images counted as one image each" in trust.sentence
    half = np.random.default_rng(0).permutation(150) % 2 == 0
    chosen = measure_trust(top[half[cluster]], right[half[cluster]], known[half[cluster]], 0.9,
                           cluster=cluster[half[cluster]])  # fmt: skip
    other = measure_trust(top[~half[cluster]], right[~half[cluster]], known[~half[cluster]], 0.9,
                          cluster=cluster[~half[cluster]])  # fmt: skip
    labelled = 0
    for fitted, rows in ((chosen, ~half[cluster]), (other, half[cluster])):
        threshold = np.inf if fitted.threshold is None else fitted.threshold
        labelled += (confidence(top[rows], fitted.temperature) >= threshold).sum()
    assert trust.held_out_coverage == pytest.approx(labelled / len(right))
    with pytest.raises(UserError, match="1200 images with truth are 15 clusters of like images"):
        measure_trust(top, right, known, 0.9, cluster=cluster // 10)


def test_methods_are_compared_by_cluster() -> None:
    right, other = np.array([1, 1, 0, 1, 0, 0], bool), np.array([0, 0, 0, 0, 1, 0], bool)
    assert mcnemar(right, other).only_this == 3
    test = mcnemar(right, other, np.array([0, 0, 0, 1, 1, 2]))
    assert (test.only_this, test.only_other) == (1, 0)  # in the second they are level
