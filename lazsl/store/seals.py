"""Digests inside of what is stored, so that every byte read back is the byte that was written.

A Parquet file has a digest per column, over the column's bytes in the file, and one over its
footer, which holds the former: a few columns are checked without the others, and the footer's
digest speaks for the whole file. A JSON record has one over all of its text. Each digest counts its
own place as zeros. Files from before there were digests have none, and are still read.

XXH3 with 128 bits finds accidents, not forgers, and costs next to nothing beside decoding.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

_NAME = "lazsl-seal"
KIND = "xxh3:"
"""Begins every seal."""

_SIGNS = (_NAME.encode(), KIND.encode())
"""Either shows that there is a seal: damage to one of them does not hide it."""

_HEX = 32
_ZEROS = b"0" * _HEX
_MAGIC = b"PAR1"
_ENDING = 8  # bytes after a Parquet footer: its length, and the magic

Span = tuple[int, int]
"""First byte and the one after the last."""


class Broken(Exception):
    """In which way bytes are not those that were written."""


def sealed_parquet(table: pa.Table) -> tuple[bytes, str]:
    """A table as a sealed Parquet file, and its seal: the digest that speaks for all of it.

    Embeddings and their codes are stored plain, since noise does not compress.
    """
    others = [name for name in table.column_names if name not in ("embedding", "codes")]
    digests = len(table.column_names) + 1
    buffer = io.BytesIO()
    with pq.ParquetWriter(
        buffer,
        table.schema,
        compression={c: "zstd" if c in others else "none" for c in table.column_names},
        use_dictionary=others,  # type: ignore[arg-type]
        write_statistics=others,
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_NAME: KIND + "0" * _HEX * digests})
    data = bytearray(buffer.getvalue())
    start = len(data) - footer_length(data)
    place = data.rindex(KIND.encode() + _ZEROS * digests, start) + len(KIND)
    spans = column_spans(metadata(bytes(data[start:])))
    columns = [_digest(data, spans.get(name, [])) for name in table.column_names]
    data[place : place + _HEX * len(columns)] = "".join(columns).encode()
    whole = xxhash.xxh3_128_hexdigest(memoryview(data)[start:])
    data[place + _HEX * len(columns) : place + _HEX * digests] = whole.encode()
    return bytes(data), KIND + whole


def seal_of(footer: bytes) -> str | None:
    """The seal of a Parquet file, once its footer (with all that follows) is what was written.

    None, where the file is from before there were seals.

    Raises:
        Broken: the footer is not what was written.
    """
    if not any(sign in footer for sign in _SIGNS):
        return None
    *_, whole, place = _digests(footer)
    if _digest_without(footer, place) != whole:
        raise Broken("its footer is not what was written")
    return f"{KIND}{whole}"


def check_columns(data: bytes | bytearray, footer: bytes, names: list[str]) -> None:
    """Raise Broken if one of these columns of a sealed file is not what was written.

    Args:
        data: the file; bytes of other columns may be anything.
        footer: its footer, checked, with all that follows.
        names: columns.
    """
    recorded = metadata(footer)
    *digests, _, _ = _digests(footer)
    written = dict(zip(recorded.schema.to_arrow_schema().names, digests, strict=True))
    spans = column_spans(recorded)
    for name in names:
        if _digest(data, spans.get(name, [])) != written[name]:
            raise Broken(f"its column {name} is not what was written")


def without(table: pa.Table) -> pa.Table:
    """The table as it was before it was sealed."""
    others = {k: v for k, v in (table.schema.metadata or {}).items() if k != _NAME.encode()}
    return table.replace_schema_metadata(others or None)


def footer_length(ending: bytes | bytearray) -> int:
    """Bytes of a Parquet footer with all that follows, by the last bytes of the file.

    Raises:
        Broken: these are not the last bytes of a Parquet file.
    """
    if len(ending) < _ENDING or ending[-4:] != _MAGIC:
        raise Broken("its end is missing")
    return int.from_bytes(ending[-_ENDING:-4], "little") + _ENDING


def footer(ending: bytes | bytearray) -> bytes:
    """The footer with all that follows, of the last bytes of a Parquet file.

    Raises:
        Broken: it is not among them.
    """
    length = footer_length(ending)
    if length > len(ending):
        raise Broken("its footer is missing")
    return bytes(ending[-length:])


def metadata(footer: bytes) -> pq.FileMetaData:
    """What a footer says. Its offsets are those of the whole file."""
    return pq.read_metadata(pa.BufferReader(_MAGIC + footer))


def column_spans(metadata: pq.FileMetaData) -> dict[str, list[Span]]:
    """Where the bytes of every column lie in a Parquet file, in the order of the schema."""
    spans: dict[str, list[Span]] = {}
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group)
        for index in range(rows.num_columns):
            chunk = rows.column(index)
            start = chunk.data_page_offset
            if chunk.has_dictionary_page and chunk.dictionary_page_offset:
                start = min(start, chunk.dictionary_page_offset)
            name = chunk.path_in_schema.partition(".")[0]
            spans.setdefault(name, []).append((start, start + chunk.total_compressed_size))
    return spans


def sealed_json(value: dict[str, Any]) -> bytes:
    """A record as sealed JSON text; its seal is one more entry, at the end."""
    text = json.dumps({**value, _NAME: KIND + "0" * _HEX}, indent=1, ensure_ascii=False).encode()
    place = text.rindex(_ZEROS)
    return text[:place] + _digest_without(text, place).encode() + text[place + _HEX :]


def read_sealed_json(data: bytes) -> dict[str, Any]:
    """The record in a JSON text, without its seal, where it has one.

    Raises:
        Broken: it is not the text of a record, or not the one that was written.
    """
    if any(sign in data for sign in _SIGNS):
        *_, whole, place = _digests(data)
        if _digest_without(data, place) != whole:
            raise Broken("it is not what was written")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise Broken("it is no JSON") from None
    if not isinstance(value, dict):
        raise Broken("it holds no record")
    value.pop(_NAME, None)
    return value


def _digests(data: bytes) -> tuple[Any, ...]:
    """The digests of a seal, and at which byte the last one begins."""
    # The last one: a record may hold the seals of files, and a footer texts of the archive.
    matches = list(re.finditer(re.escape(KIND.encode()) + rb"((?:[0-9a-f]{32})+)", data))
    if not matches or _NAME.encode() not in data:
        raise Broken("its seal is not what was written")
    digests = matches[-1]
    return (*(text.decode() for text in _pieces(digests[1])), digests.end() - _HEX)


def _pieces(digits: bytes) -> Iterator[bytes]:
    return (digits[at : at + _HEX] for at in range(0, len(digits), _HEX))


def _digest_without(data: bytes, place: int) -> str:
    """Digest of bytes with zeros in the place of the digest itself."""
    digest = xxhash.xxh3_128(memoryview(data)[:place])
    digest.update(_ZEROS)
    digest.update(memoryview(data)[place + _HEX :])
    return digest.hexdigest()


def _digest(data: bytes | bytearray, spans: list[Span]) -> str:
    digest = xxhash.xxh3_128()
    for start, end in spans:
        digest.update(memoryview(data)[start:end])
    return digest.hexdigest()
