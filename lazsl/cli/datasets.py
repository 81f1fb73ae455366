"""`lazsl datasets`: published data sets, made ready to be labelled and graded."""

from __future__ import annotations

from inspect import cleandoc
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from lazsl.cli.app import app, in_words, out
from lazsl.cli.labels import note
from lazsl.cli.options import Force

datasets_app = typer.Typer(
    help="Prepare published benchmarks (ImageNet, CUB, …) for evaluation.", no_args_is_help=True
)
app.add_typer(datasets_app, name="datasets")

Name = Annotated[str, typer.Argument(help="Data set name (see `lazsl datasets list`).")]


@datasets_app.command("list", epilog="Example: lazsl datasets list")
@in_words
def list_datasets() -> None:
    """List the known data sets, with the size of their split as published."""
    from lazsl.datasets.registry import DATASETS

    table = Table("name", "data set", "split")
    table.add_column("images", justify="right")
    table.add_column("classes", justify="right")
    for dataset in DATASETS.values():
        counts = (f"{dataset.images:,}", f"{dataset.classes:,}")
        table.add_row(dataset.name, dataset.title, dataset.split, *counts)
    out.print(table)


@datasets_app.command(epilog="Example: lazsl datasets show pets")
@in_words
def show(name: Name) -> None:
    """Show the layout of a data set, which images count, and which label set fits."""
    from lazsl.datasets.prepare import find_dataset

    dataset = find_dataset(name)
    out.print(
        f"[bold]{escape(dataset.title)}[/], {dataset.split}: {dataset.images:,} images, ", end=""
    )
    out.print(
        f"{dataset.classes:,} classes; public descriptors: {dataset.descriptors}", highlight=False
    )
    out.say(escape(cleandoc(dataset.layout)), markup=True)


@datasets_app.command(
    epilog="Example: lazsl datasets prepare pets /data --labels descriptors_pets.json -o pets"
)
@in_words
def prepare(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="Folder of the data set on the local disk.")],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="Folder to write truth.csv, labels.json and classes.csv to."
        ),
    ],
    labels: Annotated[
        str | None,
        typer.Option("--labels", "-l", help="Label set (default: the bare class names)."),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="Format of the label set (see `lazsl labels import`).")
    ] = "auto",
    aliases: Annotated[
        str | None,
        typer.Option(
            "--aliases", help="CSV of class,label, for classes that do not match a label by name."
        ),
    ] = None,
    archive: Annotated[
        str | None,
        typer.Option(
            "--archive",
            help="URL of the images, if they are to be labelled elsewhere, such as in a bucket.",
        ),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Accept missing images, and use those that are there.")
    ] = False,
    published: Annotated[
        bool,
        typer.Option("--published", help="Use exactly the sentences of the published script."),
    ] = False,
    force: Force = False,
) -> None:
    """Match a data set's split with a label set, by class name. Downloads nothing."""
    from lazsl.datasets import prepare as datasets

    prepared = datasets.prepare(
        datasets.find_dataset(name),
        folder,
        labels,
        form=form,
        aliases=aliases,
        archive=archive,
        partial=partial,
        published=published,
    )
    datasets.write(prepared, output, force)
    note(prepared.notes)
    out.say(
        f"{prepared.dataset.title}, {prepared.dataset.split}: {prepared.truth.num_rows:,} images "
        f"of {len(prepared.joined):,} classes joined by name; see {output}/classes.csv"
    )
    out.print("Label it, with the model you want:", highlight=False)
    out.say(f"  {escape(datasets.label_command(prepared, output))}", markup=True)
