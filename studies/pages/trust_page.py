"""What confidence is worth on the sample archive: `python -m studies.pages.trust_page WORKSPACE`.

Prints `trust.md` of docs/research/evaluation from the embeddings of a labelled sample (`make
label`). The open sets are scored in a copy of the workspace, which stays as it is.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from lazsl import fieldguide
from lazsl.archive.truth import read_truth
from lazsl.evaluation.open_set import open_set_split
from lazsl.evaluation.trust import Trust, measure_trust
from lazsl.labelset.labels import LabelSet
from lazsl.run import steps
from lazsl.run.run import Run, open_relabelling, record_run
from lazsl.run.todo import missing_shards
from lazsl.store import paths
from lazsl.store.folder import Folder
from studies.guide import sample_species
from studies.pages.filled import filled
from studies.pages.methods_page import sample_run

PRECISIONS = (0.85, 0.9, 0.95, 0.99)
WITHOUT = 0.25
SEEDS = range(8)


def main() -> None:
    """Print the page."""
    folder = sys.argv[1] if len(sys.argv) > 1 else "workspace"
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "workspace"
        shutil.copytree(folder, copy)
        run = open_relabelling(Folder(str(copy)), sample_run(folder), {})
        print(page(run, Path(scratch)), end="")


def page(run: Run, scratch: Path) -> str:
    """The page in Markdown.

    Args:
        run: of the sample archive with its own label set; its workspace is written to.
        scratch: a folder for label sets.
    """
    table = read_truth(str(fieldguide.TRUTH_FILE), run.labelset)
    truth = dict(zip(_texts(table, "key"), _texts(table, "label"), strict=True))
    closed = [_measure(run, truth, precision) for precision in PRECISIONS]
    families = {species.name: str(species.family) for species in sample_species()}
    areas, called = {}, []
    for name, groups in {"families": families, "species": None}.items():
        opened = []
        for seed in SEEDS:
            known, gone = open_set_split(run.labelset, WITHOUT, seed, groups)
            smaller = _score_again(run, known, scratch / f"{name}-{seed}.json")
            opened.append(_measure(smaller, truth, PRECISIONS[1]))
            _, labels, shown = _best(smaller, truth)
            called.append(
                [
                    families[label] == families[species]
                    for label, species in zip(labels, shown, strict=True)
                    if species in gone
                ]
            )
        areas[name] = _area_table(opened)
    return filled(
        "trust.md",
        closed=closed[0],
        bins=len(closed[0].bins_after),
        thresholds="\n".join(map(_threshold_row, closed)),
        classes=len(run.labelset),
        groups=len(set(families.values())),
        fraction=WITHOUT,
        seeds=f"{SEEDS[0]} to {SEEDS[-1]}",
        relatives=np.concatenate(called[-len(SEEDS) :]).mean(),
        **areas,
    )


def _score_again(run: Run, labels: LabelSet, file: Path) -> Run:
    """The finished run of the same embeddings with another label set."""
    classes = dict(zip(labels.classes, labels.attributes, strict=True))
    file.write_text(json.dumps({"template": labels.template, "classes": classes}))
    changes = {"labels": str(file), "open_set": True}
    again = open_relabelling(run.workspace, run.key, changes)
    record_run(again)
    steps.embed_attributes(again, "text")
    for shard in missing_shards(again, steps.archive_shards(again)):
        steps.score_shard(again, shard)
    return again


def _measure(run: Run, truth: Mapping[str, str], precision: float) -> Trust:
    top_scores, labels, shown = _best(run, truth)
    return measure_trust(
        top_scores, labels == shown, np.isin(shown, run.labelset.classes), precision
    )


def _best(run: Run, truth: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Top scores (B, k), best class (B,) and truth (B,) of the run's images with truth, by key."""
    rows: dict[str, tuple[np.ndarray, str, str]] = {}
    for shard in paths.done_shards(run.workspace, run.key):
        images = run.workspace.read_table(paths.images(run.encoder, run.regions, shard))
        keys = dict(zip(_texts(images, "image_id"), _texts(images, "key"), strict=True))
        scores = run.workspace.read_table(paths.run_table(run.key, "scores", shard))
        k = int(np.max(scores["rank"].to_numpy(), initial=1))
        ids, labels = (_texts(scores, name)[::k] for name in ("image_id", "class"))
        top = scores["score"].to_numpy().reshape(-1, k)
        for image_id, label, row in zip(ids, labels, top, strict=True):
            if keys[image_id] in truth:
                rows[keys[image_id]] = row, label, truth[keys[image_id]]
    columns = zip(*(rows[key] for key in sorted(rows)), strict=True)
    top_scores, best, shown = (np.array(column) for column in columns)
    return top_scores, best, shown


def _texts(table: pa.Table, column: str) -> list[str]:
    return [str(value) for value in table[column].to_pylist()]


def _threshold_row(trust: Trust) -> str:
    def cut(value: float | None) -> str:
        return "none" if value is None else f"{value:.1%}"

    threshold = "none" if trust.threshold is None else f"{trust.threshold:.3f}"
    raw = trust.raw_cut
    return _row(
        f"{trust.precision:.0%}",
        threshold,
        cut(trust.coverage_at_threshold),
        cut(trust.precision_at_threshold),
        cut(None if trust.cut is None else trust.cut.at_least),
        cut(trust.held_out_coverage or None),
        cut(trust.held_out_precision),
        "none" if raw is None else f"{raw.threshold:.3f}, {raw.coverage:.1%}",
    )


def _area_table(opened: list[Trust]) -> str:
    """A row per seed, and their mean."""
    areas = [[t.auroc_open_set, *map(t.auroc_scores.get, _OTHERS)] for t in opened]
    rows = [
        _row(
            seed,
            f"{trust.unknown} of {trust.images}",
            f"{trust.accuracy:.1%}",
            *(f"{area:.3f}" for area in areas_of_seed),
        )
        for seed, trust, areas_of_seed in zip(SEEDS, opened, areas, strict=True)
    ]
    means = np.array(areas, float).mean(axis=0)
    return "\n".join([*rows, _row("mean", "", "", *(f"{mean:.3f}" for mean in means))])


_OTHERS = ("margin", "best score")


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
