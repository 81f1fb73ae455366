"""Fetch one shard's objects to the local disk: concurrent, bounded, sure of what it got.

What is wrong with one object (deleted, replaced, access denied) becomes a reject, and what is wrong
with the store is retried and then raised: a shard is staged whole, or not at all.
"""

from __future__ import annotations

import errno
import hashlib
import os
import random
import re
import threading
import zipfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from botocore.exceptions import FlexibleChecksumError
from fsspec.implementations.local import LocalFileSystem

from lazsl.archive.archive_presence import open_archive
from lazsl.archive.containers import Container
from lazsl.archive.entries import leads_outside
from lazsl.archive.hosts import behind, host_of, is_answer, status_of
from lazsl.archive.listed_files import ListedFiles
from lazsl.archive.versions import UNVERSIONED, version_of
from lazsl.errors import DamagedError, UserError
from lazsl.images.budget import FILES, largest_file
from lazsl.images.reasons import (
    CHANGED,
    MISSING,
    OUTSIDE,
    TOO_MANY_BYTES,
    UNREACHABLE,
    UNREADABLE,
    Reject,
)
from lazsl.settings import MAX_PIXELS, Links
from lazsl.store import schemas, seals
from lazsl.store.bounded_reading import read_whole
from lazsl.store.folder import BUCKETS, Folder
from lazsl.store.private import private_folder
from lazsl.store.urls import leaves_folder, masked, reason

_FROM_MANIFEST = ("image_id", "key", "uri", "size", "version")

LARGEST = largest_file(MAX_PIXELS)
"""Bytes above which an object is a reject, where nobody says otherwise."""

_MARKER = "staged.parquet"
_LONGEST_PAUSE = 30.0
_UNKNOWN = 2**26  # bytes that an object is taken to have at most whose store does not say

# Answers about one object. Every other refusal (an expired key, a wrong region) is about them all.
_OBJECT_CODES = {"AccessDenied", "AllAccessDisabled", "Forbidden", "403"}
_OBJECT_CODES |= {"InvalidObjectState", "InvalidRequest"}  # in cold storage; customer's own key

_GONE, _LATER = {404, 410}, {408, 425, 429}
"""HTTP statuses: of what is not there, and of what may be had later."""

_OF_ITS_NAME = {errno.ELOOP, errno.ENAMETOOLONG}


@dataclass(frozen=True)
class Staged:
    """One shard on the local disk: `table` has the schema `schemas.STAGED`."""

    directory: Path
    table: pa.Table

    @property
    def images(self) -> pa.Table:
        """The shard's rows of the manifest that were staged: image_id, key, uri, size, version."""
        return self.table.select(_FROM_MANIFEST)

    def read(self, row: int) -> bytes | Reject:
        """The bytes of one image as it was listed, or why it is rejected. Safe in threads.

        Raises:
            OSError: the disk failed, or a copy was taken away.
        """
        image = {name: self.table[name][row].as_py() for name in self.table.column_names}
        if image["reason"] is not None:
            return Reject(image["reason"], image["detail"])
        path: Path = self.directory / image["path"]
        if not Path(image["path"]).is_absolute():
            return path.read_bytes()
        # A file of a local archive may change at any time: what was read is what was listed only
        # if it is still the same afterwards.
        try:
            with path.open("rb") as file:
                data = file.read(image["size"] + 1)
            info = LocalFileSystem().info(str(path))
        except OSError as error:
            reject = _about_object(error, image)
            if reject is None:
                raise
            return reject
        return _same(image, version_of(info)) or data

    def take(self, rows: Sequence[int]) -> Staged:
        """Some of the images."""
        return replace(self, table=self.table.take(pa.array(rows, pa.int64())))

    def size(self, row: int) -> int:
        """How many bytes `read` gives at most; 0 where it gives none."""
        path = self.table["path"][row].as_py()
        if path is None:
            return 0
        if Path(path).is_absolute():
            return int(self.table["size"][row].as_py()) + 1
        return int((self.directory / path).stat().st_size)


