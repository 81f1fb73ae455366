"""Claims about rejects: those of the moment are tried again, those of a picture are final."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from s3 import FaultyS3
from sample import content, copy_sample, label_plainly, small_job
from typer.testing import CliRunner

from lazsl.cli.commands import app
from lazsl.errors import UserError
from lazsl.model.encoder import Encoder
from lazsl.run import embed_step, label_set_step, plan_step, score_step, stage_step, todo
from lazsl.run.run import Run
from lazsl.run.status import run_status
from lazsl.store import paths
from lazsl.store.folder import Folder


def reasons(run: Run) -> dict[str, int]:
    return dict(run_status(run.workspace, run.key, run.job.warehouse_path)["rejects"])


def upload(archive: Path, url: str) -> None:
    for file in sorted(archive.rglob("*")):
        if file.is_file():
            Folder(url).write_bytes(file.relative_to(archive).as_posix(), file.read_bytes())


def test_what_the_store_refuses_for_a_moment_is_labelled_by_the_next_run(
    bucket: str, faulty_s3: FaultyS3, tmp_path: Path
) -> None:
    archive = copy_sample(tmp_path / "archive", 6, odd=False)
    upload(archive, f"{bucket}/a")
    refused = sorted(file.relative_to(archive).as_posix() for file in archive.rglob("*.jpg"))[2]
    faulty_s3.faults[f"/{bucket.removeprefix('s3://')}/a/{refused}"] = [403]
    job = small_job(f"{bucket}/a", tmp_path / "workspace", shard_size=4)
    run = label_plainly(job, tmp_path / "scratch")
    assert reasons(run) == {"unreadable": 1}
    # Which images are tried again is noted; where the note is damaged, the shard still knows, and
    # lazsl check sees that it is gone.
    (noted,) = run.workspace.names(f"embeddings/{run.encoder}/{run.regions}", ".again.json")
    run.workspace.remove(noted)
    result = CliRunner().invoke(app, ["check", "--workspace", job.workspace])
    assert "its rejects to be tried again was gone" in result.output and run.workspace.exists(noted)
    run.workspace.write_bytes(noted, b"[]")
    gets_before = faulty_s3.gets.copy()
    label_plainly(job, tmp_path / "scratch")
    assert reasons(run) == {}
    # Only what was refused is fetched again.
    again = {path for path, times in faulty_s3.gets.items() if times > gets_before[path]}
    assert [path for path in again if path.endswith(".jpg")] == [
        f"/{bucket.removeprefix('s3://')}/a/{refused}"
    ]
    assert not run.workspace.names(f"embeddings/{run.encoder}/{run.regions}", ".again.json")
    whole = small_job(f"{bucket}/a", tmp_path / "undisturbed", shard_size=4)
    label_plainly(whole, tmp_path / "scratch")
    assert content(job.warehouse_path) == content(whole.warehouse_path)
    gets_before = faulty_s3.gets.copy()
    label_plainly(job, tmp_path / "scratch")
    assert not [p for p, n in faulty_s3.gets.items() if n > gets_before[p] and p.endswith(".jpg")]


def test_rejects_of_a_picture_are_final_unless_all_are_asked_for(tmp_path: Path) -> None:
    archive = copy_sample(tmp_path / "archive", 3)
    job = small_job(archive, tmp_path / "workspace")
    run = label_plainly(job, tmp_path / "scratch")
    before = reasons(run)
    assert before and not todo.to_label(run, plan_step.archive_shards(run))
    everything = run.job.model_copy(update={"retry_rejects": "all"})
    changed = replace(run, job=everything)
    again = todo.to_label(changed, plan_step.archive_shards(changed))
    assert sum(len(work.again) for work in again) == sum(before.values())
    label_plainly(everything, tmp_path / "scratch")
    assert reasons(run) == before


def test_other_runs_that_share_the_embeddings_miss_a_mended_shard(tmp_path: Path) -> None:
    archive = copy_sample(tmp_path / "archive", 5, odd=False)
    kept = next(archive.rglob("*.jpg"))
    moment = kept.stat()
    job = small_job(archive, tmp_path / "workspace")
    other = small_job(archive, tmp_path / "workspace", scoring={"theta": 0.5})
    hidden = tmp_path / "hidden.jpg"
    plan_first = label_plainly(job, tmp_path / "scratch")
    shutil.rmtree(tmp_path / "workspace" / "embeddings")
    shutil.rmtree(tmp_path / "workspace" / "runs")
    job.warehouse_path.unlink()
    # Listed, and gone when it is fetched.
    steps_run = plan_first
    shutil.move(kept, hidden)
    for each in (job, other):
        run = steps_run if each is job else label_steps(each)
        label_shards(run, tmp_path / "scratch")
    assert len(paths.done_shards(run.workspace, run.key)) == 1
    shutil.move(hidden, kept)
    os.utime(kept, ns=(moment.st_atime_ns, moment.st_mtime_ns))
    label_plainly(job, tmp_path / "scratch")
    assert reasons(plan_first) == {}
    status = run_status(run.workspace, run.key, job.warehouse_path)
    assert status["missing"] == 5 and status["reconciled"]
    label_plainly(other, tmp_path / "scratch")
    status = run_status(run.workspace, run.key, job.warehouse_path)
    assert (status["labelled"], status["missing"]) == (5, 0)


def label_steps(job: object) -> Run:
    from lazsl.run.run import open_run, record_run

    run = open_run(job)  # type: ignore[arg-type]
    record_run(run)
    return run


def label_shards(run: Run, scratch: Path) -> None:
    """The shards that were planned, without listing the archive again."""
    from lazsl.run.run import record_run

    record_run(run)
    label_set_step.embed_attributes(run)
    scratch.mkdir(exist_ok=True)
    for shard in plan_step.archive_shards(run):
        if not embed_step.is_embedded(run, shard):
            embed_step.embed_shard(run, shard, stage_step.stage_shard(run, shard, scratch / shard))
        score_step.score_shard(run, shard)


def test_a_shard_over_its_ceiling_heals_when_the_archive_is_mended(tmp_path: Path) -> None:
    archive = copy_sample(tmp_path / "archive", 5, odd=False)
    files = sorted(archive.rglob("*.jpg"))
    good = {file: file.read_bytes() for file in files}
    for file in files[:3]:
        file.write_bytes(b"nothing that is a picture")
    job = small_job(archive, tmp_path / "workspace", reject_ceiling=0.5)
    with pytest.raises(UserError, match="3 of the 5 images of shard"):
        label_plainly(job, tmp_path / "scratch")
    for file in files[:3]:
        file.write_bytes(good[file])
    run = label_plainly(job, tmp_path / "scratch")
    status = run_status(run.workspace, run.key, job.warehouse_path)
    assert (status["listed"], status["labelled"], status["missing"]) == (5, 5, 0)
    assert status["reconciled"] and status["loaded"]


@pytest.mark.parametrize(
    ("value", "regions"),
    [
        (np.nan, {"count": 12}),
        (85.3, {"count": 12}),
        (np.inf, {"count": 20, "doubt": 0.02}),
        (np.nan, {"count": 29, "layout": "zoom"}),
    ],
)
def test_vectors_that_are_no_numbers_make_a_reject_and_no_label(
    value: float, regions: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = copy_sample(tmp_path / "archive", 4, odd=False)
    encode = Encoder.encode_crops
    spoilt: list[int] = []

    def spoil(self: Encoder, crops: torch.Tensor) -> torch.Tensor:
        vectors = encode(self, crops).clone()
        if not spoilt:
            spoilt.append(1)
            vectors[3, 5] = value
        return vectors

    monkeypatch.setattr(Encoder, "encode_crops", spoil)
    job = small_job(archive, tmp_path / "workspace", regions=regions)
    run = label_plainly(job, tmp_path / "scratch")
    status = run_status(run.workspace, run.key, run.job.warehouse_path)
    assert spoilt and (status["labelled"], status["rejects"]) == (3, {"not-finite": 1})
