"""`lazsl report`: a static site of one run."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer
from rich.markup import escape

from lazsl.cli.app import app, err, in_words, out
from lazsl.cli.completing import RunKey, run_keys
from lazsl.cli.options import Archive, LakeFolder, WarehouseFile, Workspace, present_warehouse


@app.command(epilog="Example: lazsl report photos-3f2a --against photos-9c1e")
@in_words
def report(
    run: RunKey = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            "-a",
            autocompletion=run_keys,
            help="Compare with another run over the same archive.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder to write the site to: path or URL (default: reports/RUN in the "
            "workspace).",
        ),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(
            "--images",
            min=1,
            help="Include only this many images: half least certain, half random.",
        ),
    ] = None,
    previews: Annotated[
        bool, typer.Option(help="Include the images themselves (fetches each one once).")
    ] = True,
    archive: Archive = None,
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
    lake: LakeFolder = None,
) -> None:
    """Build a static site to browse a run: every label and the regions behind it."""
    path = present_warehouse(workspace, warehouse, lake)

    from rich import progress as rich_progress

    from lazsl.report.make import make_report
    from lazsl.report.site import in_bytes
    from lazsl.warehouse.opening import open_warehouse
    from lazsl.warehouse.run_keys import find_run

    with closing(open_warehouse(path)) as connection:
        chosen = find_run(connection, run)
        other = None if against is None else find_run(connection, against)
    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("making image pages", total=None)
        made = make_report(
            path,
            chosen,
            output or f"{workspace.rstrip('/')}/reports/{chosen}",
            against=other,
            images=images,
            previews=previews,
            archive=archive,
            progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    of_all = "" if made.images == made.labelled else f" of {made.labelled:,}"
    summary = f"{made.images:,}{of_all} images of run {made.run}, {in_bytes(made.bytes)}"
    if made.missing:
        summary += f"; {made.missing:,} could not be read again and show why instead of a picture"
    out.print(summary, highlight=False)
    out.say(f"Open [bold]{escape(made.index)}[/] in a browser.", markup=True)
