"""Ways to label a picture, layout by layout, measured on species that nothing was chosen on.

What every way calls each picture of a world, how many forward passes that takes, and where its maps
point. `evidence_page` and `worlds_page` print it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.stats import binomtest

from lazsl import fieldguide
from lazsl.evaluation.answers import Answers, ask_methods
from lazsl.evaluation.compared_sentences import Sentences, text_tower
from lazsl.evaluation.control_label_sets import shuffled
from lazsl.evaluation.controls import embedded
from lazsl.evaluation.known_truth import Known
from lazsl.evaluation.localisation import ATTRIBUTIONS, evidence_of
from lazsl.evaluation.methods import method
from lazsl.evaluation.stored import Images, StoredRun, read_images
from lazsl.evaluation.tally import Tally, Truth
from lazsl.images.region_maps import fitting_grid
from lazsl.intervals import accuracy
from lazsl.labelset.labels import LabelSet
from lazsl.run.run import Run
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.settings import ScoringSettings
from studies.guide import PARTS, WORLDS, World, all_phrases, read_parts
from studies.pages.embedded_world import embedded_archive, embedded_world

DRAWS = (4201, 4202)
"""Of species and places; nothing was chosen on them."""

PICTURES = 1
"""Of each species, in each world and draw."""

READ: tuple[World, ...] = ("photo", "painting", "clutter")
"""Worlds of the table of all ways: the model reads them, and they have the same scenes."""

PART_OF = {phrase.text: phrase.part for phrase in all_phrases()}
_ONE_SIDED = {"aligner": "one-sided"}


@dataclass(frozen=True)
class Way:
    """A layout, and the methods and maps that are measured on it.

    Attributes:
        name: of the layout, in the table.
        regions: settings.
        methods: by their names.
        maps: by their names, of the first method.
        everywhere: measured in all worlds, and not in those of `READ` alone.
    """

    name: str
    regions: dict[str, Any]
    methods: tuple[str, ...] = ("one-sided",)
    maps: tuple[str, ...] = ("place",)
    everywhere: bool = True

    @property
    def scoring(self) -> dict[str, str]:
        """Settings. Both aligners are asked of the same crops, and what is stored does not depend
        on them, unless the label decides when to stop."""
        return _ONE_SIDED if "layout" in self.regions else {}


PAPER = Way(
    "random, 0.6 to 0.9",
    {},
    ("lazsl", "dclip", "crop-mean", "one-sided"),
    ("place", "contribution"),
)
PYRAMID = Way("pyramid of 30", {"layout": "pyramid", "count": 29}, everywhere=False)
FAST = Way("zoom, 14 then 16", {"layout": "zoom", "count": 29})
FULL = Way("zoom, 30 then 61", {"layout": "zoom", "count": 90}, maps=("place", "contribution"))
EARLY = Way(
    "zoom, 14 then 16, doubt 0.0005",
    {"layout": "zoom", "count": 29, "doubt": 0.0005},
    maps=(),
    everywhere=False,
)
WAYS = (
    PAPER,
    Way("random, 0.2 to 0.9", {"smallest": 0.2}, everywhere=False),
    PYRAMID,
    FAST,
    EARLY,
    Way("pyramid of 91", {"layout": "pyramid", "count": 90}, everywhere=False),
    FULL,
)


PRESETS = {
    "paper": (PAPER, "lazsl"),
    "parts-fast": (FAST, "one-sided"),
    "parts": (FULL, "one-sided"),
}
"""Of each preset its way, and the method that it labels by."""


class Near(Truth):
    """Parts with all that is within a hundredth of the picture's shorter side of them."""

    def mask(self, name: str | None) -> np.ndarray:
        inside = super().mask(name)
        if not inside.any():
            return inside
        reach = 0.01 * min(inside.shape)
        margin = int(reach) + 1
        (top, bottom), (left, right) = (
            (max(0, along.min() - margin), along.max() + margin + 1) for along in inside.nonzero()
        )
        around = np.s_[top:bottom, left:right]
        near = np.zeros_like(inside)
        near[around] = distance_transform_edt(~inside[around]) <= reach
        return near


