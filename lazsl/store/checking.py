"""Every artifact of a workspace, read to its last byte."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from lazsl.errors import DamagedError
from lazsl.store import damage, kinds, paths, seals
from lazsl.store.folder import DAMAGED, Folder

_READERS = 4  # artifacts in memory at a time


@dataclass(frozen=True)
class Checked:
    """How many artifacts were read, how many of them have no seal, and which are damaged."""

    artifacts: int
    unsealed: int
    damaged: tuple[DamagedError, ...]


def check_workspace(
    workspace: Folder, see: Callable[[str, pa.Table], object] = lambda name, table: None
) -> Checked:
    """Read every artifact, and set aside those that are damaged.

    Args:
        workspace: where they are.
        see: is shown every table that is whole, with its name, from any thread.
    """
    names = [
        name
        for name in workspace.names("")
        if not name.startswith(f"{DAMAGED}/") and (_fields(name) or kinds.kind_of(name))
    ]
    with ThreadPoolExecutor(_READERS) as pool:
        outcomes = list(pool.map(lambda name: _check(workspace, name, see), names))
    damaged = tuple(result for result in outcomes if isinstance(result, DamagedError))
    for error in damaged:
        damage.set_aside(workspace, error)
    return Checked(len(names), outcomes.count(False), damaged)


def _check(
    workspace: Folder, name: str, see: Callable[[str, pa.Table], object]
) -> bool | DamagedError:
    """True if an artifact is sealed and whole, False if it has no seal, or how it is damaged."""
    try:
        if fields := _fields(name):
            workspace.read_record(name, fields)
        else:
            see(name, workspace.read_table(name))
        ending = workspace.read_bytes(name)
        if name.endswith(".json"):
            return seals.KIND.encode() in ending
        return seals.seal_of(seals.footer(ending)) is not None
    except DamagedError as error:
        return error
    except FileNotFoundError:
        return True  # it was made anew meanwhile


def _fields(name: str) -> tuple[str, ...]:
    """What a record of this name must have; nothing for what is no record."""
    parts = name.split("/")
    if parts[0] == "runs" and parts[2:] == ["run.json"]:
        return paths.RUN_FIELDS
    if parts[0] == "runs" and len(parts) == 4 and parts[2] == "shards" and name.endswith(".json"):
        return paths.MARKER_FIELDS
    if parts[0] == "manifests" and parts[2:] == ["passed_over.json"]:
        return ("kinds",)
    return ("images",) if name.endswith(".again.json") else ()
