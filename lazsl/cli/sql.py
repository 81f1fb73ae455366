"""`lazsl sql`: questions to the warehouse, from the shell, a file, or a prompt of their own."""

from __future__ import annotations

import re
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lazsl.cli.app import app, in_words, out
from lazsl.cli.options import LakeFolder, WarehouseFile, Workspace, present_warehouse
from lazsl.errors import UserError, in_one_line


@app.command(
    epilog="Example: lazsl sql "
    '"select label, count(*) from predictions group by all order by 2 desc" --output labels.csv'
)
@in_words
def sql(
    query: Annotated[
        str | None,
        typer.Argument(
            help="Query to run, or several that end in semicolons (default: read from stdin; on a "
            "terminal, a prompt)."
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Read the query from a file.")
    ] = None,
    schema: Annotated[
        bool,
        typer.Option(
            "--schema",
            help="List tables, views and macros with their meaning; with the name of one in place "
            "of a query, list its columns.",
        ),
    ] = False,
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
    lake: LakeFolder = None,
    tables: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME=FILE",
            help="Let the query read a Parquet or CSV file of yours under this name; repeatable.",
        ),
    ] = None,
    sentences: Annotated[
        list[str] | None,
        typer.Option(
            "--find",
            metavar="NAME=SENTENCE",
            help="Let the query read, under this name, how similar each image of the latest run is "
            "to a sentence, and where (see `lazsl find`); repeatable.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write all rows to a .csv, .parquet or .json file."),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all rows as CSV.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all rows as JSON, a list for each answer.")
    ] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print all rows as a table in Markdown.")
    ] = False,
    rows: Annotated[int, typer.Option(min=1, help="Number of rows to print.")] = 40,
) -> None:
    """Query the warehouse (read-only; never blocks a load).

    Without a query on a terminal it opens a prompt, with history and completion. `lazsl sql
    --schema` lists what can be asked, and docs/sql.md has queries to start from.
    """
    chosen = {"csv": as_csv, "json": as_json, "markdown": as_markdown}
    if sum(chosen.values()) + (output is not None) > 1:
        raise UserError("--csv, --json, --markdown and --output exclude each other; give one")
    path = present_warehouse(workspace, warehouse, lake)

    from lazsl.cli.sql_answers import Form, show, show_schema, write
    from lazsl.warehouse import sqlfiles
    from lazsl.warehouse.opening import open_warehouse
    from lazsl.warehouse.statements import answers

    forms: list[Form] = [name for name, wanted in chosen.items() if wanted]  # type: ignore[misc]
    form = forms[0] if forms else "table"
    with closing(open_warehouse(path)) as connection:
        for named in tables or []:
            _register(connection, named)
        for named in sentences or []:
            _register_similar(connection, named, workspace)
        sqlfiles.run(connection, "open/lock.sql")
        if schema:
            return show_schema(connection, query, form)
        if query is None and file is None and sys.stdin.isatty() and not (forms or output):
            from lazsl.cli.sql_shell import converse

            return converse(connection, path, rows)
        answered = answers(connection, _text(query, file))
        if output is not None:
            written = write(answered, output)
            out.print(f"{written} rows written to {output}", highlight=False, markup=False)
            return
        for answer in answered:
            show(answer, form, rows)


def _text(query: str | None, file: Path | None) -> str:
    """The query, from where it is.

    Raises:
        UserError: the file cannot be read.
    """
    if file is None:
        return query if query is not None else sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UserError(f"cannot read {file}: {reason}; give a file with a query") from None


def _register_similar(connection: Any, named: str, workspace: str) -> None:
    """Let a query read how like a sentence every image is: run, shard, image_id, similarity, ...

    Raises:
        UserError: it is not NAME=SENTENCE, or the run's embeddings or its model are not there.
    """
    import pyarrow as pa

    from lazsl.explain.lookup import find_run
    from lazsl.explain.similar import embed_sentence, similarities

    name, _, sentence = named.partition("=")
    if not re.fullmatch(r"[A-Za-z_]\w*", name) or not sentence:
        raise UserError(f"--find {named!r} is not NAME=SENTENCE, such as crests='a red crest'")
    run = find_run(connection, None, workspace)
    vector = embed_sentence(run, sentence)
    tables = list(similarities(connection, run, vector))
    if not tables:
        raise UserError(f"run {run.key} has no loaded shard; load it first")
    table = pa.concat_tables(tables)
    key = pa.repeat(pa.scalar(run.key), table.num_rows)
    connection.register(name, table.add_column(0, "run", key))


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
        reason = "no such file" if missing else in_one_line(error)
        raise UserError(f"--with {named!r}: {file} cannot be read as {kind}: {reason}") from None
