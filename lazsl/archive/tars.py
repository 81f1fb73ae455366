"""Tar files as an archive: one, or a folder of them, as WebDataset writes.

A picture's version is that of its tar and its place in it: whatever is done to a tar is seen, and
makes all of its pictures new.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from typing import Any

from lazsl.archive.containers import Container, entry
from lazsl.archive.listing import in_utf8
from lazsl.archive.versions import version_of
from lazsl.errors import UserError
from lazsl.images.budget import FILES


class Tars(Container):
    """See the module."""

    protocol = "tars"
    suffix = ".tar"

    def entries(self, file: str, info: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        version = version_of(info)
        with self.inner.open(self.path_of(file), "rb") as data:
            for _, member in _members(data, self.path_of(file)):
                key = self.key_of(file, _name(member))
                yield entry(key, member.size, f"{version}-{member.offset}")

    def read_together(self, keys: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
        file, _ = self.file_of(keys[0])
        path = self.path_of(file)
        version = version_of(self.inner.info(path))
        wanted = {self.file_of(key)[1]: key for key in keys}
        with self.inner.open(path, "rb") as data:
            for tar, member in _members(data, path):
                key = wanted.get(_name(member))
                if key is not None:
                    with FILES.take(member.size):
                        yield key, f"{version}-{member.offset}", _content(tar, member)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """A file's bytes; the holes of a sparse one are written out."""
    file = tar.extractfile(member)
    assert file is not None  # it is a regular file
    with file:
        return file.read()


def _members(data: Any, path: str) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Its regular files, in their order; of several with one name the last counts.

    Raises:
        UserError: it is no tar, or damaged.
    """
    count = 0
    try:
        with tarfile.open(fileobj=data, mode="r:") as tar:
            for member in tar:
                count += 1
                if member.isfile():
                    yield tar, member
                # They would else be kept, those of a million pictures too.
                tar.members = []  # type: ignore[attr-defined]
    except tarfile.TarError as error:
        raise UserError(
            f"tar {path} cannot be read after {count} entries ({error}); write it anew, or take it "
            "out of the archive"
        ) from None


def _name(member: tarfile.TarInfo) -> str:
    return in_utf8(member.name.removeprefix("./"))
