"""Claims about runs whose labels may be parents: what a trust file promises is what label does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scored import world

from lazsl.errors import UserError
from lazsl.fieldguide import IMAGES_DIR, LABELS_FILE
from lazsl.labelset.reading import load_labelset, write_labels
from lazsl.run.run import open_run
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.scoring.tables import score_table
from lazsl.scoring.tree import make_tree
from lazsl.settings import ScoringSettings, make_job
from lazsl.store.keys import run_key

PARENT = ["parent_label", "parent_chance", "parent_level"]
HOW = {"temperature": 0.01, "abstain_below": 0.9}


def test_an_image_without_a_label_gets_the_deepest_parent_above_the_threshold() -> None:
    w = world(40, seed=5)
    labels = EmbeddedLabels.from_table(w.labels)
    parents = {label: f"group {i // 3}" for i, label in enumerate(labels.classes)}
    tree = make_tree(labels.classes, parents)
    plain = score_table(w.regions, labels, ScoringSettings(**HOW), 2**28)
    more = ScoringSettings(**HOW, parents_above=0.6)
    tables = score_table(w.regions, labels, more, 2**28, tree=tree)
    rows = tables["predictions"].to_pylist()
    assert plain["predictions"].drop(PARENT).equals(tables["predictions"].drop(PARENT))
    named = 0
    scores: dict[str, list[tuple[str, float]]] = {}
    for row in tables["scores"].to_pylist():
        scores.setdefault(row["image_id"], []).append((row["class"], row["score"]))
    for row in rows:
        best = scores[row["image_id"]]
        raised = np.exp((np.array([s for _, s in best]) - best[0][1]) / 0.01)
        chance = raised / raised.sum()
        parent = parents[best[0][0]]
        total = sum(c for c, (name, _) in zip(chance, best, strict=True) if parents[name] == parent)
        expected = parent if row["abstained"] and total >= 0.6 else None
        assert row["parent_label"] == expected
        assert row["parent_level"] == (1 if expected else None)
        if expected:
            assert row["parent_chance"] == pytest.approx(total, rel=1e-5)
            named += 1
    assert 0 < named < len(rows)


def test_parents_name_a_run_only_where_labels_may_be_parents() -> None:
    plain, more = ScoringSettings(**HOW), ScoringSettings(**HOW, parents_above=0.6)
    first, other = {"a": "x"}, {"a": "y"}
    of = ("archive-1", "encoder", "r90-1", "labels-1")
    assert run_key(*of, plain, first) == run_key(*of, plain, other) == run_key(*of, plain)
    assert len({run_key(*of, more, first), run_key(*of, more, other), run_key(*of, plain)}) == 3


def test_labels_may_be_parents_only_where_there_are_some(tmp_path: Path) -> None:
    settings = {**HOW, "parents_above": 0.6}
    job = {"archive": str(IMAGES_DIR), "workspace": str(tmp_path), "model": "fieldguide"}
    with pytest.raises(UserError, match="has no parents"):
        open_run(make_job(**job, labels=str(LABELS_FILE), scoring=settings, device="cpu"))
    labels = load_labelset(str(LABELS_FILE))
    target = tmp_path / "tree.yaml"
    write_labels(
        replace(labels, parents={label: label[0] for label in labels.classes}), str(target)
    )
    run = open_run(make_job(**job, labels=str(target), scoring=settings, device="cpu"))
    assert run.tree is not None and run.tree.nodes[run.tree.above[0, 0]] == labels.classes[0][0]
    assert run.labelset.key.split("-")[-1] == labels.key.split("-")[-1]


def test_images_below_the_floor_get_no_label_and_no_parent() -> None:
    w = world(40, seed=5)
    labels = EmbeddedLabels.from_table(w.labels)
    tree = make_tree(
        labels.classes, {label: f"group {i // 3}" for i, label in enumerate(labels.classes)}
    )
    scores = score_table(w.regions, labels, ScoringSettings(), 2**28)["predictions"]["score"]
    floor = float(np.median(scores.to_numpy()))
    settings = ScoringSettings(temperature=0.01, abstain_below=0.1, parents_above=0.1, floor=floor)
    for row in score_table(w.regions, labels, settings, 2**28, tree=tree)[
        "predictions"
    ].to_pylist():
        assert (
            row["abstained"] == (row["score"] < floor)
            and (row["label"] is None) == row["abstained"]
        )
        assert row["parent_label"] is None
    alone = score_table(w.regions, labels, ScoringSettings(floor=floor), 2**28)["predictions"]
    assert [row["abstained"] for row in alone.to_pylist()] == [
        score < floor for score in scores.to_pylist()
    ]  # a floor needs no temperature


def test_the_threshold_is_held_against_confidence_times_presence() -> None:
    w = world(40, seed=5)
    labels = EmbeddedLabels.from_table(w.labels)
    given = {"aligner": "one-sided", "epsilon": 0.05, "presence_temperature": 0.02}
    settings = {**given, "temperature": 0.01, "abstain_below": 0.2}
    plain = score_table(w.regions, labels, ScoringSettings(**settings), 2**28)["predictions"]
    by = ScoringSettings(**settings, abstain_by="presence")
    rows = score_table(w.regions, labels, by, 2**28)["predictions"].to_pylist()
    for row in rows:
        assert row["abstained"] == (row["confidence"] * row["presence"] < 0.2)
    assert sum(row["abstained"] for row in rows) > sum(plain["abstained"].to_pylist())
    with pytest.raises(UserError, match="which the paper's plans do not measure"):
        make_job(archive="x", labels="y", scoring={**HOW, "abstain_by": "presence"})
