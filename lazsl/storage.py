"""Every read and write of a file or an object goes through here.

Credentials, endpoint and region come from the environment, as the store's own library reads them
(for S3: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...); they are never settings, so never logged.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import uuid
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from lazsl.errors import UserError


def split_url(url: str) -> tuple[str, str]:
    """The folder and the name of a file given by path or URL."""
    parent, slash, name = url.rpartition("/")
    return parent or slash or ".", name


class Folder:
    """A place in any fsspec file system, addressed by relative paths with forward slashes.

    Raises:
        UserError: when the URL's scheme is unknown or its library is missing.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") or "/"
        try:
            fs, root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise UserError(
                f"cannot open {url!r}: {error}; use a path or a URL such as s3://bucket/prefix"
            ) from None
        self.fs = fs
        self.root = str(root).rstrip("/")

    @property
    def is_local(self) -> bool:
        """True when paths below can be opened by any program on this machine."""
        return isinstance(self.fs, LocalFileSystem)

    def path(self, name: str) -> str:
        """The file system's own path of a relative name."""
        return f"{self.root}/{name}"

    def exists(self, name: str) -> bool:
        """True when a whole artifact of this name is there."""
        return bool(self.fs.exists(self.path(name)))

    def names(self, below: str, suffix: str = "") -> list[str]:
        """Sorted names directly or deeply below a folder; empty when there is none."""
        try:
            found = self.fs.find(self.path(below))
        except FileNotFoundError:
            return []
        start = len(self.root) + 1
        return sorted(p[start:] for p in found if p.endswith(suffix) and "/.tmp-" not in p)

    def read_bytes(self, name: str) -> bytes:
        """The artifact's bytes."""
        return bytes(self.fs.cat_file(self.path(name)))

    def write_bytes(self, name: str, data: bytes) -> None:
        """Publish an artifact: after a kill at any moment it is there whole, or not at all."""
        target = self.path(name)
        if not self.is_local:
            self.fs.pipe_file(target, data)
            return
        path = Path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".tmp-{uuid.uuid4().hex}")
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def read_json(self, name: str) -> Any:
        """A JSON artifact."""
        return json.loads(self.read_bytes(name))

    def write_json(self, name: str, value: Any) -> None:
        """Publish a JSON artifact."""
        self.write_bytes(name, json.dumps(value, indent=1, ensure_ascii=False).encode())

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A Parquet artifact."""
        if self.is_local:
            return pq.read_table(self.path(name), columns=columns, partitioning=None)
        return pq.read_table(pa.BufferReader(self.read_bytes(name)), columns=columns)

    def write_table(self, name: str, table: pa.Table) -> str:
        """SHA-256 of the Parquet artifact that is published.

        Embeddings are stored plain, since noise does not compress.
        """
        buffer = io.BytesIO()
        vectors = {"embedding"} & set(table.column_names)
        pq.write_table(
            table,
            buffer,
            compression={c: "none" if c in vectors else "zstd" for c in table.column_names},
            use_dictionary=[c for c in table.column_names if c not in vectors],  # type: ignore[arg-type]
            write_statistics=[c for c in table.column_names if c not in vectors],
        )
        data = buffer.getvalue()
        self.write_bytes(name, data)
        return hashlib.sha256(data).hexdigest()