@dataclass
class Measured:
    """What one way did in one world, over all draws.

    Attributes:
        called, right: by method, by picture, the best class and whether it is the one shown.
        family: the same of the best class's family.
        scores: by method, of the best classes, picture by picture.
        passes: of every picture.
        pointing: by map. near: of `FULL` and `place`, with the margin of `Near`.
        share: of the bird, by part.
    """

    called: dict[str, dict[str, str]] = field(default_factory=dict)
    right: dict[str, dict[str, bool]] = field(default_factory=dict)
    family: dict[str, list[bool]] = field(default_factory=dict)
    scores: dict[str, list[np.ndarray]] = field(default_factory=dict)
    passes: list[int] = field(default_factory=list)
    pointing: dict[str, Tally] = field(default_factory=dict)
    near: Tally = field(default_factory=Tally)
    share: dict[str, list[float]] = field(default_factory=dict)

    def hits(self, name: str) -> np.ndarray:
        """(B,) bool, the pictures that a method calls rightly, by their names' order."""
        return np.array([self.right[name][key] for key in sorted(self.right[name])])


Table = dict[str, dict[World, Measured]]
"""By the name of a way, by world."""


def measure_all(folder: Path, families: Callable[[int], dict[str, str]]) -> Table:
    """What every way does in every world; what is drawn and embedded stays in the folder."""
    table: Table = {way.name: {} for way in WAYS}
    for world in (*READ, *(world for world in WORLDS if world not in READ)):
        for way in WAYS:
            if not (way.everywhere or world in READ):
                continue
            measured = table[way.name].setdefault(world, Measured())
            for draw in DRAWS:
                print(world, way.name, draw, file=sys.stderr, flush=True)
                measure(folder, draw, world, way, measured, families(draw))
    return table


def drawn(folder: Path, world: World, way: Way, draw: int) -> tuple[Run, StoredRun, Known]:
    """The pictures of one world and draw, embedded by a way's layout."""
    return embedded_world(folder, world, PICTURES, draw, regions=way.regions, scoring=way.scoring)


def sample(
    folder: Path, way: Way, home: Path = fieldguide.HOME, model: str = "fieldguide"
) -> tuple[Run, StoredRun, Known]:
    """The same of a sample archive, by default the one that is shipped."""
    images, labels, truth = (
        home / "sample" / name for name in ("images", "labels.json", "truth.csv")
    )
    return embedded_archive(
        folder, images, labels, truth, model, regions=way.regions, scoring=way.scoring
    )


def measure(
    folder: Path,
    draw: int,
    world: World,
    way: Way,
    measured: Measured,
    families: dict[str, str],
    other_words: Callable[[LabelSet, int], LabelSet] | None = None,
) -> None:
    """Add what a way does on one archive, with other words where they are given."""
    _, stored, known = drawn(folder, world, way, draw)
    labels = stored.embedded_labels
    if other_words is not None:
        labels = embedded(stored, other_words(stored.labelset, 0), text_tower(stored))
    answers = ask(stored, known, labels, way)
    family = np.array([families[name] for name in answers.classes])
    for name in way.methods:
        keys = [f"{world} {draw} {key}" for key in answers.keys]
        right = dict(zip(keys, answers.right(name).tolist(), strict=True))
        measured.right.setdefault(name, {}).update(right)
        called = (answers.classes[row] for row in answers.best[name][:, 0])
        measured.called.setdefault(name, {}).update(zip(keys, called, strict=True))
        same = family[answers.best[name][:, 0]] == family[answers.truth]
        measured.family.setdefault(name, []).extend(same.tolist())
        measured.scores.setdefault(name, []).extend(answers.scores[name])
    archive = folder / f"{world}-{draw}-{PICTURES}"
    scoring_of_maps = stored.job.scoring if "lazsl" in way.methods else stored.one_sided
    for image in read_images(stored, set(known.class_index), memory_bytes=1):
        measured.passes.append(1 + image.crops.shape[1])
        if way.maps:
            number = len(measured.passes)
            parts = read_parts(archive, image.keys[0])
            truths = Truth(number, parts, PARTS), Near(number, parts, PARTS)
            point(image, labels, known, scoring_of_maps, way, measured, truths)


