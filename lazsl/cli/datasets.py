"""`lazsl datasets`: published data sets, made ready to be labelled and graded."""

from __future__ import annotations

from inspect import cleandoc
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from lazsl.cli.app import Force, app, in_words, out
from lazsl.cli.labels import note

datasets_app = typer.Typer(help="Published data sets, ready to be graded.", no_args_is_help=True)
app.add_typer(datasets_app, name="datasets")

Name = Annotated[str, typer.Argument(help="Of the data set, as lazsl datasets list has it.")]


@datasets_app.command("list", epilog="Example: lazsl datasets list")
@in_words
def list_datasets() -> None:
    """The data sets that are known, with what their split holds as published."""
    from lazsl.datasets.registry import DATASETS

    table = Table("name", "data set", "split")
    table.add_column("images", justify="right")
    table.add_column("classes", justify="right")
    for one in DATASETS.values():
        counts = (f"{one.images:,}", f"{one.classes:,}")
        table.add_row(one.name, one.title, one.split, *counts)
    out.print(table)


@datasets_app.command(epilog="Example: lazsl datasets show pets")
@in_words
def show(name: Name) -> None:
    """How a data set's files lie, which of its images count, and which label set is for it."""
    from lazsl.datasets.prepare import find_dataset

    one = find_dataset(name)
    out.print(f"[bold]{escape(one.title)}[/], {one.split}: {one.images:,} images, ", end="")
    out.print(f"{one.classes:,} classes; public descriptors: {one.descriptors}", highlight=False)
    out.print(escape(cleandoc(one.layout)), highlight=False, soft_wrap=True)


@datasets_app.command(
    epilog="Example: lazsl datasets prepare pets /data --labels descriptors_pets.json -o pets"
)
@in_words
def prepare(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="Where it lies on the local disk.")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="Folder for truth.csv, labels.json, classes.csv.")
    ],
    labels: Annotated[
        str | None,
        typer.Option("--labels", "-l", help="Label set. Default: the classes' bare names."),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="Of the label set, as lazsl labels import has it.")
    ] = "auto",
    aliases: Annotated[
        str | None,
        typer.Option("--aliases", help="CSV of class,label: what names do not say themselves."),
    ] = None,
    archive: Annotated[
        str | None,
        typer.Option("--archive", help="URL of the same images elsewhere, such as in a bucket."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take what is there, where images are missing.")
    ] = False,
    published: Annotated[
        bool,
        typer.Option("--published", help="Make the published script's sentences, to the letter."),
    ] = False,
    force: Force = False,
) -> None:
    """Join a data set's split with a label set by the names of classes. Nothing is downloaded."""
    from lazsl.datasets import prepare as datasets

    found = datasets.prepare(
        datasets.find_dataset(name),
        folder,
        labels,
        form=form,
        aliases=aliases,
        archive=archive,
        partial=partial,
        published=published,
    )
    datasets.write(found, output, force)
    note(found.notes)
    out.print(
        f"{found.dataset.title}, {found.dataset.split}: {found.truth.num_rows:,} images of "
        f"{len(found.joined):,} classes joined by name; see {output}/classes.csv",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    out.print("Label it, with the model you want:", highlight=False)
    out.print(f"  {escape(datasets.label_command(found, output))}", highlight=False, soft_wrap=True)
