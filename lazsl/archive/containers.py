"""Archives that are not folders: zip files, tars of a data set, Parquet files with pictures, lists.

An archive is given by the path or URL of what it lies in. How that is read says a scheme in front,
which is put there for files whose names tell: `photos.zip` is `zip://::photos.zip`.

    zip://::URL       a zip file                                           key: name in the file
    tars://::URL      a tar, or a folder of them as WebDataset writes      0001.tar/cat.jpg
    parquet://::URL   a Parquet file with pictures, or a folder of them    0001.parquet/00000012
    list://::URL      a CSV or Parquet file of paths and URLs              as it stands there

Where there is one file, keys do not begin with its name. All but the first are file systems of our
own, read-only; what they have in common stands here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from lazsl.store.urls import canonical_url

SCHEMES = {".zip": "zip", ".tar": "tars", ".parquet": "parquet", ".csv": "list"}
"""What a file is read as by its name. A Parquet file that holds a list needs `list://::`."""

_OWN = {
    "tars": "lazsl.archive.tars.Tars",
    "parquet": "lazsl.archive.parquet_images.ParquetImages",
    "list": "lazsl.archive.listed_files.ListedFiles",
}

for _scheme, _class in _OWN.items():
    fsspec.register_implementation(_scheme, _class)


def archive_url(url: str) -> str:
    """The URL with the scheme in front that its name asks for, and with an absolute path behind it;
    most need none."""
    whole = re.fullmatch(r"(zip|tars?|parquet|list)://::(.+)", url)
    if whole is not None:
        # fsspec's own reader of tars takes their members' times for versions, which may all be 0.
        scheme = "tars" if whole[1] == "tar" else whole[1]
        return f"{scheme}://::{canonical_url(whole[2])}"
    named = next((s for end, s in SCHEMES.items() if url.lower().endswith(end)), None)
    if named is None or "::" in url or os.path.isdir(url):
        return url
    return f"{named}://::{canonical_url(url)}"


def advice(suffixes: Collection[str], url: str) -> str:
    """How to give an archive that has only such files; empty where none of them holds pictures."""
    scheme = next((s for end, s in SCHEMES.items() if end in suffixes and s in _OWN), None)
    return "" if scheme is None else f"; if they hold the pictures, give it as {scheme}://::{url}"


class Container(AbstractFileSystem):  # type: ignore[misc]
    """Pictures that lie in files of another file system; paths are keys. Subclasses say what
    `entries` and `read_together` give.

    Attributes:
        inner: the file system of those files.
        root: their folder, or the only one.
        suffix: what their names end with.
        any_name: all entries are pictures, whatever their keys end with.
        reads_together: pictures in one file are read in one reading of it.
        asks_outside: other stores are asked about entries that lie in them.
    """

    cachable = False
    any_name = False
    reads_together = True
    asks_outside = True
    suffix: ClassVar[str]

    def __init__(
        self,
        fo: str = "",
        target_protocol: str | None = None,
        target_options: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        super().__init__(fo=fo, target_protocol=target_protocol, target_options=target_options)
        options = {"use_listings_cache": False, **(target_options or {})}
        self.inner = fsspec.filesystem(target_protocol or "file", **options)
        self.root = str(self.inner._strip_protocol(fo))

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return re.sub(r"^[a-z]+://", "", str(path)).lstrip("/")

    @cached_property
    def single(self) -> bool:
        """Whether the root is a file."""
        return bool(self.inner.isfile(self.root))

    def files(self) -> dict[str, dict[str, Any]]:
        """By name below the root (the only one: ""), what the store says of each file.

        Raises:
            FileNotFoundError: there is none.
        """
        if self.single:
            return {"": self.inner.info(self.root)}
        start = len(self.root.rstrip("/")) + 1
        infos = self.inner.find(self.root, detail=True)
        files = {p[start:]: i for p, i in infos.items() if p.lower().endswith(self.suffix)}
        if not files:
            raise FileNotFoundError(f"no file that ends with {self.suffix} in {self.root}")
        return dict(sorted(files.items()))

    def path_of(self, file: str) -> str:
        """The inner path of a name that `files` gave."""
        return f"{self.root.rstrip('/')}/{file}" if file else self.root

    def file_of(self, key: str) -> tuple[str, str]:
        """The name of the file that a key lies in, and its name there."""
        if self.single:
            return "", key
        parts = re.match(rf"(.*?{re.escape(self.suffix)})/(.*)", key, re.DOTALL | re.IGNORECASE)
        return (parts[1], parts[2]) if parts else (key, "")

    def place_of(self, path: str) -> tuple[AbstractFileSystem, str]:
        """The file system that an entry is read from, and its place there."""
        return self, path

    def key_of(self, file: str, name: str) -> str:
        """The key of an entry of a file."""
        return f"{file}/{name}" if file else name

    def leads_outside(self, key: str) -> bool:
        """Whether an entry lies, links followed, in no file of this archive."""
        if self.single or not isinstance(self.inner, LocalFileSystem):
            return False
        return outside(self.path_of(self.file_of(key)[0]), self.root)

    def find(self, path: str = "", *_: Any, **__: Any) -> dict[str, dict[str, Any]]:
        """Every entry by its key, with `size` and, as `etag`, its version."""
        return dict(self.each_entry())

    def each_entry(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The same one after the other, file by file."""
        for file, details in self.files().items():
            yield from self.entries(file, details)

    def entries(self, file: str, info: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Keys and what is known of each entry of a file."""
        # Not an abstract method: fsspec's file systems have a metaclass of their own, not ABCMeta.
        raise NotImplementedError

    def read_together(self, keys: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
        """Key, version and bytes of entries that lie in one file, in one reading of it. Keys that
        are not there are left out."""
        raise NotImplementedError  # as `entries`

    def exists(self, path: str = "", **_: Any) -> bool:
        return bool(self.inner.exists(self.root))

    def isdir(self, path: str = "") -> bool:
        return self.exists()


def outside(path: str, folder: str) -> bool:
    """Whether a local path is, links followed, not below a folder."""
    root = os.path.realpath(folder or "/")
    return os.path.commonpath([root, os.path.realpath(path)]) != root


def entry(key: str, size: int | None, version: str) -> tuple[str, dict[str, Any]]:
    """An entry as `find` has it."""
    return key, {"name": key, "size": size, "type": "file", "etag": version}
