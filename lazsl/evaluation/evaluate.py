"""A whole evaluation: stored embeddings and truth in, sections out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from lazsl.errors import UserError
from lazsl.evaluation.answers import DEPTH, Answers, Ask, ask, by_method
from lazsl.evaluation.compared_sentences import Sentences, read_sentences
from lazsl.evaluation.comparison import Comparison, compare
from lazsl.evaluation.controls import measure_controls
from lazsl.evaluation.grouping import FOLDER, numbered, read_groups
from lazsl.evaluation.known_truth import Known, join_truth
from lazsl.evaluation.methods import methods_for
from lazsl.evaluation.sections.comparison_section import ComparisonSection
from lazsl.evaluation.sections.section import Section, plain
from lazsl.evaluation.sections.sweep_section import gather
from lazsl.evaluation.sections.trust_section import trust_section
from lazsl.evaluation.stored import StoredRun, open_stored, read_images
from lazsl.evaluation.sweeps import SETTINGS, own_method, probes, sweepable
from lazsl.settings import ScoringSettings

BESIDE = ("dclip", "crop-mean")
"""Methods that a sweep is drawn beside."""


@dataclass(frozen=True)
class Evaluation:
    """What was found about a run.

    Attributes:
        stored: the run.
        known: the truth.
        sentences: what methods compared with.
        answers: of every method.
        comparison: the table of all methods.
        sections: the comparison, trust, and what was asked for besides: sweeps, controls.
        truth: where the truth came from, as it was named.
        seed: of draws and halves.
        seconds: it took.
        clusters: what makes clusters of like images; None where each is one by itself.
    """

    stored: StoredRun
    known: Known
    sentences: Sentences
    answers: Answers
    comparison: Comparison
    sections: tuple[Section, ...]
    truth: str
    seed: int
    seconds: float
    clusters: str | None = None

    def about(self) -> dict[str, Any]:
        """What the figures speak of, for JSON."""
        stored = self.stored
        return {
            "run": stored.key,
            "archive": stored.job.archive,
            "model": stored.job.model,
            "labels": stored.labels,
            "truth": self.truth,
            "scoring": stored.job.scoring.model_dump(),
            "regions": stored.job.regions.model_dump(),
            "images_with_truth": len(self.known),
            "notices": list(self.known.notices),
            "clusters": self.clusters,
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
        }

    def head(self) -> str:
        """The head of the Markdown page."""
        stored, scoring = self.stored, self.stored.job.scoring
        lines = [
            f"# How good are the labels of run {stored.key}?",
            f"Archive `{stored.job.archive}`, model `{stored.job.model}`, label set "
            f"`{stored.labels}`, truth `{self.truth}`. {_crops(stored)} per image; "
            f"{_plans(scoring)}; seed {self.seed}.",
            *(f"Note: {plain(notice)}." for notice in self.known.notices),
        ]
        return "\n\n".join(lines) + "\n"


def _crops(stored: StoredRun) -> str:
    regions = stored.job.regions
    layout = regions.layout or "random"
    if regions.doubt is None:
        return f"{regions.count} crops ({layout})"
    return f"At most {regions.count} crops ({layout}, doubt {regions.doubt:g})"


def _plans(scoring: ScoringSettings) -> str:
    if scoring.one_sided:
        return f"one-sided plans, epsilon {scoring.epsilon:.4g}"
    return f"theta {scoring.theta:g}, epsilon {scoring.epsilon:g}, gamma {scoring.gamma:g}"


def evaluate(
    workspace: str,
    run: str | None = None,
    truth: str | None = None,
    open_set: bool | None = None,
    cupl: str | None = None,
    precision: float = 0.95,
    sweep: tuple[str, ...] = (),
    controls: bool = False,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
    clusters: str | None = None,
    group_by: str = FOLDER,
) -> Evaluation:
    """How right every method is on a run, and how far its labels can be trusted.

    Everything comes from one reading of the stored embeddings.

    Args:
        workspace: path or URL.
        run: key or its beginning; None means the latest.
        truth: as `truth.read_truth` takes it; None means what the run was labelled with.
        open_set: the truth may name classes that the label set lacks; None means as the run.
        cupl: file of whole sentences, for the row of CuPL.
        precision: that the threshold of trust is to promise.
        sweep: settings of `sweeps.SETTINGS`.
        controls: measure label sets that say nothing, beside the real one.
        seed: of draws and halves, and of the controls.
        say: called with a sentence before something takes long.
        clusters: what makes clusters of like images, as `grouping.read_groups` takes it: a cluster
            weighs as one image. None means that each image is one by itself.
        group_by: by what precision is shown, likewise.

    Raises:
        UserError: as the parts do.
    """
    started = time.perf_counter()
    stored = open_stored(workspace, run)
    if (sweep or controls) and stored.job.regions.doubt is not None:
        raise UserError(
            f"the crops of run {stored.key} were embedded until its own label was settled "
            f"(regions.doubt is {stored.job.regions.doubt:g}), so other settings and other words "
            "cannot be tried on them; leave out --sweep and --controls, or label without "
            "regions.doubt"
        )
    possible = sweepable(stored.job.scoring, stored.job.regions)
    if sweep == SETTINGS:  # all of them: all that are settings of this run
        sweep = possible
    if impossible := [setting for setting in sweep if setting not in possible]:
        raise UserError(
            f"{', '.join(impossible)} cannot be swept on run {stored.key}, whose plans or regions "
            f"are not the paper's; sweep {', '.join(possible)}"
        )
    known = join_truth(stored, truth, open_set)
    sentences = read_sentences(stored, cupl, say)
    scoring = stored.job.scoring
    methods = methods_for(sentences)
    tried = probes(sweep, scoring, stored.job.regions, sentences)
    depth = max(DEPTH, scoring.top_k)
    whom: dict[str, Ask] = {
        candidate.name: by_method(candidate, sentences, scoring, depth) for candidate in methods
    } | {probe.name: probe.ask for probe in tried}
    images = read_images(stored, known.class_index)
    answers = ask(images, known, sentences.classes, whom)
    if clusters is not None:
        of_images = read_groups(clusters, answers.keys, answers.shown, "clusters")
        answers = replace(answers, cluster=numbered(of_images))
    comparison = compare(answers, methods, sentences.left_out)
    beside = {candidate.name: candidate.title for candidate in methods if candidate.name in BESIDE}
    run_method = own_method(scoring).name
    sections: tuple[Section, ...] = (
        ComparisonSection(comparison),
        trust_section(stored, answers, precision, seed, group_by),
        *gather(tried, answers, run_method, beside, stored.job.regions),
        *([measure_controls(stored, known, (seed,), say)] if controls else []),
    )
    return Evaluation(
        stored,
        known,
        sentences,
        answers,
        comparison,
        sections,
        truth or str(stored.job.truth),
        seed,
        time.perf_counter() - started,
        clusters,
    )
