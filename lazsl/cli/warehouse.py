"""`lazsl status`, `lazsl load` and `lazsl sql`: what the warehouse holds."""

from __future__ import annotations

import csv
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from lazsl.cli.app import (
    WarehouseFile,
    Workspace,
    app,
    cell,
    in_words,
    out,
    warehouse_of,
)
from lazsl.errors import UserError


@app.command(epilog="Example: lazsl status --json")
@in_words
def status(
    run: Annotated[
        str | None, typer.Argument(help="Key of a run or its beginning; default: latest.")
    ] = None,
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how a run stands: reconciled counts, accuracy, timings. Exit code 1 while incomplete."""
    from lazsl.status import run_status
    from lazsl.storage import Folder

    found = run_status(Folder(workspace), run, warehouse)
    if as_json:
        print(json.dumps(found, indent=1, default=str))
    else:
        show_status(found)
    if found["missing"] or not found["loaded"]:
        raise typer.Exit(1)


@app.command(epilog="Example: lazsl load --workspace s3://bucket/lazsl --warehouse archive.duckdb")
@in_words
def load(workspace: Workspace = "workspace", warehouse: WarehouseFile = None) -> None:
    """Load every finished shard that the warehouse does not hold yet; also while a run goes on."""
    from lazsl import warehouse as warehouses
    from lazsl.storage import Folder

    folder = Folder(workspace)
    path = warehouse_of(workspace, warehouse)
    loaded = warehouses.load(folder, path)
    out.print(f"{loaded.shards} shards, {loaded.images} images loaded into {path}", highlight=False)


@app.command(
    epilog="Example: lazsl sql "
    '"select label, count(*) from predictions group by all order by 2 desc"'
)
@in_words
def sql(
    query: Annotated[
        str | None, typer.Argument(help="A query, or nothing to read it from stdin.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Read the query from a file.")
    ] = None,
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    rows: Annotated[int, typer.Option(help="Rows shown in the table.")] = 40,
) -> None:
    """Ask the warehouse, read-only; never in the way of a load."""
    import duckdb

    from lazsl.warehouse import open_warehouse

    path = warehouse_of(workspace, warehouse)
    if file is not None:
        try:
            query = file.read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"cannot read {file}: {error.strerror}; give a file with a query"
            ) from None
    text = query if query is not None else sys.stdin.read()
    with closing(open_warehouse(path)) as connection:
        try:
            found = connection.execute(text)
            names = [column[0] for column in found.description or []]
            if as_csv:
                writer = csv.writer(sys.stdout)
                writer.writerow(names)
                while chunk := found.fetchmany(10_000):
                    writer.writerows(chunk)
                return
            shown = found.fetchmany(rows + 1) if names else []
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"the query failed: {reason}") from None
    table = Table(*(escape(name) for name in names))
    for row in shown[:rows]:
        table.add_row(*(escape(cell(value)) for value in row))
    out.print(table)
    if len(shown) > rows:
        out.print(f"the first {rows} rows; use --rows or --csv for more")


def show_status(found: dict[str, Any]) -> None:
    """Print how a run stands, as `lazsl.status.run_status` found it."""
    table = Table("", "", title=f"run {found['run']}", show_header=False)
    table.add_row("archive", escape(str(found["archive"])))
    table.add_row("shards done", f"{found['shards_done']} of {found['shards']}")
    table.add_row("images listed", f"{found['listed']:,}")
    table.add_row("images labelled", f"{found.get('labelled', 0):,}")
    reasons = ", ".join(f"{n} {reason}" for reason, n in (found.get("rejects") or {}).items())
    rejected = f"{found.get('rejected', 0):,}" + (f"  ({reasons})" if reasons else "")
    table.add_row("images rejected", escape(rejected))
    table.add_row("images missing", f"{found['missing']:,}")
    for method, value in (found.get("accuracy") or {}).items():
        table.add_row(f"accuracy, {method}", f"{value:.1%}")
    if found.get("seconds"):
        spent = ", ".join(
            f"{name} {value:.1f} s" for name, value in found["seconds"].items() if value
        )
        table.add_row("time", spent)
    if not found["loaded"]:
        table.add_row("warehouse", "not everything that is done is loaded; run lazsl load")
    out.print(table)
