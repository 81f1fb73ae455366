"""`lazsl label`: an archive is labelled, and followed to its end."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lazsl import fieldguide
from lazsl.cli.app import app, in_words
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
    meaning,
    nested,
)
from lazsl.errors import UserError
from lazsl.settings import DEFAULT_MODEL, Job, make_job


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
        **scoring_settings(aligner, theta, epsilon, gamma, rule, top_k),
        **settings_from_trust(trust),
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
    refuse_early(job, archive=True)
    with followed("labelling", talk) as follow:
        from lazsl_flows.label import label_archive

        from lazsl.run.run import open_run

        run = open_run(job)
        load_model(run, "both")
        say_notices(run)
        warn_of_other_trust(trust, run)
        follow(lambda: label_archive(job, return_state=True))
    if not quiet:
        show_labelled(run)


def _job(values: dict[str, Any], settings: list[str] | None) -> Job:
    for name in ("archive", "labels"):
        if name not in values:
            what = "an archive" if name == "archive" else "a label set with --labels"
            raise UserError(
                f"{what} is required; see `lazsl label --help`, or try `lazsl label --sample`"
            )
    return make_job(**nested(values | set_values(settings)))
