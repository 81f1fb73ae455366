"""How right every method is in every world: `python -m studies.pages.worlds_page`.

Draws the worlds, embeds them with the embedded model and prints `worlds.md` of
docs/research/evaluation. The scenes are the same everywhere, so what differs between two columns is
what the worlds do.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from lazsl.evaluation.answers import Answers, ask_methods
from lazsl.evaluation.methods import METHODS, REFERENCE, methods_for
from lazsl.evaluation.sections.section import table
from lazsl.evaluation.sentences import read_sentences
from lazsl.evaluation.stored import read_images
from lazsl.intervals import accuracy
from studies.guide import SEED, WORLDS, World, sample_species
from studies.pages.embedded_world import embedded_world
from studies.pages.filled import filled

PICTURES = 2
FAMILY = {species.name: species.family for species in sample_species()}


def main() -> None:
    """Print the page."""
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as scratch:
        answers = {world: measure(Path(scratch), world) for world in WORLDS}
    print(page(answers), end="")


def measure(scratch: Path, world: World, pictures: int = PICTURES) -> Answers:
    """What every method says of every picture of a world.

    Args:
        scratch: a folder for the archive and a workspace, which worlds share.
        world: which.
        pictures: per species.
    """
    run, stored, known = embedded_world(scratch, world, pictures)
    sentences = read_sentences(stored)
    images = read_images(stored, set(known.class_index))
    return ask_methods(images, known, methods_for(sentences), sentences, run.job.scoring)


def page(by_world: Mapping[World, Answers]) -> str:
    """The page in Markdown."""
    methods = [method for method in METHODS if method.name in next(iter(by_world.values())).best]
    rows = [
        (method.title, *(_cell(answers.right(method.name)) for answers in by_world.values()))
        for method in methods
    ]
    families = [
        (method.title, *(f"{_family(answers, method.name):.1%}" for answers in by_world.values()))
        for method in methods
    ]
    images = len(next(iter(by_world.values())).keys)
    return filled(
        "worlds.md",
        command="python -m studies.pages.worlds_page > docs/research/evaluation/worlds.md",
        worlds="\n".join(f"- `{world}`: {what}" for world, what in WORLDS.items()),
        images=images,
        pictures=PICTURES,
        seed=SEED,
        accuracy=table(("method", *by_world), rows),
        families=table(("method", *by_world), families),
        lost=_lost(by_world),
        ahead=_ahead(by_world),
    )


def _cell(right: np.ndarray) -> str:
    interval = accuracy(right)
    return f"{100 * interval.value:.1f} ({100 * interval.low:.0f}-{100 * interval.high:.0f})"


def _family(answers: Answers, method: str) -> float:
    """How often the best class is of the right family."""
    families = np.array([FAMILY[name] for name in answers.classes])
    return float((families[answers.best[method][:, 0]] == families[answers.truth]).mean())


def _lost(by_world: Mapping[World, Answers]) -> str:
    """What of its accuracy on photos every method keeps, in a sentence per world."""
    sentences = []
    for world, answers in by_world.items():
        if world == "photo":
            continue
        kept = {
            name: answers.right(name).mean() / by_world["photo"].right(name).mean()
            for name in ("dclip", "crop-mean", REFERENCE)
        }
        sentences.append(
            f"- `{world}`: LaZSL keeps {kept[REFERENCE]:.0%} of its accuracy, DCLIP "
            f"{kept['dclip']:.0%}, the mean over crops {kept['crop-mean']:.0%}"
        )
    return "\n".join(sentences)


def _ahead(by_world: Mapping[World, Answers]) -> str:
    """LaZSL against the others in each world, by the images only one of the two has right."""
    rows = []
    for world, answers in by_world.items():
        hits = answers.right(REFERENCE)
        cells = []
        for name in ("dclip", "crop-mean"):
            other = answers.right(name)
            won, lost = int((hits & ~other).sum()), int((other & ~hits).sum())
            p = binomtest(won, won + lost).pvalue if won + lost else 1.0
            cells += [f"{won} : {lost}", f"{p:.2g}"]
        rows.append((f"`{world}`", *cells))
    return table(("world", "LaZSL : DCLIP", "p", "LaZSL : mean over crops", "p"), rows)


if __name__ == "__main__":
    main()
