"""`lazsl status`, `lazsl load` and `lazsl sql`: what the warehouse holds."""

from __future__ import annotations

import json
import re
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from lazsl.cli.app import (
    WarehouseFile,
    Workspace,
    app,
    in_words,
    out,
    warehouse_of,
)
from lazsl.cli.completing import RunKey
from lazsl.errors import UserError, in_one_line

if TYPE_CHECKING:
    import pyarrow as pa

_FOLDED = 24  # characters of a text below which it is not folded to make a table fit


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

    found = run_status(Folder(workspace), run, warehouse)
    if as_json:
        print(json.dumps(found, indent=1, default=str))
    else:
        show_status(found)
    if found["missing"] or not found["loaded"] or not found["reconciled"]:
        raise typer.Exit(1)


@app.command(epilog="Example: lazsl load --workspace s3://bucket/lazsl --warehouse archive.duckdb")
@in_words
def load(
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild", help="Make the warehouse anew from the workspace; keep the old file."
        ),
    ] = False,
) -> None:
    """Load finished shards into the warehouse. Safe while a run is in progress."""
    from lazsl.store.folder import Folder
    from lazsl.store.paths import runs
    from lazsl.warehouse import publishing

    folder = Folder(workspace)
    path = warehouse_of(workspace, warehouse)
    if not runs(folder):
        raise UserError(
            f"there is no run in {workspace}; label an archive, or name another workspace"
        )
    loaded = publishing.load(folder, path, rebuild=rebuild)
    out.print(
        f"{loaded.shards} shards, {loaded.images} images loaded into {path}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


@app.command(epilog="Example: lazsl check --workspace s3://bucket/lazsl")
@in_words
def check(workspace: Workspace = "workspace") -> None:
    """Read every artifact of a workspace, and set aside what is damaged. Exit code 1 if any is.

    What is set aside is kept below damaged/, and the next lazsl label makes it anew.
    """
    from lazsl.store.checking import check_workspace
    from lazsl.store.folder import Folder

    checked = check_workspace(Folder(workspace))
    for error in checked.damaged:
        out.print(f"{error.name}: {error.why}", markup=False, highlight=False, soft_wrap=True)
    out.print(
        f"{checked.artifacts} artifacts read, {checked.unsealed} of them without a seal (made by "
        f"an older lazsl), {len(checked.damaged)} damaged",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if checked.damaged:
        raise typer.Exit(1)


@app.command(
    epilog="Example: lazsl sql "
    '"select label, count(*) from predictions group by all order by 2 desc" --output labels.csv'
)
@in_words
def sql(
    query: Annotated[
        str | None, typer.Argument(help="Query to run (default: read it from stdin).")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Read the query from a file.")
    ] = None,
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
    own: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME=FILE",
            help="Let the query read a Parquet or CSV file of yours under this name; repeatable.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write all rows to a .csv, .parquet or .json file."),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all rows as CSV.")] = False,
    rows: Annotated[int, typer.Option(min=1, help="Number of rows to print.")] = 40,
) -> None:
    """Query the warehouse (read-only; never blocks a load).

    Try `show tables`, and see docs/sql.md for queries to start from.
    """
    import duckdb

    from lazsl.cli.console import Seen
    from lazsl.warehouse import export, sqlfiles
    from lazsl.warehouse.only_reading import check_reads
    from lazsl.warehouse.opening import hint, open_warehouse
    from lazsl.warehouse.sqlfiles import first_line

    path = warehouse_of(workspace, warehouse)
    if file is not None:
        try:
            query = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise UserError(f"cannot read {file}: {reason}; give a file with a query") from None
    text = query if query is not None else sys.stdin.read()
    with closing(open_warehouse(path)) as connection:
        for named in own or []:
            _register(connection, named)
        check_reads(text)
        sqlfiles.run(connection, "open/lock.sql")
        try:
            found = connection.sql(text)
            if found is None:
                raise UserError("the query is empty; try: lazsl sql 'show tables'")
            reader = found.to_arrow_reader(rows + 1 if not (output or as_csv) else export.BATCH)
        except duckdb.Error as error:
            raise UserError(f"the query failed: {first_line(error)}{hint(error)}") from None
        if output is not None:
            written = export.write_result(reader, output)
            out.print(f"{written} rows written to {output}", highlight=False, markup=False)
        elif as_csv:
            export.write_csv(reader, Seen(sys.stdout) if sys.stdout.isatty() else sys.stdout)
        else:
            _show_rows(reader, rows)


def _register(connection: Any, named: str) -> None:
    """Let a query read a file of the user's by a name.

    Raises:
        UserError: the name cannot be one or is taken, or the file cannot be read.
    """
    from pyarrow import ArrowException
    from pyarrow.dataset import dataset

    name, _, file = named.partition("=")
    if not re.fullmatch(r"[A-Za-z_]\w*", name) or not file:
        raise UserError(f"--with {named!r} is not NAME=FILE, such as sites=sites.parquet")
    taken = {row[0].lower() for row in connection.sql("show tables").fetchall()}
    if name.lower() in taken:
        raise UserError(f"--with {named!r}: the warehouse has a {name} itself; use another name")
    kind: Literal["csv", "parquet"] = "csv" if file.lower().endswith(".csv") else "parquet"
    try:
        connection.register(name, dataset(file, format=kind))
    except (OSError, ArrowException) as error:
        missing = isinstance(error, FileNotFoundError)
        said = "no such file" if missing else in_one_line(error)
        raise UserError(f"--with {named!r}: {file} cannot be read as {kind}: {said}") from None


def _show_rows(reader: pa.RecordBatchReader, limit: int) -> None:
    """Print the first rows: as a table, or one below the other where they are too wide for it."""
    from pyarrow import types

    from lazsl.warehouse.export import batches, readable

    read: list[list[str]] = []
    for batch in batches(reader):
        columns = [map(readable, column.to_pylist()) for column in batch.columns]
        read += [list(row) for row in zip(*columns, strict=True)]
        if len(read) > limit:
            break
    names, shown = reader.schema.names, read[:limit]
    widths = (
        [
            max(len(name), *(min(len(cell), _FOLDED) for cell in column), 4)
            for name, column in zip(names, zip(*shown, strict=True), strict=True)
        ]
        if shown
        else []
    )
    if sum(widths) + 3 * len(names) < out.width:
        table = Table()
        for field in reader.schema:
            number = types.is_integer(field.type) or types.is_floating(field.type)
            number = number or types.is_decimal(field.type)
            table.add_column(
                escape(field.name), justify="right" if number else "left", overflow="fold"
            )
        for row in shown:
            table.add_row(*map(_styled, row))
        out.print(table)
    else:
        for at, row in enumerate(shown, start=1):
            table = Table("", title=f"row {at}", title_justify="left", show_header=False)
            table.add_column(overflow="fold")
            for name, cell in zip(names, row, strict=True):
                table.add_row(escape(name), _styled(cell))
            out.print(table)
    cut = len(read) > limit
    counted = f"{'the first ' * cut}{len(shown)} row{'s' * (len(shown) != 1)}"
    counted += f", {len(names)} column{'s' * (len(names) != 1)}"
    out.print(
        counted + "; --rows shows more, --output writes all" * cut, highlight=False, soft_wrap=True
    )


def _styled(cell: str) -> str:
    return "[dim]NULL[/]" if cell == "NULL" else escape(cell)


def show_status(found: dict[str, Any]) -> None:
    """Print how a run stands, as `lazsl.run.status.run_status` found it."""
    table = Table("", "", title=f"run {found['run']}", show_header=False)
    table.add_row("archive", escape(str(found["archive"])))
    table.add_row("shards done", f"{found['shards_done']} of {found['shards']}")
    table.add_row("images listed", f"{found['listed']:,}")
    abstained = found.get("abstained", 0)
    note = f"  ({abstained:,} of them abstained)" if abstained else ""
    table.add_row("images labelled", f"{found.get('labelled', 0):,}{note}")
    reasons = ", ".join(f"{n} {reason}" for reason, n in (found.get("rejects") or {}).items())
    rejected = f"{found.get('rejected', 0):,}" + (f"  ({reasons})" if reasons else "")
    table.add_row("images rejected", escape(rejected))
    if found["waiting"]:
        table.add_row("images waiting", f"{found['waiting']:,}  (finished, and not loaded)")
    table.add_row("images missing", f"{found['missing']:,}")
    if not found["reconciled"]:
        table.add_row("counts", "[red]do not add up[/]; run lazsl load --rebuild")
    if found.get("no_longer_listed"):
        table.add_row("no longer listed", f"{found['no_longer_listed']:,}  (besides)")
    for method, value in (found.get("accuracy") or {}).items():
        part = " of those not abstained" if abstained and method == "lazsl" else ""
        table.add_row(f"accuracy, {method}", f"{value:.1%}{part}" if value is not None else "")
    if found.get("seconds"):
        spent = ", ".join(
            f"{name} {value:.1f} s" for name, value in found["seconds"].items() if value
        )
        table.add_row("time", spent)
    if found.get("doubt") is not None:
        table.add_row(
            "forward passes",
            f"{found['seen'] + 1:.1f} per image, of {found['crops_asked'] + 1}; the crops not "
            f"embedded would change an estimated {found['doubt']:.2%} of the labels",
        )
    if not found["loaded"]:
        table.add_row("warehouse", "some finished shards are not loaded yet; run `lazsl load`")
    out.print(table)
