"""What is wrong with one object, which makes it a reject, and what is wrong with its store."""

from __future__ import annotations

import errno
import re
import zipfile
import zlib
from typing import Any

from lazsl.archive.hosts import host_of, is_answer, status_of
from lazsl.archive.listed_files import ListedFiles
from lazsl.errors import UserError
from lazsl.images.reasons import CHANGED, MISSING, TOO_MANY_BYTES, UNREACHABLE, UNREADABLE, Reject
from lazsl.store.folder import Folder
from lazsl.store.urls import reason

# Answers about one object. Every other refusal (an expired key, a wrong region) is about them all.
_OBJECT_CODES = {"AccessDenied", "AllAccessDisabled", "Forbidden", "403"}
_OBJECT_CODES |= {"InvalidObjectState", "InvalidRequest"}  # in cold storage; customer's own key

_GONE, _LATER = {404, 410}, {408, 425, 429}
"""HTTP statuses: of what is not there, and of what may be had later."""

_OF_ITS_NAME = {errno.ELOOP, errno.ENAMETOOLONG}

LEADS_OUTSIDE = "a link that leads out of the archive; links=anywhere follows it"


def reject_if_too_large(size: int | None, largest: int) -> Reject | None:
    if size is None or size <= largest:
        return None
    return reject_too_many_bytes(f"{size} bytes", largest)


def reject_too_many_bytes(amount: str, largest: int) -> Reject:
    return Reject(
        TOO_MANY_BYTES,
        f"{amount}; at most {largest} are read, which is what a picture of max_pixels may take: "
        "set max_pixels higher",
    )


def reject_if_changed(image: dict[str, Any], version: str) -> Reject | None:
    if version == image["version"]:
        return None
    return Reject(CHANGED, f"listed as version {image['version']}, is now {version}")


def reject_of_error(error: Exception, image: dict[str, Any]) -> Reject | None:
    """The reject, when an error is about this one object; None when it is about the store."""
    response = getattr(error.__cause__ or error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    if isinstance(error, FileNotFoundError | NotADirectoryError) and code != "NoSuchBucket":
        return Reject(MISSING, f"listed with {image['size']} bytes, but no longer there")
    status = status_of(error)
    if status in _GONE:
        return Reject(MISSING, f"its host says that it is gone (status {status})")
    if status is not None and 400 <= status < 500 and status not in _LATER:
        return Reject(UNREADABLE, f"its host refuses it: {reason(error)}")
    if isinstance(error, zipfile.BadZipFile | zlib.error) or _is_locked(error):
        return Reject(UNREADABLE, f"the zip does not give it: {reason(error)}")
    if isinstance(error, OSError) and error.errno in _OF_ITS_NAME:
        return Reject(UNREADABLE, f"its name leads nowhere: {reason(error)}")
    denied = code is None and isinstance(error, PermissionError | IsADirectoryError)
    if denied or code in _OBJECT_CODES:
        return Reject(UNREADABLE, f"the store refuses it: {reason(error)}")
    return None


def reject_of_host(files: ListedFiles, key: str, error: Exception, is_last: bool) -> Reject | None:
    """Why an entry of a list is a reject whose host fails; None where it is tried again, or is on
    no web host."""
    if not host_of(key):
        return None
    files.hosts.failed(key, error)
    if files.hosts.is_silent(key) or (is_last and not is_answer(error)):
        return Reject(UNREACHABLE, f"its host does not answer: {reason(error)}")
    return Reject(UNREADABLE, f"its host fails: {reason(error)}") if is_last else None


def check_hosts(archive: Folder, rows: list[dict[str, Any]], outcomes: list[str | Reject]) -> None:
    """Raise UserError where it is not some host of a list that is gone but all of them, or the
    network."""
    if not isinstance(archive.fs, ListedFiles):
        return
    kinds = [outcome.reason if isinstance(outcome, Reject) else "" for outcome in outcomes]
    if UNREACHABLE in kinds and "" not in kinds and not archive.fs.another_answers():
        at = kinds.index(UNREACHABLE)
        raise UserError(
            f"{rows[at]['key']} of archive {archive.url} could not be fetched, and no host of the "
            "list answers; check the network, then retry"
        )


def _is_locked(error: Exception) -> bool:
    """Whether an entry of a zip is encrypted, or packed in a way that is not known."""
    return type(error) in (RuntimeError, NotImplementedError) and bool(
        re.search("password|compression", str(error))
    )


def store_failed(archive: Folder, image: dict[str, Any], attempt: int, error: Exception) -> str:
    return (
        f"{image['key']} of archive {archive.url} could not be fetched in {attempt} "
        f"attempts ({reason(error, archive.url)}); retry when the store answers again"
    )
