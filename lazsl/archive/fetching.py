"""One object of an archive: copied to the local disk exactly as listed, or pointed at where it
already lies on that disk; or why it cannot be used."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from lazsl.archive.containers import Container
from lazsl.archive.entries import leads_outside
from lazsl.archive.listed_files import ListedFiles
from lazsl.archive.object_rejects import (
    LEADS_OUTSIDE,
    reject_if_changed,
    reject_if_too_large,
    reject_too_many_bytes,
)
from lazsl.archive.versions import UNVERSIONED, version_of
from lazsl.errors import UserError
from lazsl.images.budget import FILES
from lazsl.images.reasons import MISSING, OUTSIDE, UNREACHABLE, UNREADABLE, Reject
from lazsl.settings import Links
from lazsl.store.bounded_reading import read_whole
from lazsl.store.folder import BUCKETS, Folder
from lazsl.store.urls import leaves_folder, masked

_UNKNOWN = 2**26  # bytes that an object is taken to have at most whose store does not say


class IncompleteError(OSError):
    """Fewer or more bytes arrived than the store says the object has."""


def point_at(archive: Folder, image: dict[str, Any], links: Links) -> str | Reject:
    if leaves_folder(image["key"]):
        return Reject(OUTSIDE, "its key leads out of the archive")
    path = archive.path(image["key"])
    if links == "inside" and leads_outside(archive, path):
        return Reject(OUTSIDE, LEADS_OUTSIDE)
    if not os.path.lexists(path) and os.path.lexists(_other_bytes(path)):
        return Reject(UNREADABLE, "its name is not valid UTF-8; rename the file")
    # The file itself, so that nobody can change afterwards where a link leads.
    return reject_if_changed(image, version_of(archive.fs.info(path))) or os.path.realpath(path)


def _other_bytes(path: str) -> bytes:
    """The path before `listing.in_utf8` made it text."""
    return re.sub(rb"\\x([89a-f][0-9a-f])", lambda m: bytes([int(m[1], 16)]), os.fsencode(path))


def fetch_alone(
    archive: Folder, image: dict[str, Any], directory: Path, largest: int
) -> str | Reject:
    """The name of a copy in the directory, or why there is none."""
    known = image["size"] is not None
    for room in (image["size"],) if known else (min(_UNKNOWN, largest), largest):
        with FILES.take(room):
            data = _fetch(archive, image, room)
            if isinstance(data, Reject):
                return data
            if known or len(data) <= room:
                return keep(directory, image["image_id"], data)
    return reject_too_many_bytes(f"more than {largest} bytes", largest)


def _fetch(archive: Folder, image: dict[str, Any], largest: int) -> bytes | Reject:
    """What is there, or some more bytes than `largest` where it is larger."""
    if hasattr(archive.fs, "call_s3") and "?versionId=" in image["key"]:
        # s3fs would fetch the object whose name ends before it.
        return Reject(
            UNREADABLE, "its name holds ?versionId=, which is read as a version; rename it"
        )
    fs, path = archive.fs, archive.path(image["key"])
    data = read_whole(*(fs.place_of(path) if isinstance(fs, Container) else (fs, path)), largest)
    if isinstance(fs, ListedFiles):
        fs.hosts.answered(image["key"])
    # The etag of a plain upload is the MD5 of its bytes; any other needs a question to the store.
    if hashlib.md5(data, usedforsecurity=False).hexdigest() == image["version"]:
        return data
    if image["version"] != UNVERSIONED:
        changed = reject_if_changed(image, version_of(archive.fs.info(path)))
        if changed is not None:
            return changed
    if image["size"] is not None and len(data) != image["size"]:
        raise IncompleteError(f"{len(data)} bytes of {image['size']} arrived of {image['key']}")
    return data


def reads_together(archive: Folder) -> bool:
    return isinstance(archive.fs, Container) and archive.fs.reads_together


def not_asked(archive: Folder, key: str, links: Links) -> Reject | None:
    """Why an entry of a container is not looked at: it lies elsewhere, or its host is gone."""
    if isinstance(archive.fs, ListedFiles) and archive.fs.hosts.is_silent(key):
        return Reject(UNREACHABLE, "its host does not answer")
    if leaves_folder(key) and archive.url.partition("://")[0] not in BUCKETS:
        return Reject(OUTSIDE, "its key leads out of the archive")
    if not isinstance(archive.fs, Container):
        return None
    leads = links == "inside" and archive.fs.leads_outside(key)
    return Reject(OUTSIDE, LEADS_OUTSIDE) if leads else None


def fetch_together(
    archive: Folder, images: list[dict[str, Any]], directory: Path, largest: int
) -> list[str | Reject]:
    """Images of one container file, in one reading of it."""
    outcomes: dict[str, str | Reject] = {}
    by_key = {image["key"]: image for image in images}
    for key, version, data in archive.fs.read_together(list(by_key)):
        image = by_key[key]
        reject = reject_if_changed(image, version) or reject_if_too_large(len(data), largest)
        outcomes[key] = reject or keep(directory, image["image_id"], data)
    gone = Reject(MISSING, f"listed, but no longer in its file of {masked(archive.url)}")
    return [outcomes.get(image["key"], gone) for image in images]


def keep(directory: Path, name: str, data: bytes) -> str:
    try:
        (directory / name).write_bytes(data)
    except OSError as error:
        raise UserError(
            f"cannot write to the staging directory {directory}: {error}; free some space, or "
            "stage fewer shards at a time"
        ) from None
    return name
