"""The truth of a run's images, joined to them by key and to its classes by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.truth import read_truth
from lazsl.errors import UserError
from lazsl.evaluation.stored import StoredRun
from lazsl.nearest_names import nearest_key
from lazsl.store import paths
from lazsl.warehouse.not_loaded import check_truth


@dataclass(frozen=True)
class Known:
    """What is really shown, of the images for which that is known.

    Attributes:
        class_index: by image_id, in shard order; -1 where the label set lacks the class.
        labels: by image_id, the name of the class.
        notices: what the person who gave the truth should know, in sentences.
    """

    class_index: Mapping[str, int]
    labels: Mapping[str, str]
    notices: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.class_index)


def join_truth(stored: StoredRun, url: str | None = None, open_set: bool | None = None) -> Known:
    """The truth of a run's embedded images, by key and class name.

    Args:
        stored: the run.
        url: as `truth.read_truth` takes it; None means what the run was labelled with.
        open_set: the truth may name classes that the label set lacks; None means as the run.

    Raises:
        UserError: there is no truth, it contradicts itself, it names classes that the label set
            does not have, or none of the archive's keys; the sentence gives the nearest names.
    """
    url = url or stored.job.truth
    if url is None:
        raise UserError(
            f"no truth is known of run {stored.key}; give --truth folders, file.csv or file.parquet"
        )
    listing = stored.listing
    keys = _texts(listing, "key")
    open_set = stored.job.open_set if open_set is None else open_set
    table = read_truth(url, stored.labelset, open_set, keys)
    check_truth(table)
    called = dict(zip(_texts(table, "key"), _texts(table, "label"), strict=True))
    notices = list(_key_notices(called, keys, stored))
    index = {label: i for i, label in enumerate(stored.embedded_labels.classes)}
    usable = _usable(stored)
    ids = _texts(listing, "image_id")
    labels = {
        image_id: called[key]
        for image_id, key in zip(ids, keys, strict=True)
        if key in called and image_id in usable
    }
    if not labels:
        raise UserError(
            f"none of the images with truth has embeddings in {stored.folder.url}; label "
            "the archive first"
        )
    notices += _image_notices(stored, ids, keys, called, usable)
    return Known({i: index.get(label, -1) for i, label in labels.items()}, labels, tuple(notices))


def _usable(stored: StoredRun) -> set[str]:
    """The embedded images: those that were not rejected."""
    usable: set[str] = set()
    shards = stored.listing.filter(pc.field("embedded"))["shard"].unique()
    for shard in shards.to_pylist():
        name = paths.images(stored.encoder, stored.regions, str(shard))
        images = stored.folder.read_table(name, ["image_id", "reason"])
        usable.update(_texts(images.filter(pc.is_null(images["reason"])), "image_id"))
    return usable


def _key_notices(called: Mapping[str, str], keys: list[str], stored: StoredRun) -> Iterator[str]:
    known = set(keys)
    strange = [key for key in called if key not in known]
    if not strange:
        return
    hint = nearest_key(strange[0], keys)
    if len(strange) == len(called):
        raise UserError(
            f"none of the {len(called)} keys of the truth is in archive {stored.job.archive!r}; "
            f"{strange[0]!r} was asked for{hint}; write keys as paths below the archive's root"
        )
    yield (
        f"{len(strange)} of the {len(called)} keys of the truth are not in the archive, such as "
        f"{strange[0]!r}{hint}"
    )


def _image_notices(
    stored: StoredRun, ids: list[str], keys: list[str], called: Mapping[str, str], usable: set[str]
) -> Iterator[str]:
    without = [k for k, i in zip(keys, ids, strict=True) if k not in called and i in usable]
    if without:
        yield (
            f"{len(without)} of {len(usable)} embedded images have no truth and are left out, "
            f"such as {without[0]!r}; accuracy, intervals and thresholds hold for all of them only "
            "if those with truth were drawn at random (lazsl audit sample --by none), and not if "
            "somebody chose them"
        )
    missing = sum(not inside for inside in stored.listing["embedded"].to_pylist())
    if missing:
        yield f"{missing} of {len(ids)} listed images have no embeddings yet and are left out"
    rejected = [
        k
        for k, i, inside in zip(keys, ids, stored.listing["embedded"].to_pylist(), strict=True)
        if k in called and inside and i not in usable
    ]
    if rejected:
        yield (
            f"{len(rejected)} images with truth were rejected and are left out, such as "
            f"{rejected[0]!r}"
        )


def _texts(table: pa.Table, column: str) -> list[str]:
    return [str(value) for value in table[column].to_pylist()]
