"""Tables and records, read so that every byte is the one that was written, or it is told.

Those of an older lazsl have no seal (`seals.py`): they are read, and what can be seen of damage is.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from lazsl.errors import DamagedError, in_one_line
from lazsl.store import kinds, seals
from lazsl.store.seals import Broken

if TYPE_CHECKING:
    from lazsl.store.folder import Folder

T = TypeVar("T")

_FOOTER = 2**16  # bytes of a file's end that are fetched at once; a Parquet footer fits in
_NEAR = 2**16  # bytes between wanted ones that are fetched too, rather than asked for separately
_SMALL = 2**22  # bytes of a file below which threads cost more than they save
_READINGS = 3  # a byte may have been garbled on its way, not where it lies
_PAUSE = 0.2  # seconds before another reading of a remote file


def read_record(folder: Folder, name: str, fields: Sequence[str] = ()) -> dict[str, Any]:
    """A JSON record.

    Args:
        folder: where it lies.
        name: of the record.
        fields: what it must have.

    Raises:
        DamagedError: it is not what was written, or lacks one of the fields.
    """

    def read() -> dict[str, Any]:
        record = seals.read_sealed_json(folder.read_bytes(name))
        if missing := [field for field in fields if field not in record]:
            raise Broken(f"it lacks {missing[0]!r}")
        return record

    return _whole(folder, name, read)


def read_table(
    folder: Folder,
    name: str,
    columns: list[str] | None = None,
    written: str | None = None,
    every_byte: bool = False,
) -> pa.Table:
    """A Parquet artifact; of a remote one only the wanted columns travel.

    Args:
        folder: where it lies.
        name: of the artifact.
        columns: None: all. Columns that its kind did not always have may be missing.
        written: what `Folder.write_table` said when it was written, or an older lazsl (SHA-256).
        every_byte: columns that are not wanted are checked too.

    Raises:
        DamagedError: it is not what was written, or not what artifacts of its kind hold.
    """
    return _whole(folder, name, lambda: _read(folder, name, columns, written, every_byte))


def _whole(folder: Folder, name: str, read: Callable[[], T]) -> T:
    """What is read, once more where it is not what was written."""
    for reading in range(1, _READINGS):
        try:
            return read()
        except Broken:
            if not folder.is_local:
                time.sleep(_PAUSE * reading)
    try:
        return read()
    except Broken as error:
        sentence = f"{folder.path(name)} is damaged ({error}); {kinds.remedy(name)}"
        raise DamagedError(sentence, name, str(error)) from None


def _read(
    folder: Folder, name: str, columns: list[str] | None, written: str | None, every_byte: bool
) -> pa.Table:
    old = written is not None and not written.startswith(seals.KIND)
    whole = columns is None or old or every_byte
    size = 0 if whole else folder.size(name)
    data = folder.read_bytes(name) if whole else _ending(folder, name, size)
    if old and hashlib.sha256(data).hexdigest() != written:
        raise Broken("its SHA-256 is not the one in its marker")
    footer = seals.footer(data)
    seal = seals.seal_of(footer)
    if seal is not None and not old and written not in (None, seal):
        raise Broken("it is another one than its marker says")
    try:
        metadata = seals.metadata(footer)
        schema = metadata.schema.to_arrow_schema()
        kinds.check_schema(name, schema, columns)
        wanted = schema.names if columns is None else [c for c in columns if c in schema.names]
        file = data if whole else _with_columns(folder, name, data, size, metadata, wanted)
        if seal is not None:
            seals.check_columns(file, footer, schema.names if every_byte else wanted)
        # Without a seal, damage shows where a column is decoded.
        decoded = schema.names if every_byte and seal is None else wanted
        # A third of the work of `pq.read_table`, which counts where there are thousands of them.
        opened = pq.ParquetFile(pa.BufferReader(file), metadata=metadata)
        table = opened.read(decoded, use_threads=len(file) > _SMALL).select(wanted)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        # The bytes are in memory: neither a disk nor a store is to blame.
        raise Broken(in_one_line(error)) from None
    if seal is None:
        kinds.check_vectors(table)
    return seals.without(table)


def _ending(folder: Folder, name: str, size: int) -> bytes:
    """The footer of a Parquet file with all that follows, and perhaps some of what is before."""
    ending = folder.read_bytes(name, max(0, size - _FOOTER), size)
    length = seals.footer_length(ending)
    return ending if length <= len(ending) else folder.read_bytes(name, max(0, size - length), size)


def _with_columns(
    folder: Folder,
    name: str,
    ending: bytes,
    size: int,
    metadata: pq.FileMetaData,
    columns: list[str],
) -> bytearray:
    """The file with the bytes of some columns, and nothing where those of the others are."""
    file = bytearray(size)
    have = size - len(ending)
    file[have:] = ending
    spans = seals.column_spans(metadata)
    wanted = sorted(span for column in columns for span in spans.get(column, []))
    if any(not 0 <= start <= end <= size for start, end in wanted):
        raise Broken("its columns lie beyond its end")
    for start, end in _joined([(s, min(e, have)) for s, e in wanted if s < have]):
        part = folder.read_bytes(name, start, end)
        if len(part) != end - start:
            raise Broken(f"{len(part)} bytes of {end - start} could be read")
        file[start:end] = part
    return file


def _joined(spans: list[seals.Span]) -> list[seals.Span]:
    """Sorted spans, those that lie near each other in one."""
    joined: list[seals.Span] = []
    for start, end in spans:
        if joined and start - joined[-1][1] <= _NEAR:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
