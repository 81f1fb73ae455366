"""Aligners and layouts, by how right they are and where they point:
`nice python -m studies.pages.evidence_page FOLDER`.

Draws species that nothing was chosen on, embeds their pictures with the embedded model under every
layout and prints `docs/research/evaluation/evidence.md`. What is drawn and embedded stays in the
folder, so that the page can be printed again.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.stats import binomtest

from lazsl.evaluation.answers import Answers, ask_methods
from lazsl.evaluation.controls import embedded, shuffled
from lazsl.evaluation.localisation import ATTRIBUTIONS, evidence_of
from lazsl.evaluation.methods import method
from lazsl.evaluation.sections.section import table
from lazsl.evaluation.sentences import Sentences, text_tower
from lazsl.evaluation.stored import Images, Known, StoredRun, read_images
from lazsl.evaluation.tally import Tally, Truth
from lazsl.evaluation.trust import measure_trust
from lazsl.images.region_maps import fitting_grid
from lazsl.intervals import accuracy
from lazsl.run.run import Run
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.settings import ScoringSettings
from studies.guide import PARTS, World, all_phrases, read_parts
from studies.pages.embedded_world import embedded_world

DRAWS = (4201,)
"""Of species and places; nothing was chosen on them."""

SEEN: tuple[World, ...] = ("photo", "painting", "clutter")
PICTURES = 1
ONE_SIDED = {"aligner": "one-sided"}
PART_OF = {phrase.text: phrase.part for phrase in all_phrases()}


@dataclass(frozen=True)
class Way:
    """A row of the table: a layout, and the methods and maps that are measured on it."""

    name: str
    regions: dict[str, Any]
    methods: tuple[str, ...] = ("one-sided",)
    maps: tuple[str, ...] = ("place",)


WAYS = (
    Way(
        "random, 0.6 to 0.9",
        {},
        ("lazsl", "crop-mean", "one-sided"),
        ("place", "contribution"),
    ),
    Way("pyramid of 30", {"layout": "pyramid", "count": 29}),
    Way("zoom, 14 then 16", {"layout": "zoom", "count": 29}),
    Way(
        "zoom, 14 then 16, doubt 0.0005", {"layout": "zoom", "count": 29, "doubt": 0.0005}, maps=()
    ),
    Way("zoom, 30 then 61", {"layout": "zoom", "count": 90}, maps=("place", "contribution")),
)
FAST, FULL = WAYS[2], WAYS[4]


class Near(Truth):
    """Parts with all that is within a hundredth of the picture's shorter side of them."""

    def mask(self, name: str | None) -> np.ndarray:
        inside = super().mask(name)
        if not inside.any():
            return inside
        near: np.ndarray = distance_transform_edt(~inside) <= 0.01 * min(inside.shape)
        return near


@dataclass
class Found:
    """What one way did, over all draws and worlds.

    right: by method, by picture. scores: by method, of the best classes. passes: of every picture.
    pointing, near: by map, and with the margin of `Near`. share: of the bird, by part.
    """

    right: dict[str, dict[str, bool]] = field(default_factory=dict)
    scores: dict[str, list[np.ndarray]] = field(default_factory=dict)
    passes: list[int] = field(default_factory=list)
    pointing: dict[str, Tally] = field(default_factory=dict)
    near: Tally = field(default_factory=Tally)
    share: dict[str, list[float]] = field(default_factory=dict)


def main() -> None:
    """Print the page."""
    logging.disable(logging.INFO)
    folder = Path(sys.argv[1])
    by_way = {way.name: Found() for way in WAYS}
    control = Found()
    for draw in DRAWS:
        for world in SEEN:
            for way in WAYS:
                print(draw, world, way.name, file=sys.stderr, flush=True)
                measure(folder, draw, world, way, by_way[way.name])
            print(draw, world, "shuffled", file=sys.stderr, flush=True)
            measure(folder, draw, world, FULL, control, shuffled_words=True)
    print(page(by_way, control), end="")


