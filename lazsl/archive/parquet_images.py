"""Parquet files with pictures as an archive, as img2dataset and Hugging Face's datasets write them.

A picture's key is its row. Its version is that of its file, and its row: whatever is done to a file
is seen, and makes all of its pictures new. Its size is not known before it is read. Rows are read
one at a time: what is stored once may stand in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lazsl.archive.containers import Container, entry
from lazsl.archive.versions import version_of
from lazsl.errors import UserError
from lazsl.images.budget import FILES

COLUMNS = ("image", "jpg", "jpeg", "png", "webp", "img", "bytes", "picture")
"""Names of columns with pictures; the first that is there counts."""


class ParquetImages(Container):
    """See the module."""

    protocol = "parquet"
    suffix = ".parquet"
    any_name = True

    def entries(self, file: str, info: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        version = version_of(info)
        with self.inner.open(self.path_of(file), "rb") as data:
            parquet = _opened(data, self.path_of(file))
            picture_column(parquet.schema_arrow, self.path_of(file))
            rows = parquet.metadata.num_rows
        size = info.get("size")
        if size is not None and rows > size:
            raise UserError(
                f"{self.path_of(file)} says that it has {rows} rows in {size} bytes, so it holds "
                "no pictures; take it out of the archive"
            )
        for row in range(rows):
            yield entry(self.key_of(file, f"{row:08d}"), None, f"{version}-{row}")

    def read_together(self, keys: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
        file, _ = self.file_of(keys[0])
        path = self.path_of(file)
        version = version_of(self.inner.info(path))
        wanted = {int(self.file_of(key)[1]): key for key in keys}
        with self.inner.open(path, "rb") as data:
            parquet = _opened(data, path)
            column = picture_column(parquet.schema_arrow, path)
            start = 0
            for group in range(parquet.num_row_groups):
                end = start + parquet.metadata.row_group(group).num_rows
                rows = {row for row in wanted if start <= row < end}
                if rows:
                    batches = parquet.iter_batches(1, [group], [column])
                    with FILES.take(_held(parquet.metadata.row_group(group), column)):
                        for row, batch in zip(range(start, max(rows) + 1), batches, strict=False):
                            if row in rows:
                                yield wanted[row], f"{version}-{row}", _bytes(batch[0][0].as_py())
                start = end


def _held(group: Any, column: str) -> int:
    """Bytes of a row group's pictures, unpacked, of which no more than that are held at a time."""
    chunks = (group.column(number) for number in range(group.num_columns))
    return sum(max(0, c.total_uncompressed_size) for c in chunks if c.path_in_schema == column)


def picture_column(schema: pa.Schema, path: str) -> str:
    """The column with the pictures' bytes, such as `jpg` or `image.bytes`.

    Raises:
        UserError: there is none.
    """
    columns = {}
    for field in schema:
        if _is_binary(field.type):
            columns[field.name] = field.name
        elif pa.types.is_struct(field.type):
            inner = field.type.get_field_index("bytes")
            if inner >= 0 and _is_binary(field.type.field(inner).type):
                columns[field.name] = f"{field.name}.bytes"
    present = [name for name in COLUMNS if name in columns]
    if not present and len(columns) == 1:
        present = list(columns)
    if not present:
        raise UserError(
            f"{path} has no column of pictures (bytes in a column called {', '.join(COLUMNS)}, or "
            f"in the only one with bytes); it has {', '.join(schema.names)}. If it lists paths or "
            f"URLs, give it as list://::{path}"
        )
    return columns[present[0]]


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _bytes(value: Any) -> bytes:
    """What a cell holds; nothing, where it is null."""
    return (value.get("bytes") if isinstance(value, dict) else value) or b""


def _opened(data: Any, path: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(data)
    except pa.ArrowException as error:
        raise UserError(
            f"{path} cannot be read as Parquet ({error}); write it anew, or take it out of the "
            "archive"
        ) from None
