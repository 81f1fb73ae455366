"""A stranger's SQL, and what it may be: one that reads.

An attached file may be reached by its path even where nothing else may, so that DuckDB's own
settings do not keep a statement from attaching it once more for writing, or from copying over it.
What a statement is, DuckDB's parser says.
"""

from __future__ import annotations

import re

import duckdb

from lazsl.errors import UserError

# A variable of the connection, which is gone with it; no setting of DuckDB.
_VARIABLE = re.compile(
    r"(\s|--[^\n]*\n|/\*.*?\*/)*(re)?set\s+variable\b", re.IGNORECASE | re.DOTALL
)
_EXPLAIN = re.compile(r"\s*explain\b(\s*\([^()]*\)|\s+analyze\b)?", re.IGNORECASE)
_PRAGMA = re.compile(
    r"\s*pragma\s+(table_info|show_tables|show_tables_expanded|show|database_list|database_size|"
    r"version|platform|functions|collations|storage_info)\b",
    re.IGNORECASE,
)
# A pivot is several statements: the kinds of its columns, then the query.
_PIVOT = re.compile(r"\s*(pivot|from|select|with|\()\b", re.IGNORECASE)


def check_reads(text: str) -> None:
    """Raise UserError unless every statement of the text only reads, or the text is no SQL."""
    try:
        statements = duckdb.extract_statements(text)
    except duckdb.Error as error:
        raise UserError(f"the query failed: {str(error).strip()}") from None
    for statement in statements:
        if not _reads(statement.type.name, statement.query):
            kind = statement.type.name.lower().replace("_", " ")
            raise UserError(
                f"the query is no question but a statement of kind {kind}, and lazsl sql only "
                "reads: ask with select, from, with, pivot, describe, summarize, show or explain "
                "or set variable (--output writes the answer to a file, --with reads one of yours)"
            )


def _reads(kind: str, text: str) -> bool:
    if kind == "SELECT":
        return True
    if kind == "EXPLAIN":
        # With analyze it is carried out.
        explained = text[match.end() :] if (match := _EXPLAIN.match(text)) else ""
        inner = duckdb.extract_statements(explained) if explained else []
        return len(inner) == 1 and inner[0].type.name == "SELECT"
    if kind == "SET":
        return _VARIABLE.match(text) is not None
    if kind == "PRAGMA":
        return _PRAGMA.match(text) is not None
    return kind == "MULTI" and _PIVOT.match(text) is not None
