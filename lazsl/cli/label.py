"""`lazsl label` and `lazsl relabel`: the two jobs, followed to their end."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lazsl import fieldguide
from lazsl.cli.app import (
    AlignerName,
    Epsilon,
    Exclude,
    Gamma,
    Labels,
    Only,
    OpenSet,
    PresetName,
    RuleName,
    Set,
    Theta,
    TopK,
    TrustFile,
    Truth,
    WarehouseFile,
    Workspace,
    app,
    assigned,
    err,
    in_words,
    meaning,
    nested,
)
from lazsl.cli.completing import run_keys
from lazsl.cli.flow import Talk, followed
from lazsl.cli.label_summary import show_labelled
from lazsl.errors import UserError
from lazsl.settings import DEFAULT_MODEL, Job, make_job

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Also print the log of every task.")]
LogJson = Annotated[
    bool,
    typer.Option("--log-json", help="Report progress on stderr, one JSON object per line."),
]


@app.command(
    epilog="Example: lazsl label s3://bucket/photos --labels birds.json --workspace s3://bucket/lazsl"
)
@in_words
def label(
    archive: Annotated[str | None, typer.Argument(help=meaning("archive"))] = None,
    labels: Labels = None,
    workspace: Workspace = "workspace",
    model: Annotated[
        str,
        typer.Option("--model", "-m", help=meaning("model")),
    ] = DEFAULT_MODEL,
    truth: Truth = None,
    open_set: OpenSet = False,
    only: Only = None,
    exclude: Exclude = None,
    warehouse: WarehouseFile = None,
    sample: Annotated[
        bool,
        typer.Option("--sample", help="Label the embedded sample archive with the embedded model."),
    ] = False,
    preset: PresetName = None,
    device: Annotated[str, typer.Option(help=meaning("device"))] = "auto",
    precision: Annotated[str, typer.Option(help=meaning("precision"))] = "auto",
    regions: Annotated[int | None, typer.Option(help=meaning("regions.count"))] = None,
    aligner: AlignerName = None,
    theta: Theta = None,
    epsilon: Epsilon = None,
    gamma: Gamma = None,
    rule: RuleName = None,
    top_k: TopK = None,
    shard_size: Annotated[int | None, typer.Option(help=meaning("shard_size"))] = None,
    batch_size: Annotated[int | None, typer.Option(help=meaning("batch_size"))] = None,
    trust: TrustFile = None,
    settings: Set = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_json: LogJson = False,
) -> None:
    """Label an image archive.

    Stop it at any time: the same command resumes where it stopped. Run it again after the archive
    has grown, and it labels only what is new or changed.
    """
    values: dict[str, Any] = {
        "archive": archive,
        "labels": labels,
        "workspace": workspace,
        "model": model,
        "truth": truth,
        "open_set": open_set,
        "only": only,
        "exclude": exclude,
        "warehouse": warehouse and str(warehouse),
        "preset": preset,
        "device": device,
        "precision": precision,
        "regions.count": regions,
        "shard_size": shard_size,
        "batch_size": batch_size,
        **_scoring(aligner, theta, epsilon, gamma, rule, top_k),
        **_from_trust(trust),
    }
    if sample:
        defaults = {
            "archive": str(fieldguide.IMAGES_DIR),
            "labels": str(fieldguide.LABELS_FILE),
            "truth": str(fieldguide.TRUTH_FILE),
            "preset": "parts",
            "shard_size": 32,
        }
        values = {**{k: v for k, v in values.items() if v is not None}, "model": "fieldguide"}
        values = {**defaults, **values}
    job = _job({k: v for k, v in values.items() if v is not None}, settings)
    talk = Talk(quiet, verbose, log_json)
    _refuse_early(job, archive=True)
    with followed("labelling", talk) as follow:
        from lazsl_flows.label import label_archive

        from lazsl.run.run import open_run

        run = open_run(job)
        _load_model(run, "both")
        _say_notices(run)
        _warn_of_other_trust(trust, run)
        follow(lambda: label_archive(job, return_state=True))
    if not quiet:
        show_labelled(run)


@app.command(
    epilog="Example: lazsl relabel photos-3f2a --labels better.json --workspace s3://bucket/lazsl"
)
@in_words
def relabel(
    run: Annotated[
        str,
        typer.Argument(
            help="Run whose embeddings to score: its key, or the beginning of it.",
            autocompletion=run_keys,
        ),
    ],
    labels: Labels = None,
    workspace: Workspace = "workspace",
    truth: Truth = None,
    open_set: OpenSet = False,
    warehouse: WarehouseFile = None,
    aligner: AlignerName = None,
    theta: Theta = None,
    epsilon: Epsilon = None,
    gamma: Gamma = None,
    rule: RuleName = None,
    top_k: TopK = None,
    trust: TrustFile = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Model of the run, if it is a folder, a file or on a hub: these are loaded only "
            "when named here.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="scoring.NAME=VALUE",
            help="Any other scoring setting (see `lazsl settings scoring`); repeatable.",
        ),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_json: LogJson = False,
) -> None:
    """Label again from stored embeddings, with another label set or other settings. Reads no image.

    The abstention threshold is not carried over, because it only holds for the label set and
    settings it was measured with. Re-run `lazsl evaluate` and pass --trust.
    """
    from lazsl.store.folder import Folder
    from lazsl.store.paths import embedding_run, read_run_record

    given = {
        "labels": labels,
        "truth": truth,
        "model": model,
        "warehouse": warehouse and str(warehouse),
    }
    changes: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    if open_set:
        changes["open_set"] = True
    given_scoring = _scoring(aligner, theta, epsilon, gamma, rule, top_k)
    scoring = {**given_scoring, **_from_trust(trust)}
    scoring = {k: v for k, v in scoring.items() if v is not None} | _set(settings)
    if other := [name for name in scoring if name.rpartition(".")[0] != "scoring"]:
        raise UserError(
            f"--set {other[0]} is not a scoring setting, and nothing else can change when only "
            "stored embeddings are scored; see `lazsl settings scoring`"
        )
    sections = nested(scoring)
    talk = Talk(quiet, verbose, log_json)
    folder = Folder(workspace)
    record = read_run_record(folder, embedding_run(folder, run))

    from lazsl.run.recorded_jobs import check_labels, check_model, taken_over

    check_model(record, changes)
    check_labels(record, folder, changes)
    job = make_job(**taken_over(record, folder, changes))
    _refuse_early(job, archive=False)
    with followed("scoring", talk) as follow:
        from lazsl_flows.label import relabel as relabel_flow

        from lazsl.run.run import open_relabelling, rescoring

        if sections:
            changes["scoring"] = rescoring(record["job"]["scoring"], sections["scoring"])
        opened = open_relabelling(folder, record["run"], changes)
        _load_model(opened, "text")
        _say_notices(opened)
        _warn_of_other_trust(trust, opened)
        follow(
            lambda: relabel_flow(
                workspace,
                record["run"],
                labels=opened.job.labels,
                scoring=opened.job.scoring,
                warehouse=str(opened.job.warehouse_path),
                truth=opened.job.truth,
                open_set=opened.job.open_set,
                model=opened.job.model,
                return_state=True,
            )
        )
    if not quiet:
        show_labelled(opened)


def _scoring(
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


def _from_trust(url: str | None) -> dict[str, Any]:
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


def _say_notices(run: Any) -> None:
    """What the person who starts a run should know beforehand."""
    from lazsl.run.label_set_step import cut_sentences
    from lazsl.run.run import notices

    cut = cut_sentences(run)
    for notice in [*notices(run.job, run.labelset, run.source), *([cut] if cut else [])]:
        err.note(notice)


def _warn_of_other_trust(url: str | None, run: Any) -> None:
    if url is None:
        return
    from lazsl.evaluation.trust_file import read_trust, trust_notices

    for notice in trust_notices(read_trust(url), run):
        err.note(notice)


def _set(settings: list[str] | None) -> dict[str, Any]:
    return assigned(settings, "--set", "scoring.plans=3")


def _job(values: dict[str, Any], settings: list[str] | None) -> Job:
    for name in ("archive", "labels"):
        if name not in values:
            what = "an archive" if name == "archive" else "a label set with --labels"
            raise UserError(
                f"{what} is required; see `lazsl label --help`, or try `lazsl label --sample`"
            )
    return make_job(**nested(values | _set(settings)))


def _refuse_early(job: Job, archive: bool) -> None:
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


def _load_model(run: Any, towers: Any) -> None:
    """Load the run's model before anything is started or written; it stays for the flow, which
    runs in this process."""
    from lazsl.run import label_set_step, models

    embedded = label_set_step.attributes_embedded(run)
    if towers == "both":
        models.load_model(run, "vision" if embedded else "both")
    elif not embedded:
        models.load_model(run, "text")
