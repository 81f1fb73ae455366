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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from lazsl.errors import DamagedError, UserError
from lazsl.store.urls import masked, trimmed

_BUCKETS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"}
_READ_SIZE = 2**16  # bytes asked for beyond what is wanted; a Parquet footer fits in


def parquet_bytes(table: pa.Table) -> bytes:
    """The Parquet file of a table. Embeddings are stored plain, since noise does not compress."""
    buffer = io.BytesIO()
    vectors = {"embedding"} & set(table.column_names)
    pq.write_table(
        table,
        buffer,
        compression={c: "none" if c in vectors else "zstd" for c in table.column_names},
        use_dictionary=[c for c in table.column_names if c not in vectors],  # type: ignore[arg-type]
        write_statistics=[c for c in table.column_names if c not in vectors],
    )
    return buffer.getvalue()


class Folder:
    """A place in any fsspec file system, addressed by relative paths with forward slashes.

    It is opened once and passed on; two of one URL are equal, so what is read may be cached by it.

    Raises:
        UserError: the URL's scheme is unknown, its library is missing, or it names no bucket. Every
            method: the store cannot be reached or refuses, the disk is full or closed, ...; only
            what is to be read and is not there stays a FileNotFoundError.
    """

    def __init__(self, url: str) -> None:
        self.url = trimmed(url)
        try:
            fs, root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise UserError(
                f"cannot open {masked(url)!r}: {masked(error, url)}; use a path or a URL such as "
                "s3://bucket/prefix"
            ) from None
        self.fs = fs
        self.root = str(root).rstrip("/")
        if not self.root and self.url.partition("://")[0] in _BUCKETS:
            raise UserError(
                f"{masked(self.url)} names no bucket; use a URL such as s3://bucket/prefix"
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folder) and self.url == other.url

    def __hash__(self) -> int:
        return hash(self.url)

    @property
    def is_local(self) -> bool:
        """True when paths below can be opened by any program on this machine."""
        return isinstance(self.fs, LocalFileSystem)

    def path(self, name: str) -> str:
        """The file system's own path of a relative name; that of the folder itself for ""."""
        return f"{self.root}/{name}" if name else self.root or "/"

    def exists(self, name: str) -> bool:
        """True when a whole artifact of this name is there."""
        with self._told(name):
            return bool(self.fs.exists(self.path(name)))

    def names(self, below: str, suffix: str = "") -> list[str]:
        """Sorted names directly or deeply below a folder; empty when there is none."""
        return sorted(self.details(below, suffix))

    def details(self, below: str, suffix: str = "") -> dict[str, dict[str, Any]]:
        """What the store says of each of `names`, as fsspec's `info` tells it."""
        try:
            with self._told(below):
                found = self.fs.find(self.path(below), detail=True)
        except FileNotFoundError:
            return {}
        start = len(self.root) + 1
        return {
            path[start:]: info
            for path, info in found.items()
            if path.endswith(suffix) and "/.tmp-" not in path
        }

    def read_bytes(self, name: str) -> bytes:
        """The artifact's bytes."""
        with self._told(name):
            return bytes(self.fs.cat_file(self.path(name)))

    def write_bytes(self, name: str, data: bytes) -> None:
        """Publish an artifact: after a kill at any moment it is there whole, or not at all."""
        with self._told(name, "written"):
            if self.is_local:
                self._replace(Path(self.path(name)), data)
            else:
                self.fs.pipe_file(self.path(name), data)

    def write_files(self, files: Mapping[str, bytes], force: bool = False) -> None:
        """Publish files that a person edits afterwards, in this order; the same again is well.

        Raises:
            UserError: one is there and holds something else, and `force` does not say to replace
                it; nothing is written then.
        """
        for name, data in files.items():
            if not force and self.exists(name) and self.read_bytes(name) != data:
                raise UserError(
                    f"{masked(self.path(name))} is there already and holds something else; choose "
                    "another --output, or say --force to replace it"
                )
        for name, data in files.items():
            self.write_bytes(name, data)

    def _replace(self, path: Path, data: bytes) -> None:
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
        """A Parquet artifact; of a remote one only the wanted columns travel.

        Raises:
            DamagedError: it is there, and is no Parquet file or only a part of one.
        """
        try:
            return self._read_table(name, columns)
        except pa.ArrowInvalid as error:
            # Arrow names the file first, and says what it makes of it after a full stop.
            found = str(error).rpartition("': ")[2].partition(". ")[0]
            raise DamagedError(
                f"{masked(self.path(name))} is damaged ({found}); delete it and run again, and it "
                "is made anew"
            ) from None

    def _read_table(self, name: str, columns: list[str] | None) -> pa.Table:
        if columns is None and not self.is_local:
            return pq.read_table(pa.BufferReader(self.read_bytes(name)))
        with self._told(name):
            if self.is_local:
                return pq.read_table(self.path(name), columns=columns, partitioning=None)
            reading = {"block_size": _READ_SIZE, "cache_type": "readahead"}
            with self.fs.open(self.path(name), "rb", **reading) as file:
                return pq.read_table(file, columns=columns)

    def write_table(self, name: str, table: pa.Table) -> str:
        """SHA-256 of the Parquet artifact that is published."""
        data = parquet_bytes(table)
        self.write_bytes(name, data)
        return hashlib.sha256(data).hexdigest()

    @contextmanager
    def _told(self, name: str, how: str = "read") -> Iterator[None]:
        """Troubles of the store or the disk, in one sentence."""
        try:
            yield
        except _troubles() as error:
            if how == "read" and isinstance(error, FileNotFoundError | IsADirectoryError):
                raise
            said = masked(" ".join(str(error).split()), self.url) or type(error).__name__
            if self.is_local:
                sentence = (
                    f"{self.path(name)} cannot be {how}: {said}; check the disk, its space and the "
                    "permissions, then run again"
                )
            else:
                sentence = (
                    f"{masked(self.url)} cannot be reached: {said}; check the URL, the network and "
                    "the credentials and endpoint in the environment (for S3: AWS_ACCESS_KEY_ID, "
                    "AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL), then run again"
                )
            raise UserError(sentence) from None


def _troubles() -> tuple[type[BaseException], ...]:
    """What a store or a disk raises when it does not do what it is asked."""
    # Imported when something fails: without stores, nobody waits for them at every start.
    import aiohttp
    from botocore.exceptions import BotoCoreError, ClientError

    return OSError, BotoCoreError, ClientError, aiohttp.ClientError
