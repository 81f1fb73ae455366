"""What every method says of every image whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lazsl.alignment.align import TopClasses, select_regions
from lazsl.evaluation.compared_sentences import Sentences
from lazsl.evaluation.known_truth import Known
from lazsl.evaluation.methods import Method, Views, with_rule
from lazsl.evaluation.stored import Images
from lazsl.settings import ScoringSettings

DEPTH = 5
"""Best classes that are kept of every method, at least: for top-5."""

Ask = Callable[[Images], TopClasses]
"""Some images to their best classes."""


@dataclass(frozen=True)
class Answers:
    """The best classes of every image by every method, in the order in which they were read.

    Attributes:
        image_ids: (B,).
        keys: (B,), paths below the archive's root.
        classes: names, in label set order.
        truth: (B,) int64, index of the class; -1 where the label set lacks it.
        shown: (B,) name of the class, whether the label set has it or not.
        best: by method, (B, k) int32 indices of classes, best first.
        scores: by method, (B, k) float32, theirs.
        cluster: (B,) int, the number of each image's cluster of like images; None means that each
            image is one by itself.
    """

    image_ids: tuple[str, ...]
    keys: tuple[str, ...]
    classes: tuple[str, ...]
    truth: np.ndarray
    shown: tuple[str, ...]
    best: dict[str, np.ndarray]
    scores: dict[str, np.ndarray]
    cluster: np.ndarray | None = None

    def right(self, method: str, depth: int = 1) -> np.ndarray:
        """(B,) bool, whether the truth is among the method's best `depth` classes."""
        hits: np.ndarray = (self.best[method][:, :depth] == self.truth[:, None]).any(axis=1)
        return hits

    def clusters_of(self, chosen: np.ndarray) -> np.ndarray | None:
        """The clusters of chosen images, (B,) bool; None where each is one by itself."""
        return None if self.cluster is None else self.cluster[chosen]


def ask_methods(
    images: Iterable[Images],
    known: Known,
    methods: Sequence[Method],
    sentences: Sentences,
    settings: ScoringSettings,
) -> Answers:
    """The answers of methods, all from one reading of the embeddings.

    Args:
        images: as `stored.read_images` gives them; each with truth.
        known: their truth.
        methods: whom to ask.
        sentences: what they compare with.
        settings: of the run.
    """
    depth = max(DEPTH, settings.top_k)
    whom = {method.name: by_method(method, sentences, settings, depth) for method in methods}
    return ask(images, known, sentences.classes, whom)


def by_method(method: Method, sentences: Sentences, settings: ScoringSettings, depth: int) -> Ask:
    """A method as a function of images, for their best `depth` classes."""
    return lambda images: method.top(views_of(images, settings), sentences, settings, depth)


def views_of(images: Images, settings: ScoringSettings) -> Views:
    """Images as the run saw them, with the selection of regions that the paper's plans make."""
    keep = select_regions(images.crops, images.whole, with_rule(settings, settings.rule).gamma)
    return Views(images.crops, images.whole, keep)


def ask(
    images: Iterable[Images], known: Known, classes: Sequence[str], whom: dict[str, Ask]
) -> Answers:
    """The answers of any functions, by name, all from one reading of the embeddings."""
    ids: list[str] = []
    keys: list[str] = []
    best: dict[str, list[np.ndarray]] = {name: [] for name in whom}
    scores: dict[str, list[np.ndarray]] = {name: [] for name in whom}
    for batch in images:
        ids += batch.image_ids
        keys += batch.keys
        for name, answer in whom.items():
            top = answer(batch)
            best[name].append(top.classes.cpu().numpy().astype(np.int32))
            scores[name].append(top.scores.cpu().numpy())
    return Answers(
        tuple(ids),
        tuple(keys),
        tuple(classes),
        np.array([known.class_index[image_id] for image_id in ids], np.int64),
        tuple(known.labels[image_id] for image_id in ids),
        {name: np.concatenate(parts) for name, parts in best.items()},
        {name: np.concatenate(parts) for name, parts in scores.items()},
    )
