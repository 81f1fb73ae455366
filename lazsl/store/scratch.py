"""Temporary folders and files: what a killed process left, the next one removes.

A folder is held by a lock, which the system drops with its owner however that ends; it can be
removed by whoever gets the lock. A `.tmp-` file of a workspace is written in one go and renamed.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from lazsl.errors import UserError
from lazsl.store.folder import Folder
from lazsl.store.private import private_folder
from lazsl.store.temporary_names import PREFIX as TEMPORARY
from lazsl.store.temporary_names import is_abandoned

PREFIX = "lazsl-"
_LOCK = ".lazsl-scratch.lock"
_ENDING = 3.0
"""Seconds in which threads that an owner leaves behind may still write."""


@contextmanager
def scratch_folder(name: str, parent: str | Path | None = None) -> Iterator[Path]:
    """A folder of this name for temporary files, held until the end and then removed.

    First every folder beside it is removed whose owner was killed.

    Args:
        name: follows `PREFIX`; no two living owners may choose the same.
        parent: where it lies; default: the system's folder for temporary files.

    Raises:
        UserError: the folder cannot be made, or is another process's.
    """
    above = Path(parent or tempfile.gettempdir())
    sweep_scratch(above)
    path = above / f"{PREFIX}{name}"
    try:
        lock = _held(path)
    except OSError as error:
        raise UserError(
            f"cannot make a temporary folder in {above}: {error.strerror or error}; set TMPDIR, or "
            "scratch, to a folder that can be written"
        ) from None
    try:
        yield path
    finally:
        _remove(path)
        lock.release()


def _remove(folder: Path) -> None:
    """Remove a folder into which threads that are about to end may write."""
    deadline = time.monotonic() + _ENDING
    while not _cleared(folder) and time.monotonic() < deadline:
        time.sleep(0.05)


def _cleared(folder: Path) -> bool:
    """Whether a folder is gone. Its lock goes last: whoever is killed here leaves it to the next
    one to sweep."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _LOCK:
                path.unlink(missing_ok=True)
        if [path.name for path in folder.iterdir()] == [_LOCK]:
            (folder / _LOCK).unlink()
        folder.rmdir()
    return not folder.exists()


@cache
def spill_folder() -> Path:
    """A folder for what this process cannot hold in memory, which is removed when it ends."""
    folder = ExitStack()
    maker = os.getpid()

    def remove() -> None:
        if os.getpid() == maker:  # and not a fork of it
            folder.close()

    atexit.register(remove)
    return folder.enter_context(scratch_folder(f"spill-{uuid.uuid4().hex}"))


def sweep_scratch(parent: Path) -> list[Path]:
    """The scratch folders that were removed: those whose owner is dead."""
    locks = sorted(parent.glob(f"{PREFIX}*/{_LOCK}"))
    return [lock.parent for lock in locks if _is_own(lock.parent) and _removed(lock)]


def sweep_workspace(workspace: Folder) -> int:
    """How many `.tmp-` files of killed writers were removed from a workspace on the local disk.

    In a store there are none: an object is there whole, or not at all.
    """
    if not workspace.is_local:
        return 0
    swept = 0
    for folder, _, names in os.walk(workspace.path("")):
        for name in names:
            path = Path(folder, name)
            with suppress(FileNotFoundError):
                if name.startswith(TEMPORARY) and is_abandoned(path):
                    path.unlink()
                    swept += 1
    return swept


def _held(path: Path) -> FileLock:
    """The lock of a new folder; what an earlier attempt of the same owner staged stays."""
    lock = FileLock(path / _LOCK)
    while True:
        private_folder(path)
        try:
            lock.acquire(timeout=10)
        except Timeout:
            raise UserError(f"{path} is in use by another process") from None
        except FileNotFoundError:  # swept between the two
            continue
        if (path / _LOCK).exists():
            return lock
        lock.release()


def _is_own(folder: Path) -> bool:
    """Whether this user made the folder: others may plant what looks like one."""
    try:
        status = folder.lstat()
    except FileNotFoundError:  # its owner ended meanwhile
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _removed(lock_file: Path) -> bool:
    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return False
    try:
        return _cleared(lock_file.parent)
    finally:
        lock.release()
