"""A run: its keys, and the three steps every shard goes through: stage, embed, score.

Each step is done when its artifact is there, so any of them can be killed, repeated or skipped.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import lazsl
from lazsl.archive.manifest import read_manifest, shard_images
from lazsl.archive.selection import select
from lazsl.archive.staging import Staged, stage
from lazsl.embedding.doubt import Stopping
from lazsl.embedding.shard import embed_images, embed_labels
from lazsl.errors import DamagedError, UserError
from lazsl.fieldguide import IMAGES_DIR
from lazsl.labelset.labels import PENDING, LabelSet
from lazsl.labelset.reading import load_labelset
from lazsl.model.checkpoints import ModelSource, find_model
from lazsl.model.dense import make_pooling
from lazsl.model.encoder import Encoder, choose_device, choose_precision, load_encoder
from lazsl.model.towers import Towers
from lazsl.scoring.tables import EmbeddedLabels, score_table
from lazsl.settings import Job, make_job
from lazsl.store import keys, paths
from lazsl.store.folder import Folder, masked


@dataclass(frozen=True)
class Run:
    """A job with everything its identity depends on resolved.

    `job.precision` is never `auto` here; `key` names the run, the other keys name what it shares
    with other runs.
    """

    job: Job
    key: str
    archive: str
    encoder: str
    regions: str
    labels: str
    source: ModelSource
    labelset: LabelSet

    @cached_property
    def workspace(self) -> Folder:
        """Where the run's artifacts live."""
        return Folder(self.job.workspace)


def open_run(job: Job, archive: str | None = None) -> Run:
    """The run of a job: label set read, model found, keys made; nothing is written.

    Args:
        job: what to do.
        archive: key of an archive that was planned before: what of it is meant is settled, and the
            file of keys in `job.only` is not read again.

    Raises:
        UserError: the label set, the model or the file of keys is not usable.
    """
    labelset = load_labelset(job.labels)
    if job.scoring.temperature is not None and len(labelset) < 2:
        raise UserError(
            "a temperature is set, but confidence compares classes and label set "
            f"{masked(job.labels)!r} has one; add a class, or leave temperature and abstain_below "
            "out"
        )
    precision = choose_precision(job.precision, choose_device(job.device))
    source = find_model(job.model, precision)
    if archive is None:
        only = select(job.only)
        archive = keys.archive_key(job.archive, only.digest if only else None)
    regions = keys.regions_key(job.regions, job.max_pixels, labelset.key, job.scoring)
    key = keys.run_key(archive, source.key, regions, labelset.key, job.scoring)
    resolved = job.model_copy(update={"precision": precision})
    return Run(resolved, key, archive, source.key, regions, labelset.key, source, labelset)


def open_relabelling(workspace_url: str, run: str, changes: dict[str, Any]) -> Run:
    """The run that scores another run's stored embeddings in another way.

    Args:
        workspace_url: where the other run lives.
        run: its key, or an unambiguous beginning of it.
        changes: fields of the Job to set anew: `labels`, `scoring`, or where things lie. With
            another label set, confidence and abstaining are left out unless `scoring` sets them:
            they were measured with the other one.

    Raises:
        UserError: no such run, or the changed job is not usable.
    """
    record = paths.read_run_record(Folder(workspace_url), run)
    job = {**record["job"], "workspace": workspace_url, **changes}
    archive = None if {"archive", "only"} & changes.keys() else record["archive"]
    relabelled = open_run(make_job(**job), archive)
    if relabelled.labels != record["labels"] and "scoring" not in changes:
        plain = make_job(**{**job, "scoring": uncalibrated(job["scoring"])})
        relabelled = open_run(plain, archive)
    if relabelled.encoder != record["encoder"]:
        raise UserError(
            f"model {relabelled.job.model!r} is now {relabelled.encoder}, but the embeddings of "
            f"run {record['run']} were made by {record['encoder']}; label the archive anew"
        )
    if relabelled.regions != record["regions"]:
        raise UserError(
            f"the crops of run {record['run']} were embedded until its own label was settled "
            f"(regions.doubt is {relabelled.job.regions.doubt:g}), which says nothing of another "
            "label set, theta, epsilon, gamma or stopping rule; label the archive with these, "
            "with or without regions.doubt"
        )
    return relabelled


def uncalibrated(scoring: dict[str, Any]) -> dict[str, Any]:
    """Scoring settings without what was measured for one label set and one way of scoring."""
    return {k: v for k, v in scoring.items() if k not in ("temperature", "abstain_below")}


