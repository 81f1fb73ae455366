"""`lazsl status`, `lazsl load` and `lazsl check`: how a workspace and its warehouse stand."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from lazsl.cli.app import app, in_words, out
from lazsl.cli.completing import RunKey
from lazsl.cli.options import LakeFolder, WarehouseFile, Workspace, warehouse_of
from lazsl.errors import UserError


@app.command(epilog="Example: lazsl status --json")
@in_words
def status(
    run: RunKey = None,
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the progress of a run: counts, accuracy, timings. Exit code 1 while it is incomplete."""
    from lazsl.run.status import run_status
    from lazsl.store.folder import Folder

    state = run_status(Folder(workspace), run, warehouse)
    if as_json:
        print(json.dumps(state, indent=1, default=str))
    else:
        show_status(state)
    if state["missing"] or not state["loaded"] or not state["reconciled"]:
        raise typer.Exit(1)


@app.command(epilog="Example: lazsl load --workspace s3://bucket/lazsl --warehouse archive.duckdb")
@in_words
def load(
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
    lake: LakeFolder = None,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild", help="Rebuild the warehouse from the workspace; the old file is kept."
        ),
    ] = False,
) -> None:
    """Load finished shards into the warehouse. Safe while a run is in progress."""
    from lazsl.store.folder import Folder
    from lazsl.store.paths import runs

    folder = Folder(workspace)
    path = warehouse_of(workspace, warehouse, lake)
    if not runs(folder):
        raise UserError(
            f"there is no run in {workspace}; label an archive, or name another workspace"
        )
    from lazsl.warehouse import loading
    from lazsl.warehouse.lake import begin_lake

    if lake is not None:
        begin_lake(lake)
    loaded = loading.load(folder, path, rebuild=rebuild)
    out.say(f"{loaded.shards} shards, {loaded.images} images loaded into {path}")


@app.command(epilog="Example: lazsl check --workspace s3://bucket/lazsl")
@in_words
def check(workspace: Workspace = "workspace") -> None:
    """Read every artifact of a workspace, and set aside what is damaged. Exit code 1 if any is.

    What is damaged is kept below damaged/, and the next `lazsl label` makes it anew.
    """
    from lazsl.run.momentary_rejects import note_again
    from lazsl.store.checking import check_workspace
    from lazsl.store.folder import Folder

    folder = Folder(workspace)
    noted: list[str] = []
    checked = check_workspace(folder, lambda name, table: note_again(folder, name, table, noted))
    if not checked.artifacts and not checked.damaged:
        raise UserError(f"there is nothing of lazsl in {workspace}; name a workspace")
    for shard in noted:
        out.say(
            f"{shard}: the note of its rejects to be tried again was gone; the next lazsl label "
            "tries them"
        )
    for error in checked.damaged:
        out.say(f"{error.name}: {error.why}")
    out.say(
        f"{checked.artifacts} artifacts read, {checked.unsealed} of them without a seal (made by "
        f"an older lazsl), {len(checked.damaged)} damaged"
    )
    if checked.damaged:
        raise typer.Exit(1)


def show_status(state: dict[str, Any]) -> None:
    """Print how a run stands, as `lazsl.run.status.run_status` gives it."""
    from lazsl.archive.litter import passed_over_sentence
    from lazsl.run.recoloured import NOTICE

    table = Table("", "", title=f"run {state['run']}", show_header=False)
    table.add_row("archive", escape(str(state["archive"])))
    table.add_row("shards done", f"{state['shards_done']} of {state['shards']}")
    table.add_row("images listed", f"{state['listed']:,}")
    if left_out := passed_over_sentence(state.get("passed_over") or {}):
        table.add_row("besides", escape(left_out))
    if state.get("older_colours"):
        table.add_row("colours", NOTICE)
    abstained = state.get("abstained", 0)
    note = f"  ({abstained:,} of them abstained)" if abstained else ""
    table.add_row("images labelled", f"{state.get('labelled', 0):,}{note}")
    reasons = ", ".join(f"{n} {reason}" for reason, n in (state.get("rejects") or {}).items())
    rejected = f"{state.get('rejected', 0):,}" + (f"  ({reasons})" if reasons else "")
    table.add_row("images rejected", escape(rejected))
    if state["waiting"]:
        table.add_row("images waiting", f"{state['waiting']:,}  (finished, and not loaded)")
    table.add_row("images missing", f"{state['missing']:,}")
    if not state["reconciled"]:
        table.add_row("counts", "[red]do not add up[/]; run lazsl load --rebuild")
    if state.get("no_longer_listed"):
        table.add_row("no longer listed", f"{state['no_longer_listed']:,}  (besides)")
    for method, value in (state.get("accuracy") or {}).items():
        part = " of those not abstained" if abstained and method == "lazsl" else ""
        table.add_row(f"accuracy, {method}", f"{value:.1%}{part}" if value is not None else "")
    if state.get("seconds"):
        spent = ", ".join(
            f"{name} {value:.1f} s" for name, value in state["seconds"].items() if value
        )
        table.add_row("time", spent)
    if state.get("doubt") is not None:
        table.add_row(
            "forward passes",
            f"{state['seen'] + 1:.1f} per image, of {state['crops_asked'] + 1}; the crops not "
            f"embedded would change an estimated {state['doubt']:.2%} of the labels",
        )
    if not state["loaded"]:
        table.add_row("warehouse", "some finished shards are not loaded yet; run `lazsl load`")
    out.print(table)
