"""What `lazsl label` and `lazsl relabel` have in common: options, early refusals, notices."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lazsl.cli.app import err
from lazsl.cli.options import assigned
from lazsl.errors import UserError
from lazsl.settings import Job

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Also print the log of every task.")]
LogJson = Annotated[
    bool,
    typer.Option("--log-json", help="Report progress on stderr, one JSON object per line."),
]


def scoring_settings(
    aligner: str | None,
    theta: float | None,
    epsilon: float | None,
    gamma: float | None,
    rule: str | None,
    top_k: int | None,
) -> dict[str, Any]:
    return {
        "scoring.aligner": aligner,
        "scoring.theta": theta,
        "scoring.epsilon": epsilon,
        "scoring.gamma": gamma,
        "scoring.rule": rule,
        "scoring.top_k": top_k,
    }


def settings_from_trust(url: str | None) -> dict[str, Any]:
    """The settings that a trust file gives; none where there is no file."""
    if url is None:
        return {}
    from lazsl.evaluation.trust import CERTAIN
    from lazsl.evaluation.trust_file import read_trust

    measured = read_trust(url)
    if measured.threshold is None and measured.parents_above is None:
        raise UserError(
            f"trust file {url!r} has no threshold: {measured.sentence} (measure again "
            "for another precision, or set scoring.temperature and scoring.abstain_below by hand)"
        )
    return {
        "scoring.temperature": measured.temperature,
        "scoring.abstain_below": CERTAIN if measured.threshold is None else measured.threshold,
        "scoring.abstain_by": measured.abstain_by,
        "scoring.floor": measured.floor,
        "scoring.parents_above": measured.parents_above,
    }


def say_notices(run: Any) -> None:
    """What the person who starts a run should know beforehand."""
    from lazsl.run.label_set_step import cut_sentences
    from lazsl.run.run import notices

    cut = cut_sentences(run)
    for notice in [*notices(run.job, run.labelset, run.source), *([cut] if cut else [])]:
        err.note(notice)


def warn_of_other_trust(url: str | None, run: Any) -> None:
    if url is None:
        return
    from lazsl.evaluation.trust_file import read_trust, trust_notices

    for notice in trust_notices(read_trust(url), run):
        err.note(notice)


def set_values(settings: list[str] | None) -> dict[str, Any]:
    return assigned(settings, "--set", "scoring.plans=3")


def refuse_early(job: Job, archive: bool) -> None:
    """Refuse what can be refused without a model, before the seconds that importing one takes.

    Raises:
        UserError: the label set, the archive (where it is read), the truth or the place of the
            warehouse is not usable.
    """
    from lazsl.warehouse.warehouse_presence import check_on_disk

    check_on_disk(job.warehouse_path)
    from lazsl.labelset.reading import load_labelset

    labelset = load_labelset(job.labels)
    from lazsl.archive.archive_presence import check_archive

    if archive:
        check_archive(job.archive)
    if job.truth is None:
        return
    from lazsl.archive.truth import FOLDERS, read_truth

    # Folders are known once the archive is listed; planning checks them.
    if job.truth != FOLDERS:
        read_truth(job.truth, labelset, job.open_set)


def load_model(run: Any, towers: Any) -> None:
    """Load the run's model before anything is started or written; it stays for the flow, which
    runs in this process."""
    from lazsl.run import label_set_step, models

    embedded = label_set_step.attributes_embedded(run)
    if towers == "both":
        models.load_model(run, "vision" if embedded else "both")
    elif not embedded:
        models.load_model(run, "text")
