"""A list of paths and URLs as an archive: a CSV or Parquet file with a column of them.

Relative paths count from the list's folder; only a list on this machine may name files of it, and
what lies neither below its folder nor on the web is a link that leads outside (`links`), and no
store is asked about it. Every other entry is asked for what changes with it (an HTTP HEAD, a time);
where nothing is told, changes go unseen, and where nobody answers, it is as it was known before.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from lazsl.archive.containers import Container, entry, outside
from lazsl.archive.hosts import WAITING, Hosts, host_of, is_answer
from lazsl.archive.versions import UNVERSIONED, version_of
from lazsl.errors import UserError
from lazsl.store.folder import BUCKETS
from lazsl.store.read_ahead import AheadThreads
from lazsl.store.urls import leaves_folder

COLUMNS = ("path", "url", "uri", "image", "file", "key")
"""Names of columns with entries; the first that is there counts."""

SILENT = "silent"
"""In what is known of an entry: nobody answered when it was asked for."""

_ASKED_AT_ONCE = 16
_OTHERS = 8  # hosts that are asked whether it is the network that is gone


class ListedFiles(Container):
    """See the module."""

    protocol = "list"
    suffix = ".csv"
    any_name = True
    reads_together = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hosts = Hosts()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(path).removeprefix("list://")

    def entries(self, file: str, info: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        with AheadThreads(_ASKED_AT_ONCE, thread_name_prefix="ask") as threads:
            yield from threads.map(self._entry, self._listed())

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return self._info(_key(path))

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        fs, place = self._opened(_key(path))
        return bytes(fs.cat_file(place, start, end))

    def place_of(self, path: str) -> tuple[AbstractFileSystem, str]:
        return self._opened(_key(path))

    def _info(self, key: str) -> dict[str, Any]:
        fs, place = self._opened(key)
        info: dict[str, Any] = fs.info(place)
        return info

    def _entry(self, key: str) -> tuple[str, dict[str, Any]]:
        if not self.asks_outside and self.leads_outside(key):
            return entry(key, None, UNVERSIONED)  # rejected when it is fetched
        silent: tuple[str, dict[str, Any]] = (
            key,
            entry(key, None, UNVERSIONED)[1] | {SILENT: True},
        )
        if self.hosts.is_silent(key):
            return silent
        try:
            info = self._info(key)
        except Exception as error:  # of any store's kind; what it is is told when it is fetched
            self.hosts.failed(key, error)
            answered = is_answer(error) or not host_of(key)
            return entry(key, None, UNVERSIONED) if answered else silent
        self.hosts.answered(key)
        return entry(key, info.get("size"), version_of(info))

    def another_answers(self) -> bool:
        """Whether any host of the list answers, of those that were not asked in vain already."""
        others: dict[str, str] = {}
        for key in self._listed():
            if host_of(key) and not self.hosts.has_failed(key):
                others.setdefault(host_of(key), key)
        for key in list(others.values())[:_OTHERS]:
            try:
                self._info(key)
                self.hosts.answered(key)
            except Exception as error:  # of any kind
                self.hosts.failed(key, error)
        return self.hosts.any_answered()

    def leads_outside(self, key: str) -> bool:
        """Whether an entry is neither below the list's folder nor on the web.

        A list may be a stranger's: it does not decide which of the user's files, or of what their
        credentials open, are looked at. A web server sees no more than that somebody asks.
        """
        if key.startswith(("http://", "https://")):
            return False
        scheme = key.partition("://")[0] if "://" in key and "::" not in key else "file"
        if scheme not in {"file", "local", *self._own_schemes()}:
            return True  # without opening it: some stores are connected to at once
        try:
            fs, place = self._opened(key)
        except (PermissionError, ImportError, ValueError):
            return False  # told when it is fetched
        folder = self.root.rpartition("/")[0]
        if isinstance(fs, LocalFileSystem):
            return outside(place, folder)
        return not place.startswith(f"{folder}/") or leaves_folder(place)

    def _own_schemes(self) -> set[str]:
        """Of URLs that may lie below the list's folder; other stores name a host in theirs."""
        protocols = self.inner.protocol
        return BUCKETS & set([protocols] if isinstance(protocols, str) else protocols)

    def _opened(self, key: str) -> tuple[Any, str]:
        """The file system of an entry, and its place there.

        Raises:
            PermissionError: it is no business of such a list: another archive, or, in a list that
                lies elsewhere, a file of this machine.
        """
        local = isinstance(self.inner, LocalFileSystem)
        scheme = key.partition("://")[0] if "://" in key else None
        if "::" in key or (scheme in ("file", "local") and not local):
            raise PermissionError(f"{key} may not stand in this list")
        if scheme is not None:
            fs, place = fsspec.core.url_to_fs(key, use_listings_cache=False, **_patience(key))
            return fs, str(place)
        if key.startswith("/") and local:
            return self.inner, key
        folder, _, _ = self.root.rpartition("/")
        return self.inner, f"{folder}/{key.lstrip('/')}"

    def _listed(self) -> list[str]:
        """The entries, each once, in their order."""
        data = self.inner.cat_file(self.root)
        try:
            if self.root.lower().endswith(".parquet"):
                table = pq.read_table(pa.BufferReader(data))
            else:
                names = pacsv.read_csv(io.BytesIO(data)).column_names
                kinds = {name: pa.string() for name in names}
                options = pacsv.ConvertOptions(column_types=kinds)
                table = pacsv.read_csv(io.BytesIO(data), convert_options=options)
        except pa.ArrowException as error:
            raise UserError(f"list {self.root} cannot be read ({error}); {_WANTED}") from None
        name = next((name for name in COLUMNS if name in table.column_names), None)
        if name is None:
            columns = ", ".join(table.column_names)
            raise UserError(f"list {self.root} has the columns {columns}; {_WANTED}")
        entries = table[name].cast(pa.string()).to_pylist()
        return list(dict.fromkeys(str(entry) for entry in entries if entry))


def _patience(key: str) -> dict[str, Any]:
    """How long a web host is waited for."""
    if not host_of(key):
        return {}
    from aiohttp import ClientTimeout

    return {"client_kwargs": {"timeout": ClientTimeout(**WAITING)}}


def _key(path: str) -> str:
    """Paths below a root that has no name begin with a slash; a key may have one of its own."""
    return path.removeprefix("/")


_WANTED = f"give a CSV or Parquet file with a column {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}"
