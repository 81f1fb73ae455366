"""What maps of small regions are made of: similarities as they are, drawn apart, or held against
rivals. Chosen on some draws of species, judged on others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from lazsl.evaluation.stored import Images, read_images
from lazsl.evaluation.tally import Tally, Truth
from lazsl.images.region_maps import explained, fitting_grid
from lazsl.scoring.embedded import EmbeddedLabels
from studies.guide import PARTS, read_parts
from studies.pages.ways import DRAWS, FULL, PAPER, PART_OF, PICTURES, Way, drawn, figure

CHOSEN_ON = (4203, 4204)
"""Draws of species; `DRAWS` had no part in the choice."""
SMALL = ("eye", "legs", "beak")

Values = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(R, N) of similarities (R, N) and of the mean similarity to each attribute's rivals (R, N)."""


def _apart(deviations: float) -> Values:
    return lambda similarity, _: np.exp(
        (similarity - similarity.mean(0)) / (deviations * similarity.std(0))
    )


KINDS: dict[str, Values] = {
    "as they are": lambda similarity, _: similarity,
    "exp(z / 3)": _apart(3),
    "exp(z / 2), shown to people": _apart(2),
    "exp(z / 1.5)": _apart(1.5),
    "exp(z)": _apart(1),
    "exp((S - half of the rivals' mean) / 0.3)": lambda similarity, rivals: np.exp(
        (similarity - rivals / 2) / 0.3
    ),
}


def rows(folder: Path) -> Iterator[tuple[str, ...]]:
    """A row per kind: pointing at small parts and at all, on both groups of draws; and at all
    parts with the paper's crops."""
    chosen, judged = (_tallies(folder, FULL, draws) for draws in (CHOSEN_ON, DRAWS))
    paper = _tallies(folder, PAPER, CHOSEN_ON[:1])
    for kind in KINDS:
        cells = (
            figure(of)
            for tallies in (chosen, judged)
            for of in (tallies[kind].of(SMALL), tallies[kind])
        )
        yield kind, *cells, figure(paper[kind])


def _tallies(folder: Path, way: Way, draws: tuple[int, ...]) -> dict[str, Tally]:
    tallies = {kind: Tally() for kind in KINDS}
    for draw in draws:
        _, stored, known = drawn(folder, "photo", way, draw)
        archive = folder / f"photo-{draw}-{PICTURES}"
        for number, image in enumerate(read_images(stored, set(known.class_index), 1)):
            truth = Truth(1000 * draw + number, read_parts(archive, image.keys[0]), PARTS)
            shown = known.class_index[image.image_ids[0]]
            similarity, rivals = _similarities(image, stored.embedded_labels, shown)
            meant = [PART_OF[text] for text in stored.embedded_labels.attributes[shown]]
            size = (int(image.sizes[0, 0]), int(image.sizes[0, 1]))
            boxes = np.concatenate([[[0, 0, *size]], image.boxes[0]])
            for kind, values in KINDS.items():
                maps = explained(boxes, values(similarity, rivals), size, fitting_grid(size))
                tallies[kind].add(maps, meant, truth)
    return tallies


def _similarities(
    image: Images, labels: EmbeddedLabels, shown: int
) -> tuple[np.ndarray, np.ndarray]:
    """(R, N) of the class that an image shows, and the mean over each attribute's rivals."""
    regions = np.concatenate([image.whole.numpy(), image.crops[0].numpy()]).astype(float)
    embeddings = labels.packed.embeddings.double().numpy()
    rows = slice(*labels.packed.starts[shown : shown + 2].tolist())
    texts = labels.rivals.text.numpy()
    rivals = labels.rivals.nearest(labels.rivals.text[rows]).numpy()
    # The sentences of a text, whose mean its strength is.
    means = np.stack([embeddings[texts == text].mean(0) for text in range(texts.max() + 1)])
    against = [regions @ means[near[near >= 0]].T.mean(1) for near in rivals]
    return regions @ embeddings[rows].T, np.stack(against, 1)
