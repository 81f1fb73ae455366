"""Every file of an archive, one after the other as its store tells them, so that a listing of
millions is never in memory as more than what is kept of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from lazsl.archive.access import ACCESS
from lazsl.archive.containers import Container, outside
from lazsl.errors import UserError
from lazsl.settings import Links
from lazsl.store.bucket_pages import each_object, has_pages
from lazsl.store.folder import Folder
from lazsl.store.urls import reason

Entry = tuple[str, dict[str, Any]]
"""Whole path of a file, and what fsspec says of it."""

_ASKED_AT_ONCE = 16
_ASKED_TOGETHER = 1024

log = logging.getLogger(__name__)


def each_entry(archive: Folder, links: Links) -> Iterator[Entry]:
    """Regular files of an archive, and links that are followed, in any order; placeholders of
    folders, whose paths end with a slash, among them.

    Raises:
        UserError: the archive is missing, a file, out of reach or partly unreadable.
    """
    if archive.is_local:
        entries = _on_disk(archive, links)
    elif has_pages(archive.fs):
        entries = _in_bucket(archive)
    else:
        entries = _elsewhere(archive)
    empty = True
    try:
        for entry in entries:
            empty = False
            yield entry
        missing = empty and not archive.fs.exists(archive.path(""))
    except UserError:
        raise
    except Exception as error:  # every store has its own; each ends the listing and is told
        raise UserError(unlistable(archive.url, error)) from None
    if missing:
        raise UserError(nowhere(archive.url))


def _in_bucket(archive: Folder) -> Iterator[Entry]:
    empty = True
    for entry in each_object(archive.fs, archive.root):
        empty = False
        yield entry
    if empty and "/" in archive.root and archive.fs.isfile(archive.root):
        raise _a_file(archive)


def _elsewhere(archive: Folder) -> Iterator[Entry]:
    if isinstance(archive.fs, Container):
        yield from archive.fs.each_entry()
        return
    entries = archive.fs.find(archive.path(""), detail=True)
    if entries.get(archive.root, {"type": "directory"}).get("type") != "directory":
        raise _a_file(archive)
    files = (item for item in entries.items() if item[1]["type"] == "file")
    if not hasattr(archive.fs, "encode_url"):
        yield from files
        return

    def ask(item: Entry) -> Entry:
        """What a web server says of a file when asked: its listing says nothing of them."""
        name, info = item
        try:
            return name, {**info, **archive.fs.info(name)}
        except Exception:  # what is the matter is told when it is fetched
            return item

    with ThreadPoolExecutor(_ASKED_AT_ONCE, thread_name_prefix="ask") as threads:
        while items := list(islice(files, _ASKED_TOGETHER)):
            yield from threads.map(ask, items)


def _on_disk(archive: Folder, links: Links) -> Iterator[Entry]:
    """Links to folders are not followed, which is told; closed folders are an error."""
    if archive.fs.isfile(archive.root):
        raise _a_file(archive)
    skipped = 0
    example = ""
    if os.path.isdir(archive.root):
        _check_open(archive.root)
    for _, folders, files in archive.fs.walk(archive.path(""), detail=True):
        for info in folders.values():
            _check_open(info["name"])
        for info in files.values():
            name = info["name"]
            if not info.get("islink"):
                if info["type"] == "file":
                    yield name, info
            elif links == "inside" and leads_outside(archive, name) and not os.path.isdir(name):
                yield name, info  # listed, and rejected when it is staged
            else:
                target = _target(archive, info)
                if target["type"] == "file":
                    yield name, target
                elif target["type"] == "directory":
                    skipped, example = skipped + 1, example or name
    if skipped:
        log.warning("%d links to folders were not followed, such as %s", skipped, example)


def _check_open(folder: str) -> None:
    # fsspec lists a folder that it may not open as an empty one.
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UserError(
            f"folder {folder} of the archive may not be read (permission denied); "
            "make it readable, then run again"
        )


def _target(archive: Folder, info: dict[str, Any]) -> dict[str, Any]:
    """What a link leads to; a dead one is listed as a file, and found missing when fetched."""
    try:
        target: dict[str, Any] = archive.fs.info(info["name"])
    except OSError:
        return {**info, "type": "file"}
    return target


def leads_outside(archive: Folder, path: str) -> bool:
    """True when a path of a local archive is, links followed, not inside it."""
    return outside(path, archive.root)


def unlistable(url: str, error: Exception) -> str:
    """What is said of an archive whose store fails."""
    why = reason(error, url)
    if isinstance(error, FileNotFoundError):
        return f"there is no archive at {url} ({why}); check the name of the bucket or host"
    if isinstance(error, PermissionError) or "credential" in why.lower():
        return (
            f"access to archive {url} was denied ({why}); check the credentials in the "
            "environment (for S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and their rights; "
            f"for a bucket that is open to all, or whose requests you pay for, set {ACCESS}"
        )
    return (
        f"archive {url} cannot be listed ({why}); check the URL, the network and the endpoint "
        "(for S3: AWS_ENDPOINT_URL), then run again"
    )


def nowhere(url: str) -> str:
    """What is said of an archive that is missing."""
    return f"there is no archive at {url}: no such folder or prefix; check the path"


def _a_file(archive: Folder) -> UserError:
    return UserError(f"archive {archive.url} is a file, not a folder; give the folder it lies in")
