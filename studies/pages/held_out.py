"""A promise that was measured on the sample archive, applied to species and worlds that had no part
in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lazsl.evaluation.open_set import open_set_split
from lazsl.evaluation.trust import Trust
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.reading import load_labelset
from lazsl.run.run import Run
from studies.guide import World, sample_species
from studies.pages.embedded_world import embedded_world
from studies.pages.scored_again import Scored, applied, read_scored, score_again

DRAWS = (4201, 4202, 4203, 4204)
"""Of species and places; nothing was chosen on them."""

WORLDS: dict[World, tuple[int, ...]] = {
    "photo": DRAWS,
    "painting": DRAWS[:1],
    "clutter": DRAWS[:1],
    "sketch": DRAWS[:2],
    "dusk": DRAWS[:2],
}
"""Draws that are shown of each world."""
PICTURES = 1
REGIONS = {"layout": "zoom", "count": 90}


@dataclass(frozen=True)
class Promise:
    """A trust file by its name, and the settings of scoring that it was measured with."""

    name: str
    trust: Trust
    scoring: Mapping[str, Any]


@dataclass(frozen=True)
class Archive:
    """Embedded pictures of one world and draw, with the families of its species."""

    world: World
    draw: int
    base: Run
    truth: Path
    families: Mapping[str, str]

    @property
    def labels(self) -> LabelSet:
        """Of all its species."""
        return load_labelset(self.base.job.labels)

    def label(self, labels: LabelSet, promise: Promise, tree: bool) -> Scored:
        """What the product says of it with a trust file from elsewhere."""
        labels = replace(labels, parents={name: self.families[name] for name in labels.classes})
        file = self.truth.with_name(f"{labels.name}-of-{len(labels)}.json")
        run = score_again(self.base, labels, applied(promise.trust, promise.scoring, tree), file)
        return read_scored(run, self.truth, self.families)


def families_of(draw: int) -> dict[str, str]:
    """The parent of every species of a draw."""
    return {species.name: f"family {species.family}" for species in sample_species(draw)}


def archives(folder: Path) -> Iterator[Archive]:
    """Every archive, drawn and embedded where that was not done before."""
    for world, draws in WORLDS.items():
        for draw in draws:
            print("embedding", world, draw, file=sys.stderr, flush=True)
            run, _, _ = embedded_world(
                folder, world, PICTURES, draw, regions=REGIONS, scoring={"aligner": "one-sided"}
            )
            truth = folder / f"{world}-{draw}-{PICTURES}" / "truth.csv"
            yield Archive(world, draw, run, truth, families_of(draw))


def closed_rows(
    archives_shown: Sequence[Archive], promises: Sequence[Promise]
) -> Iterator[tuple[str, ...]]:
    """A row per world and trust file: images, labelled by species, right; with parents, right."""
    for world in WORLDS:
        for promise in promises:
            alone, treed = (
                [
                    archive.label(archive.labels, promise, tree)
                    for archive in archives_shown
                    if archive.world == world
                ]
                for tree in (False, True)
            )
            images = sum(len(scored.label) for scored in alone)
            yield (world, promise.name, f"{images}", *_labelled(alone), *_labelled(treed))


def by_draw(archives_shown: Sequence[Archive], promise: Promise) -> str:
    """Right labels of photos, with parents, draw by draw: `57 of 60, 59 of 59`."""
    photos = [archive for archive in archives_shown if archive.world == "photo"]
    scored = [archive.label(archive.labels, promise, tree=True) for archive in photos]
    return ", ".join(f"{part.given_right.sum()} of {part.given.sum()}" for part in scored)


def open_rows(
    archives_shown: Sequence[Archive], promises: Sequence[Promise], fraction: float, seeds: range
) -> Iterator[tuple[str, ...]]:
    """A row per world with a part of its families taken out of the label sets, and per trust file:
    means over draws and seeds of known images labelled, by their species, all labels right, and
    unknown images labelled by a species, by any."""
    for world in WORLDS:
        for promise in promises:
            parts = [
                _parts(archive, promise, fraction, seed)
                for archive in archives_shown
                if archive.world == world
                for seed in seeds
            ]
            yield (world, promise.name, *map(_mean, zip(*parts, strict=True)))


def _parts(archive: Archive, promise: Promise, fraction: float, seed: int) -> tuple[float, ...]:
    known, _ = open_set_split(archive.labels, fraction, seed, archive.families)
    labels = replace(known, name=f"{known.name}-{seed}")
    scored = archive.label(labels, promise, tree=True)
    given, right, by_species = scored.given, scored.given_right, scored.label >= 0
    return (
        given[scored.known].mean(),
        by_species[scored.known].mean(),
        right[given].mean() if given.any() else np.nan,
        by_species[~scored.known].mean(),
        given[~scored.known].mean(),
    )


def _labelled(parts: Sequence[Scored]) -> tuple[str, str]:
    """Part of the images with a label, and how many of the labels are right."""
    given = np.concatenate([scored.given for scored in parts])
    right = int(np.concatenate([scored.given_right for scored in parts]).sum())
    count = int(given.sum())
    return f"{given.mean():.1%}", f"{right} of {count}, {right / count:.1%}" if count else "none"


def _mean(values: tuple[float, ...]) -> str:
    """Of those there are."""
    given = [value for value in values if not np.isnan(value)]
    return f"{np.mean(given):.1%}" if given else "none"
