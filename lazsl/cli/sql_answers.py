"""Answers of the warehouse on the terminal: tables for a person, and CSV, JSON and Markdown."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import duckdb
import pyarrow as pa
from pyarrow import types
from rich.markup import escape
from rich.table import Table

from lazsl.cli.app import out
from lazsl.cli.console import Seen
from lazsl.errors import UserError
from lazsl.warehouse import query_results
from lazsl.warehouse.catalog import find_relation, read_catalog
from lazsl.warehouse.query_results import batches, readable
from lazsl.warehouse.sqlfiles import Connection
from lazsl.warehouse.statements import failed

Form = Literal["table", "csv", "json", "markdown"]

_FOLDED = 24  # characters of a text below which it is not folded to make a table fit


def show(answer: duckdb.DuckDBPyRelation, form: Form, rows: int) -> None:
    """Print an answer: all of it, or `rows` rows of it as a table.

    Raises:
        UserError: the query failed on the way.
    """
    if form == "table":
        return _show_rows(_reader(answer, rows + 1), rows)
    writers: dict[str, Any] = {
        "csv": query_results.write_csv,
        "json": query_results.write_json,
        "markdown": query_results.write_markdown,
    }
    writers[form](_reader(answer), Seen(sys.stdout) if sys.stdout.isatty() else sys.stdout)


def write(answers: Iterable[duckdb.DuckDBPyRelation], path: Path) -> int:
    """Rows written to a file, of the only answer or the last one.

    Raises:
        UserError: there is no answer, or it cannot be written.
    """
    last = None
    for last in answers:  # noqa: B007 (the ones before set what it reads)
        pass
    if last is None:
        raise UserError("the query has no answer to write; end it with a select")
    return query_results.write_result(_reader(last), path)


def _reader(
    answer: duckdb.DuckDBPyRelation, rows: int = query_results.BATCH
) -> pa.RecordBatchReader:
    try:
        reader: pa.RecordBatchReader = answer.to_arrow_reader(rows)
        return reader
    except duckdb.Error as error:
        raise failed(error) from None


def show_schema(connection: Connection, name: str | None, form: Form = "table") -> None:
    """Print what can be asked of the warehouse, or what the columns of one relation mean.

    Raises:
        UserError: there is no relation of that name.
    """
    relations = read_catalog(connection)
    if name is None:
        listed = pa.table(
            {
                "kind": [relation.kind for relation in relations],
                "name": [relation.call for relation in relations],
                "meaning": [relation.comment for relation in relations],
            }
        )
    else:
        relation = find_relation(relations, name)
        if form == "table":
            out.print(
                f"[bold]{escape(relation.call)}[/], a {relation.kind}: {escape(relation.comment)}",
                highlight=False,
            )
        listed = pa.table(
            {
                "column": [column.name for column in relation.columns],
                "type": [column.type for column in relation.columns],
                "meaning": [column.comment for column in relation.columns],
            }
        )
    if form == "table":
        table = Table(*map(str, listed.column_names), show_edge=False)
        for row in zip(*(column.to_pylist() for column in listed.columns), strict=True):
            table.add_row(*map(escape, row))
        return out.print(table)
    show(connection.from_arrow(listed), form, listed.num_rows)


def _show_rows(reader: pa.RecordBatchReader, limit: int) -> None:
    """Print the first rows: as a table, or one below the other where they are too wide for it."""
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
    out.say(counted + "; --rows shows more, --output writes all" * cut, markup=True)


def _styled(cell: str) -> str:
    return "[dim]NULL[/]" if cell == "NULL" else escape(cell)
