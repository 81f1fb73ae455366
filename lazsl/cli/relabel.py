"""`lazsl relabel`: stored embeddings are scored again, and followed to their end."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lazsl.cli.app import app, in_words
from lazsl.cli.completing import run_keys
from lazsl.cli.flow import Talk, followed
from lazsl.cli.label_and_relabel import (
    LogJson,
    Quiet,
    Verbose,
    load_model,
    refuse_early,
    say_notices,
    scoring_settings,
    set_values,
    settings_from_trust,
    warn_of_other_trust,
)
from lazsl.cli.label_summary import show_labelled
from lazsl.cli.options import (
    AlignerName,
    Epsilon,
    Gamma,
    Labels,
    OpenSet,
    RuleName,
    Theta,
    TopK,
    TrustFile,
    Truth,
    WarehouseFile,
    Workspace,
    nested,
)
from lazsl.errors import UserError
from lazsl.settings import make_job


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
    given_scoring = scoring_settings(aligner, theta, epsilon, gamma, rule, top_k)
    scoring = {**given_scoring, **settings_from_trust(trust)}
    scoring = {k: v for k, v in scoring.items() if v is not None} | set_values(settings)
    if other := [name for name in scoring if name.rpartition(".")[0] != "scoring"]:
        raise UserError(
            f"--set {other[0]} is not a scoring setting, and nothing else can change when only "
            "stored embeddings are scored; see `lazsl settings scoring`"
        )
    sections = nested(scoring)
    talk = Talk(quiet, verbose, log_json)
    folder = Folder(workspace)
    record = read_run_record(folder, embedding_run(folder, run))

    from lazsl.run.recorded_jobs import check_labels, check_model, rescoring, taken_over

    if sections:
        changes["scoring"] = rescoring(record["job"]["scoring"], sections["scoring"])
    job = make_job(**taken_over(record, folder, changes))
    check_model(record, changes)
    check_labels(record, folder, changes)
    refuse_early(job, archive=False)
    with followed("scoring", talk) as follow:
        from lazsl_flows.label import relabel as relabel_flow

        from lazsl.run.run import open_relabelling

        opened = open_relabelling(folder, record["run"], changes)
        load_model(opened, "text")
        say_notices(opened)
        warn_of_other_trust(trust, opened)
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
