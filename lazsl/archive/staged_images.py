"""A shard's images on the local disk, as `staging.stage` left them there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from lazsl.archive.object_rejects import reject_if_changed, reject_of_error
from lazsl.archive.versions import version_of
from lazsl.errors import DamagedError
from lazsl.images.reasons import Reject
from lazsl.store.folder import Folder

FROM_MANIFEST = ("image_id", "key", "uri", "size", "version")

STAGED_FILE = "staged.parquet"


@dataclass(frozen=True)
class Staged:
    """One shard on the local disk: `table` has the schema `schemas.STAGED`."""

    directory: Path
    table: pa.Table

    @property
    def images(self) -> pa.Table:
        """The shard's rows of the manifest that were staged: image_id, key, uri, size, version."""
        return self.table.select(FROM_MANIFEST)

    def read(self, row: int) -> bytes | Reject:
        """The bytes of one image as it was listed, or why it is rejected. Safe in threads.

        Raises:
            OSError: the disk failed, or a copy was taken away.
        """
        image = {name: self.table[name][row].as_py() for name in self.table.column_names}
        if image["reason"] is not None:
            return Reject(image["reason"], image["detail"])
        path: Path = self.directory / image["path"]
        if not Path(image["path"]).is_absolute():
            return path.read_bytes()
        # A file of a local archive may change at any time: what was read is what was listed only
        # if it is still the same afterwards.
        try:
            with path.open("rb") as file:
                data = file.read(image["size"] + 1)
            info = LocalFileSystem().info(str(path))
        except OSError as error:
            reject = reject_of_error(error, image)
            if reject is None:
                raise
            return reject
        return reject_if_changed(image, version_of(info)) or data

    def take(self, rows: Sequence[int]) -> Staged:
        """Some of the images."""
        return replace(self, table=self.table.take(pa.array(rows, pa.int64())))

    def size(self, row: int) -> int:
        """How many bytes `read` gives at most; 0 where it gives none."""
        path = self.table["path"][row].as_py()
        if path is None:
            return 0
        if Path(path).is_absolute():
            return int(self.table["size"][row].as_py()) + 1
        return int((self.directory / path).stat().st_size)


def read_staged(directory: Path) -> Staged | None:
    """What `stage` left in a directory; None when it is not there whole."""
    try:
        table = Folder(str(directory.absolute())).read_table(STAGED_FILE)
    except (FileNotFoundError, DamagedError):
        return None
    paths: list[Any] = table["path"].drop_null().to_pylist()
    if all(Path(path).is_absolute() or (directory / path).exists() for path in paths):
        return Staged(directory, table)
    return None


def unstage(directory: Path) -> None:
    """Removes what `stage` put into a directory, and the directory if nothing else is in it."""
    if not directory.is_dir():
        return
    # The marker first, so that a kill in between leaves a directory known as half staged.
    (directory / STAGED_FILE).unlink(missing_ok=True)
    for path in directory.iterdir():
        if re.fullmatch(r"[0-9a-f]{32}|\.tmp-[0-9a-f]{32}", path.name):
            path.unlink()
    if not any(directory.iterdir()):
        directory.rmdir()