class _Incomplete(OSError):
    """Fewer or more bytes arrived than the store says the object has."""


_OUTSIDE = "a link that leads out of the archive; links=anywhere follows it"
_NEVER_WHOLE = (_Incomplete, FlexibleChecksumError)


def stage(
    images: pa.Table,
    archive_url: str,
    directory: Path,
    fetchers: int,
    *,
    attempts: int = 5,
    pause: float = 0.5,
    on_progress: Callable[[int, int], None] | None = None,
    links: Links = "inside",
    largest: int = LARGEST,
) -> Staged:
    """The images of a shard on the local disk, each exactly as listed, or rejected.

    At most `fetchers` objects are in memory at a time, and no more bytes than `budget.FILES` has.
    Files of a local archive are not copied, only checked and pointed at. A directory that holds the
    same images already is taken as it is; a half-staged one is cleared first.

    Args:
        images: `schemas.MANIFEST` rows, such as `manifest.shard_images` returns.
        archive_url: where the keys lie.
        directory: created if need be, in a folder that exists; nothing else may be kept in it.
        fetchers: objects fetched at a time.
        attempts: how often an object is tried when the store fails.
        pause: seconds before the second attempt (0.5 to 1.5 of it, at random); doubled each time.
        on_progress: called in this thread with the images done and the images in all.
        links: which links of a local archive are followed; others are rejects.
        largest: bytes above which an object is a reject.

    Raises:
        UserError: the store kept failing, or the disk cannot be written; nothing counts as staged.
    """
    archive = _patient(open_archive(archive_url))
    if os.path.lexists(directory):
        _make(directory)
    done = read_staged(directory)
    if done and not archive.is_local and done.table["image_id"].equals(images["image_id"]):
        return done
    unstage(directory)
    if archive.is_local and not archive.fs.isdir(archive.path("")):
        raise UserError(
            f"archive {archive_url} is no longer there; mount or restore it, then retry"
        )
    stop = threading.Event()

    def fetch(images: list[dict[str, Any]]) -> list[str | Reject]:
        """Images that are read together: one, or those of a shard that lie in one container."""
        image = images[0]
        for attempt in range(1, attempts + 1):
            try:
                if archive.is_local:
                    return [_point_at(archive, image, links)]
                reject = _not_asked(archive, image["key"], links)
                if reject is not None:
                    return [reject] * len(images)
                if _reads_together(archive):
                    return _fetch_together(archive, images, directory, largest)
                return [_fetch_alone(archive, image, directory, largest)]
            except UserError:
                raise
            except Exception as raised:  # every store has its own; each is judged, none is lost
                error = behind(raised)
                reject = _about_object(error, image)
                if reject is None and attempt == attempts and isinstance(error, _NEVER_WHOLE):
                    reject = Reject(UNREADABLE, f"not as listed in {attempts} attempts: {error}")
                if reject is None and isinstance(archive.fs, ListedFiles):
                    reject = _of_its_host(archive.fs, image["key"], error, attempt == attempts)
                if reject is not None:
                    return [reject] * len(images)
                longest = min(_LONGEST_PAUSE, pause * 2 ** (attempt - 1))
                if attempt == attempts or stop.wait(longest * random.uniform(0.5, 1.5)):
                    raise UserError(_store_failed(archive, image, attempt, error)) from None
        raise AssertionError("unreachable: the last attempt returns or raises")

    rows = images.select(_FROM_MANIFEST).to_pylist()
    outcomes: list[str | Reject] = [_too_large(row["size"], largest) or "" for row in rows]
    _make(directory)
    with ThreadPoolExecutor(max_workers=fetchers, thread_name_prefix="fetch") as pool:
        groups = _groups(archive, [n for n, reject in enumerate(outcomes) if not reject], rows)
        futures = {pool.submit(fetch, [rows[row] for row in group]): group for group in groups}
        count = sum(map(bool, outcomes))
        try:
            for future in as_completed(futures):
                group = futures[future]
                for row, outcome in zip(group, future.result(), strict=True):
                    outcomes[row] = outcome
                count += len(group)
                if on_progress is not None:
                    on_progress(count, len(rows))
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    _check_hosts(archive, rows, outcomes)
    table = _table(images, outcomes)
    # Written last: a directory without it, or with half of it, is half staged.
    _keep(directory, _MARKER, seals.sealed_parquet(table)[0])
    return Staged(directory, table)


