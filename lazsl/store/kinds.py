"""What an artifact of each kind must hold, by its name: the columns of its schema, and vectors."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from lazsl.store import schemas
from lazsl.store.seals import Broken
from lazsl.store.vectors import vectors_of

_KINDS: dict[str, pa.Schema] = {
    r"manifests/[^/]+/\d{6}\.parquet": schemas.MANIFEST,
    r"embeddings/[^/]+/[^/]+/[^/.]+\.images\.parquet": schemas.IMAGES,
    r"embeddings/[^/]+/[^/]+/[^/.]+\.parquet": schemas.regions(1),
    r"sketches/[^/]+/[^/]+/[^/.]+\.parquet": schemas.sketches(1, 1),
    r"attributes/[^/]+/templates-[^/]+\.parquet": schemas.class_means(1),
    r"attributes/[^/]+/[^/]+\.parquet": schemas.attributes(1),
    r"truth/[^/]+\.parquet": schemas.TRUTH,
    **{rf"runs/[^/]+/{name}/[^/]+\.parquet": kind for name, kind in schemas.RUN_TABLES.items()},
    **{rf"{name}/[^/]+/[^/]+\.parquet": kind for name, kind in schemas.AUDIT_TABLES.items()},
}

_LATER = {column for columns in schemas.LATER.values() for column in columns}

_NORM_ERROR = 0.05
"""What rounding to float16 may make of unit length, generously."""


def kind_of(name: str) -> pa.Schema | None:
    """The schema of an artifact, by its name; None for files of other kinds.

    The dimension of vectors is 1 in it, whatever that of the artifact is.
    """
    return next((kind for form, kind in _KINDS.items() if re.fullmatch(form, name)), None)


def remedy(name: str) -> str:
    """What to do about a damaged artifact, by its name."""
    if re.match(r"sketches/", name):
        return "lazsl check sets it aside, and the next lazsl find --index makes it anew"
    if re.match(r"(samples|reviews)/", name):
        return "restore it from a copy, or delete it and draw or import it again"
    if re.match(r"truth/", name):
        return "delete it, and give --truth to lazsl label again"
    if kind_of(name) is None and not re.match("runs/", name):
        return "delete it and run again, and it is made anew"
    return "lazsl check sets it aside, and the next lazsl label makes it anew"


def check_schema(name: str, schema: pa.Schema, columns: list[str] | None = None) -> None:
    """Raise Broken if an artifact lacks a column of its kind, or has another type in it.

    Args:
        name: of the artifact.
        schema: what its file has.
        columns: those that are wanted; None: all.
    """
    kind = kind_of(name)
    if kind is None:
        return
    for field in kind:
        if columns is not None and field.name not in columns:
            continue
        if schema.get_field_index(field.name) < 0:
            if field.name in _LATER:
                continue
            raise Broken(f"it lacks the column {field.name!r}")
        if not _alike(schema.field(field.name).type, field.type):
            raise Broken(
                f"its column {field.name!r} holds {schema.field(field.name).type}, not {field.type}"
            )


def check_vectors(table: pa.Table) -> None:
    """Raise Broken if a vector in the column `embedding` is not of unit length."""
    if "embedding" not in table.column_names or not len(table):
        return
    wrong = len(table) - int(unit_vectors(vectors_of(table)).sum())
    if wrong:
        raise Broken(f"{wrong} of its {len(table)} vectors are not of unit length")


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """(n,) bool: which of some vectors (n, D) are finite and of unit length, up to rounding."""
    if not vectors.size:
        return np.ones(len(vectors), bool)
    wide = vectors.astype(np.float32, copy=False)
    with np.errstate(invalid="ignore", over="ignore"):
        squares = np.einsum("nd,nd->n", wide, wide)
    # A comparison with what is no number is false.
    good: np.ndarray = np.abs(squares - 1) <= _NORM_ERROR
    return good


def _alike(actual: pa.DataType, wanted: pa.DataType) -> bool:
    """Equal, up to the dimension of vectors and the names inside of lists."""
    if pa.types.is_fixed_size_list(wanted):
        return pa.types.is_fixed_size_list(actual) and actual.value_type == wanted.value_type
    if pa.types.is_fixed_size_binary(wanted):
        return pa.types.is_fixed_size_binary(actual)
    if pa.types.is_list(wanted):
        return pa.types.is_list(actual) and actual.value_type == wanted.value_type
    return bool(actual == wanted)
