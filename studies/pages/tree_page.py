"""What a tree of labels and presence add on the sample archive: `python -m studies.pages.tree_page
WORKSPACE`.

Prints `tree.md` of docs/research/evaluation from the embeddings of a labelled sample (`make
label`). It is scored anew in a copy of the workspace, which stays as it is.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lazsl import fieldguide
from lazsl.archive.truth import read_truth
from lazsl.evaluation.calibration import auroc
from lazsl.evaluation.open_set import open_set_split
from lazsl.evaluation.trust import Trust, measure_trust
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.proposing import propose_parents
from lazsl.labelset.reading import load_labelset, write_labels
from lazsl.run import steps
from lazsl.run.run import Run, open_relabelling, record_run
from lazsl.scoring.tree import make_tree
from lazsl.store import paths
from lazsl.store.folder import Folder
from studies.fieldguide.sample import sample_species
from studies.pages.methods_page import sample_run

PRECISIONS = (0.9, 0.95)
WITHOUT = 0.25
SEEDS = range(6)
ALIGNERS = ("paper", "one-sided")


def main() -> None:
    """Print the page."""
    folder = sys.argv[1] if len(sys.argv) > 1 else "workspace"
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "workspace"
        shutil.copytree(folder, copy)
        base = open_relabelling(Folder(str(copy)), sample_run(folder), {})
        labels = load_labelset(str(fieldguide.LABELS_FILE))
        families = {species.name: f"family {species.family}" for species in sample_species()}
        print(page(base, labels, families, Path(scratch)), end="")


def page(base: Run, labels: LabelSet, families: dict[str, str], scratch: Path) -> str:
    """The page in Markdown.

    Args:
        base: a run of the sample archive; its workspace is written to.
        labels: the sample's own label set.
        families: the family of every class.
        scratch: a folder for label sets.
    """
    trees = {"families": replace(labels, parents=families), "proposed": propose_parents(labels)}
    closed = []
    for aligner in ALIGNERS:
        for name, treed in trees.items():
            run = _scored(base, treed, aligner, scratch / f"{aligner}-{name}.json")
            closed += [
                _closed_row(aligner, name, precision, _measured(run, precision, opened=False))
                for precision in PRECISIONS
            ]
    areas = []
    opened_rows = []
    for what, groups in {"families": families, "species": None}.items():
        runs = []
        for seed in SEEDS:
            known, _ = open_set_split(labels, WITHOUT, seed, groups)
            known = replace(known, parents={label: families[label] for label in known.classes})
            runs.append(_scored(base, known, "one-sided", scratch / f"{what}-{seed}.json"))
        areas.append(_areas_row(what, runs))
        for opened in (False, True):
            trusts = [_measured(run, 0.9, opened) for run in runs]
            opened_rows.append(_opened_row(what, opened, trusts))
    return _PAGE.format(
        classes=len(labels),
        groups=len(set(families.values())),
        fraction=WITHOUT,
        seeds=f"{SEEDS[0]} to {SEEDS[-1]}",
        closed="\n".join(closed),
        areas="\n".join(areas),
        opened="\n".join(opened_rows),
    )


def _scored(base: Run, labels: LabelSet, aligner: str, file: Path) -> Run:
    """The finished run of the same embeddings with another label set and aligner."""
    write_labels(labels, str(file))
    changes = {
        "labels": str(file),
        "open_set": True,
        "scoring": {"aligner": aligner, "top_k": 20} if aligner != "paper" else {"top_k": 20},
    }
    run = open_relabelling(base.workspace, base.key, changes)
    record_run(run)
    steps.embed_attributes(run, "text")
    for shard in steps.missing_shards(run, steps.archive_shards(run)):
        steps.score_shard(run, shard)
    return run


def _answers(run: Run) -> dict[str, np.ndarray]:
    """Of the run's images with truth: top scores and classes (B, k), truth, presence."""
    table = read_truth(str(fieldguide.TRUTH_FILE), run.labelset, open_set=True)
    truth = dict(zip(table["key"].to_pylist(), table["label"].to_pylist(), strict=True))
    place = {label: number for number, label in enumerate(run.labelset.classes)}
    columns: dict[str, list[Any]] = {"top": [], "best": [], "truth": [], "presence": []}
    for shard in paths.done_shards(run.workspace, run.key):
        images = run.workspace.read_table(paths.images(run.encoder, run.regions, shard))
        keys = dict(zip(images["image_id"].to_pylist(), images["key"].to_pylist(), strict=True))
        scores = run.workspace.read_table(paths.run_table(run.key, "scores", shard))
        predictions = run.workspace.read_table(paths.run_table(run.key, "predictions", shard))
        k = int(np.max(scores["rank"].to_numpy(), initial=1))
        top = scores["score"].to_numpy().reshape(-1, k)
        best = np.array([place[str(name)] for name in scores["class"].to_pylist()]).reshape(-1, k)
        rows = zip(
            predictions["image_id"].to_pylist(), predictions["presence"].to_pylist(), strict=True
        )
        for row, (image_id, presence) in enumerate(rows):
            if keys[image_id] in truth:
                columns["top"].append(top[row])
                columns["best"].append(best[row])
                columns["truth"].append(place.get(str(truth[keys[image_id]]), -1))
                columns["presence"].append(np.nan if presence is None else presence)
    return {name: np.array(values) for name, values in columns.items()}


