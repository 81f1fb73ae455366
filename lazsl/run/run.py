"""A run: its keys, and the three steps every shard goes through: stage, embed, score.

Each step (`stage_step`, `embed_step`, `score_step`) is done when its artifact is there, so any of
them can be killed, repeated or skipped.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lazsl
from lazsl.archive.selection import select
from lazsl.errors import DamagedError, UserError
from lazsl.fieldguide import IMAGES_DIR
from lazsl.labelset.labels import PENDING, LabelSet
from lazsl.labelset.native_form import native_form
from lazsl.labelset.reading import load_labelset
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import choose_device, choose_precision
from lazsl.model.logit_scale import logit_scale
from lazsl.model.model_source import ModelSource
from lazsl.run.recorded_jobs import check_labels, check_model, taken_over, uncalibrated
from lazsl.scoring.tree import Tree, make_tree
from lazsl.secret_names import without_signature
from lazsl.settings import Job, device_defaults, make_job
from lazsl.store import damage, keys, paths
from lazsl.store.folder import Folder
from lazsl.warehouse.warehouse_presence import check_on_disk


@dataclass(frozen=True)
class Run:
    """A job with everything its identity depends on resolved.

    `job.precision` is never `auto` here, `job.cut_on` is set where fast crops are cut, and
    `job.scoring` has what follows from the model; `key` names the run, the other keys name what it
    shares with other runs.
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

    @cached_property
    def tree(self) -> Tree | None:
        """The parents of the label set's classes; None where there are none."""
        return make_tree(self.labelset.classes, self.labelset.parents)


def open_run(job: Job, archive: str | None = None) -> Run:
    """The run of a job: label set read, model found, keys made; nothing is written.

    Args:
        job: what to do.
        archive: key of an archive that was planned before: what of it is meant is settled, and the
            file of keys in `job.only` is not read again.

    Raises:
        UserError: the label set, the model or the file of keys is not usable, or the warehouse is
            no place on a disk.
    """
    check_on_disk(job.warehouse_path)
    labelset = load_labelset(job.labels)
    if job.scoring.temperature is not None and len(labelset) < 2:
        raise UserError(
            "a temperature is set, but confidence compares classes and label set "
            f"{job.labels!r} has one; add a class, or leave temperature and abstain_below "
            "out"
        )
    if job.scoring.parents_above is not None and not labelset.parents:
        raise UserError(
            f"parents_above is set, but label set {job.labels!r} has no parents; give its "
            "classes a parent each, or leave parents_above out"
        )
    device = choose_device(job.device)
    precision = choose_precision(job.precision, device)
    cut_on = job.cut_on
    if job.regions.resampling == "fast" and job.regions.source == "crops":
        cut_on = cut_on or device_defaults(device).cut_on
    source = find_model(job.model, precision)
    if archive is None:
        only = select(job.only)
        archive = keys.archive_key(job.archive, only.digest if only else None)
    scoring = job.scoring
    if scoring.needs_logit_scale:
        scoring = scoring.resolved(logit_scale(source))
    cutting = (job.regions, job.max_pixels, labelset.key, scoring, cut_on or "processor")
    regions = keys.regions_key(*cutting)
    key = keys.run_key(archive, source.key, regions, labelset.key, scoring, labelset.parents)
    resolved = job.model_copy(update={"precision": precision, "cut_on": cut_on, "scoring": scoring})
    return Run(resolved, key, archive, source.key, regions, labelset.key, source, labelset)


