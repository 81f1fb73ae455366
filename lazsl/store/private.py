"""Folders and keys that belong to one user of a machine that others use too."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from lazsl.errors import UserError

UMASK = 0o077
"""Nothing that a service writes is for other users."""


def private_folder(path: Path, parents: bool = True) -> Path:
    """The folder, made if need be, that only this user may enter (mode 0700).

    Args:
        path: of the folder.
        parents: whether the folders above it are made too.

    Raises:
        UserError: it is a link, no folder, another user's, or cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=parents, exist_ok=True)
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise UserError(f"{path} is no folder but a link or a file; name a folder of your own")
        if status.st_uid != os.geteuid():
            raise UserError(f"{path} belongs to another user; name a folder of your own")
        if stat.S_IMODE(status.st_mode) & UMASK:
            path.chmod(0o700)
    except OSError as error:
        raise UserError(f"cannot use the folder {path}: {error.strerror or error}") from None
    return path


def check_links(root: Path, name: str) -> None:
    """Raise UserError when another user put a link on the way from a folder to a file in it.

    Links of this user and of root are followed: part of a workspace may lie on another disk.
    """
    path = root
    for part in name.split("/")[:-1]:
        path = path / part
        if path.is_symlink() and path.lstat().st_uid not in (0, os.geteuid()):
            raise UserError(
                f"{path} is a link that another user made; nothing is written through it: remove "
                "it, or name another folder"
            )


def close_to_others(folder: Path) -> None:
    """Take from other users what an earlier version let them read: every file directly inside."""
    for path in folder.iterdir():
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) & UMASK:
            path.chmod(stat.S_IMODE(status.st_mode) & ~UMASK)


def kept_key(path: Path) -> str:
    """The secret `lazsl:...` in a file, made at the first call and readable by this user alone.

    It has the form of a user and a password, as HTTP's basic authentication takes them.

    Raises:
        UserError: the file is a link, others may read it, or it holds no key.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return _read_key(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
    key = f"lazsl:{secrets.token_urlsafe(24)}"
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key + "\n")
    return key


def _read_key(path: Path) -> str:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise UserError(f"{path} is no key of yours; delete it, and a new one is made")
    if stat.S_IMODE(status.st_mode) & UMASK:
        raise UserError(
            f"others may read {path}, so its key is no secret any more; delete it, and a new one "
            "is made"
        )
    key = path.read_text(encoding="utf-8", errors="replace").strip()
    if len(key) < 16 or ":" not in key or not key.isascii() or not key.isprintable():
        raise UserError(f"{path} holds no key; delete it, and a new one is made")
    return key
