"""What pointing at a part is worth by chance, and why shuffled attributes do better than that.

An attribute that was shuffled to a bird is now and then true of it, and often half true: the bird
has such a part, in another colour or shape. So pointing is counted by how much of the attribute
is true, beside places that know nothing of words: maps of the same picture dealt anew among its
attributes, and fixed places of the bird.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lazsl.evaluation.compared_sentences import text_tower
from lazsl.evaluation.control_label_sets import shuffled
from lazsl.evaluation.controls import embedded
from lazsl.evaluation.localisation import ATTRIBUTIONS, BEST, evidence_of, mean_interval
from lazsl.evaluation.sections.section import table
from lazsl.evaluation.stored import read_images
from lazsl.evaluation.tally import Tally, Truth
from lazsl.images.region_maps import fitting_grid
from studies.fieldguide.traits import Traits
from studies.guide import all_phrases, sample_species
from studies.pages.ways import DRAWS, FULL, READ, ask, drawn, figure, sample

SEEDS = (0, 1, 2)
DEALS = range(20)
PHRASES = {phrase.text: phrase for phrase in all_phrases()}
REAL, ALL = "the label set", "shuffled: all"
TRUE, HALF, FALSE = "shuffled: true of the bird", "shuffled: half true", "shuffled: false"
BIRD, MIDDLE, WING = "anywhere on the bird", "the middle of the bird", "anywhere on its wing"


@dataclass
class Chance:
    """Tallies by how much of the attributes is true: of their maps, of the other maps of the same
    picture, and, over all shuffled ones, of fixed places."""

    maps: dict[str, Tally] = field(default_factory=dict)
    dealt: dict[str, Tally] = field(default_factory=dict)
    fixed: dict[str, Tally] = field(default_factory=dict)

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Attributes, how many, pointing at the part, at the bird; dealt anew: at the part."""
        for title, tally in self.maps.items():
            thing = (f"{100 * value:.1f}" for value in tally.figures("thing")[:1])
            yield title, f"{len(tally.images):,}", figure(tally), *thing, figure(self.dealt[title])

    def fixed_rows(self) -> Iterator[tuple[str, str]]:
        """A place, and how often the part that a shuffled attribute names is there."""
        for title, tally in self.fixed.items():
            yield title, figure(tally)

    def share(self, degree: str) -> float:
        """Of all shuffled attributes, those that are true of the bird to this degree."""
        return len(self.maps[degree].images) / len(self.maps[ALL].images)


def measure(folder: Path, truths: dict[str, Truth], species: dict[str, str]) -> Chance:
    """Of the sample archive by `parts`, for the class that every picture shows.

    Args:
        folder: where `ways.sample` embeds.
        truths, species: by key, what every pixel shows, and who is shown.
    """
    _, stored, known = sample(folder, FULL)
    model, traits = text_tower(stored), {s.name: s.traits for s in sample_species()}
    labels = {REAL: stored.embedded_labels}
    for seed in SEEDS:
        labels[f"{ALL} {seed}"] = embedded(stored, shuffled(stored.labelset, seed), model)
    chance = Chance({t: Tally() for t in (REAL, ALL, TRUE, HALF, FALSE)})
    chance.dealt = {title: Tally() for title in chance.maps}
    chance.fixed = {title: Tally() for title in (BIRD, MIDDLE, WING)}
    for image in read_images(stored, set(known.class_index), memory_bytes=1):
        if image.keys[0] not in truths:
            continue
        truth, name = truths[image.keys[0]], species[image.keys[0]]
        shown = np.array([[stored.embedded_labels.classes.index(name)]])
        for title, dealt in labels.items():
            (evidence,) = evidence_of(image, dealt, stored.one_sided, shown)[0]
            grid = fitting_grid((evidence.width, evidence.height))
            maps = ATTRIBUTIONS[BEST](evidence, None, grid)
            degrees = [degree(traits[name], text) for text in evidence.attributes]
            meant = [PHRASES[text].part for text in evidence.attributes]
            groups = {REAL: (REAL,)}.get(title, (ALL, TRUE, HALF, FALSE))
            for group in groups:
                rows = [j for j, d in enumerate(degrees) if group in (REAL, ALL, d)]
                count_maps(chance, group, maps, rows, meant, truth)
            if title != REAL:
                _count_fixed(chance, meant, truth, grid)
    return chance


def degree(traits: Traits, text: str) -> str:
    """How much of what an attribute says is true of a bird."""
    holding = [getattr(traits, name) == value for name, value in PHRASES[text].requires]
    return TRUE if all(holding) else HALF if any(holding) else FALSE


def count_maps(
    chance: Chance, group: str, maps: np.ndarray, rows: list[int], meant: list[str], truth: Truth
) -> None:
    for row in rows:
        chance.maps[group].add(maps[row : row + 1], [meant[row]], truth)
        others = [j for j in range(len(maps)) if meant[j] != meant[row]]
        chance.dealt[group].add(maps[others], [meant[row]] * len(others), truth)


def _count_fixed(chance: Chance, meant: list[str], truth: Truth, grid: tuple[int, int]) -> None:
    bird, wing = truth.on_grid(None, grid), truth.on_grid("wing", grid)
    middle = np.zeros_like(bird)
    rows, columns = np.indices(bird.shape)
    down, across = ((bird * places).sum() / bird.sum() for places in (rows, columns))
    middle[round(down), round(across)] = 1
    # Cells that are the bird's by half: a mean over equally strong places.
    for title, place in ((BIRD, bird >= 0.5), (MIDDLE, middle), (WING, wing >= 0.5)):
        chance.fixed[title].add(np.repeat(place[None], len(meant), 0).astype(float), meant, truth)


def dealt_accuracy(folder: Path) -> str:
    """`1.8 (1.3-2.4)`: how often `parts` is right with shuffled attributes, in percent, on species
    that nothing was chosen on. A deal of a draw counts once, whatever worlds it is seen in."""
    right: list[float] = []
    for draw in DRAWS:
        by_deal: list[list[float]] = [[] for _ in DEALS]
        for world in READ:
            _, stored, known = drawn(folder, world, FULL, draw)
            model = text_tower(stored)
            for seed in DEALS:
                labels = embedded(stored, shuffled(stored.labelset, seed), model)
                by_deal[seed].append(ask(stored, known, labels, FULL).right("one-sided").mean())
        right.extend(float(np.mean(worlds)) for worlds in by_deal)
    mean, low, high = mean_interval(np.array(right), np.arange(len(right)))
    return f"{100 * mean:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def section(chance: Chance) -> dict[str, str]:
    """What the page's section on chance is filled with."""
    return {
        "deals": f"{SEEDS[0]} to {SEEDS[-1]}",
        "chance": table(
            ("attributes", "how many", "the part", "the bird", "dealt anew: the part"),
            list(chance.rows()),
        ),
        "fixed_places": table(("place", "the part"), list(chance.fixed_rows())),
        "by_false": figure(chance.maps[FALSE]),
        "by_dealt": figure(chance.dealt[FALSE]),
        "on_bird": figure(chance.fixed[BIRD]),
        "true_share": f"{chance.share(TRUE):.0%}",
        "half_share": f"{chance.share(HALF):.0%}",
    }