def open_relabelling(workspace: Folder, run: str, changes: dict[str, Any]) -> Run:
    """The run that scores another run's stored embeddings in another way.

    Args:
        workspace: where the other run lives.
        run: its key, or an unambiguous beginning of it.
        changes: fields of the Job to set anew: `labels`, `scoring`, or where things lie. With
            another label set, confidence and abstaining are left out unless `scoring` sets them:
            they were measured with the other one.

    Raises:
        UserError: no such run, or the changed job is not usable.
    """
    record = paths.read_run_record(workspace, run)
    check_model(record, changes)
    job = taken_over(record, workspace, changes)
    check_labels(record, workspace, changes)
    archive = None if {"archive", "only"} & changes.keys() else record["archive"]
    if "scoring" not in changes and load_labelset(job["labels"]).key != record["labels"]:
        job["scoring"] = uncalibrated(job["scoring"])
    # Crops were cut where the record says, whatever this machine would do.
    job["cut_on"] = job.get("cut_on") or "processor"
    relabelled = open_run(make_job(**job), archive)
    if relabelled.regions != record["regions"] and job["cut_on"] == "device":
        # The names of embeddings did not always say that the device had cut.
        relabelled = open_run(make_job(**{**job, "cut_on": "processor"}), archive)
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


def record_run(run: Run, relabels: str | None = None) -> None:
    """Write down the run, once: its job, keys and software.

    Args:
        run: the run.
        relabels: key of the run whose embeddings it scores.
    """
    name = paths.run_record(run.key)
    if run.workspace.exists(name):
        try:
            paths.read_run_record(run.workspace, run.key)
            return
        except DamagedError as error:
            damage.set_aside(run.workspace, error)
    keep_labels(run.workspace, run.labelset)
    job = _found_from_anywhere(run.job)
    packages = ("torch", "open_clip_torch", "pillow", "pyarrow", "duckdb")
    run.workspace.write_record(
        name,
        {
            "run": run.key,
            "created": now(),
            "archive": run.archive,
            "archive_url": without_signature(job["archive"]),
            "encoder": run.encoder,
            "regions": run.regions,
            "labels": run.labels,
            "model": run.job.model,
            "classes": len(run.labelset),
            "attributes": sum(run.labelset.sizes),
            "job": job,
            "relabels": relabels,
            "software": {"lazsl": lazsl.__version__} | {name: version(name) for name in packages},
        },
    )


def keep_labels(workspace: Folder, labelset: LabelSet) -> None:
    """Keep a copy of a label set in the workspace, so that a run can be scored again anywhere."""
    workspace.write_json(paths.kept_labels(labelset.key), native_form(labelset))


def _found_from_anywhere(job: Job) -> dict[str, Any]:
    """The job with absolute paths: a run is looked at from other folders too."""
    values = job.model_dump(mode="json")
    for name in ("archive", "labels", "only", "truth"):
        if values[name] is not None:
            values[name] = _absolute(values[name])
    if values["warehouse"] is not None:
        values["warehouse"] = os.path.abspath(values["warehouse"])
    return values


def _absolute(url: str) -> str:
    """A URL whose local path, which may stand behind `zip://::`, begins at the root."""
    before, mark, path = url.rpartition("::")
    if "://" in path or not os.path.exists(path):
        return url
    return f"{before}{mark}{os.path.abspath(path)}"


def notices(
    job: Job, labelset: LabelSet | None = None, source: ModelSource | None = None
) -> list[str]:
    """What the person who starts this job should know beforehand."""
    sentences = []
    if source is not None and source.note is not None:
        sentences.append(source.note)
    if labelset is not None:
        spoken = labelset.spoken_note()
        sentences += [*labelset.notes, *([spoken] if spoken else [])]
    if labelset is not None and labelset.review == PENDING:
        sentences.append(
            f"a language model wrote label set {without_signature(job.labels)} and its review is "
            'pending: read it, and set "review" to "reviewed" in it'
        )
    inside = "://" not in job.archive and Path(job.archive).resolve().is_relative_to(IMAGES_DIR)
    if job.model == "fieldguide" and not inside:
        sentences.append(
            "the embedded fieldguide model knows only its drawn birds; its labels for other "
            "pictures mean nothing (use --model ViT-B-16-quickgelu:openai, or another open_clip "
            "model)"
        )
    return sentences


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
