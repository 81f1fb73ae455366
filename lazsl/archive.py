"""List object storage -> manifest; what is new since the last time; cut into shards.

An image is one version of one object. The manifest is a row of generations, each the images that
appeared and those that went away since the one before; the last event of an image is its state.
A shard is a list of images that never changes, so what is new goes into new shards.
"""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lazsl import identity, records
from lazsl.errors import UserError
from lazsl.storage import Folder
from lazsl.workspace import manifests

LISTING = pa.schema([records.MANIFEST.field(n) for n in ("key", "uri", "size", "version")])
"""What `list_archive` returns: these columns of `records.MANIFEST`."""

UNVERSIONED = "unversioned"
"""Version of an object whose store tells neither an etag nor a time: its changes go unseen."""

_ETAGS = ("ETag", "etag", "e_tag")
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What there is to label. A changed object counts as removed and as added.

    `shards` are those that hold at least one listed image, oldest first, each in key order;
    `listed` = `added` + `unchanged`.
    """

    archive: str
    shards: tuple[str, ...]
    listed: int
    added: int
    removed: int
    unchanged: int


def list_archive(url: str, suffixes: tuple[str, ...]) -> pa.Table:
    """The images below a folder, bucket or prefix: schema LISTING, in bytewise order of the key.

    `key` is the path below `url`; `uri` is `url` without credentials, or `file://` and the absolute
    path, followed by `/` and the key as it is (nothing is percent-encoded). `version` is
    `version_of` the object. Links to files are followed, links to folders are not (and said so in
    the log); other special files, folders and placeholders of folders are left out.

    Args:
        url: a path or any fsspec URL.
        suffixes: ends of the names that count as images, in any case.

    Raises:
        UserError: the archive is missing, a file, out of reach or partly unreadable, or holds no
            image.
    """
    archive = open_archive(url)
    found = _find(archive)
    start = len(archive.root) + 1
    ends = tuple(suffix.lower() for suffix in suffixes)
    files = {name[start:]: info for name, info in found.items() if not name.endswith("/")}
    images = {key: info for key, info in files.items() if key.lower().endswith(ends)}
    if not images:
        raise UserError(_no_image(archive.url, list(files), ends))
    if archive.is_local:
        base = "file://" + os.path.abspath(archive.root).rstrip("/")
    else:
        base = re.sub(r"(?<=://)[^/\s]*@", "", archive.url)
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
            f"a file name in archive {masked(url)} is not valid UTF-8: {error.object!a}; "
            "rename the file"
        ) from None
    return listing.sort_by("key")


def check_archive(url: str) -> None:
    """Ask the store whether the archive is there at all, without listing it.

    Raises:
        UserError: it is missing or out of reach.
    """
    archive = open_archive(url)
    try:
        exists = archive.fs.exists(archive.root)
    except Exception as error:  # every store has its own; each is told in one sentence
        raise UserError(_unlistable(archive.url, error)) from None
    if not exists:
        raise UserError(_nowhere(archive.url))


def version_of(info: Mapping[str, Any]) -> str:
    """What changes when an object does: its etag, else the time of its last change and its size.

    Args:
        info: an object as fsspec's `info` or `find(detail=True)` tells it.
    """
    for name in _ETAGS:
        if info.get(name):
            return str(info[name]).removeprefix("W/").strip('"')
    for name in _TIMES:
        moment = info.get(name)
        if moment is not None:
            seconds = moment.timestamp() if hasattr(moment, "timestamp") else moment
            # Microseconds, because stores and Python's floats keep no more.
            stamp = round(seconds * 1e6) if isinstance(seconds, int | float) else seconds
            return f"{stamp}-{info.get('size')}"
    return UNVERSIONED


def masked(text: object, url: str = "") -> str:
    """The text with credentials replaced by `***`: those of URLs in it, and those of `url`."""
    hidden = str(text)
    for user in re.findall(r"(?<=://)[^/\s]*(?=@)", url):
        for secret in (user, user.partition(":")[2]):
            hidden = hidden.replace(secret, "***") if secret else hidden
    hidden = re.sub(r"(?<=://)[^/\s]*@", "***@", hidden)
    return re.sub(r"(?i)\b(signature|sig|token|secret|password|key)=[^&\s]+", r"\1=***", hidden)


def open_archive(url: str) -> Folder:
    """The archive as a folder; nothing is listed yet.

    Raises:
        UserError: the scheme is unknown, or the host cannot be reached.
    """
    try:
        return Folder(url)
    except UserError as error:
        raise UserError(masked(error, url)) from None
    except Exception as error:  # some stores connect at once, and each has its own errors
        raise UserError(_unlistable(url, error)) from None


def plan_shards(
    workspace: Folder, archive_url: str, suffixes: tuple[str, ...], shard_size: int
) -> Plan:
    """What there is to label now, after one new manifest generation if anything has changed.

    New and changed images are cut into new shards of `shard_size` in key order; an image that comes
    back as it was returns to the shard it had. Killed at any moment and planned again, the manifest
    is the same. One planner at a time: of two at once, the later overwrites the earlier.

    Raises:
        UserError: as `list_archive`.
    """
    archive = identity.archive_key(archive_url)
    listed = list_archive(archive_url, suffixes)
    generations = _generations(workspace, archive)
    state = _read(workspace.url, generations)
    current = state.filter(pc.field("event") == "added")

    at: Any = pc.index_in(listed["uri"], value_set=current["uri"].combine_chunks())
    as_listed: Any = pc.equal(current["version"].take(at), listed["version"])
    same: Any = pc.fill_null(as_listed, False)
    gone = np.ones(len(current), dtype=bool)
    gone[pc.array_filter(at, same).to_numpy()] = False

    fresh = listed.filter(pc.invert(same))
    names: list[list[Any]] = [fresh["uri"].to_pylist(), fresh["version"].to_pylist()]
    ids = pa.array(map(identity.image_id, *names), pa.string())
    known = pc.index_in(ids, value_set=state["image_id"].combine_chunks())
    generation = pa.concat_tables(
        [
            _cut(fresh.filter(pc.is_null(known)), ids.filter(pc.is_null(known)), shard_size),
            _with_event(state.take(known.drop_null()), "added"),
            _with_event(current.filter(pa.array(gone)), "removed"),
        ]
    )
    if len(generation):
        number = 1 + int(PurePath(generations[-1][0]).stem) if generations else 1
        workspace.write_table(f"{manifests(archive)}/{number:06d}.parquet", generation)
        state = _replay(pa.concat_tables([state, generation]))
    shards: list[Any] = state.filter(pc.field("event") == "added")["shard"].unique().to_pylist()
    return Plan(
        archive=archive,
        shards=tuple(shards),
        listed=len(listed),
        added=len(fresh),
        removed=int(gone.sum()),
        unchanged=len(listed) - len(fresh),
    )


def read_manifest(workspace: Folder, archive_key: str) -> pa.Table:
    """The manifest as it stands: `records.MANIFEST`, one row per image ever listed.

    An image's event is its last. Images of a shard are consecutive, in the order they were cut;
    shards come in the order they were made. Empty before the first plan.
    """
    return _read(workspace.url, _generations(workspace, archive_key))


def shard_images(workspace: Folder, archive_key: str, shard: str) -> pa.Table:
    """All images of one shard, those that were removed since included: `records.MANIFEST`.

    Raises:
        UserError: when the manifest knows no such shard.
    """
    state = read_manifest(workspace, archive_key)
    images = state.filter(pc.field("shard") == shard)
    if not len(images):
        raise UserError(
            f"no shard {shard!r} in the manifest of archive {archive_key!r}, which has "
            f"{len(state['shard'].unique())} shards; plan the archive first"
        )
    return images


def _cut(listing: pa.Table, ids: pa.StringArray, shard_size: int) -> pa.Table:
    """New images with the shards they are cut into."""
    names: list[Any] = ids.to_pylist()
    cuts = [names[start : start + shard_size] for start in range(0, len(names), shard_size)]
    shards = np.repeat([identity.shard_id(cut) for cut in cuts], [len(cut) for cut in cuts])
    columns: dict[str, Any] = {"image_id": ids, "shard": pa.array(shards.tolist(), pa.string())}
    columns |= {name: listing[name] for name in LISTING.names}
    columns["event"] = pa.repeat("added", len(ids))
    return pa.table([columns[n] for n in records.MANIFEST.names], schema=records.MANIFEST)


def _with_event(images: pa.Table, event: str) -> pa.Table:
    at = records.MANIFEST.get_field_index("event")
    return images.set_column(at, records.MANIFEST.field(at), pa.repeat(event, len(images)))


def _replay(history: pa.Table) -> pa.Table:
    """One row per image, in order of first appearance, with its last event."""
    # Codes of a dictionary are numbered by first appearance. Rows of an image differ in the event
    # only, and of several rows that go to one code the last stays.
    codes = history["image_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    last = np.empty(codes.max(initial=-1) + 1, dtype=np.int64)
    last[codes] = np.arange(len(codes))
    rows: Any = pa.array(last)
    return history.take(rows).combine_chunks()


def _generations(workspace: Folder, archive_key: str) -> tuple[tuple[str, str], ...]:
    """Names of the manifest generations, oldest first, each with its own version."""
    folder = manifests(archive_key)
    try:
        found = workspace.fs.find(workspace.path(folder), detail=True)
    except FileNotFoundError:
        return ()
    names = {f"{folder}/{path.rsplit('/', 1)[1]}": version_of(info) for path, info in found.items()}
    return tuple(sorted(n for n in names.items() if re.search(r"/\d{6}\.parquet$", n[0])))


@lru_cache(maxsize=4)
def _read(workspace_url: str, generations: tuple[tuple[str, str], ...]) -> pa.Table:
    # Cached, because every shard of a run asks; the versions tell a workspace that was made anew.
    workspace = Folder(workspace_url)
    with ThreadPoolExecutor(max_workers=8) as pool:
        tables = list(pool.map(workspace.read_table, [name for name, _ in generations]))
    return _replay(pa.concat_tables([records.MANIFEST.empty_table(), *tables]))


def _find(archive: Folder) -> dict[str, dict[str, Any]]:
    """Files of an archive by their whole path."""
    try:
        found = archive.fs.find(archive.root, detail=True, withdirs=archive.is_local)
        exists = bool(found) or archive.fs.exists(archive.root)
    except Exception as error:  # every store has its own; each ends the listing and is told
        raise UserError(_unlistable(archive.url, error)) from None
    if not exists:
        raise UserError(_nowhere(archive.url))
    if found.get(archive.root, {"type": "directory"}).get("type") != "directory":
        raise UserError(
            f"archive {masked(archive.url)} is a file, not a folder; give the folder it lies in"
        )
    if archive.is_local:
        return _local_files(archive, found)
    return {name: info for name, info in found.items() if info["type"] == "file"}


def _local_files(archive: Folder, found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Regular files and links to them; links to folders are told, closed folders are an error."""
    files: dict[str, dict[str, Any]] = {}
    skipped = []
    for name, info in found.items():
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
    shown = masked(url)
    said = masked(" ".join(str(error).split()), url) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return f"there is no archive at {shown} ({said}); check the name of the bucket or host"
    if isinstance(error, PermissionError) or "credential" in said.lower():
        return (
            f"access to archive {shown} was denied ({said}); check the credentials in the "
            "environment (for S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and their rights"
        )
    return (
        f"archive {shown} cannot be listed ({said}); check the URL, the network and the endpoint "
        "(for S3: AWS_ENDPOINT_URL), then run again"
    )


def _nowhere(url: str) -> str:
    return f"there is no archive at {masked(url)}: no such folder or prefix; check the path"


def _no_image(url: str, others: list[str], ends: tuple[str, ...]) -> str:
    if not others:
        return f"archive {masked(url)} is empty; check the path"
    kinds = Counter(os.path.splitext(key)[1].lower() or "no suffix" for key in others)
    told = ", ".join(f"{count} with {kind}" for kind, count in kinds.most_common(5))
    return (
        f"no image in archive {masked(url)}: {len(others)} other files ({told}), none ends with "
        f"{', '.join(ends)}; check the path, or add to the suffixes that count as images"
    )
