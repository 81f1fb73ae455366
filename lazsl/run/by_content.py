"""Embeddings found by content: a picture whose bytes were embedded before costs no forward pass.

An archive that was moved or restored, or that holds copies, has other keys and the same bytes. What
was embedded is known by the SHA-256 of its bytes; only pictures of a size that was embedded before
are read to ask for it.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.staged_images import Staged
from lazsl.embedding.shard import Embedded, in_order
from lazsl.errors import DamagedError
from lazsl.images.budget import FILES
from lazsl.images.reasons import Reject
from lazsl.run.known_content import KnownContent, Place
from lazsl.run.recoloured import is_noted, with_notes
from lazsl.store import paths, schemas
from lazsl.store.folder import Folder

_READERS = 8
_ASKED = ["image_id", "digest", "size", "reason", "notes"]
_OF_THE_PLACE = ("image_id", "key", "uri", "size", "version")
_lock = threading.Lock()

Where = tuple[Folder, str, str]
"""Workspace, encoder and regions: embeddings that were made in one way."""

Tables = tuple[pa.Table, pa.Table]
"""Images and their regions, as they are stored: `schemas.IMAGES` and `schemas.regions(D)`."""

_of_run: dict[tuple[Where, str], KnownContent] = {}
"""What is known for the run that this process works on."""


def known_content(where: Where, run: str) -> KnownContent:
    """What was embedded before, read once per run and process.

    Shards that cannot be read are left out, and what an older lazsl embedded in other colours.
    """
    with _lock:
        if (where, run) not in _of_run:
            known = _read(*where)
            _of_run.clear()
            _of_run[where, run] = known
        return _of_run[where, run]


def count_copies(where: Where, run: str) -> int:
    """Images that this process found by content for a run."""
    known = _of_run.get((where, run))
    return 0 if known is None else known.copies


def _read(workspace: Folder, encoder: str, regions: str) -> KnownContent:
    folder, end = f"embeddings/{encoder}/{regions}", ".images.parquet"
    names = workspace.names(folder, end)
    known = KnownContent()

    def read(name: str) -> pa.Table | None:
        try:
            images = workspace.read_table(name, _ASKED)
        except (DamagedError, FileNotFoundError):
            return None
        older = is_noted(with_notes(images)["notes"])
        digests = pc.if_else(older, pa.scalar(None, pa.string()), images["digest"])
        at = images.schema.get_field_index("digest")
        return images.set_column(at, "digest", digests)

    with ThreadPoolExecutor(_READERS, thread_name_prefix="content") as threads:
        for name, images in zip(names, threads.map(read, names), strict=True):
            if images is not None:
                known.add(name.rsplit("/", 1)[1].removesuffix(end), images)
    return known


def embed_once(
    where: Where,
    known: KnownContent,
    shard: str,
    staged: Staged,
    embed: Callable[[Staged], Embedded],
) -> tuple[Embedded, int]:
    """What `embed` gives of a shard's images, and how many of them it was not asked for, because
    their content is embedded in another shard or in an image of the shard that comes before.

    Args:
        where: the embeddings.
        known: what is embedded there. What the shard itself has is made anew.
        shard: its name.
        staged: its images.
        embed: embeds some of them, and is not called for none.
    """
    images = staged.images
    copies = _find_copies(known, shard, staged)
    stored = list(_with_stored(where, images, copies.stored))
    copied = {*copies.twins, *(row for rows, _ in stored for row in rows)}
    if not copied:
        return embed(staged), 0
    rest = [row for row in range(len(images)) if row not in copied]
    parts = [part for _, part in stored]
    embedded = None
    if rest:
        embedded = embed(staged.take(rest))
        parts.append((embedded.images, embedded.regions))
        ids = images["image_id"].to_pylist()
        sources = {row: str(ids[first]) for row, first in copies.twins.items()}
        parts.append(_as_own(parts[-1], images, sources))
    if embedded is None:
        embedded = Embedded(
            parts[0][1], parts[0][0], crops=0, bytes=0, seconds=0.0, model_seconds=0.0
        )
    return replace(
        embedded,
        images=in_order(pa.concat_tables([part[0] for part in parts]), images),
        regions=in_order(pa.concat_tables([part[1] for part in parts]), images),
    ), len(copied)


@dataclass(frozen=True)
class _Copies:
    """Images of a shard, by row: `stored` says where their content is embedded and its SHA-256,
    `twins` which earlier row of the shard has it too."""

    stored: dict[int, tuple[Place, str]]
    twins: dict[int, int]


def _find_copies(known: KnownContent, shard: str, staged: Staged) -> _Copies:
    """The images of a shard whose content is embedded elsewhere, or comes before in the shard."""
    stored: dict[int, tuple[Place, str]] = {}
    twins: dict[int, int] = {}
    first: dict[bytes, int] = {}
    sizes = staged.images["size"].to_pylist()
    times = Counter(sizes)
    for row, size in enumerate(sizes):
        if size is not None and times[size] < 2 and not known.may_hold(size):
            continue
        with FILES.take(staged.size(row)):
            data = staged.read(row)
            if isinstance(data, Reject):
                continue
            digest = hashlib.sha256(data)
        place = known.place(digest.digest())
        if place is not None and place[0] != shard:
            stored[row] = place, digest.hexdigest()
        elif first.setdefault(digest.digest(), row) != row:
            twins[row] = first[digest.digest()]
    return _Copies(stored, twins)


def _with_stored(
    where: Where, images: pa.Table, places: dict[int, tuple[Place, str]]
) -> Iterator[tuple[set[int], Tables]]:
    """Rows of images of a shard and what is stored of their content, as theirs; those whose content
    cannot be read after all are left out."""
    workspace, encoder, regions = where
    shards: dict[str, list[int]] = {}
    for row, ((shard, _), _) in places.items():
        shards.setdefault(shard, []).append(row)
    for shard, rows in sorted(shards.items()):
        try:
            stored = workspace.read_table(paths.images(encoder, regions, shard))
            vectors = workspace.read_table(paths.region_embeddings(encoder, regions, shard))
        except (DamagedError, FileNotFoundError):
            continue  # they are embedded anew; whoever needs that shard tells it
        content = zip(*(stored[name].to_pylist() for name in ("digest", "reason")), strict=True)
        usable = {at: digest for at, (digest, reason) in enumerate(content) if reason is None}
        ids = stored["image_id"].to_pylist()
        sources = {}
        for row in rows:
            (_, at), digest = places[row]
            if usable.get(at) == digest:
                sources[row] = str(ids[at])
        if sources:
            yield set(sources), _as_own((stored, vectors), images, sources)


def _as_own(embedded: Tables, images: pa.Table, sources: dict[int, str]) -> Tables:
    """What is embedded of some images, as that of others with the same content.

    Args:
        embedded: with the images that were embedded.
        images: the shard's rows of the manifest.
        sources: row in `images` -> the image in `embedded` that has its content.
    """
    stored = schemas.with_later("images", schemas.IMAGES, embedded[0]).select(schemas.IMAGES.names)
    at = {str(image): row for row, image in enumerate(stored["image_id"].to_pylist())}
    facts = stored.take(pa.array([at[source] for source in sources.values()], pa.int64()))
    copies = images.take(pa.array(list(sources), pa.int64()))
    for name in _OF_THE_PLACE:
        column = facts.schema.get_field_index(name)
        facts = facts.set_column(column, schemas.IMAGES.field(name), copies[name])
    vectors = embedded[1].replace_schema_metadata()
    owners: Any = vectors["image_id"].combine_chunks().dictionary_encode()
    codes = {str(image): code for code, image in enumerate(owners.dictionary.to_pylist())}
    numbers = owners.indices.to_numpy()
    regions = [vectors.slice(0, 0)]
    for image, source in zip(copies["image_id"].to_pylist(), sources.values(), strict=True):
        lines: Any = pa.array(np.flatnonzero(numbers == codes.get(source, -1)))
        part = vectors.take(lines)
        regions.append(part.set_column(0, vectors.schema.field(0), pa.repeat(image, len(part))))
    return facts.replace_schema_metadata(), pa.concat_tables(regions)
