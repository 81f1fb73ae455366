"""Fetch one shard's objects to the local disk: concurrent, bounded, sure of what it got.

What is wrong with one object (deleted, replaced, access denied) becomes a reject, and what is wrong
with the store is retried and then raised: a shard is staged whole, or not at all.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pyarrow as pa
from botocore.exceptions import FlexibleChecksumError

from lazsl.archive.archive_presence import open_archive
from lazsl.archive.fetching import (
    IncompleteError,
    fetch_alone,
    fetch_together,
    keep,
    not_asked,
    point_at,
    reads_together,
)
from lazsl.archive.hosts import behind
from lazsl.archive.listed_files import ListedFiles
from lazsl.archive.object_rejects import (
    check_hosts,
    reject_if_too_large,
    reject_of_error,
    reject_of_host,
    store_failed,
)
from lazsl.archive.staged_images import FROM_MANIFEST, STAGED_FILE, Staged, read_staged, unstage
from lazsl.errors import UserError
from lazsl.images.budget import largest_file
from lazsl.images.reasons import UNREADABLE, Reject
from lazsl.settings import MAX_PIXELS, Links
from lazsl.store import schemas, seals
from lazsl.store.folder import Folder
from lazsl.store.private import private_folder

LARGEST = largest_file(MAX_PIXELS)
"""Bytes above which an object is a reject, where nobody says otherwise."""

_LONGEST_PAUSE = 30.0
_NEVER_WHOLE = (IncompleteError, FlexibleChecksumError)


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
                    return [point_at(archive, image, links)]
                reject = not_asked(archive, image["key"], links)
                if reject is not None:
                    return [reject] * len(images)
                if reads_together(archive):
                    return fetch_together(archive, images, directory, largest)
                return [fetch_alone(archive, image, directory, largest)]
            except UserError:
                raise
            except Exception as raised:  # every store has its own; each is judged, none is lost
                error = behind(raised)
                reject = reject_of_error(error, image)
                if reject is None and attempt == attempts and isinstance(error, _NEVER_WHOLE):
                    reject = Reject(UNREADABLE, f"not as listed in {attempts} attempts: {error}")
                if reject is None and isinstance(archive.fs, ListedFiles):
                    reject = reject_of_host(archive.fs, image["key"], error, attempt == attempts)
                if reject is not None:
                    return [reject] * len(images)
                longest = min(_LONGEST_PAUSE, pause * 2 ** (attempt - 1))
                if attempt == attempts or stop.wait(longest * random.uniform(0.5, 1.5)):
                    raise UserError(store_failed(archive, image, attempt, error)) from None
        raise AssertionError("unreachable: the last attempt returns or raises")

    rows = images.select(FROM_MANIFEST).to_pylist()
    outcomes: list[str | Reject] = [reject_if_too_large(row["size"], largest) or "" for row in rows]
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
    check_hosts(archive, rows, outcomes)
    table = _table(images, outcomes)
    # Written last: a directory without it, or with half of it, is half staged.
    keep(directory, STAGED_FILE, seals.sealed_parquet(table)[0])
    return Staged(directory, table)


def _patient(archive: Folder) -> Folder:
    """The archive, with a client whose retries are ours."""
    if hasattr(archive.fs, "call_s3"):
        # By itself s3fs tries each object 25 times (5 x 5, one within the other), which on a store
        # that hangs takes hours, and asks for the size of each first, to split large ones.
        options = {**archive.fs.storage_options, "max_concurrency": 1}
        archive.fs = type(archive.fs)(**options)
        archive.fs.retries = 1
    return archive


def _groups(archive: Folder, wanted: list[int], rows: list[dict[str, Any]]) -> list[list[int]]:
    """Rows that are read together: those of one container file, or each by itself."""
    if not reads_together(archive):
        return [[row] for row in wanted]
    groups: dict[str, list[int]] = {}
    for row in wanted:
        groups.setdefault(archive.fs.file_of(rows[row]["key"])[0], []).append(row)
    return list(groups.values())


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


def _table(images: pa.Table, outcomes: list[str | Reject]) -> pa.Table:
    rejects = [o if isinstance(o, Reject) else None for o in outcomes]
    columns = [images[name] for name in FROM_MANIFEST] + [
        pa.array([None if isinstance(o, Reject) else o for o in outcomes], pa.string()),
        pa.array([r and r.reason for r in rejects], pa.string()),
        pa.array([r and r.detail for r in rejects], pa.string()),
    ]
    return pa.table(columns, schema=schemas.STAGED)
