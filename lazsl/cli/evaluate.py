"""`lazsl evaluate`: how right every method is, how far to trust it, sweeps and controls."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.markup import escape

from lazsl.cli.app import app, err, in_words, out
from lazsl.cli.completing import RunKey
from lazsl.cli.options import OpenSet, Workspace, meaning


@app.command(
    epilog="Example: lazsl evaluate --truth birds.parquet:species --precision 0.98 --sweep all"
)
@in_words
def evaluate(
    run: RunKey = None,
    truth: Annotated[
        str | None,
        typer.Option(
            "--truth",
            help=f"{meaning('truth')} Default: the truth of the run.",
        ),
    ] = None,
    open_set: OpenSet = False,
    cupl: Annotated[
        str | None,
        typer.Option("--cupl", help="JSON of class -> whole sentences, to compare with CuPL."),
    ] = None,
    precision: Annotated[
        float, typer.Option(help="Precision that the abstention threshold must guarantee.")
    ] = 0.95,
    sweep: Annotated[
        str,
        typer.Option(
            "--sweep", help="Settings to sweep: any of theta,epsilon,gamma,regions,crops, or all."
        ),
    ] = "",
    controls: Annotated[
        bool,
        typer.Option(
            "--controls", help="Also evaluate with shuffled, foreign and random attributes."
        ),
    ] = False,
    clusters: Annotated[
        str | None,
        typer.Option(
            "--clusters",
            metavar="folder|class|FILE",
            help="Count images that are alike (a burst, a camera's site) as one: by folder, by "
            "class, or by the column group of a CSV or Parquet file of key,group.",
        ),
    ] = None,
    group_by: Annotated[
        str,
        typer.Option(
            "--group-by",
            metavar="folder|class|FILE",
            help="Show the precision above the threshold by folder, by class, or by the column "
            "group of a CSV or Parquet file of key,group.",
        ),
    ] = "folder",
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for evaluation.md, its pictures, trust.json and evaluation.json: path or "
            "URL (default: evaluations/RUN in the workspace).",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Random seed for the bootstrap and the held-out split.")
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; write files only if --output is given.")
    ] = False,
    workspace: Workspace = "workspace",
) -> None:
    """Measure a run against known labels: compare methods, and find when to trust a label.

    Uses stored embeddings only. Pass the resulting file to `lazsl label --trust trust.json`, and it
    abstains below the threshold found here.
    """
    from lazsl.store.folder import Folder
    from lazsl.store.paths import read_run_record

    read_run_record(Folder(workspace), run)  # a wrong name is told before a model is imported

    from lazsl.evaluation import sweeps
    from lazsl.evaluation.evaluate import evaluate as evaluate_run
    from lazsl.evaluation.sections.section import publish

    evaluation = evaluate_run(
        workspace,
        run,
        truth,
        open_set or None,
        cupl,
        precision,
        sweeps.parse_settings(sweep),
        controls,
        seed,
        say=lambda text: err.print(f"[dim]{escape(text)}[/]", highlight=False),
        clusters=clusters,
        group_by=group_by,
    )
    if output is not None or not as_json:
        where = output or f"{workspace.rstrip('/')}/evaluations/{evaluation.stored.key}"
        publish(evaluation.sections, evaluation.about(), evaluation.head(), where)
    if as_json:
        sections = {section.name: section.to_json() for section in evaluation.sections}
        print(json.dumps({**evaluation.about(), **sections}, indent=1, ensure_ascii=False))
        return
    for notice in evaluation.known.notices:
        err.note(notice)
    for section in evaluation.sections:
        section.show(out)
    out.say(
        f"run {evaluation.stored.key}, {evaluation.seconds:.1f} s; the page is "
        f"[bold]{escape(where)}/evaluation.md[/]",
        markup=True,
    )
