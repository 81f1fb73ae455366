"""What lies in object storage: every image of an archive, as its store tells it.

An image is one version of one object.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from lazsl.archive.containers import Container, advice, archive_url, outside
from lazsl.archive.selection import Selection
from lazsl.archive.versions import version_of
from lazsl.errors import UserError
from lazsl.settings import Links
from lazsl.store import schemas
from lazsl.store.folder import Folder
from lazsl.store.urls import canonical_url, masked, reason

LISTING = pa.schema([schemas.MANIFEST.field(n) for n in ("key", "uri", "size", "version")])
"""What `list_archive` returns: these columns of `schemas.MANIFEST`."""

_ASKED_AT_ONCE = 16

log = logging.getLogger(__name__)


def list_archive(
    url: str,
    suffixes: tuple[str, ...],
    only: Selection | None = None,
    links: Links = "inside",
) -> pa.Table:
    """The images below a folder, bucket or prefix: schema LISTING, in bytewise order of the key.

    `key` is the path below `url`; `uri` is `url` without credentials, or `file://` and the absolute
    path, followed by `/` and the key as it is (nothing is percent-encoded). `version` is
    `version_of` the object. Links to files are followed, links to folders are not (and said so in
    the log); other special files, folders and placeholders of folders are left out.

    Args:
        url: a path or any fsspec URL.
        suffixes: ends of the names that count as images, in any case.
        only: leaves all other images out.
        links: which links of a local archive are followed. One that leads elsewhere is listed as
            what it is itself, and staging rejects it.

    Raises:
        UserError: the archive is missing, a file, out of reach or partly unreadable, or holds no
            image, or not all of those that `only` names.
    """
    archive = open_archive(url)
    if isinstance(archive.fs, Container):
        archive.fs.asks_outside = links == "anywhere"
    entries = _find(archive, links)
    # Paths in a container are keys already.
    start = len(archive.root) + 1 if archive.root else 0
    any_name = isinstance(archive.fs, Container) and archive.fs.any_name
    ends = ("",) if any_name else tuple(suffix.lower() for suffix in suffixes)
    files = {name[start:]: info for name, info in entries.items() if not name.endswith("/")}
    images = {key: info for key, info in files.items() if key.lower().endswith(ends)}
    if not images:
        raise UserError(_no_image(archive.url, list(files), ends))
    if only is not None:
        only.check(images, url)
        images = {key: info for key, info in images.items() if key in only.keys}
    base = canonical_url(archive.url)
    try:
        listing = pa.table(
            [
                pa.array(images, pa.string()),
                pa.array([f"{base}/{key}" for key in images], pa.string()),
                pa.array([info["size"] for info in images.values()], pa.int64()),
                pa.array([version_of(info) for info in images.values()], pa.string()),
            ],
            schema=LISTING,
        )
    except UnicodeEncodeError as error:
        raise UserError(
            f"a file name in archive {url} is not valid UTF-8: {error.object!a}; rename the file"
        ) from None
    return listing.sort_by("key")


def check_archive(url: str) -> None:
    """Ask the store whether the archive is there at all, without listing it.

    Raises:
        UserError: it is missing or out of reach.
    """
    archive = open_archive(url)
    try:
        exists = archive.fs.exists(archive.path(""))
    except Exception as error:  # every store has its own; each is told in one sentence
        raise UserError(_unlistable(archive.url, error)) from None
    if not exists:
        raise UserError(_nowhere(archive.url))


def open_archive(url: str) -> Folder:
    """The archive as a folder; nothing is listed yet. What is no folder is opened by
    `containers.archive_url`.

    Raises:
        UserError: the scheme is unknown, or the host cannot be reached.
    """
    try:
        return Folder(archive_url(url))
    except UserError as error:
        raise UserError(masked(str(error), url)) from None
    except Exception as error:  # some stores connect at once, and each has its own errors
        raise UserError(_unlistable(url, error)) from None


def _find(archive: Folder, links: Links) -> dict[str, dict[str, Any]]:
    """Files of an archive by their whole path."""
    try:
        entries = archive.fs.find(archive.path(""), detail=True, withdirs=archive.is_local)
        exists = bool(entries) or archive.fs.exists(archive.path(""))
    except Exception as error:  # every store has its own; each ends the listing and is told
        raise UserError(_unlistable(archive.url, error)) from None
    if not exists:
        raise UserError(_nowhere(archive.url))
    if entries.get(archive.root, {"type": "directory"}).get("type") != "directory":
        raise UserError(
            f"archive {archive.url} is a file, not a folder; give the folder it lies in"
        )
    if archive.is_local:
        return _local_files(archive, entries, links)
    files = {name: info for name, info in entries.items() if info["type"] == "file"}
    return _asked(archive, files) if hasattr(archive.fs, "encode_url") else files


def _asked(archive: Folder, files: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Files of a web server, whose listing says nothing of them, with what it says when asked."""

    def ask(name: str) -> dict[str, Any]:
        try:
            return {**files[name], **archive.fs.info(name)}
        except Exception:  # what is the matter is told when it is fetched
            return files[name]

    with ThreadPoolExecutor(_ASKED_AT_ONCE, thread_name_prefix="ask") as threads:
        return dict(zip(files, threads.map(ask, files), strict=True))


