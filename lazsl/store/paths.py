"""Where artifacts live, and what is already done.

    manifests/{archive}/{generation}.parquet       schemas.MANIFEST: what was added and removed
    manifests/{archive}/passed_over.json           what the last listing left out, by kind
    embeddings/{encoder}/{regions}/{shard}.parquet          schemas.regions: boxes and vectors
    embeddings/{encoder}/{regions}/{shard}.images.parquet   schemas.IMAGES: images and rejects
    embeddings/{encoder}/{regions}/{shard}.again.json       rejects that are tried again
    sketches/{encoder}/{regions}/{shard}.parquet   schemas.sketches: what lazsl find --index reads
    labels/{digest}/{name}.json                    the label set itself, as lazsl writes it
    attributes/{encoder}/{labels}.parquet          schemas.attributes: the embedded label set
    attributes/{encoder}/templates-{digest}.parquet         schemas.class_means: names by templates
    runs/{run}/run.json                            the job, its keys, the software
    runs/{run}/{table}/{shard}.parquet             schemas.RUN_TABLES
    runs/{run}/shards/{shard}.json                 written last: done means this exists
    truth/{archive}.parquet                        schemas.TRUTH: what is really shown
    damaged/...                                    what was damaged, under its own name
    samples/{archive}/{sample}.parquet             schemas.SAMPLES: images drawn for an audit
    reviews/{archive}/{batch}.parquet              schemas.REVIEWS: judgements imported together

Everything is named by what made it (`store.keys`), so a second run finds it and a changed setting
never collides with it. Artifacts never change once they are there.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lazsl.errors import DamagedError, UserError
from lazsl.store import keys
from lazsl.store.folder import DAMAGED, Folder
from lazsl.visible_text import short

RUN_FIELDS = (
    *("run", "created", "archive", "archive_url", "encoder", "regions", "labels", "model"),
    *("classes", "attributes", "job", "software"),
)
"""What the record of a run has."""

MARKER_FIELDS = (
    *("run", "shard", "listed", "labelled", "rejected", "crops", "bytes", "seconds", "finished"),
)
"""What the completion marker of a shard has."""

_READERS = 8  # objects asked for at a time

log = logging.getLogger(__name__)


def manifests(archive: str) -> str:
    """Folder of an archive's manifest generations."""
    return f"manifests/{archive}"


def passed_over(archive: str) -> str:
    """How much the last listing of an archive passed over, by kind."""
    return f"manifests/{archive}/passed_over.json"


def kept_labels(labels: str) -> str:
    """Copy of a label set, by its key: what a file is called is part of the key."""
    name, _, digest = labels.rpartition("-")
    return f"labels/{digest}/{name}.json"


def region_embeddings(encoder: str, regions: str, shard: str) -> str:
    """Boxes and vectors of one shard."""
    return f"embeddings/{encoder}/{regions}/{shard}.parquet"


def images(encoder: str, regions: str, shard: str) -> str:
    """Images and rejects of one shard; written after the embeddings, so it marks them whole."""
    return f"embeddings/{encoder}/{regions}/{shard}.images.parquet"


def again(encoder: str, regions: str, shard: str) -> str:
    """Rejects of the moment of one shard, which the next run tries again."""
    return f"embeddings/{encoder}/{regions}/{shard}.again.json"


def sketch(encoder: str, regions: str, shard: str) -> str:
    """The sketch of one shard's embeddings."""
    return f"sketches/{encoder}/{regions}/{shard}.parquet"


def sketched_shards(workspace: Folder, encoder: str, regions: str) -> set[str]:
    """Shards whose embeddings have a sketch."""
    names = workspace.names(f"sketches/{encoder}/{regions}", ".parquet")
    return {name.rsplit("/", 1)[1].removesuffix(".parquet") for name in names}


def truth(archive: str) -> str:
    """What the images of an archive really show, as last given."""
    return f"truth/{archive}.parquet"


def attributes(encoder: str, labels: str) -> str:
    """An embedded label set."""
    return f"attributes/{encoder}/{labels}.parquet"


def run_record(run: str) -> str:
    """The job of a run, its keys and the software that made it."""
    return f"runs/{run}/run.json"


def run_table(run: str, table: str, shard: str) -> str:
    """One of `schemas.RUN_TABLES` of one shard."""
    return f"runs/{run}/{table}/{shard}.parquet"


def marker(run: str, shard: str) -> str:
    """The completion marker of one shard: counts, seconds, checksums."""
    return f"runs/{run}/shards/{shard}.json"


def audit_table(table: str, archive: str, batch: str) -> str:
    """One of `schemas.AUDIT_TABLES`: a sample, or judgements that were imported together."""
    return f"{table}/{archive}/{batch}.parquet"


