"""What confidence is worth, by preset: `python -m studies.pages.trust_page FOLDER`.

Prints `trust.md` of docs/research/evaluation from the pictures that `evidence_page` draws and
embeds into the folder; what is missing there is made.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lazsl.alignment.attributes import PackedAttributes
from lazsl.evaluation.calibration import CERTAINTY
from lazsl.evaluation.fitting import Fit, Images, fit
from lazsl.evaluation.known_truth import Known
from lazsl.evaluation.open_set import open_set_split
from lazsl.evaluation.sections.section import table
from lazsl.evaluation.stored import StoredRun
from lazsl.evaluation.trust import Trust
from lazsl.evaluation.trust_measurement import measure_trust
from lazsl.labelset.labels import LabelSet
from lazsl.scoring.embedded import EmbeddedLabels
from studies.guide import World, sample_species
from studies.pages.filled import filled
from studies.pages.ways import DRAWS, PRESETS, Way, ask, drawn, sample

PRECISIONS = (0.85, 0.9, 0.95, 0.99)
PROMISED = (0.95, 0.99)
MORE = (4203, 4204)
"""Draws whose photos are, with the sample, the truth that `PROMISED` are promised on."""
ELSEWHERE: tuple[World, ...] = ("photo", "clutter", "painting")
WITHOUT = 0.25
SEEDS = range(8)


@dataclass(frozen=True)
class Scored:
    """Best scores (B, 5) of some pictures, and whether the best class is right (B,) bool."""

    top: np.ndarray
    right: np.ndarray

    @property
    def images(self) -> Images:
        """As thresholds are chosen on them."""
        count = len(self.right)
        every = np.ones(count, bool)
        return Images(self.top, self.right, every, np.ones(count), np.arange(count))


def main() -> None:
    """Print the page."""
    logging.disable(logging.INFO)
    print(page(Path(sys.argv[1] if len(sys.argv) > 1 else "workspace/evidence")), end="")


def page(folder: Path) -> str:
    """The page in Markdown."""
    confidences: list[tuple[str, ...]] = []
    thresholds: list[tuple[str, ...]] = []
    promises: list[tuple[str, ...]] = []
    areas: list[tuple[str, ...]] = []
    first: Trust | None = None
    for preset, (way, name) in PRESETS.items():
        print(preset, file=sys.stderr, flush=True)
        _, stored, known = sample(folder, way)
        of_sample = scored(stored, known, stored.embedded_labels, way, name)
        every = np.ones(len(of_sample.right), bool)
        closed = [
            measure_trust(of_sample.top, of_sample.right, every, precision)
            for precision in PRECISIONS
        ]
        first = first or closed[0]
        confidences.append(_confidence_row(preset, closed[0]))
        thresholds += [_threshold_row(preset, trust) for trust in closed]
        promises += list(_promise_rows(folder, preset, way, name, of_sample))
        areas += list(_area_rows(preset, stored, known, way, name))
    assert first is not None
    species = sample_species()
    return filled(
        "trust.md",
        images=first.images,
        bins=len(first.bins_after),
        certainty=CERTAINTY,
        enough=int(np.ceil(np.log(1 - CERTAINTY) / np.log(0.99))),
        confidences=table(
            ("preset", "right", "temperature", "ECE", "NLL", "ECE as trained", "AURC"), confidences
        ),
        thresholds=table(
            (
                *("preset", "wanted", "threshold", "labelled", "right", "at least"),
                *("held out: labelled", "right", "plain fraction"),
            ),
            thresholds,
        ),
        more=" and ".join(map(str, MORE)),
        draws=" and ".join(map(str, DRAWS)),
        promises=table(("preset", "promised", "chosen on", "labelled", *ELSEWHERE), promises),
        classes=len(species),
        groups=len({bird.family for bird in species}),
        fraction=WITHOUT,
        seeds=f"{SEEDS[0]} to {SEEDS[-1]}",
        areas=table(
            (
                *("preset", "taken out", "unknown", "known, right", "confidence", "margin"),
                *("best score", "called a relative"),
            ),
            areas,
            text_columns=2,
        ),
    )


def scored(stored: StoredRun, known: Known, labels: EmbeddedLabels, way: Way, name: str) -> Scored:
    """What a preset's method says of an archive."""
    answers = ask(stored, known, labels, way)
    return Scored(answers.scores[name], answers.right(name))


def _confidence_row(preset: str, trust: Trust) -> tuple[str, ...]:
    return (
        preset,
        f"{trust.accuracy:.1%}",
        f"{trust.temperature:.5f}",
        f"{trust.ece_after:.3f}",
        f"{trust.loss_after:.3f}",
        f"{trust.ece_before:.3f}",
        f"{trust.aurc:.4f}",
    )


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{value:.1%}"