def leads_outside(archive: Folder, path: str) -> bool:
    """True when a path of a local archive is, links followed, not inside it."""
    return outside(path, archive.root)


def _local_files(
    archive: Folder, entries: dict[str, dict[str, Any]], links: Links
) -> dict[str, dict[str, Any]]:
    """Regular files and links to them; links to folders are told, closed folders are an error."""
    files: dict[str, dict[str, Any]] = {}
    skipped = []
    for name, info in entries.items():
        if info["type"] == "directory":
            # fsspec lists a folder that it may not open as an empty one.
            if not os.access(name, os.R_OK | os.X_OK):
                raise UserError(
                    f"folder {name} of the archive may not be read (permission denied); "
                    "make it readable, then run again"
                )
        elif info["type"] == "file":
            files[name] = info
        elif info.get("islink"):
            if links == "inside" and leads_outside(archive, name) and not os.path.isdir(name):
                files[name] = info  # listed, and rejected when it is staged
                continue
            try:
                target = archive.fs.info(name)
            except OSError:
                files[name] = info  # a dead link: listed, and found missing when it is fetched
                continue
            if target["type"] == "file":
                files[name] = target
            elif target["type"] == "directory":
                skipped.append(name)
    if skipped:
        log.warning("%d links to folders were not followed, such as %s", len(skipped), skipped[0])
    return files


def _unlistable(url: str, error: Exception) -> str:
    why = reason(error, url)
    if isinstance(error, FileNotFoundError):
        return f"there is no archive at {url} ({why}); check the name of the bucket or host"
    if isinstance(error, PermissionError) or "credential" in why.lower():
        return (
            f"access to archive {url} was denied ({why}); check the credentials in the "
            "environment (for S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and their rights"
        )
    return (
        f"archive {url} cannot be listed ({why}); check the URL, the network and the endpoint "
        "(for S3: AWS_ENDPOINT_URL), then run again"
    )


def _nowhere(url: str) -> str:
    return f"there is no archive at {url}: no such folder or prefix; check the path"


def _no_image(url: str, others: list[str], ends: tuple[str, ...]) -> str:
    if not others:
        return f"archive {url} is empty; check the path"
    kinds = Counter(os.path.splitext(key)[1].lower() or "no suffix" for key in others)
    by_suffix = ", ".join(f"{count} with {kind}" for kind, count in kinds.most_common(5))
    return (
        f"no image in archive {url}: {len(others)} other files ({by_suffix}), none ends with "
        f"{', '.join(ends)}; check the path, or add to the suffixes that count as images"
        + advice(kinds, url)
    )