def ask(stored: StoredRun, known: Known, labels: EmbeddedLabels, way: Way) -> Answers:
    """What the way's methods call every picture, with these sentences."""
    none: dict[str, str] = {}
    one_sided = stored.one_sided
    sentences = Sentences(labels.classes, labels.names, labels.packed, None, None, none, one_sided)
    images = read_images(stored, set(known.class_index))
    methods = [method(name) for name in way.methods]
    return ask_methods(images, known, methods, sentences, stored.job.scoring)


def point(
    image: Images,
    labels: EmbeddedLabels,
    known: Known,
    scoring: ScoringSettings,
    way: Way,
    measured: Measured,
    truths: tuple[Truth, Near],
) -> None:
    """Add where the maps of one image point, of the class that it shows."""
    shown = known.class_index[image.image_ids[0]]
    truth, near = truths
    for part in PARTS[1:]:
        if (share := truth.share(part)) > 0:
            measured.share.setdefault(part, []).append(share)
    (evidence,) = evidence_of(image, labels, scoring, np.array([[shown]]))[0]
    grid = fitting_grid((evidence.width, evidence.height))
    meant = [PART_OF[text] for text in evidence.attributes]
    for kind in way.maps:
        maps = ATTRIBUTIONS[kind](evidence, None, grid)
        measured.pointing.setdefault(kind, Tally()).add(maps, meant, truth)
        if way is FULL and kind == "place":
            measured.near.add(maps, meant, near)


def measure_control(
    folder: Path, families: Callable[[int], dict[str, str]]
) -> dict[World, Measured]:
    """The evidence layout with attributes shuffled between classes."""
    by_world: dict[World, Measured] = {}
    for world in READ:
        for draw in DRAWS:
            print(world, "shuffled", draw, file=sys.stderr, flush=True)
            measured = by_world.setdefault(world, Measured())
            measure(folder, draw, world, FULL, measured, families(draw), shuffled)
    return by_world


def together(parts: Sequence[Measured]) -> Measured:
    """The same over several worlds."""
    whole = Measured()
    for number, part in enumerate(parts):
        for name, right in part.right.items():
            whole.right.setdefault(name, {}).update(right)
        for name, called in part.called.items():
            whole.called.setdefault(name, {}).update(called)
        for name, family in part.family.items():
            whole.family.setdefault(name, []).extend(family)
        for name, scores in part.scores.items():
            whole.scores.setdefault(name, []).extend(scores)
        whole.passes.extend(part.passes)
        for kind, tally in part.pointing.items():
            _extend(whole.pointing.setdefault(kind, Tally()), tally, number)
        _extend(whole.near, part.near, number)
        for name, share in part.share.items():
            whole.share.setdefault(name, []).extend(share)
    return whole


def _extend(tally: Tally, more: Tally, world: int) -> None:
    # A picture of another world is another picture.
    tally.images.extend(1_000_000 * world + image for image in more.images)
    for name in ("parts", "pointing", "thing", "energy"):
        getattr(tally, name).extend(getattr(more, name))


def cell(right: np.ndarray, digits: int = 1) -> str:
    """`94.4 (91.1-97.2)`: the part that is right, with its exact interval, in percent."""
    interval = accuracy(right)
    return " ".join(_percents((interval.value, interval.low, interval.high), digits))


def figure(tally: Tally, part: str | None = None, digits: int = 1) -> str:
    """`68.2 (65.8-70.6)`: how often maps pointed at the part, in percent."""
    return " ".join(_percents(tally.figures("pointing", part), digits))


def _percents(figures: tuple[float, float, float], digits: int) -> Iterator[str]:
    mean, low, high = (100 * value for value in figures)
    yield f"{mean:.{digits}f}"
    yield f"({low:.{digits}f}-{high:.{digits}f})"


def paired(theirs: np.ndarray, hits: np.ndarray) -> tuple[str, str]:
    """`4 : 108` and p: pictures that only they, and only these, have right; McNemar's exact test
    of both being right equally often."""
    won, lost = int((hits & ~theirs).sum()), int((theirs & ~hits).sum())
    p = binomtest(won, won + lost).pvalue if won + lost else 1.0
    return f"{lost} : {won}", f"{p:.1g}"
