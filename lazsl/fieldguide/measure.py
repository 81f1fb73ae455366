"""How right each method is on one run, with a paired test against LaZSL."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import binomtest

from lazsl import sqlfiles
from lazsl.warehouse import open_warehouse

METHODS = {
    "clip": "CLIP: the class name on the whole image",
    "dclip": "DCLIP: mean over attributes on the whole image",
    "crop_mean": "plain mean over crops and attributes",
    "lazsl": "LaZSL: optimal transport of regions to attributes",
}


@dataclass(frozen=True)
class Measured:
    """One method: top-1, and the images that it or LaZSL alone got right.

    `p_value` is the exact two-sided McNemar test of equal accuracy; None for LaZSL itself.
    """

    method: str
    images: int
    accuracy: float
    only_this: int
    only_lazsl: int
    p_value: float | None


def measure(path: Path, run: str) -> list[Measured]:
    """Top-1 of every method over the images of a run whose truth is known, in table order."""
    with closing(open_warehouse(path)) as connection:
        found = sqlfiles.run(connection, "paired.sql", run=run).fetchall()
    counts = {method: tuple(numbers) for method, *numbers in found}
    table = []
    for method in METHODS:
        if method not in counts:
            continue
        images, right, only_this, only_lazsl = counts[method]
        discordant = only_this + only_lazsl
        p = binomtest(only_this, discordant).pvalue if discordant else 1.0
        table.append(
            Measured(
                method,
                images,
                right / images,
                only_this,
                only_lazsl,
                None if method == "lazsl" else float(p),
            )
        )
    return table
