"""Would other words have done as well? The same images with label sets that say nothing of them.

A label set is taken for evidence when its words matter. Class names stay in every sentence, and so
do the number of attributes and the template; only what the attributes say is changed. Where
accuracy stays, the names carried the label, and what is shown as evidence did not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from lazsl.embedding.label_set import embed_labels
from lazsl.errors import UserError
from lazsl.evaluation.answers import ask_methods
from lazsl.evaluation.compared_sentences import Model, Sentences, text_tower
from lazsl.evaluation.control_label_sets import CONTROLS
from lazsl.evaluation.known_truth import Known
from lazsl.evaluation.methods import REFERENCE, method
from lazsl.evaluation.stored import Images, StoredRun, read_images
from lazsl.evaluation.sweeps import own_method
from lazsl.labelset.labels import LabelSet
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.store import paths
from lazsl.store.damage import read_or_make

ENOUGH = 0.5
"""Of the accuracy above chance: where a control keeps so much, words did not carry the label."""

LITTLE = 0.2


@dataclass(frozen=True)
class Controlled:
    """How right methods are with one label set in place of the real one.

    Attributes:
        name, title: of the control; `real` for the label set itself.
        accuracy: top-1 by method, the mean over seeds.
        by_seed: the same for each seed.
        kept: the part of its accuracy above chance that is left, 0 and up; 1 for the real one.
    """

    name: str
    title: str
    accuracy: dict[str, float]
    by_seed: dict[str, tuple[float, ...]]
    kept: float


@dataclass(frozen=True)
class Controls:
    """The label set beside every control, on the same images.

    Attributes:
        images: how many.
        chance: accuracy of a guess.
        rows: the label set itself, then the controls.
        seeds: of the controls.
        verdict: what it means, in a sentence.
        run_method: the method that the run labels by.
    """

    images: int
    chance: float
    rows: tuple[Controlled, ...]
    seeds: tuple[int, ...]
    verdict: str
    run_method: str = REFERENCE

    name = "controls"

    def to_json(self) -> dict[str, Any]:
        """Every figure."""
        return asdict(self)

    def show(self, console: Console) -> None:
        """The table, and the verdict."""
        shown = Table(*self._heads, title="controls: other words, same images")
        for column in shown.columns[1:]:
            column.justify = "right"
            column.no_wrap = True
        for row in self.rows:
            shown.add_row(*self._cells(row))
        console.print(shown)
        console.print(self.verdict, highlight=False)

    def to_markdown(self) -> str:
        """The table and the verdict."""
        seeds = (
            f"seed {self.seeds[0]}"
            if len(self.seeds) == 1
            else f"seeds {self.seeds[0]} to {self.seeds[-1]}"
        )
        return "\n\n".join(
            [
                "## Controls",
                f"The same {self.images:,} images and class names, with attributes that say "
                f"nothing of the classes ({seeds}). Kept: what is left of the accuracy of "
                f"{method(self.run_method).title} above chance ({self.chance:.1%}).",
                self.table(),
                self.verdict + "\n",
            ]
        )

    def table(self) -> str:
        """In Markdown."""
        heads = self._heads
        rows = [heads, ("---", *["---:"] * (len(heads) - 1)), *map(self._cells, self.rows)]
        return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)

    def write(self, folder: Path) -> list[Path]:
        """No file: three figures need no picture."""
        return []

    @property
    def _heads(self) -> tuple[str, ...]:
        titles = (method(name).title for name in self.rows[0].accuracy)
        return "attributes", *titles, "kept"

    def _cells(self, row: Controlled) -> tuple[str, ...]:
        figures = (f"{accuracy:.1%}" for accuracy in row.accuracy.values())
        return row.title, *figures, "" if row.name == "real" else f"{row.kept:.0%}"


_METHODS = ("dclip", "crop-mean", REFERENCE, "one-sided")


def measure_controls(
    stored: StoredRun,
    known: Known,
    seeds: Sequence[int] = (0,),
    say: Callable[[str], None] = lambda _: None,
) -> Controls:
    """How right the label set is beside every control. The text tower is all that is loaded, and
    what it embeds is kept in the workspace.

    Args:
        stored: the run.
        known: truth of its images; those of no known class are left out.
        seeds: every control is drawn once for each.
        say: called with a sentence before something takes long.

    Raises:
        UserError: the run's model cannot be had.
    """
    of_known_class = {image for image, index in known.class_index.items() if index >= 0}
    # All controls read the same embeddings.
    images = list(read_images(stored, of_known_class))
    model = text_tower(stored)
    real = _accuracy(stored, known, images, stored.embedded_labels)
    run_method = own_method(stored.job.scoring).name
    run_method = run_method if run_method in real else REFERENCE
    chance = 1 / len(stored.labelset)
    rows = [Controlled("real", "the label set", real, {m: (real[m],) for m in real}, 1.0)]
    for control in CONTROLS:
        say(f"control: {control.title}")
        by_method = [
            _accuracy(
                stored, known, images, embedded(stored, control.make(stored.labelset, seed), model)
            )
            for seed in seeds
        ]
        by_seed = {m: tuple(accuracy[m] for accuracy in by_method) for m in real}
        mean = {m: float(np.mean(values)) for m, values in by_seed.items()}
        kept = max(0.0, mean[run_method] - chance) / max(real[run_method] - chance, 1e-9)
        rows.append(Controlled(control.name, control.title, mean, by_seed, kept))
    sentence = verdict(rows, chance, run_method)
    return Controls(len(of_known_class), chance, tuple(rows), tuple(seeds), sentence, run_method)


def verdict(rows: Sequence[Controlled], chance: float, run_method: str = REFERENCE) -> str:
    """What the controls mean for the evidence of a label set, in a sentence or two.

    Args:
        rows: the label set itself, then the controls.
        chance: accuracy of a guess.
        run_method: the method that the run labels by.
    """
    real, *controls = rows
    accuracy = real.accuracy[run_method]
    if accuracy <= chance:
        return (
            f"The label set is right for {accuracy:.1%} of the images, which is no more than "
            f"chance ({chance:.1%}): there is nothing that evidence could carry."
        )
    most = max(controls, key=lambda row: row.kept)
    comparison = (
        f"the control that does best ({most.title}) is right for {most.accuracy[run_method]:.1%} "
        f"of the images, the real attributes for {accuracy:.1%}, a guess for {chance:.1%}, so that "
        f"{most.kept:.0%} of what is above chance stays"
    )
    if most.kept >= ENOUGH:
        return (
            f"The evidence of this label set does not carry the label: {comparison}. The class "
            "names do; what is shown as reasons would look much the same with other words."
        )
    if most.kept > LITTLE:
        return f"The evidence of this label set carries the label in part: {comparison}."
    return f"The evidence of this label set carries the label: {comparison}."


def embedded(stored: StoredRun, labels: LabelSet, model: Model) -> EmbeddedLabels:
    """A label set, embedded once and kept in the workspace."""
    name = paths.attributes(stored.encoder, labels.key)
    table = read_or_make(stored.folder, name, lambda: embed_labels(labels, model()))
    return EmbeddedLabels.from_table(table)


def _accuracy(
    stored: StoredRun, known: Known, images: Iterable[Images], labels: EmbeddedLabels
) -> dict[str, float]:
    try:
        one_sided = stored.one_sided
    except UserError:
        one_sided = None
    sentences = Sentences(labels.classes, labels.names, labels.packed, None, None, {}, one_sided)
    methods = [method(name) for name in _METHODS if one_sided or name != "one-sided"]
    answers = ask_methods(images, known, methods, sentences, stored.job.scoring)
    return {
        each_method.name: float(answers.right(each_method.name).mean()) for each_method in methods
    }
