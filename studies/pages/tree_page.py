"""What a tree of labels and presence add on the sample archive: `python -m studies.pages.tree_page
WORKSPACE [FOLDER]`.

Prints `tree.md` of docs/research/evaluation from the embeddings of a labelled sample (`make
label`). It is scored anew in a copy of the workspace, which stays as it is. What is drawn and
embedded beside it stays in the folder, where one is given.
"""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from lazsl import fieldguide
from lazsl.evaluation.calibration import auroc
from lazsl.evaluation.fitting import FLOOR
from lazsl.evaluation.open_set import open_set_split
from lazsl.evaluation.trust import Trust
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.proposing import propose_parents
from lazsl.labelset.reading import load_labelset
from lazsl.run.run import Run, open_relabelling
from lazsl.store.folder import Folder
from studies.guide import SEED
from studies.pages import held_out
from studies.pages.filled import filled
from studies.pages.held_out import Promise
from studies.pages.methods_page import sample_run
from studies.pages.scored_again import ONE_SIDED, PAPER, Scored, measure, read_scored, score_again

PRECISIONS = (0.9, 0.95)
PRECISION = 0.95
WITHOUT = 0.25
SEEDS = range(6)
FEW_SEEDS = range(3)
PLANS = {"paper": PAPER, "one-sided": ONE_SIDED}
FAMILIES = held_out.families_of(SEED)
OPEN = "confidence x presence, floor"
PUT_ON: dict[str, dict[str, bool]] = {
    "confidence": {"floored": False},
    "confidence, floor": {},
    "confidence x presence": {"presence": True, "floored": False},
    OPEN: {"presence": True},
}
"""What thresholds are put on, as `measure` takes it."""


def main() -> None:
    """Print the page."""
    logging.disable(logging.INFO)
    folder = sys.argv[1] if len(sys.argv) > 1 else "workspace"
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "workspace"
        shutil.copytree(folder, copy)
        base = open_relabelling(Folder(str(copy)), sample_run(folder), {})
        labels = load_labelset(str(fieldguide.LABELS_FILE))
        worlds = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(scratch)
        print(page(base, labels, Path(scratch), worlds), end="")


def page(base: Run, labels: LabelSet, scratch: Path, worlds: Path) -> str:
    """The page in Markdown.

    Args:
        base: a run of the sample archive; its workspace is written to.
        labels: the sample's own label set.
        scratch: a folder for label sets.
        worlds: a folder for other archives and their workspace.
    """
    closed, promises = _closed(base, labels, scratch)
    areas: list[str] = []
    opened: list[str] = []
    for what, groups in {"families": FAMILIES, "species": None}.items():
        print("taken out:", what, file=sys.stderr, flush=True)
        runs = [_without(base, labels, seed, groups, scratch) for seed in SEEDS]
        areas.append(_areas_row(what, runs))
        for name, use in PUT_ON.items():
            measured = [measure(run, scored, PRECISION, **use) for run, scored in runs]
            opened.append(_opened_row(what, name, measured))
            if groups and use == PUT_ON[OPEN]:
                promises.append(Promise("open", measured[0], ONE_SIDED))
    archives_shown = list(held_out.archives(worlds))
    print("elsewhere", file=sys.stderr, flush=True)
    elsewhere = held_out.closed_rows(archives_shown, promises)
    one_sided = [promise for promise in promises if promise.scoring == ONE_SIDED]
    strangers = held_out.open_rows(archives_shown, one_sided, WITHOUT, FEW_SEEDS)
    return filled(
        "tree.md",
        classes=len(labels),
        groups=len(set(FAMILIES.values())),
        fraction=WITHOUT,
        precision=PRECISION,
        seeds=f"{SEEDS[0]} to {SEEDS[-1]}",
        few_seeds=f"{FEW_SEEDS[0]} to {FEW_SEEDS[-1]}",
        draws=f"{held_out.DRAWS[0]} to {held_out.DRAWS[-1]}",
        images=len(labels) * held_out.PICTURES,
        floor=FLOOR,
        closed="\n".join(closed),
        areas="\n".join(areas),
        opened="\n".join(opened),
        elsewhere="\n".join(_row(*cells) for cells in elsewhere),
        draw_by_draw="\n".join(
            f"- {promise.name}: {held_out.by_draw(archives_shown, promise)}" for promise in promises
        ),
        strangers="\n".join(_row(*cells) for cells in strangers),
    )


