"""A person's statements, carried out one after the other, and what went wrong where."""

from __future__ import annotations

import re
from collections.abc import Iterator

import duckdb

from lazsl.errors import UserError
from lazsl.warehouse.only_reading import check_reads
from lazsl.warehouse.opening import hint
from lazsl.warehouse.sqlfiles import Connection

_FILES = re.compile(r"file system .* disabled|file system operations are disabled|scanning", re.I)


def answers(connection: Connection, text: str) -> Iterator[duckdb.DuckDBPyRelation]:
    """The answer of every statement that has one, in their order; each is carried out when it is
    asked for.

    Raises:
        UserError: a statement does more than read, cannot be carried out, or there is none.
    """
    check_reads(text)
    statements = duckdb.extract_statements(text)
    if not statements:
        raise UserError("the query is empty; try: lazsl sql 'show tables'")
    for statement in statements:
        try:
            answer = connection.sql(statement.query)
        except duckdb.Error as error:
            raise failed(_placed(connection, statement.query, error)) from None
        if answer is not None and statement.type.name != "SET":
            yield answer


def _placed(connection: Connection, statement: str, error: duckdb.Error) -> duckdb.Error:
    """The error with its place in the statement, which DuckDB gives on execution alone."""
    try:
        connection.execute(statement)
    except duckdb.Error as placed:
        return placed
    return error


def failed(error: Exception) -> UserError:
    """What DuckDB complains of, with the names it thinks were meant and the place in the query."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, duckdb.PermissionException) or _FILES.search(text):
        first = text.splitlines()[0]
        return UserError(
            f"the query failed: {first}\nA query reads no file by its path; --with NAME=FILE lets "
            "it read one of yours as the table NAME."
        )
    return UserError(f"the query failed: {text}{hint(error)}")
