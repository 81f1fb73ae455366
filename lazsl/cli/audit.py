"""`lazsl audit`: a person judges a sample, and the estimate that follows."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from lazsl.cli.app import app, in_words, out
from lazsl.cli.completing import RunKey
from lazsl.cli.options import Force, WarehouseFile, Workspace, present_warehouse, warehouse_of
from lazsl.errors import UserError

audit_app = typer.Typer(
    help="Have a person judge a random sample, and estimate the accuracy of a run.",
    no_args_is_help=True,
)
app.add_typer(audit_app, name="audit")


@audit_app.command(epilog="Example: lazsl audit sample --images 200 --output audit.csv")
@in_words
def sample(
    run: RunKey = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="File to fill in (fiftyone: a folder).")
    ] = "audit.csv",
    images: Annotated[int, typer.Option("--images", "-n", help="Number of images to draw.")] = 200,
    by: Annotated[
        str,
        typer.Option(
            help="Stratify by label, margin or label,margin; none: a simple random sample."
        ),
    ] = "label",
    seed: Annotated[int, typer.Option(help="Random seed of the draw.")] = 0,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="csv, label-studio or fiftyone (default: by the file's suffix, .csv or .json).",
        ),
    ] = None,
    force: Force = False,
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
) -> None:
    """Draw a random sample of labelled images and write a file to judge them in.

    Fill in `judged_label` with the class that the image shows, or with `(none of these)`; leave it
    empty if you cannot tell. Then run `lazsl audit import FILE`.
    """
    path = present_warehouse(workspace, warehouse)

    from lazsl.audit import judgements, judging_files
    from lazsl.audit import sample as audit
    from lazsl.store.folder import Folder
    from lazsl.store.urls import split_url
    from lazsl.warehouse import loading, opening, run_keys

    if form is None:
        form = "label-studio" if output.endswith(".json") else "csv"
    if form not in judging_files.FORMATS:
        raise UserError(f"--format {form!r} is not one of {', '.join(judging_files.FORMATS)}")
    folder = Folder(workspace)
    strata = [] if by == "none" else by.split(",")
    with closing(opening.open_warehouse(path)) as connection:
        run = run_keys.find_run(connection, run)
        classes = judgements.classes_of(connection, run)
    drawn = audit.draw_sample(folder, path, run, images, strata, seed)
    loading.load(folder, path, runs=[])
    table = audit.shown(path, drawn)
    place, name = (output, "") if form == "fiftyone" else split_url(output)
    if form == "csv":
        files = {name: judging_files.csv_file(table)}
    elif form == "fiftyone":
        files = judging_files.fiftyone_files(table, classes)
    else:
        config = f"{name.removesuffix('.json')}.xml"
        files = {
            name: judging_files.label_studio_tasks(table),
            config: judging_files.label_studio_config(classes),
        }
    Folder(place).write_files(files, force)
    counted = len(set(drawn["stratum"].to_pylist()))
    out.say(
        f"sample {drawn['sample'][0]} of run {run}: {drawn.num_rows} images from {counted} strata, "
        f"written to {output}" + (f" (interface: {config})" if form == "label-studio" else "")
    )
    out.say(f"To judge in the report instead: lazsl report {run}, then its page Judge")


@audit_app.command("import", epilog="Example: lazsl audit import audit.csv --reviewer Ada")
@in_words
def import_file(
    file: Annotated[
        str,
        typer.Argument(
            help="The file you filled in: CSV, Label Studio's JSON or FiftyOne's labels.json."
        ),
    ],
    reviewer: Annotated[
        str | None, typer.Option(help="Name of the reviewer, unless the file names one.")
    ] = None,
    sample: Annotated[
        str | None, typer.Option(help="Sample that the file belongs to, unless the file names one.")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            help="Run whose labels were judged, if the file names neither it nor a sample."
        ),
    ] = None,
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
) -> None:
    """Import judgements. They are permanent: later runs and imports never overwrite them."""
    from lazsl.store.named_files import read_given

    # Before the import of DuckDB and Arrow: a wrong name should be quick.
    read_given(file, f"what was judged in {file!r}", "pass the file you filled in")

    from lazsl.audit.judgements import import_judgements
    from lazsl.store.folder import Folder

    path = warehouse_of(workspace, warehouse)
    imported = import_judgements(
        Folder(workspace), path, file, run=run, sample=sample, reviewer=reviewer
    )
    verdicts = ", ".join(f"{n} {verdict}" for verdict, n in imported.verdicts.items())
    known = "" if imported.new else "; this file was imported before, nothing changed"
    out.say(f"{imported.judgements} judgements ({verdicts}) in {path}{known}")


@audit_app.command(epilog="Example: lazsl audit estimate --json")
@in_words
def estimate(
    run: RunKey = None,
    sample: Annotated[
        str | None, typer.Option(help="Sample to use (default: the one with the most judgements).")
    ] = None,
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate the accuracy of a run, overall and per class, with 95 % intervals.

    The same judgements serve any run over the archive, whichever run the sample was drawn from.
    """
    path = present_warehouse(workspace, warehouse)

    from lazsl.warehouse.opening import open_warehouse
    from lazsl.warehouse.run_keys import find_run

    with closing(open_warehouse(path)) as connection:
        run = find_run(connection, run)
    # Imported where the run is known: SciPy comes with it, and a wrong key should be quick.
    from lazsl.audit.estimate import Estimate, estimate_run

    estimated = estimate_run(path, run, sample)
    if as_json:
        print(json.dumps(estimated.to_json(), indent=1, ensure_ascii=False))
        return
    table = Table("", "accuracy", "95 % interval", "judged", title=f"run {escape(run)}")
    for column in table.columns[1:]:
        column.justify = "right"

    def add(name: str, part: Estimate, style: str = "") -> None:
        interval = f"{part.low:.1%} – {part.high:.1%}"
        table.add_row(escape(name), f"{part.value:.1%}", interval, f"{part.judged:,}", style=style)

    add("all labels", estimated.accuracy, "bold")
    for name, of in sorted(estimated.classes.items(), key=lambda item: (item[1].value, item[0])):
        add(name, of)
    out.print(table)
    for line in estimated.notes():
        out.print(line, highlight=False, markup=False)