def record_run(run: Run) -> None:
    """Write down the run, once: its job, keys and software."""
    name = paths.run_record(run.key)
    if run.workspace.exists(name):
        return
    packages = ("torch", "open_clip_torch", "pillow", "pyarrow", "duckdb")
    run.workspace.write_json(
        name,
        {
            "run": run.key,
            "created": _now(),
            "archive": run.archive,
            "archive_url": run.job.archive,
            "encoder": run.encoder,
            "regions": run.regions,
            "labels": run.labels,
            "model": run.job.model,
            "classes": len(run.labelset),
            "attributes": sum(run.labelset.sizes),
            "job": run.job.model_dump(mode="json"),
            "software": {"lazsl": lazsl.__version__} | {name: version(name) for name in packages},
        },
    )


def notices(job: Job, labelset: LabelSet | None = None) -> list[str]:
    """What the person who starts this job should know beforehand."""
    said = []
    if labelset is not None and labelset.review == PENDING:
        said.append(
            f"a language model wrote label set {masked(job.labels)} and its review is pending: "
            'read it, and set "review" to "reviewed" in it'
        )
    inside = "://" not in job.archive and Path(job.archive).resolve().is_relative_to(IMAGES_DIR)
    if job.model == "fieldguide" and not inside:
        said.append(
            "the embedded fieldguide model knows only its drawn birds; its labels for other "
            "pictures mean nothing (use --model ViT-B-16-quickgelu:openai, or another open_clip "
            "model)"
        )
    return said


def archive_shards(run: Run) -> list[str]:
    """Shards of the archive as last planned that hold a listed image, oldest first."""
    manifest = read_manifest(run.workspace, run.archive)
    listed = manifest.filter(pc.equal(manifest["event"], pa.scalar("added")))
    return [str(shard) for shard in listed["shard"].unique().to_pylist()]


def count_images(run: Run, shards: list[str]) -> int:
    """Images in these shards of the manifest."""
    manifest = read_manifest(run.workspace, run.archive)
    inside = pc.is_in(manifest["shard"], value_set=pa.array(shards, pa.string()))
    return manifest.filter(inside).num_rows


def missing_shards(run: Run, shards: list[str]) -> list[str]:
    """Those of the shards that this run has not finished, in order."""
    done = set(paths.done_shards(run.workspace, run.key))
    return [shard for shard in shards if shard not in done]


def is_embedded(run: Run, shard: str) -> bool:
    """True when a shard's embeddings are there, by this run or another one."""
    return run.workspace.exists(paths.images(run.encoder, run.regions, shard))


def attributes_embedded(run: Run) -> bool:
    """True when the label set was embedded before, by this run or another one."""
    return run.workspace.exists(paths.attributes(run.encoder, run.labels))


def embed_attributes(run: Run, towers: Towers = "both") -> bool:
    """Embed the label set, unless that was done before; True when it had to be done."""
    if attributes_embedded(run):
        return False
    name = paths.attributes(run.encoder, run.labels)
    run.workspace.write_table(name, embed_labels(run.labelset, load_model(run, towers)))
    return True


def stage_shard(run: Run, shard: str, directory: Path) -> Staged:
    """The shard's images on the local disk.

    Raises:
        UserError: the store kept failing.
    """
    rows = shard_images(run.workspace, run.archive, shard)
    return stage(rows, run.job.archive, directory, run.job.fetchers)