def measure(
    folder: Path, draw: int, world: World, way: Way, measured: Found, shuffled_words: bool = False
) -> None:
    """Add what a way does on one archive."""
    # Both aligners are asked of the same crops, and what is stored does not depend on them, unless
    # the label decides when to stop.
    scoring = ONE_SIDED if "layout" in way.regions else {}
    opened = embedded_world(folder, world, PICTURES, draw, regions=way.regions, scoring=scoring)
    run, stored, known = opened
    labels = stored.embedded_labels
    if shuffled_words:
        labels = embedded(stored, shuffled(stored.labelset, 0), text_tower(stored))
    answers = ask(stored, known, labels, way)
    for name in way.methods:
        keys = (f"{draw} {world} {key}" for key in answers.keys)
        right = dict(zip(keys, answers.right(name).tolist(), strict=True))
        measured.right.setdefault(name, {}).update(right)
        measured.scores.setdefault(name, []).append(answers.scores[name])
    archive = folder / f"{world}-{draw}-{PICTURES}"
    for image in read_images(stored, set(known.class_index), memory_bytes=1):
        measured.passes.append(1 + image.crops.shape[1])
        if way.maps:
            point(image, archive, run, labels, known, way, measured)


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
    archive: Path,
    run: Run,
    labels: EmbeddedLabels,
    known: Known,
    way: Way,
    measured: Found,
) -> None:
    """Add where the maps of one image point, of the class that it shows."""
    shown = known.class_index[image.image_ids[0]]
    parts_of_pixels = read_parts(archive, image.keys[0])
    number = len(measured.passes)
    truth, near = Truth(number, parts_of_pixels, PARTS), Near(number, parts_of_pixels, PARTS)
    for part in PARTS[1:]:
        if (share := truth.share(part)) > 0:
            measured.share.setdefault(part, []).append(share)
    for name, scoring in scorings(run, way).items():
        (evidence,) = evidence_of(image, labels, scoring, np.array([[shown]]))[0]
        grid = fitting_grid((evidence.width, evidence.height))
        meant = [PART_OF[text] for text in evidence.attributes]
        for kind in way.maps:
            maps = ATTRIBUTIONS[kind](evidence, None, grid)
            measured.pointing.setdefault(f"{name} {kind}", Tally()).add(maps, meant, truth)
            if name == "one-sided" and kind == "place":
                measured.near.add(maps, meant, near)


def scorings(run: Run, way: Way) -> dict[str, ScoringSettings]:
    """The aligners whose maps are measured."""
    if "lazsl" in way.methods:
        return {"lazsl": run.job.scoring}
    scoring = run.job.scoring
    if not scoring.one_sided:
        from lazsl.model.logit_scale import logit_scale

        scoring = ScoringSettings(aligner="one-sided").resolved(logit_scale(run.source))
    return {"one-sided": scoring}


def page(by_way: dict[str, Found], control: Found) -> str:
    """The page in Markdown."""
    published = by_way[WAYS[0].name].right["lazsl"]
    rows = list(_rows(by_way, published))
    full, fast = by_way[FULL.name], by_way[FAST.name]
    pictures = len(published)
    share = {part: float(np.mean(values)) for part, values in full.share.items()}
    place = full.pointing["one-sided place"]
    parts = [
        (
            part,
            f"{share[part]:.1%}",
            _figure(partial(place.figures, "pointing", part)),
            _figure(partial(full.near.figures, "pointing", part)),
            _figure(partial(fast.pointing["one-sided place"].figures, "pointing", part)),
        )
        for part in sorted(share, key=lambda part: share[part])
    ]
    worlds = [
        (
            world,
            *(
                f"{100 * np.mean([r for k, r in right.items() if k.split()[1] == world]):.1f}"
                for right in (
                    published,
                    by_way[WAYS[0].name].right["crop-mean"],
                    fast.right["one-sided"],
                    full.right["one-sided"],
                )
            ),
        )
        for world in SEEN
    ]
    by_control = np.array(list(control.right["one-sided"].values()), float)
    return _PAGE.format(
        pictures=pictures,
        draws=" and ".join(map(str, DRAWS)),
        worlds=", ".join(SEEN),
        ways=table(
            ("score", "regions", "passes", "top-1", "published : it", "p", "pointing"),
            rows,
            text_columns=2,
        ),
        trust=table(
            ("preset", "temperature", "ECE", "labelled at 95 %", "held out: labelled", "right"),
            [
                _trust("paper", by_way[WAYS[0].name], "lazsl"),
                _trust("parts-fast", fast, "one-sided"),
                _trust("parts", full, "one-sided"),
            ],
        ),
        by_world=table(
            ("world", "LaZSL as published", "plain mean", "parts-fast", "parts"), worlds
        ),
        parts=table(("part", "of the bird", "parts", "within 1 %", "parts-fast"), parts),
        all_parts=_figure(partial(place.figures, "pointing")),
        all_near=_figure(partial(full.near.figures, "pointing")),
        control_right=_cell(by_control),
        control_pointing=_figure(partial(control.pointing["one-sided place"].figures, "pointing")),
    )


TITLES = {"lazsl": "LaZSL as published", "crop-mean": "plain mean", "one-sided": "one-sided"}


