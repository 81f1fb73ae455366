"""Names of files that are renamed once they are whole: they say whose they are."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import time
from pathlib import Path

PREFIX = ".tmp-"
_HOUR = 3600.0
"""Seconds after which a file has no writer any more, whose writer cannot be asked for."""


def temporary_name() -> str:
    """A new name, with the machine and the process that writes the file."""
    return f"{PREFIX}{_host()}-{os.getpid()}-{os.urandom(12).hex()}"


def is_abandoned(path: Path) -> bool:
    """True when the file's writer, a process of this machine, is dead; of others, after an hour."""
    owner = re.fullmatch(rf"{re.escape(PREFIX)}{_host()}-(\d+)-[0-9a-f]+", path.name)
    if owner is None:  # of another machine, or of an older version
        return path.stat().st_mtime < time.time() - _HOUR
    try:
        os.kill(int(owner[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's
        return False
    return False


def _host() -> str:
    """This machine, or this container of it: process numbers mean nothing elsewhere."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
