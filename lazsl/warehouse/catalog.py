"""What a person can ask of a warehouse: its tables, views and macros, and what each means."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from lazsl.errors import UserError
from lazsl.nearest_names import nearest
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.sqlfiles import Connection


@dataclass(frozen=True)
class Column:
    """A column, with its type as DuckDB names it; `comment` may be empty."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Relation:
    """A table, a view or a macro; `arguments` are a macro's, None for the other two."""

    name: str
    kind: str
    arguments: tuple[str, ...] | None
    comment: str
    columns: tuple[Column, ...]

    @property
    def call(self) -> str:
        """How a query names it."""
        return self.name if self.arguments is None else f"{self.name}({', '.join(self.arguments)})"


def read_catalog(connection: Connection) -> list[Relation]:
    """All of the warehouse's, tables first; macros are given the columns that they answer with."""
    columns: dict[str, list[Column]] = {}
    for row in sqlfiles.rows(connection, "catalog/columns.sql"):
        column = Column(row["name"], row["type"], row["comment"] or "")
        columns.setdefault(row["relation"], []).append(column)
    meanings = {c.name: c.comment for of_one in columns.values() for c in of_one if c.comment}
    relations = []
    for row in sqlfiles.rows(connection, "catalog/relations.sql"):
        name, arguments = row["name"], row["arguments"]
        if arguments is None:
            known = columns.get(name, [])
        else:
            known = _answered(connection, name, len(arguments), meanings)
        given = None if arguments is None else tuple(arguments)
        relations.append(Relation(name, row["kind"], given, row["comment"] or "", tuple(known)))
    return relations


def _answered(
    connection: Connection, macro: str, arguments: int, meanings: dict[str, str]
) -> list[Column]:
    """The columns that a macro answers with; none where it cannot be asked."""
    name = '"' + macro.replace('"', '""') + '"'
    try:
        answer = connection.sql(f"from {name}({', '.join(['null'] * arguments)}) limit 0")
    except duckdb.Error:
        return []
    return [
        Column(column, str(kind), meanings.get(column, ""))
        for column, kind in zip(answer.columns, answer.types, strict=True)
    ]


def find_relation(relations: list[Relation], name: str) -> Relation:
    """The relation of a name, whatever its case.

    Raises:
        UserError: there is none; the sentence gives the nearest.
    """
    for relation in relations:
        if relation.name.lower() == name.strip().lower():
            return relation
    hint = nearest(name, [relation.name for relation in relations])
    raise UserError(
        f"the warehouse has no table, view or macro {name!r}{hint}; lazsl sql --schema lists all"
    )