def _threshold_row(preset: str, trust: Trust) -> tuple[str, ...]:
    raw = trust.raw_cut
    return (
        preset,
        f"{trust.precision:.0%}",
        "none" if trust.threshold is None else f"{trust.threshold:.3f}",
        _percent(trust.coverage_at_threshold),
        _percent(trust.precision_at_threshold),
        _percent(None if trust.cut is None else trust.cut.at_least),
        _percent(trust.held_out_coverage or None),
        _percent(trust.held_out_precision),
        "none" if raw is None else f"{raw.threshold:.3f}, {raw.coverage:.1%}",
    )


def _promise_rows(
    folder: Path, preset: str, way: Way, name: str, of_sample: Scored
) -> Iterator[tuple[str, ...]]:
    """Promises made on the sample and more photos, and what became of them on other species."""
    parts = [of_sample, *(_of_draw(folder, "photo", way, name, draw) for draw in MORE)]
    chosen_on = _joined(parts)
    elsewhere = {
        world: _joined([_of_draw(folder, world, way, name, draw) for draw in DRAWS])
        for world in ELSEWHERE
    }
    for precision in PROMISED:
        choice = fit(chosen_on.images, precision, floored=True)
        labelled = None if choice.cut is None else choice.labels(chosen_on.images).mean()
        kept = [_kept(choice, elsewhere[world]) for world in ELSEWHERE]
        count = str(len(chosen_on.right))
        yield preset, f"{precision:.0%}", count, _percent(labelled), *kept


def _of_draw(folder: Path, world: World, way: Way, name: str, draw: int) -> Scored:
    _, stored, known = drawn(folder, world, way, draw)
    return scored(stored, known, stored.embedded_labels, way, name)


def _joined(parts: Sequence[Scored]) -> Scored:
    return Scored(
        np.concatenate([part.top for part in parts]),
        np.concatenate([part.right for part in parts]),
    )


def _kept(choice: Fit, pictures: Scored) -> str:
    """`94.2%: 112 of 113 right` of what is labelled."""
    if choice.cut is None:
        return "none"
    labelled = choice.labels(pictures.images)
    right = int(pictures.right[labelled].sum())
    return f"{labelled.mean():.1%}: {right} of {labelled.sum()} right"


def _area_rows(
    preset: str, stored: StoredRun, known: Known, way: Way, name: str
) -> Iterator[tuple[str, ...]]:
    """How well scores tell images of species that the label set lacks, the mean over seeds."""
    family = {species.name: str(species.family) for species in sample_species()}
    kinds: dict[str, Mapping[str, str] | None] = {"families": family, "species": None}
    for kind, groups in kinds.items():
        figures = []
        for seed in SEEDS:
            fewer, _ = open_set_split(stored.labelset, WITHOUT, seed, groups)
            labels = _without(stored, fewer)
            place = {label: index for index, label in enumerate(labels.classes)}
            index = {image: place.get(label, -1) for image, label in known.labels.items()}
            answers = ask(stored, Known(index, known.labels, ()), labels, way)
            inside = answers.truth >= 0
            trust = measure_trust(answers.scores[name], answers.right(name), inside, 0.9)
            best = [labels.classes[row] for row in answers.best[name][:, 0]]
            relatives = [
                family[label] == family[shown]
                for label, shown, in_set in zip(best, answers.shown, inside, strict=True)
                if not in_set
            ]
            figures.append(
                (
                    trust.unknown,
                    trust.accuracy,
                    trust.auroc_open_set or np.nan,
                    trust.auroc_scores["margin"],
                    trust.auroc_scores["best score"],
                    np.mean(relatives),
                )
            )
        unknown, accuracy, *others, relative = np.mean(np.array(figures, float), axis=0)
        cells = (f"{area:.3f}" for area in others)
        yield preset, kind, f"{unknown:.0f}", f"{accuracy:.1%}", *cells, f"{relative:.0%}"


def _without(stored: StoredRun, fewer: LabelSet) -> EmbeddedLabels:
    """The embedded label set with some of its classes."""
    labels = stored.embedded_labels
    places = [labels.classes.index(name) for name in fewer.classes]
    starts = labels.packed.starts.tolist()
    rows = torch.cat([torch.arange(starts[place], starts[place + 1]) for place in places])
    sizes = [starts[place + 1] - starts[place] for place in places]
    return EmbeddedLabels(
        tuple(fewer.classes),
        tuple(labels.attributes[place] for place in places),
        PackedAttributes.from_classes(labels.packed.embeddings[rows], sizes),
        labels.names[places],
    )


if __name__ == "__main__":
    main()
