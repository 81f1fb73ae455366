"""Stored embeddings scored with other label sets and settings, and what came out where the truth is
known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lazsl.archive.truth import read_truth
from lazsl.evaluation.trust import Trust
from lazsl.evaluation.trust_measurement import measure_trust
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.reading import write_labels
from lazsl.run import label_set_step, plan_step, score_step
from lazsl.run.run import Run, open_relabelling, record_run
from lazsl.run.todo import missing_shards
from lazsl.scoring.tree import make_tree
from lazsl.store import paths

ONE_SIDED = {"aligner": "one-sided", "top_k": 20}
PAPER = {"aligner": "paper", "top_k": 20}


@dataclass(frozen=True)
class Scored:
    """Of B images with truth.

    Attributes:
        top: (B, k) best scores, best first. best: (B, k) their classes.
        truth: (B,) index of what is shown; -1 where the label set lacks it.
        presence: (B,) of the best class; NaN where plans are the paper's.
        label: (B,) index of the class that is the label; -1 where there is none.
        parent: (B,) bool, a parent is the label. parent_right: (B,) bool, it is above the truth.
    """

    top: np.ndarray
    best: np.ndarray
    truth: np.ndarray
    presence: np.ndarray
    label: np.ndarray
    parent: np.ndarray
    parent_right: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """(B,) bool, the label set has what is shown."""
        return self.truth >= 0

    @property
    def given(self) -> np.ndarray:
        """(B,) bool, there is a label: a class, or a parent."""
        return np.asarray((self.label >= 0) | self.parent)

    @property
    def given_right(self) -> np.ndarray:
        """(B,) bool, and it is right."""
        right = (self.label == self.truth) & (self.label >= 0)
        return np.asarray(right | self.parent_right)


def score_again(base: Run, labels: LabelSet, scoring: Mapping[str, Any], file: Path) -> Run:
    """The finished run of the same embeddings with another label set, written to the file."""
    if not file.exists():
        write_labels(labels, str(file))
    changes = {"labels": str(file), "open_set": True, "scoring": dict(scoring)}
    run = open_relabelling(base.workspace, base.key, changes)
    record_run(run)
    label_set_step.embed_attributes(run, "text")
    for shard in missing_shards(run, plan_step.archive_shards(run)):
        score_step.score_shard(run, shard)
    return run


def read_scored(run: Run, truth_file: Path, families: Mapping[str, str]) -> Scored:
    """What a finished run says of its images with truth.

    Args:
        run: from `score_again`.
        truth_file: key,label; may name species that the label set lacks.
        families: the parent of every species, known or not.
    """
    table = read_truth(str(truth_file), run.labelset, open_set=True)
    truth = dict(zip(table["key"].to_pylist(), table["label"].to_pylist(), strict=True))
    place = {label: number for number, label in enumerate(run.labelset.classes)}
    rows: list[tuple[Any, ...]] = []
    for shard in paths.done_shards(run.workspace, run.key):
        images = run.workspace.read_table(paths.images(run.encoder, run.regions, shard))
        keys = dict(zip(images["image_id"].to_pylist(), images["key"].to_pylist(), strict=True))
        scores = run.workspace.read_table(paths.run_table(run.key, "scores", shard))
        predictions = run.workspace.read_table(paths.run_table(run.key, "predictions", shard))
        k = int(np.max(scores["rank"].to_numpy(), initial=1))
        top = scores["score"].to_numpy().reshape(-1, k)
        best = np.array([place[str(name)] for name in scores["class"].to_pylist()]).reshape(-1, k)
        columns = ("image_id", "presence", "label", "parent_label")
        for row, prediction in enumerate(predictions.select(columns).to_pylist()):
            shown = truth.get(keys[prediction["image_id"]])
            if shown is None:
                continue
            parent = prediction["parent_label"]
            rows.append(
                (
                    top[row],
                    best[row],
                    place.get(str(shown), -1),
                    np.nan if prediction["presence"] is None else prediction["presence"],
                    place.get(prediction["label"], -1),
                    parent is not None,
                    parent == families[str(shown)],
                )
            )
    return Scored(*map(np.array, zip(*rows, strict=True)))


def measure(
    run: Run, scored: Scored, precision: float, presence: bool = False, floored: bool = True
) -> Trust:
    """The trust file's values from these images, with thresholds on confidence or on confidence
    times presence, with a floor under the best score or without one."""
    return measure_trust(
        scored.top,
        scored.best[:, 0] == scored.truth,
        scored.known,
        precision,
        presence=scored.presence if presence else None,
        floored=floored,
        tree=make_tree(run.labelset.classes, run.labelset.parents),
        best=scored.best,
        truth=scored.truth,
    )


def applied(trust: Trust, scoring: Mapping[str, Any], tree: bool = True) -> dict[str, Any]:
    """Settings of scoring as `--trust` sets them."""
    parents = trust.backing_off.threshold if tree and trust.backing_off else None
    return {
        **scoring,
        "temperature": trust.temperature,
        "abstain_below": 1.0 if trust.threshold is None else trust.threshold,
        "abstain_by": trust.abstain_by,
        "floor": trust.floor,
        "parents_above": parents,
    }
