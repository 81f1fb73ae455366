"""Damaged artifacts: moved out of the way, so that whoever makes such artifacts makes them anew."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import pyarrow as pa

from lazsl.errors import DamagedError
from lazsl.store.folder import DAMAGED, Folder

log = logging.getLogger(__name__)


def set_aside(workspace: Folder, error: DamagedError) -> list[str]:
    """Move a damaged artifact to `damaged/`, after what says that it is there; their names.

    It is told in one line of the log.
    """
    names = [*_said_by(error.name), error.name]
    present = [name for name in dict.fromkeys(names) if workspace.exists(name)]
    kept = {name: workspace.set_aside(name) for name in present}
    log.warning(
        "%s was damaged (%s); it is kept as %s, and made anew",
        *(error.name, error.why, kept.get(error.name, f"{DAMAGED}/{error.name}")),
    )
    return present


def read_or_make(folder: Folder, name: str, make: Callable[[], pa.Table]) -> pa.Table:
    """A table that is made where there is none, or where it is damaged, and kept."""
    try:
        return folder.read_table(name)
    except FileNotFoundError:
        pass
    except DamagedError as error:
        set_aside(folder, error)
    folder.write_table(name, make())
    return folder.read_table(name)


def _said_by(name: str) -> list[str]:
    """Artifacts that are written after this one, and say that it is there."""
    if match := re.fullmatch(r"(embeddings/[^/]+/[^/]+/[^/.]+)(\.images)?\.parquet", name):
        return [f"{match[1]}.images.parquet", f"{match[1]}.parquet"]
    if match := re.fullmatch(r"(runs/[^/]+)/[^/]+/([^/.]+)\.parquet", name):
        return [f"{match[1]}/shards/{match[2]}.json"]
    return []