def embed_shard(
    run: Run,
    shard: str,
    staged: Staged,
    stage_seconds: float = 0.0,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write the shard's embeddings, then its images and rejects, which mark it as embedded.

    Raises:
        UserError: more of its images were rejected than the job allows; nothing is written.
    """
    job = run.job
    embedded = embed_images(
        shard_images(run.workspace, run.archive, shard),
        staged.read,
        load_model(run, "vision"),
        job.regions,
        batch_size=job.batch_size,
        decoders=job.decoders,
        max_pixels=job.max_pixels,
        cut_on=job.cut_on,
        stopping=_stopping(run),
        progress=progress,
    )
    _check_rejects(shard, embedded.images, job.reject_ceiling)
    spent = {
        "run": run.key,
        "crops": embedded.crops,
        "bytes": embedded.bytes,
        "stage": stage_seconds,
        "embed": embedded.seconds,
        "model": embedded.model_seconds,
    }
    regions = paths.region_embeddings(run.encoder, run.regions, shard)
    run.workspace.write_table(regions, embedded.regions)
    images = embedded.images.replace_schema_metadata({"spent": json.dumps(spent)})
    run.workspace.write_table(paths.images(run.encoder, run.regions, shard), images)


def _stopping(run: Run) -> Stopping | None:
    """When an image has been seen enough for this run's label set; None where all of it counts."""
    regions = run.job.regions
    if regions.doubt is None:
        return None
    embed_attributes(run, "text")
    device = choose_device(run.job.device)
    labels = EmbeddedLabels.from_table(
        run.workspace.read_table(paths.attributes(run.encoder, run.labels)),
        device if device.startswith("cuda") else "cpu",
    )
    return Stopping(labels.packed, run.job.scoring, regions.count, regions.doubt)


def score_shard(run: Run, shard: str) -> dict[str, Any]:
    """The shard's completion marker: its tables are written first, the marker last.

    Raises:
        UserError: the shard was never embedded, or its embeddings are damaged.
    """
    started = time.perf_counter()
    where = run.workspace
    if not is_embedded(run, shard):
        raise UserError(f"shard {shard} has no embeddings yet; label the archive to make them")
    images, regions = _read_embeddings(run, shard)
    labels = embedded_labels(where, run.encoder, run.labels)
    settings = run.job.regions
    count = None if settings.doubt is None else settings.count
    tables = score_table(regions, labels, run.job.scoring, run.job.scoring_memory, count)
    counts = _reconcile(shard, images, tables["predictions"])
    files = {
        name: where.write_table(name, table)
        for name, table in (
            (paths.run_table(run.key, kind, shard), table) for kind, table in tables.items()
        )
    }
    spent = json.loads((images.schema.metadata or {}).get(b"spent", b"{}"))
    mine = spent if spent.get("run") == run.key else {}
    marker = {
        "run": run.key,
        "shard": shard,
        **counts,
        "crops": mine.get("crops", 0),
        "bytes": mine.get("bytes", 0),
        "seconds": {
            "stage": mine.get("stage", 0.0),
            "embed": mine.get("embed", 0.0),
            "score": time.perf_counter() - started,
        },
        "finished": _now(),
        "files": files,
    }
    where.write_json(paths.marker(run.key, shard), marker)
    return marker


def _read_embeddings(run: Run, shard: str) -> tuple[pa.Table, pa.Table]:
    """A shard's images and its regions."""
    marker = paths.images(run.encoder, run.regions, shard)
    regions = paths.region_embeddings(run.encoder, run.regions, shard)
    try:
        return run.workspace.read_table(marker), run.workspace.read_table(regions)
    except (DamagedError, FileNotFoundError):
        raise DamagedError(
            f"the embeddings of shard {shard} are damaged or not all there; delete "
            f"{masked(run.workspace.path(marker))} and label the archive again, and they are made "
            "anew"
        ) from None


@lru_cache(maxsize=2)
def _read_labels(url: str, encoder: str, labels: str) -> EmbeddedLabels:
    table = Folder(url).read_table(paths.attributes(encoder, labels))
    return EmbeddedLabels.from_table(table)


def embedded_labels(folder: Folder, encoder: str, labels: str) -> EmbeddedLabels:
    """A workspace's embedded label set, read and packed once for all shards that are scored."""
    return _read_labels(folder.url, encoder, labels)


def _check_rejects(shard: str, images: pa.Table, ceiling: float) -> None:
    reasons = Counter(images["reason"].drop_null().to_pylist())
    if reasons.total() > ceiling * images.num_rows:
        why = ", ".join(f"{times} {reason}" for reason, times in reasons.most_common(4))
        raise UserError(
            f"{reasons.total()} of the {images.num_rows} images of shard {shard} cannot be used "
            f"({why}), more than the share of {ceiling:g} that reject_ceiling "
            "allows: look at the archive, or raise it"
        )


def _reconcile(shard: str, images: pa.Table, predictions: pa.Table) -> dict[str, int]:
    usable = images.filter(pc.is_null(images["reason"]))["image_id"]
    if usable.to_pylist() != predictions["image_id"].to_pylist():
        raise UserError(
            f"shard {shard} has {len(usable)} embedded images but {predictions.num_rows} "
            "predictions; its embeddings are damaged: delete them and label the archive again"
        )
    listed, labelled = images.num_rows, predictions.num_rows
    return {"listed": listed, "labelled": labelled, "rejected": listed - labelled}


_loaded: dict[tuple[str, str, str], Encoder] = {}
_loading = threading.Lock()


def load_model(run: Run, towers: Towers) -> Encoder:
    """The run's model with these towers at least, loaded once per process; the last is kept.

    Raises:
        UserError: the device is not usable, the weights are not readable, or the vision tower
            cannot do what the job asks of it.
    """
    encoder = _load_model(run, towers)
    if run.job.regions.source == "dense" and encoder.model.visual is not None:
        make_pooling(encoder.model.visual, run.job.model)
    return encoder


def _load_model(run: Run, towers: Towers) -> Encoder:
    device = choose_device(run.job.device)
    with _loading:
        whole = _loaded.get((run.encoder, device, "both"))
        if whole is not None:
            return whole
        key = (run.encoder, device, towers)
        if key not in _loaded:
            _loaded.clear()
            _loaded[key] = load_encoder(run.source, device, towers)
        return _loaded[key]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
