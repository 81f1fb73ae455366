"""`lazsl measure`: how right each method was on a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from lazsl.cli.app import WarehouseFile, Workspace, app, in_words, out
from lazsl.errors import UserError


@app.command(epilog="Example: lazsl measure fieldguide")
@in_words
def measure(
    run: Annotated[str | None, typer.Argument(help="Key of a run; default: latest.")] = None,
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """How right CLIP, DCLIP, the plain mean over crops and LaZSL are on one run, paired."""
    from lazsl.fieldguide.measure import METHODS
    from lazsl.fieldguide.measure import measure as measure_run
    from lazsl.status import run_status
    from lazsl.storage import Folder

    found = run_status(Folder(workspace), run, warehouse)
    measured = measure_run(Path(found["warehouse"]), found["run"])
    if not measured:
        raise UserError(f"no truth is known of run {found['run']}; label with --truth file.csv")
    if as_json:
        print(json.dumps([m.__dict__ for m in measured], indent=1))
        return
    table = Table("method", "top-1", "only it right", "only LaZSL right", "McNemar p")
    for m in measured:
        p = "" if m.p_value is None else f"{m.p_value:.2g}"
        pair = ("", "") if m.p_value is None else (str(m.only_this), str(m.only_lazsl))
        table.add_row(METHODS[m.method], f"{m.accuracy:.1%}", *pair, p)
    out.print(table)
    out.print(f"{measured[0].images} images of run {found['run']}", highlight=False)
