"""The images that the last listing of an archive has, for whoever asks something of all of them:
where they are many they wait on the disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.generations import Generation, is_added, read_generations, reader
from lazsl.archive.known_images import CURRENT, Names, compare
from lazsl.store.folder import Folder

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

Rows: TypeAlias = "pa.Table | Dataset"
"""What DuckDB reads as often as it likes: a table, or a file of Arrow's."""

_IN_MEMORY = 1 << 20  # rows


def listed_tables(
    workspace: Folder, archive: str, columns: Sequence[str], scratch: Path
) -> Iterator[pa.Table]:
    """The listed images, a file of the manifest at a time: these columns of `schemas.MANIFEST`.

    Args:
        workspace: where the manifest is.
        archive: archive key.
        columns: which.
        scratch: a folder for what does not fit into memory; one for every archive.

    Raises:
        DamagedError: a file of the manifest is not what was written.
    """
    generations = read_generations(workspace, archive)
    current = _current(workspace, generations, scratch)
    begin = 0
    for images in map(reader(workspace, generations, columns), generations):
        if current is not None:
            rows = current[begin : begin + len(images)]
            begin += len(images)
            images = images.filter(pa.array(rows))
        yield images


def _current(
    workspace: Folder, generations: Sequence[Generation], scratch: Path
) -> np.ndarray | None:
    """Per event of a manifest, whether it is the last of an image that is listed; None: all are."""
    events = map(reader(workspace, generations, ["event"]), generations)
    if all(pc.all(is_added(rows["event"]), min_count=0).as_py() for rows in events):
        return None
    scratch.mkdir(exist_ok=True)
    known = Names(scratch, "known")
    for images in map(reader(workspace, generations, ["image_id", "event"]), generations):
        known.add(images["image_id"], is_added(images["event"]))
    current: np.ndarray = (compare(Names(scratch, "none"), known).events & CURRENT) > 0
    return current


def waiting(tables: Iterable[pa.Table], schema: pa.Schema, file: Path) -> Rows:
    """The rows of some tables: in memory where they are few, else in a file.

    Args:
        tables: each is taken once, and not kept.
        schema: theirs.
        file: where they wait, as long as they are read.
    """
    rest = iter(tables)
    few, count = [schema.empty_table()], 0
    for table in rest:
        few.append(table)
        count += len(table)
        if count > _IN_MEMORY:
            return _written(chain(few, rest), schema, file)
    return pa.concat_tables(few)


def _written(tables: Iterable[pa.Table], schema: pa.Schema, file: Path) -> Dataset:
    import pyarrow.dataset as ds  # which takes its time, and few have so many images

    file.parent.mkdir(exist_ok=True)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(str(file), schema, options=options) as writer:
        for table in tables:
            writer.write_table(table)
    return ds.dataset(str(file), format="ipc")