def read_staged(directory: Path) -> Staged | None:
    """What `stage` left in a directory; None when it is not there whole."""
    try:
        table = Folder(str(directory.absolute())).read_table(_MARKER)
    except (FileNotFoundError, DamagedError):
        return None
    paths: list[Any] = table["path"].drop_null().to_pylist()
    if all(Path(path).is_absolute() or (directory / path).exists() for path in paths):
        return Staged(directory, table)
    return None


def unstage(directory: Path) -> None:
    """Removes what `stage` put into a directory, and the directory if nothing else is in it."""
    if not directory.is_dir():
        return
    # The marker first, so that a kill in between leaves a directory known as half staged.
    (directory / _MARKER).unlink(missing_ok=True)
    for path in directory.iterdir():
        if re.fullmatch(r"[0-9a-f]{32}|\.tmp-[0-9a-f]{32}", path.name):
            path.unlink()
    if not any(directory.iterdir()):
        directory.rmdir()


def _patient(archive: Folder) -> Folder:
    """The archive, with a client whose retries are ours."""
    if hasattr(archive.fs, "call_s3"):
        # By itself s3fs tries each object 25 times (5 x 5, one within the other), which on a store
        # that hangs takes hours, and asks for the size of each first, to split large ones.
        options = {**archive.fs.storage_options, "max_concurrency": 1}
        archive.fs = type(archive.fs)(**options)
        archive.fs.retries = 1
    return archive


def _point_at(archive: Folder, image: dict[str, Any], links: Links) -> str | Reject:
    if leaves_folder(image["key"]):
        return Reject(OUTSIDE, "its key leads out of the archive")
    path = archive.path(image["key"])
    if links == "inside" and leads_outside(archive, path):
        return Reject(OUTSIDE, _OUTSIDE)
    if not os.path.lexists(path) and os.path.lexists(_other_bytes(path)):
        return Reject(UNREADABLE, "its name is not valid UTF-8; rename the file")
    # The file itself, so that nobody can change afterwards where a link leads.
    return _same(image, version_of(archive.fs.info(path))) or os.path.realpath(path)


def _other_bytes(path: str) -> bytes:
    """The path before `listing.in_utf8` made it text."""
    return re.sub(rb"\\x([89a-f][0-9a-f])", lambda m: bytes([int(m[1], 16)]), os.fsencode(path))


def _too_large(size: int | None, largest: int) -> Reject | None:
    if size is None or size <= largest:
        return None
    return _too_many_bytes(f"{size} bytes", largest)


def _too_many_bytes(amount: str, largest: int) -> Reject:
    return Reject(
        TOO_MANY_BYTES,
        f"{amount}; at most {largest} are read, which is what a picture of max_pixels may take: "
        "set max_pixels higher",
    )