def _closed(base: Run, labels: LabelSet, scratch: Path) -> tuple[list[str], list[Promise]]:
    """Rows of the closed archive, and trust files of all plans with families."""
    trees = {"families": replace(labels, parents=FAMILIES), "proposed": propose_parents(labels)}
    rows: list[str] = []
    promises: list[Promise] = []
    for plans, scoring in PLANS.items():
        for name, treed in trees.items():
            print("closed:", plans, name, file=sys.stderr, flush=True)
            run = score_again(base, treed, scoring, scratch / f"{name}.json")
            scored = read_scored(run, fieldguide.TRUTH_FILE, FAMILIES)
            for precision in PRECISIONS:
                trust = measure(run, scored, precision)
                rows.append(_closed_row(plans, name, precision, trust))
            if name == "families":
                plain = measure(run, scored, PRECISION, floored=False)
                more = "" if scoring is ONE_SIDED else f", {plans} plans"
                promises += [
                    Promise(f"closed, no floor{more}", plain, scoring),
                    Promise(f"closed{more}", measure(run, scored, PRECISION), scoring),
                ]
    return rows, promises


def _without(
    base: Run, labels: LabelSet, seed: int, groups: dict[str, str] | None, scratch: Path
) -> tuple[Run, Scored]:
    """The archive scored with a label set that lacks a part of the families or species."""
    known, _ = open_set_split(labels, WITHOUT, seed, groups)
    known = replace(known, parents={label: FAMILIES[label] for label in known.classes})
    file = scratch / f"{'families' if groups else 'species'}-{seed}.json"
    run = score_again(base, known, ONE_SIDED, file)
    return run, read_scored(run, fieldguide.TRUTH_FILE, FAMILIES)


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{value:.1%}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _closed_row(plans: str, tree: str, precision: float, trust: Trust) -> str:
    more = trust.backing_off
    parents: Iterable[str] = (
        ("none",) * 3
        if more is None
        else map(_percent, (more.coverage, more.held_out_coverage, more.held_out_precision))
    )
    return _row(
        plans,
        tree,
        f"{precision:.0%}",
        _percent(trust.coverage_at_threshold),
        _percent(trust.held_out_coverage),
        _percent(trust.held_out_precision),
        *parents,
    )


def _areas_row(what: str, runs: list[tuple[Run, Scored]]) -> str:
    areas = []
    for run, scored in runs:
        sure = measure(run, scored, PRECISION, presence=True).confidence
        values = (scored.top[:, 0], sure, scored.presence, sure * scored.presence)
        areas.append([auroc(value, scored.known) for value in values])
    return _row(what, *(f"{value:.3f}" for value in np.mean(areas, axis=0)))


def _opened_row(what: str, put_on: str, trusts: list[Trust]) -> str:
    def strangers(trust: Trust) -> float:
        """Part of the images of unknown classes that get a class's label."""
        if trust.threshold is None:
            return 0.0
        return float((trust.held_against[~trust.known] >= trust.threshold).mean())

    def mean(values: list[float | None]) -> str:
        given = [value for value in values if value is not None]
        return _percent(float(np.mean(given))) if given else "none"

    trees = [trust.backing_off for trust in trusts if trust.backing_off is not None]
    return _row(
        what,
        put_on,
        mean([trust.coverage_at_threshold or 0.0 for trust in trusts]),
        mean([trust.held_out_coverage for trust in trusts]),
        mean([trust.held_out_precision for trust in trusts]),
        mean([strangers(trust) for trust in trusts]),
        mean([more.held_out_coverage for more in trees]),
        mean([more.held_out_precision for more in trees]),
    )


if __name__ == "__main__":
    main()
