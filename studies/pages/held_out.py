"""A promise that was measured on the sample archive, applied to species and worlds that had no part
in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lazsl.evaluation.open_set import open_set_split
from lazsl.evaluation.trust import Trust
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.reading import load_labelset
from lazsl.run.run import Run
from studies.fieldguide.sample import sample_species
from studies.fieldguide.worlds import World
from studies.pages.embedded_world import embedded_world
from studies.pages.scored_again import ONE_SIDED, Scored, applied, read_scored, score_again

DRAWS = (4201, 4202)
"""Of species and places; nothing was chosen on them."""

ARCHIVES: tuple[tuple[World, int], ...] = (
    *(("photo", draw) for draw in DRAWS),
    ("painting", DRAWS[0]),
    ("clutter", DRAWS[0]),
    ("sketch", DRAWS[0]),
    ("dusk", DRAWS[0]),
)
PICTURES = 1
REGIONS = {"layout": "zoom", "count": 90}


@dataclass(frozen=True)
class Archive:
    """Embedded pictures of one world and draw, with the families of its species."""

    world: World
    draw: int
    base: Run
    truth: Path
    families: Mapping[str, str]

    def label(
        self, labels: LabelSet, scoring: Mapping[str, Any], trust: Trust, tree: bool
    ) -> Scored:
        """What the product says of it with a trust file from elsewhere."""
        labels = replace(labels, parents={name: self.families[name] for name in labels.classes})
        file = self.truth.with_name(f"{labels.name}-of-{len(labels)}.json")
        run = score_again(self.base, labels, applied(trust, scoring, tree), file)
        return read_scored(run, self.truth, self.families)


def families_of(draw: int) -> dict[str, str]:
    """The parent of every species of a draw."""
    return {species.name: f"family {species.family}" for species in sample_species(draw)}


def archives(folder: Path) -> Iterator[Archive]:
    """Every archive, drawn and embedded where that was not done before."""
    for world, draw in ARCHIVES:
        print("embedding", world, draw, file=sys.stderr, flush=True)
        run, _, _ = embedded_world(
            folder, world, PICTURES, draw, regions=REGIONS, scoring={"aligner": "one-sided"}
        )
        truth = folder / f"{world}-{draw}-{PICTURES}" / "truth.csv"
        yield Archive(world, draw, run, truth, families_of(draw))


def closed_rows(
    archives_shown: list[Archive], trusts: Mapping[str, Trust]
) -> list[tuple[str, ...]]:
    """A row per archive and trust file: images, labelled by species, right; with parents, right."""
    rows: list[tuple[str, ...]] = []
    for archive in archives_shown:
        labels = load_labelset(archive.base.job.labels)
        for name, trust in trusts.items():
            alone = archive.label(labels, ONE_SIDED, trust, tree=False)
            treed = archive.label(labels, ONE_SIDED, trust, tree=True)
            rows.append(
                (
                    f"{archive.world}, draw {archive.draw}",
                    name,
                    f"{len(alone.label)}",
                    *_labelled(alone),
                    *_labelled(treed),
                )
            )
    return rows


def open_rows(
    archives_shown: list[Archive], trust: Mapping[str, Trust], fraction: float, seeds: range
) -> list[tuple[str, ...]]:
    """A row per archive with a part of its families taken out of the label set, and per trust file:
    means over the seeds of known images labelled, by their species, all labels right, and unknown
    images labelled by a species, by any."""
    rows: list[tuple[str, ...]] = []
    for archive in archives_shown:
        labels = load_labelset(archive.base.job.labels)
        for name, measured in trust.items():
            parts = []
            for seed in seeds:
                known, _ = open_set_split(labels, fraction, seed, archive.families)
                scored = archive.label(
                    replace(known, name=f"{known.name}-{seed}"), ONE_SIDED, measured, tree=True
                )
                given = (scored.label >= 0) | scored.parent
                right = (scored.label == scored.truth) & (scored.label >= 0) | scored.parent_right
                parts.append(
                    (
                        given[scored.known].mean(),
                        (scored.label >= 0)[scored.known].mean(),
                        right[given].mean() if given.any() else np.nan,
                        (scored.label >= 0)[~scored.known].mean(),
                        given[~scored.known].mean(),
                    )
                )
            rows.append(
                (
                    f"{archive.world}, draw {archive.draw}",
                    name,
                    *map(_mean, zip(*parts, strict=True)),
                )
            )
    return rows


def _labelled(scored: Scored) -> tuple[str, str]:
    """Part of the images with a label, and of these the right ones."""
    given = (scored.label >= 0) | scored.parent
    right = ((scored.label == scored.truth) & (scored.label >= 0)) | scored.parent_right
    return f"{given.mean():.1%}", f"{right[given].mean():.1%}" if given.any() else "none"


def _mean(values: tuple[float, ...]) -> str:
    """Of those there are."""
    given = [value for value in values if not np.isnan(value)]
    return f"{np.mean(given):.1%}" if given else "none"