def audit_tables(workspace: Folder) -> list[tuple[str, str, str]]:
    """Table, archive and batch of every sample and of all judgements, samples first."""
    return [
        (table, archive, name.removesuffix(".parquet"))
        for table in ("samples", "reviews")
        for _, archive, name in (
            path.split("/") for path in workspace.names(table, ".parquet") if path.count("/") == 2
        )
    ]


def done_shards(workspace: Folder, run: str) -> list[str]:
    """Shards of a run that are complete, sorted."""
    names = workspace.names(f"runs/{run}/shards", ".json")
    return [name.rsplit("/", 1)[1].removesuffix(".json") for name in names]


def embedded_shards(workspace: Folder, encoder: str, regions: str) -> set[str]:
    """Shards whose region embeddings are complete."""
    names = workspace.names(f"embeddings/{encoder}/{regions}", ".images.parquet")
    return {name.rsplit("/", 1)[1].removesuffix(".images.parquet") for name in names}


def set_aside_shards(workspace: Folder, encoder: str, regions: str) -> set[str]:
    """Shards whose region embeddings were damaged and are not made anew yet."""
    names = workspace.names(f"{DAMAGED}/embeddings/{encoder}/{regions}", ".parquet")
    shards = {name.rsplit("/", 1)[1].partition(".")[0] for name in names}
    return shards - embedded_shards(workspace, encoder, regions) if shards else shards


def runs(workspace: Folder) -> list[str]:
    """Runs that were ever started in a workspace, sorted by name."""
    return _runs(workspace, recorded=True)


def runs_without_record(workspace: Folder) -> list[str]:
    """Runs that finished shards, but whose record is gone, sorted."""
    return [run for run in _runs(workspace, recorded=False) if done_shards(workspace, run)]


def _runs(workspace: Folder, recorded: bool) -> list[str]:
    """Runs that have a record, or those that have none, sorted."""
    # Their folders alone are listed: below them lie several artifacts a shard.
    folders = workspace.folders("runs")
    with ThreadPoolExecutor(_READERS) as pool:
        have_record = pool.map(workspace.exists, map(run_record, folders))
        return [run for run, has in zip(folders, have_record, strict=True) if has == recorded]


def run_records(workspace: Folder) -> list[dict[str, Any]]:
    """What was written down about every run, the latest first; damaged records are told and left
    out."""
    records = []
    for name in runs(workspace):
        try:
            records.append(read_record(workspace, name))
        except UserError as error:
            log.warning("%s", error)
    return sorted(records, key=lambda record: (record["created"], record["run"]), reverse=True)


def embedding_run(workspace: Folder, run: str) -> str:
    """The run that is meant where its embeddings are wanted: its key or the beginning of it.

    Of several that begin like this, those that were made from another one's embeddings do not
    count, so that a relabelling that is repeated means the same run.
    """
    matching = [record for record in run_records(workspace) if record["run"].startswith(run)]
    keys = {record["run"] for record in matching}
    first = [record["run"] for record in matching if record.get("relabels") not in keys]
    return str(first[0]) if len(first) == 1 else run


def read_run_record(workspace: Folder, run: str | None = None) -> dict[str, Any]:
    """What was written down about a run when it started.

    Args:
        workspace: where it is.
        run: its key or the beginning of it; None means the run that was started last.

    Raises:
        UserError: no such run, or several begin like this; the sentence lists them.
    """
    known, where = runs(workspace), workspace.url
    if not known:
        raise UserError(f"there is no run in {where}; label an archive, or name another workspace")
    if run is None:
        if not (records := run_records(workspace)):
            raise UserError(f"the record of every run in {where} is damaged; label again")
        run = str(records[0]["run"])
    return read_record(workspace, keys.begun(run, known, "run", f"in {where}"))


def read_record(workspace: Folder, run: str) -> dict[str, Any]:
    """The record of one run, its names checked: they become parts of paths.

    Raises:
        UserError: it is no record of this run, or a name in it is none that lazsl gives.
    """
    record = workspace.read_record(run_record(run), RUN_FIELDS)
    where = f"{workspace.url}/{run_record(run)}"
    if not isinstance(record["job"], dict):
        raise DamagedError(
            f"{where} is no record of a run; label again with the same options, and it is written "
            "anew",
            *(run_record(run), "its job is none"),
        )
    if record.get("run") != run:
        raise UserError(
            f"{where} is the record of another run, {short(repr(record.get('run')))}; somebody "
            "changed it: do not use this workspace"
        )
    for kind in ("run", "archive", "encoder", "regions", "labels"):
        keys.checked(f"the {kind}", record.get(kind))
    # Written down before there were other crops than exact ones.
    record["job"].get("regions", {}).setdefault("resampling", "exact")
    return record