def _fetch_alone(
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
                return _keep(directory, image["image_id"], data)
    return _too_many_bytes(f"more than {largest} bytes", largest)


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
        changed = _same(image, version_of(archive.fs.info(path)))
        if changed is not None:
            return changed
    if image["size"] is not None and len(data) != image["size"]:
        raise _Incomplete(f"{len(data)} bytes of {image['size']} arrived of {image['key']}")
    return data


def _reads_together(archive: Folder) -> bool:
    return isinstance(archive.fs, Container) and archive.fs.reads_together


def _not_asked(archive: Folder, key: str, links: Links) -> Reject | None:
    """Why an entry of a container is not looked at: it lies elsewhere, or its host is gone."""
    if isinstance(archive.fs, ListedFiles) and archive.fs.hosts.is_silent(key):
        return Reject(UNREACHABLE, "its host does not answer")
    if leaves_folder(key) and archive.url.partition("://")[0] not in BUCKETS:
        return Reject(OUTSIDE, "its key leads out of the archive")
    if not isinstance(archive.fs, Container):
        return None
    leads = links == "inside" and archive.fs.leads_outside(key)
    return Reject(OUTSIDE, _OUTSIDE) if leads else None


def _groups(archive: Folder, wanted: list[int], rows: list[dict[str, Any]]) -> list[list[int]]:
    """Rows that are read together: those of one container file, or each by itself."""
    if not _reads_together(archive):
        return [[row] for row in wanted]
    groups: dict[str, list[int]] = {}
    for row in wanted:
        groups.setdefault(archive.fs.file_of(rows[row]["key"])[0], []).append(row)
    return list(groups.values())


def _fetch_together(
    archive: Folder, images: list[dict[str, Any]], directory: Path, largest: int
) -> list[str | Reject]:
    """Images of one container file, in one reading of it."""
    outcomes: dict[str, str | Reject] = {}
    by_key = {image["key"]: image for image in images}
    for key, version, data in archive.fs.read_together(list(by_key)):
        image = by_key[key]
        reject = _same(image, version) or _too_large(len(data), largest)
        outcomes[key] = reject or _keep(directory, image["image_id"], data)
    gone = Reject(MISSING, f"listed, but no longer in its file of {masked(archive.url)}")
    return [outcomes.get(image["key"], gone) for image in images]


def _same(image: dict[str, Any], version: str) -> Reject | None:
    if version == image["version"]:
        return None
    return Reject(CHANGED, f"listed as version {image['version']}, is now {version}")


def _about_object(error: Exception, image: dict[str, Any]) -> Reject | None:
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


def _of_its_host(files: ListedFiles, key: str, error: Exception, is_last: bool) -> Reject | None:
    """Why an entry of a list is a reject whose host fails; None where it is tried again, or is on
    no web host."""
    if not host_of(key):
        return None
    files.hosts.failed(key, error)
    if files.hosts.is_silent(key) or (is_last and not is_answer(error)):
        return Reject(UNREACHABLE, f"its host does not answer: {reason(error)}")
    return Reject(UNREADABLE, f"its host fails: {reason(error)}") if is_last else None


def _check_hosts(archive: Folder, rows: list[dict[str, Any]], outcomes: list[str | Reject]) -> None:
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


def _store_failed(archive: Folder, image: dict[str, Any], attempt: int, error: Exception) -> str:
    return (
        f"{image['key']} of archive {archive.url} could not be fetched in {attempt} "
        f"attempts ({reason(error, archive.url)}); retry when the store answers again"
    )


def _make(directory: Path) -> None:
    """The directory, of this user alone: pictures are private, and a marker in it is believed."""
    # The folder above is not made: a thread that goes on after its run was stopped, and its scratch
    # folder removed, would leave one behind that nobody sweeps.
    private_folder(directory, parents=False)
    above = directory.absolute().parent
    if above.stat().st_uid not in (0, os.geteuid()):
        raise UserError(
            f"{above} belongs to another user, who could put files into the staging directory; "
            "set scratch, or TMPDIR, to a folder of your own"
        )


def _keep(directory: Path, name: str, data: bytes) -> str:
    try:
        (directory / name).write_bytes(data)
    except OSError as error:
        raise UserError(
            f"cannot write to the staging directory {directory}: {error}; free some space, or "
            "stage fewer shards at a time"
        ) from None
    return name


def _table(images: pa.Table, outcomes: list[str | Reject]) -> pa.Table:
    rejects = [o if isinstance(o, Reject) else None for o in outcomes]
    columns = [images[name] for name in _FROM_MANIFEST] + [
        pa.array([None if isinstance(o, Reject) else o for o in outcomes], pa.string()),
        pa.array([r and r.reason for r in rejects], pa.string()),
        pa.array([r and r.detail for r in rejects], pa.string()),
    ]
    return pa.table(columns, schema=schemas.STAGED)