def _rows(by_way: dict[str, Found], published: dict[str, bool]) -> Iterator[tuple[str, ...]]:
    for way in WAYS:
        measured = by_way[way.name]
        for name in way.methods:
            right = measured.right[name]
            assert right.keys() == published.keys()
            hits = np.array([right[key] for key in published])
            theirs = np.array(list(published.values()))
            won, lost = int((hits & ~theirs).sum()), int((theirs & ~hits).sum())
            test = ("", "")
            if name != "lazsl":
                p = binomtest(won, won + lost).pvalue if won + lost else 1.0
                test = (f"{lost} : {won}", f"{p:.1g}")
            kinds = [k for k in measured.pointing if k.startswith(f"{name} ")]
            pointing = ", ".join(
                f"{_figure(partial(measured.pointing[k].figures, 'pointing'))} ({k.split()[1]})"
                for k in kinds
            )
            passes = f"{np.mean(measured.passes):.1f}".removesuffix(".0")
            yield TITLES[name], way.name, passes, _cell(hits), *test, pointing


def _trust(preset: str, measured: Found, name: str) -> tuple[str, ...]:
    right = np.array(list(measured.right[name].values()))
    scores = np.concatenate(measured.scores[name])
    trust = measure_trust(scores, right, np.ones_like(right), 0.95)
    given = "none" if trust.cut is None else f"{trust.cut.coverage:.1%}"
    kept = "" if trust.held_out_precision is None else f"{trust.held_out_precision:.1%}"
    return (
        preset,
        f"{trust.temperature:.4g}",
        f"{trust.ece_after:.3f}",
        given,
        f"{trust.held_out_coverage:.1%}",
        kept,
    )


def _cell(right: np.ndarray) -> str:
    interval = accuracy(right)
    return f"{100 * interval.value:.1f} ({100 * interval.low:.1f}-{100 * interval.high:.1f})"


def _figure(figures: Callable[[], tuple[float, float, float]]) -> str:
    mean, low, high = (100 * figure for figure in figures())
    return f"{mean:.1f} ({low:.1f}-{high:.1f})"


_PAGE = """# Evidence: aligners and layouts on species that chose nothing

{pictures} pictures: a fresh draw of 60 species and their places (seed {draws}), one picture of
each in each of the worlds {worlds}. Nothing was chosen on them: epsilon, sides and windows were
set on other draws before. The model is the embedded one, and every figure comes from the product's
own steps (`embed`, `score`, `evaluate`'s methods and maps). Nothing here was measured with a
pretrained model. Regenerated by

```sh
.venv/bin/python -m studies.pages.evidence_page workspace/evidence \\
    > docs/research/evaluation/evidence.md
```

Passes: forward passes of an image, the whole image's among them. Top-1 and pointing in percent,
in brackets the 95 % interval, in which an image counts once. Published : it:
pictures that only LaZSL as published, and only this way, calls rightly; p: McNemar's exact paired
test of both being right equally often. Pointing: the strongest place of an attribute's map lies
on its part, over all attributes of the species shown whose part can be seen (`place`: where
showing it explains the attribute's similarity; `contribution`: what is added up).

{ways}

By world:

{by_world}

What it says: without the marginal that makes every region explain its share the same crops do
better, and regions at every scale, 30 of them, do more than 91 crops of the paper. Zooming pays
twice: for the label with few passes, and for the map with many.

## Parts

Pointing of the map `place`, part by part, smallest first. Within 1 %: the strongest place is at
most a hundredth of the picture's shorter side away from the part.

{parts}

Over all parts {all_parts} of `parts`, {all_near} within 1 %.

## Trust

Confidence fitted on these pictures, for each preset by its own scores: the calibration error was
measured on halves, each at the temperature of the other; labelled: the part that keeps a promised
precision of 95 % by its lower bound (Clopper-Pearson); held out: the same with temperature and
threshold chosen on one half and applied to the other.

{trust}

## Control

The same pictures and regions of `parts` with attributes shuffled between classes (seed 0): top-1
{control_right}, where a guess is right for 1.7; pointing at the part that the shuffled attribute
names {control_pointing}.

Shuffled attributes are drawn from the same birds, so some fit by chance.

## Presets

`paper` is the default for your own archives: its accuracy with pretrained models is published,
its run keys go on where they were, and `parts` was measured with no pretrained model yet; the
smallest useful crop and epsilon may differ there. The sample archive is labelled by `parts`.
`lazsl evaluate` shows both aligners side by side from whatever regions a run has stored. (The
paper's own figures need its random crops: on a pyramid or a zoom its row is LaZSL's plan over
other regions.)
"""


if __name__ == "__main__":
    main()
