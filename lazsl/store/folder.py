"""Every read and write of a file or an object goes through here.

Credentials, endpoint and region come from the environment, as the store's own library reads them
(for S3: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...); they are never settings, so never logged.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from lazsl.errors import UserError
from lazsl.store.bounded_reading import read_whole
from lazsl.store.bucket_pages import each_object, has_pages
from lazsl.store.private import check_links
from lazsl.store.temporary_names import temporary_name
from lazsl.store.urls import leaves_folder, reason, trimmed

if TYPE_CHECKING:
    import pyarrow as pa

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}
BUCKETS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"}

GIVEN = 2**29
"""Bytes of a label set, a truth or a list of keys that are taken from a web server."""

DAMAGED = "damaged"
"""Folder that damaged artifacts are moved to, under their own names."""


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
                f"cannot open {url!r}: {reason(error, url)}; use a path or a URL such as "
                "s3://bucket/prefix"
            ) from None
        self.fs = fs
        self.root = str(root).rstrip("/")
        if not self.root and self.url.partition("://")[0] in BUCKETS:
            raise UserError(f"{self.url} names no bucket; use a URL such as s3://bucket/prefix")

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
        # In a bucket .. is a name like any other; elsewhere it leads out of the folder.
        if leaves_folder(name) and self.url.partition("://")[0] not in BUCKETS:
            raise UserError(
                f"{name!r} would lead out of {self.url}; nothing is read or written there"
            )
        return f"{self.root}/{name}" if name else self.root or "/"

    def exists(self, name: str) -> bool:
        """True when a whole artifact of this name is there."""
        with self._in_words(name):
            return bool(self.fs.exists(self.path(name)))

    def names(self, below: str, suffix: str = "") -> list[str]:
        """Sorted names directly or deeply below a folder; empty when there is none."""
        return sorted(name for name, _ in self._entries(below, suffix))

    def details(self, below: str, suffix: str = "") -> dict[str, dict[str, Any]]:
        """What the store says of each of `names`, as fsspec's `info` tells it."""
        return dict(self._entries(below, suffix))

    def _entries(self, below: str, suffix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """`details` one by one, in any order."""
        start = len(self.root) + 1
        path = self.path(below)
        try:
            with self._in_words(below):
                if has_pages(self.fs):
                    entries = each_object(self.fs, path.rstrip("/"))
                else:
                    entries = iter(self.fs.find(path, detail=True).items())
                for name, info in entries:
                    if name.endswith(suffix) and "/.tmp-" not in name and name[-1] != "/":
                        yield name[start:], info
        except FileNotFoundError:
            return

    def folders(self, below: str) -> list[str]:
        """Sorted names of the folders directly below a folder, without listing what is in them."""
        try:
            with self._in_words(below):
                entries = self.fs.ls(self.path(below), detail=True)
        except FileNotFoundError:
            return []
        folders = [entry["name"] for entry in entries if entry["type"] == "directory"]
        return sorted(str(path).rstrip("/").rsplit("/", 1)[1] for path in folders)

    def read_bytes(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """The artifact's bytes, or those from `start` up to `end`."""
        with self._in_words(name):
            return bytes(self.fs.cat_file(self.path(name), start=start, end=end))

    def read_given(self, name: str) -> bytes:
        """The bytes of a file that may be a stranger's, of GIVEN bytes at most."""
        with self._in_words(name):
            data = read_whole(self.fs, self.path(name), GIVEN)
        if len(data) > GIVEN:
            raise UserError(f"{self.path(name)} sends more than {GIVEN} bytes")
        return data

    def size(self, name: str) -> int:
        """How many bytes the artifact has."""
        with self._in_words(name):
            return int(self.fs.info(self.path(name))["size"])

    def write_bytes(self, name: str, data: bytes) -> None:
        """Publish an artifact: after a kill at any moment it is there whole, or not at all."""
        with self._in_words(name, "written"):
            if self.is_local:
                check_links(Path(self.root), name)
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
                    f"{self.path(name)} already exists with other content; choose "
                    "another --output, or pass --force to overwrite it"
                )
        for name, data in files.items():
            self.write_bytes(name, data)

    def _replace(self, path: Path, data: bytes) -> None:
        with self._temporary(path, data) as temporary:
            os.replace(temporary, path)

    @contextmanager
    def _temporary(self, path: Path, data: bytes) -> Iterator[Path]:
        """A file beside the path that holds the data, on the disk; it is gone afterwards."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(temporary_name())
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if path.exists():
                shutil.copymode(path, temporary)
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def create_bytes(self, name: str, data: bytes) -> bool:
        """Publish an artifact unless there is one of this name; True if it was published.

        Of several at once, one wins: on a disk by a link, in a store by a conditional PUT
        (`If-None-Match: *`). A store that knows no such condition is asked beforehand instead,
        which leaves a moment open.
        """
        with self._in_words(name, "written"):
            try:
                if self.is_local:
                    check_links(Path(self.root), name)
                    self._link(Path(self.path(name)), data)
                else:
                    self.fs.pipe_file(self.path(name), data, mode="create")
                return True
            except FileExistsError:
                return False
            except Exception as error:
                if not _knows_no_condition(error):
                    raise
        if self.exists(name):
            return False
        self.write_bytes(name, data)
        return True

    def _link(self, path: Path, data: bytes) -> None:
        """As `_replace`, but an error where the path is taken."""
        with self._temporary(path, data) as temporary:
            os.link(temporary, path)

    def remove(self, name: str) -> None:
        """Remove a file; well too when there is none."""
        with self._in_words(name, "removed"):
            try:
                self.fs.rm_file(self.path(name))
            except FileNotFoundError:
                return

    def set_aside(self, name: str) -> str:
        """Move a damaged artifact out of the way; its new name. Well too when it is gone."""
        aside = f"{DAMAGED}/{name}"
        try:
            data = self.read_bytes(name)
        except FileNotFoundError:
            return aside
        stem, suffix = os.path.splitext(aside)
        times = 1
        while not self.create_bytes(aside, data):  # what was damaged before is kept
            times += 1
            aside = f"{stem}.{times}{suffix}"
        self.remove(name)
        return aside

    def read_json(self, name: str) -> Any:
        """What a JSON file holds."""
        return json.loads(self.read_bytes(name))

    def write_json(self, name: str, value: Any) -> None:
        """Publish a JSON file."""
        self.write_bytes(name, json.dumps(value, indent=1, ensure_ascii=False).encode())

    def read_record(self, name: str, fields: Sequence[str] = ()) -> dict[str, Any]:
        """A sealed record; see `artifacts.read_record`."""
        from lazsl.store import artifacts  # it imports Arrow, which few refusals need

        return artifacts.read_record(self, name, fields)

    def write_record(self, name: str, value: dict[str, Any]) -> None:
        """Publish a sealed record."""
        from lazsl.store import seals

        self.write_bytes(name, seals.sealed_json(value))

    def read_table(
        self,
        name: str,
        columns: list[str] | None = None,
        written: str | None = None,
        every_byte: bool = False,
    ) -> pa.Table:
        """A Parquet artifact, or some columns of it; see `artifacts.read_table`."""
        from lazsl.store import artifacts

        return artifacts.read_table(self, name, columns, written, every_byte)

    def write_table(self, name: str, table: pa.Table) -> str:
        """Publish a sealed Parquet artifact; its seal, which speaks for every byte."""
        from lazsl.store import seals

        data, seal = seals.sealed_parquet(table)
        self.write_bytes(name, data)
        return seal

    def create_table(self, name: str, table: pa.Table) -> bool:
        """The same unless there is one of this name; True if it was published."""
        from lazsl.store import seals

        return self.create_bytes(name, seals.sealed_parquet(table)[0])

    @contextmanager
    def _in_words(self, name: str, verb: str = "read") -> Iterator[None]:
        """Troubles of the store or the disk, in one sentence."""
        try:
            yield
        except _troubles(self.is_local) as error:
            if verb == "read" and isinstance(error, FileNotFoundError | IsADirectoryError):
                raise
            why = reason(error, self.url)
            if self.is_local:
                sentence = (
                    f"{self.path(name)} cannot be {verb}: {why}; check the disk, its space and the "
                    "permissions, then run again"
                )
            else:
                sentence = (
                    f"{self.url} cannot be reached: {why}; check the URL, the network and "
                    "the credentials and endpoint in the environment (for S3: AWS_ACCESS_KEY_ID, "
                    "AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL), then run again"
                )
            raise UserError(sentence) from None


def _knows_no_condition(error: Exception) -> bool:
    """True when a store or a disk cannot publish a file only if there is none."""
    response = getattr(error.__cause__ or error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    no_links = isinstance(error, OSError) and error.errno in _NO_LINKS
    return no_links or code == "NotImplemented" or isinstance(error, NotImplementedError)


def _troubles(local: bool) -> tuple[type[BaseException], ...]:
    """What a store or a disk raises when it does not do what it is asked."""
    if local:
        return (OSError,)
    # Imported when something fails: without stores, nobody waits for them at every start.
    import aiohttp
    from botocore.exceptions import BotoCoreError, ClientError

    return OSError, BotoCoreError, ClientError, aiohttp.ClientError
