"""The result of a query: as a person reads it, and as a file. Rows pass through in batches."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from lazsl.errors import UserError
from lazsl.visible_text import guarded, visible
from lazsl.warehouse.opening import hint
from lazsl.warehouse.sqlfiles import first_line

SUFFIXES = (".csv", ".parquet", ".json")
BATCH = 50_000
"""Rows that are in memory at a time."""


def readable(value: Any) -> str:
    """A value as a person reads it: four digits of a number, no braces around lists and structs,
    characters that steer a terminal written out."""
    if value is None:
        return "NULL"
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {readable(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(map(readable, value))
    return visible(str(value))


def write_result(reader: pa.RecordBatchReader, path: Path) -> int:
    """Rows written to a CSV, Parquet or JSON file, by its name; it is there whole or not at all.

    Lists and structs are JSON in a CSV cell; a text in one that begins like a formula (=, +, -, @)
    gets an apostrophe before it. JSON is one list with an object per row.

    Raises:
        UserError: another name, or the file cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"--output {path} must end in {', '.join(SUFFIXES)}")
    writer = {".csv": _csv, ".parquet": _parquet, ".json": _json}[path.suffix.lower()]
    names = reader.schema.names
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"the query has two columns {twice[0]!r}; rename one: ... as name")
    with _replaced(path) as part:
        return writer(reader, part)


def batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """The batches of a query that is still running.

    Raises:
        UserError: the query failed on the way.
    """
    try:
        yield from reader
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"the query failed: {first_line(error)}{hint(error)}") from None


def write_csv(reader: pa.RecordBatchReader, file: IO[str]) -> int:
    """Rows written as CSV, with a line of names first."""
    writer = csv.writer(file, lineterminator="\n")  # programs that read a pipe take \r for text
    writer.writerow(map(guarded, reader.schema.names))
    rows = 0
    for batch in batches(reader):
        columns = [column.to_pylist() for column in batch.columns]
        writer.writerows([_cell(value) for value in row] for row in zip(*columns, strict=True))
        rows += batch.num_rows
    return rows


def write_json(reader: pa.RecordBatchReader, file: IO[str]) -> int:
    """Rows written as JSON: one list with an object per row."""
    rows = 0
    file.write("[")
    for batch in batches(reader):
        for row in batch.to_pylist():
            file.write(",\n" if rows else "\n")
            file.write(json.dumps(_plain(row), ensure_ascii=False, allow_nan=False))
            rows += 1
    file.write("\n]\n")
    return rows


def write_markdown(reader: pa.RecordBatchReader, file: IO[str]) -> int:
    """Rows written as a table in Markdown, numbers to the right."""
    numbers = [
        types.is_integer(field.type) or types.is_floating(field.type) for field in reader.schema
    ]
    rows = 0
    file.write(_markdown_row(reader.schema.names))
    file.write(f"| {' | '.join('---:' if number else '---' for number in numbers)} |\n")
    for batch in batches(reader):
        columns = [column.to_pylist() for column in batch.columns]
        for row in zip(*columns, strict=True):
            file.write(_markdown_row([readable(value) for value in row]))
            rows += 1
    return rows


def _markdown_row(cells: Iterable[str]) -> str:
    escaped = (re.sub(r"([\\|`*_<\[])", r"\\\1", cell) for cell in cells)
    return f"| {' | '.join(' '.join(cell.split()) for cell in escaped)} |\n"


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """Where to write instead; renamed to the path at the end, removed after an error."""
    part = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        yield part
        if path.exists():
            shutil.copymode(path, part)
        part.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def _csv(reader: pa.RecordBatchReader, path: Path) -> int:
    with path.open("w", encoding="utf-8", newline="") as file:
        return write_csv(reader, file)


def _parquet(reader: pa.RecordBatchReader, path: Path) -> int:
    rows = 0
    with pq.ParquetWriter(path, reader.schema, compression="zstd") as writer:
        for batch in batches(reader):
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _json(reader: pa.RecordBatchReader, path: Path) -> int:
    with path.open("w", encoding="utf-8") as file:
        return write_json(reader, file)


def _cell(value: Any) -> Any:
    """A value as CSV holds it. A text that a spreadsheet would carry out gets an apostrophe."""
    if isinstance(value, list | tuple | dict):
        return json.dumps(_plain(value), ensure_ascii=False)
    return guarded(value) if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    """What JSON can hold: times and the like as text, no number that is none."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)
