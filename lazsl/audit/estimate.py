"""How right is a run? What the images that a person judged say of all of them, with uncertainty.

When it is unbiased. Chance alone chose the judged images, with probabilities that are stored with
the sample, so every image stands for 1 / probability images of the archive, whoever labels them.
Hence a later run over the same archive (other labels, settings or model) is estimated from the same
judgements, which are about images and not about runs. Three things are assumed: the run was not
tuned on these very judgements; images of the sample that nobody judged are like the judged ones of
their stratum; and judgements are right. Of a sample that is judged in part, an image that somebody
judged without its sample, because it was chosen by hand or by a filter, is left out: chance did not
choose it, and the least certain are what people choose. That images come in groups of near copies
does no harm: chance chose among all of them. The estimate speaks of the images that were there when
the sample was drawn: those that came later have no judgement, and need a new sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lazsl.audit.sample import LEAST, archive_of
from lazsl.errors import UserError
from lazsl.intervals import exact
from lazsl.store import keys
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.opening import open_warehouse
from lazsl.warehouse.sqlfiles import Connection

Array = np.ndarray[Any, np.dtype[Any]]

MANY = 20
"""Judged images of a stratum from which its variance can be estimated; see `stratified`."""
METHOD = (
    "overall: stratified estimator; classes: weighted share; intervals: Clopper and Pearson's on "
    "the effective sample size (Korn and Graubard 1998), with finite population correction"
)


@dataclass(frozen=True)
class Estimate:
    """A proportion, 0..1, with its 95 % interval."""

    value: float
    low: float
    high: float
    judged: int
    """Images it rests on."""


@dataclass(frozen=True)
class Audit:
    """How right a run is, by the judgements of one sample."""

    run: str
    sample: str
    drawn_from: str
    """The run that the sample was drawn from."""
    population: int
    """Images the sample was drawn from; the estimate speaks of them."""
    images: int
    """Listed images that the run scored, abstained ones among them."""
    abstained: int
    """Of these, those without a label; they are no part of the estimates."""
    drawn: int
    judged: int
    """Of the drawn, those that somebody judged."""
    conflicts: int
    """Of the judged, those with different answers: that of most counts, among equals the latest."""
    accuracy: Estimate
    """Share of the labelled images whose label is right."""
    classes: dict[str, Estimate]
    """By class name: share of the images called so that are rightly called so."""
    unseen: int
    """Classes that the run gave to images, none of which was judged."""
    chosen: int = 0
    """Of the drawn, those left out because they were judged without the sample, in which others are
    not judged yet; `judged` does not count them."""
    method: str = METHOD

    def notes(self) -> list[str]:
        """What a reader of the numbers must know, a sentence each."""
        sentences = [
            f"{self.judged:,} of {self.drawn:,} images of sample {self.sample} were judged; "
            f"they stand for {self.population:,} images."
        ]
        if self.chosen:
            sentences.append(
                f"{self.chosen:,} more are left out: somebody chose them to be judged, so they do "
                "not stand for others. Judge the whole sample, and they count."
            )
        elif self.judged < self.drawn:
            sentences.append(
                "The others are taken to be like these; were the hard ones put off, the accuracy "
                "is lower than this."
            )
        if self.images != self.population:
            sentences.append(
                f"The run scored {self.images:,} images; nothing is said of those that came after "
                "the sample was drawn."
            )
        if self.abstained:
            sentences.append(f"It abstained from {self.abstained:,} images, which are not counted.")
        if self.conflicts:
            sentences.append(
                f"Reviewers differ on {self.conflicts:,} images; the answer of most counts, among "
                "equals the latest. Ask: from reviewed where not agreed"
            )
        if self.unseen:
            sentences.append(f"Of {self.unseen:,} classes no image was judged.")
        return sentences

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def estimate_run(path: Path, run: str, sample: str | None = None) -> Audit:
    """How right a run is, from a sample of its archive; see the head of this module.

    Args:
        path: the warehouse.
        run: key of any run over the archive.
        sample: name of the sample; None means the one with the most judgements.

    Raises:
        UserError: the run or the sample is unknown, or nothing of the sample was judged.
    """
    with closing(open_warehouse(path)) as connection:
        name, drawn_from = _sample(connection, archive_of(connection, run), sample)
        rows = sqlfiles.run(connection, "audit/judged.sql", run=run, sample=name).fetchall()
        called = dict(sqlfiles.run(connection, "audit/called.sql", run=run).fetchall())
    population = {row[0]: row[1] for row in rows}
    judged = [row for row in rows if row[2]]
    seen = judged if len(judged) == len(rows) else [row for row in judged if row[3]]
    if not seen:
        raise UserError(
            f"the {len(judged)} judged images of sample {name} were chosen, not drawn: they say "
            "nothing of the others; judge the sample's own file (lazsl audit sample) or its page "
            "in the report, and import that"
        )
    stratum, _, _, _, agreed, labels, correct = zip(*seen, strict=True)
    right = np.array([bool(value) for value in correct])
    answered = np.array([label is not None for label in labels])
    if not answered.any():
        raise UserError(
            f"run {run} labelled none of the {len(seen)} judged images of sample {name}; "
            "draw and judge a new one: lazsl audit sample"
        )
    weights = stratum_weights(stratum, population)
    classes = sorted({label for label in labels if label is not None})
    return Audit(
        run=run,
        sample=name,
        drawn_from=drawn_from,
        population=sum(population.values()),
        images=sum(called.values()),
        abstained=called.pop(None, 0),
        drawn=len(rows),
        judged=len(seen),
        conflicts=sum(not value for value in agreed),
        accuracy=stratified(*weights, right, answered),
        classes={
            label: share(weights[1], right, np.array([given == label for given in labels]))
            for label in classes
        },
        unseen=len(called.keys() - set(classes)),
        chosen=len(judged) - len(seen),
    )


def _sample(connection: Connection, archive: str, sample: str | None) -> tuple[str, str]:
    """Name of the sample to use, and the run it was drawn from."""
    samples = sqlfiles.run(connection, "audit/samples.sql", archive=archive).fetchall()
    if not samples:
        raise UserError(
            f"no sample of archive {archive} was drawn yet; draw one: lazsl audit sample"
        )
    by_name = {row[0]: row for row in samples}
    chosen = samples[0][0] if sample is None else sample
    key = keys.begun(chosen, list(by_name), "sample", f"of archive {archive}")
    name, run, drawn, judged = by_name[key]
    if not judged:
        raise UserError(
            f"none of the {drawn} images of sample {name} was judged yet; "
            "import judgements with lazsl audit import FILE"
        )
    return name, run


def stratum_weights(
    stratum: Sequence[int], population: Mapping[int, int]
) -> tuple[Array, Array, Array]:
    """Stratum (n,), weight (n,) and stratum's population (n,) of every judged image.

    Strata with fewer than `LEAST` judged images are put together with the next ones. A weight is
    the images that a judged one stands for: population / judged images of its stratum. Weights add
    up to the whole population.

    Args:
        stratum: of every judged image.
        population: images in each stratum, also in those without a judged image.
    """
    judged = Counter(stratum)
    place: dict[int, int] = {}
    groups: list[list[int]] = [[]]
    for name in sorted(population):
        groups[-1].append(name)
        if sum(judged[member] for member in groups[-1]) >= LEAST:
            groups.append([])
    if len(groups) > 1:
        last = groups.pop()
        groups[-1].extend(last)
    for number, members in enumerate(groups):
        place.update(dict.fromkeys(members, number))
    merged = np.array([place[name] for name in stratum])
    total = np.bincount(
        [place[name] for name in population], [float(n) for n in population.values()]
    )
    return merged, total[merged] / np.bincount(merged)[merged], total[merged]


def stratified(
    stratum: Array, weights: Array, population: Array, right: Array, within: Array
) -> Estimate:
    """Share of right images among those `within`, from a stratified sample.

    The estimator p is the ratio of weighted sums. The interval is the exact one of an effective
    sample size. Where every stratum has `MANY` judged images, it is p (1 - p) / v, with v the
    variance of a stratified sample with finite population correction, linearised (W. G. Cochran,
    Sampling Techniques, 5A.3 and 6.11):

        v = sum_h N_h^2 (1 - n_h / N_h) s_h^2 / n_h / (sum_i w_i d_i)^2,  e_i = d_i (y_i - p)

    with s_h the standard deviation of e in stratum h. A few images say too little of s_h: two that
    agree say that it is 0. So where a stratum has fewer, the size is Kish's, which is that of a
    plain random sample with weights as unequal: what the strata gain is not claimed.

    Args:
        stratum, weights, population: of every judged image (n,), by `stratum_weights`.
        right: (n,) bool.
        within: (n,) bool; the others are judged images outside of what is asked for.
    """
    weight = weights * within
    value = float((weight * right).sum() / weight.sum())
    size = _kish(weights[within])
    counts = np.bincount(stratum)
    inside = np.bincount(stratum, within)
    if inside.min() >= MANY and 0 < value < 1:
        error = within * (right - value)
        means = np.bincount(stratum, error) / counts
        squares = np.bincount(stratum, (error - means[stratum]) ** 2)
        sizes = np.bincount(stratum, population) / counts
        parts = sizes**2 * (1 - counts / sizes) * squares / (counts - 1) / counts
        variance = float(parts.sum()) / float(weight.sum()) ** 2
        if variance > 0:
            size = value * (1 - value) / variance
    return Estimate(value, *exact(value, size), int(within.sum()))


def share(weights: Array, right: Array, within: Array) -> Estimate:
    """Weighted share of right images among the few `within`, say those of one class.

    The interval is the exact one of Kish's effective sample size.
    """
    weight = weights[within]
    value = float((weight * right[within]).sum() / weight.sum())
    return Estimate(value, *exact(value, _kish(weight)), int(within.sum()))


def _kish(weights: Array) -> float:
    """Effective sample size (sum w)^2 / sum w^2 over 1 - n / N; infinite when all were judged."""
    rest = 1 - len(weights) / float(weights.sum())
    return float(weights.sum() ** 2 / (weights**2).sum() / rest) if rest > 1e-12 else np.inf
