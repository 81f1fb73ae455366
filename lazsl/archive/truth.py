"""Truth about an archive, given by a person: a table of keys and labels, or the folders' names."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from lazsl.errors import UserError, in_one_line
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.text import spelling
from lazsl.nearest_names import nearest
from lazsl.store.named_files import read_given
from lazsl.visible_text import unguarded

FOLDERS = "folders"
"""The truth of an archive whose folders are named after classes."""

_WITH_COLUMN = re.compile(r"(?P<file>.+\.(?:csv|parquet)):(?P<column>[^/]+)", re.IGNORECASE)


def read_truth(
    url: str, labels: LabelSet, open_set: bool = False, keys: Sequence[str] | None = None
) -> pa.Table:
    """Columns key and label (text): what images really show, by a class of the label set.

    Classes are joined by name: their own, or a synonym of the label set.

    Args:
        url: a CSV or Parquet file with a column `key` (path below the archive's root) and a column
            `label`, or another one named behind the file as in `truth.parquet:species`; or
            `folders`: the innermost folder that is named after a class.
        labels: the classes.
        open_set: classes that the label set does not have are kept, for images of no known class.
        keys: the archive's, for `folders`.

    Raises:
        UserError: the file is missing or has other columns, or there are classes that the label
            set does not have; the sentence gives the nearest names.
    """
    if url == FOLDERS:
        if keys is None:
            raise UserError(
                "truth from folders needs the archive's listing, which is not available here; "
                "give a CSV or Parquet file of key,label"
            )
        return _from_folders(keys, labels, open_set)
    table = read_keyed(url, "truth", "label")
    names = table["label"].unique().to_pylist()
    class_of = {name: labels.called.get(name, name) for name in names if name is not None}
    known = set(labels.classes)
    unknown = [name or "" for name in names if class_of.get(name) not in known]
    if unknown and not open_set:
        raise _unknown(f"truth {url!r}", unknown, labels)
    classes = [class_of.get(name, "") for name in table["label"].to_pylist()]
    return pa.table({"key": table["key"], "label": pa.array(classes, pa.string())})


def read_keyed(url: str, what: str, name: str) -> pa.Table:
    """Columns key and `name` (text) of a file that says something of images.

    Args:
        url: a CSV or Parquet file with a column `key` and a column called so, or another one named
            behind the file as in `truth.parquet:species`.
        what: the file is, in errors.
        name: of the second column.

    Raises:
        UserError: the file is missing or has other columns.
    """
    named = _WITH_COLUMN.fullmatch(url)
    file, column = (named["file"], named["column"]) if named else (url, name)
    where = f"{what} {file!r}"
    wanted = f"give a CSV or Parquet file of key,{column}"
    data = read_given(file, where, wanted)
    is_parquet = file.lower().endswith(".parquet")
    read = _parquet if is_parquet else _csv
    try:
        table = read(data, ("key", column))
    except _OtherColumns as others:
        raise UserError(
            f"{where} must have columns key and {column} once each, but has {others}"
        ) from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        kind = "Parquet" if is_parquet else "CSV"
        raise UserError(f"{where} is not a {kind} file ({in_one_line(error)}); {wanted}") from None
    return pa.table({"key": table["key"], name: table[column]})


class _OtherColumns(Exception):
    """The columns that a file has instead."""


def _csv(data: bytes, columns: tuple[str, str]) -> pa.Table:
    # Everything is text: a key may be 007, a class may be called no or NULL.
    options = pacsv.ConvertOptions(column_types={name: pa.string() for name in columns})
    table = pacsv.read_csv(io.BytesIO(data), convert_options=options)
    _check_columns(table.column_names, columns)
    return pa.table({name: without_guards(table[name]) for name in columns})


def without_guards(texts: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """The texts of a CSV file without the apostrophes that keep spreadsheets from calculating."""
    if not pc.any(pc.starts_with(texts, "'")).as_py():
        return texts
    return pa.chunked_array([[text and unguarded(text) for text in texts.to_pylist()]], pa.string())


def _parquet(data: bytes, columns: tuple[str, str]) -> pa.Table:
    file = pq.ParquetFile(io.BytesIO(data))
    _check_columns(file.schema_arrow.names, columns)
    table = file.read(list(columns))
    return pa.table({name: table[name].cast(pa.string()) for name in columns})


def _check_columns(present: Sequence[str], columns: Iterable[str]) -> None:
    if any(list(present).count(column) != 1 for column in columns):
        raise _OtherColumns(", ".join(present))


def _from_folders(keys: Sequence[str], labels: LabelSet, open_set: bool) -> pa.Table:
    known = _by_spelling(labels)
    labels_of_keys: dict[str, str] = {}
    unknown: dict[str, str] = {}
    for key in keys:
        folders = key.split("/")[:-1]
        label = next((c for f in reversed(folders) if (c := _class_of(f, labels, known))), None)
        if label is not None:
            labels_of_keys[key] = label
        elif folders:
            unknown[key] = labels_of_keys[key] = folders[-1]
    if not labels_of_keys:
        raise UserError(
            "truth from folders: no image lies in a folder; name the folders after classes, or "
            "give a CSV or Parquet file of key,label"
        )
    if unknown and not open_set:
        where = f"truth from folders ({len(unknown)} images, such as {next(iter(unknown))!r})"
        raise _unknown(where, list(dict.fromkeys(unknown.values())), labels)
    return pa.table({"key": list(labels_of_keys), "label": list(labels_of_keys.values())})


def _by_spelling(labels: LabelSet) -> Mapping[str, str]:
    """The class of every spelling that means one class only."""
    meant: dict[str, set[str]] = {}
    for name, label in labels.called.items():
        meant.setdefault(spelling(name), set()).add(label)
    return {text: classes.pop() for text, classes in meant.items() if text and len(classes) == 1}


def _class_of(folder: str, labels: LabelSet, known: Mapping[str, str]) -> str | None:
    return labels.called.get(folder) or known.get(spelling(folder))


def _unknown(where: str, names: Sequence[str], labels: LabelSet) -> UserError:
    return UserError(
        f"{where} names {len(names)} classes that label set {labels.name!r} does not "
        f"have, such as {', '.join(repr(name) for name in names[:3])}"
        f"{nearest(names[0], labels.called)} (or say --open-set, if these images are of no "
        "known class)"
    )
