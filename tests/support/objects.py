"""Objects of an archive, written and removed."""

from __future__ import annotations

import pyarrow as pa

from lazsl.store.folder import Folder


def fill(url: str, objects: dict[str, bytes]) -> Folder:
    """A folder or a bucket that holds these objects, by key."""
    folder = Folder(url)
    for key, data in objects.items():
        folder.write_bytes(key, data)
    return folder


def remove(url: str, key: str) -> None:
    """Remove an object from the store itself."""
    folder = Folder(url)
    folder.fs.rm_file(folder.path(key))


def keys(table: pa.Table) -> list[str]:
    """Keys of a listing or of rows of a manifest, in order."""
    return [str(key) for key in table["key"].to_pylist()]