def _measured(run: Run, precision: float, opened: bool) -> Trust:
    answers = _answers(run)
    known = answers["truth"] >= 0
    return measure_trust(
        answers["top"],
        answers["best"][:, 0] == answers["truth"],
        known,
        precision,
        presence=answers["presence"] if opened else None,
        opened=opened,
        tree=make_tree(run.labelset.classes, run.labelset.parents),
        best=answers["best"],
        truth=answers["truth"],
    )


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{value:.1%}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _closed_row(aligner: str, tree: str, precision: float, trust: Trust) -> str:
    more = trust.backing_off
    nothing = ("none",) * 3
    return _row(
        aligner,
        tree,
        f"{precision:.0%}",
        _percent(trust.coverage_at_threshold),
        _percent(trust.held_out_coverage),
        _percent(trust.held_out_precision),
        *(
            nothing
            if more is None
            else map(_percent, (more.coverage, more.held_out_coverage, more.held_out_precision))
        ),
    )


def _areas_row(what: str, runs: list[Run]) -> str:
    areas = []
    for run in runs:
        answers = _answers(run)
        known = answers["truth"] >= 0
        trust = _measured(run, 0.9, opened=True)
        areas.append(
            [
                auroc(answers["top"][:, 0], known),
                auroc(trust.confidence, known),
                auroc(answers["presence"], known),
                auroc(trust.confidence * answers["presence"], known),
            ]
        )
    return _row(what, *(f"{value:.3f}" for value in np.mean(areas, axis=0)))


def _opened_row(what: str, opened: bool, trusts: list[Trust]) -> str:
    def strangers(trust: Trust) -> float:
        """Part of the images of unknown classes that get a class's label."""
        if trust.threshold is None:
            return 0.0
        held = trust.held_against
        return float((held[~trust.known] >= trust.threshold).mean())

    def mean(values: list[float | None]) -> str:
        given = [value for value in values if value is not None]
        return _percent(float(np.mean(given))) if given else "none"

    return _row(
        what,
        "confidence x presence, floor" if opened else "confidence",
        mean([trust.coverage_at_threshold or 0.0 for trust in trusts]),
        mean([trust.held_out_coverage for trust in trusts]),
        mean([trust.held_out_precision for trust in trusts]),
        mean([strangers(trust) for trust in trusts]),
    )


_PAGE = """\
# A tree of labels, and none of these

The sample archive of the field guide: {classes} species of {groups} families, none of which the
model was trained on. `python -m studies.pages.tree_page WORKSPACE` makes this page from the
embeddings of `make label`. Scores of the 20 best classes of each image are kept.

## Labels at the level that can be defended

Part of the images with a label, and of these the right ones, at a promised precision: by species
alone, and with parents where the best species cannot be defended. *Proposed* is the tree that
`lazsl labels tree` makes from shared attributes. Held out: thresholds and temperature were chosen
on one half of the images and applied to the other, both ways.

| plans | tree | promised | species | held out | right | parents | held out | right |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{closed}

## Is anything known there at all?

A fraction of {fraction:.0%} of the families, or of single species, is taken out of the label set,
and their images stay (one-sided plans, seeds {seeds}, means). Area under ROC of images of known
against unknown species:

| taken out | best score | confidence | presence | confidence x presence |
| --- | ---: | ---: | ---: | ---: |
{areas}

What the threshold for 90 % right is put on:

| taken out | put on | labelled | held out | right | of the unknown, labelled |
| --- | --- | ---: | ---: | ---: | ---: |
{opened}
"""


if __name__ == "__main__":
    main()
