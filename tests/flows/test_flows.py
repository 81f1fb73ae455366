"""The labelling flow on a real Prefect server: what it does, how it fails, what a retry costs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, NoReturn

import pytest
from flow_runs import block, flow_run_of, plan_only, put_into, task_runs
from lazsl_flows.attempts import STARTED_AGAIN
from lazsl_flows.batches import LABEL_BATCH, cancel_batches, label_batch, plan_archive
from lazsl_flows.label import label_archive, relabel
from lazsl_flows.report import report
from prefect import State
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)
from prefect.client.schemas.objects import FlowRun
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry, Crashed, Pending, Running, Scheduled
from s3 import RESET, SILENT, TORN, FaultyS3
from s3fs import S3FileSystem
from sample import content, copy_sample, label_plainly, small_job

from lazsl.cli.flow import failure
from lazsl.errors import DamagedError
from lazsl.run import models, plan_step
from lazsl.run.run import Run, open_run
from lazsl.run.status import run_status
from lazsl.store.folder import Folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sample(tmp_path_factory.mktemp("flows") / "archive", 10)


def test_a_job_labels_everything_and_names_its_tasks_after_shards(
    prefect_server: str, archive: Path, tmp_path: Path
) -> None:
    job = small_job(archive, tmp_path / "workspace")
    state = label_archive(job, return_state=True)
    assert state.is_completed(), state.message
    status = run_status(Folder(job.workspace))
    assert (status["listed"], status["labelled"], status["rejected"]) == (24, 17, 7)
    assert status["missing"] == 0 and status["loaded"] and status["unreconciled_shards"] == 0
    states = task_runs(flow_run_of(state))
    steps_of_shards = {f"{step} {n}" for step in ("stage", "embed", "score") for n in (1, 2, 3)}
    assert steps_of_shards <= set(states)
    assert {state for names in states.values() for state in names} == {"Completed"}
    assert not artifacts(state, "lazsl-evidence"), "LAZSL_EVIDENCE is off here"
    label_plainly(small_job(archive, tmp_path / "plain"), tmp_path / "scratch")
    assert content(job.warehouse_path) == content(tmp_path / "plain" / "warehouse.duckdb")


def test_a_second_run_embeds_and_scores_nothing(
    prefect_server: str, archive: Path, tmp_path: Path
) -> None:
    job = small_job(archive, tmp_path / "workspace")
    assert label_archive(job, return_state=True).is_completed()
    again = label_archive(job, return_state=True)
    assert again.message.startswith("3 shards done, 0 of them in this run")
    assert not [
        name for name in task_runs(flow_run_of(again)) if name.startswith(("embed", "score"))
    ]


def test_a_grown_archive_costs_only_what_is_new_or_changed(
    prefect_server: str, tmp_path: Path
) -> None:
    grown = copy_sample(tmp_path / "archive", 8, odd=False)
    job = small_job(grown, tmp_path / "workspace", shard_size=4)
    assert label_archive(job, return_state=True).is_completed()
    copy_sample(grown, 10, odd=False)
    changed = min(grown.rglob("*.jpg"))
    changed.write_bytes(max(grown.rglob("*.jpg")).read_bytes())
    state = label_archive(job, return_state=True)
    assert state.is_completed(), state.message
    embedded = [name for name in task_runs(flow_run_of(state)) if name.startswith("embed")]
    assert embedded == ["embed 3"]
    status = run_status(Folder(job.workspace))
    assert status["listed"] == 10 and status["missing"] == 0 and status["no_longer_listed"] == 1


def test_retry_of_a_failed_run_does_only_the_missing_shard(
    prefect_server: str, archive: Path, tmp_path: Path
) -> None:
    job = small_job(archive, tmp_path / "workspace")
    plan_only(job)
    poison = block(job, 2)
    state = label_archive(job, return_state=True)
    assert state.is_failed()
    shard = plan_step.archive_shards(open_run(job))[1]
    assert state.message.startswith(
        f"1 of 3 shards failed: 2 ({shard}): {poison} cannot be written"
    )
    assert state.message.endswith("; Retry runs only these")
    before = task_runs(flow_run_of(state))
    assert before["embed 2"] == ["Failed"] and before["score 2"] == ["NotReady"]
    half = run_status(Folder(job.workspace))
    assert (half["shards_done"], half["missing"], half["loaded"]) == (2, 8, True)

    poison.rmdir()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_of(state), AwaitingRetry(), force=True)
        flow_run = client.read_flow_run(flow_run_of(state))
    after = run_flow(label_archive, flow_run=flow_run, parameters={"job": job}, return_type="state")
    assert after.is_completed(), after.message
    assert after.message.startswith("3 shards done, 1 of them in this run")
    states = task_runs(flow_run_of(state))
    assert len(states["embed 1"]) == 1 and len(states["embed 3"]) == 1
    assert sorted(states["embed 2"]) == ["Completed", "Failed"]
    assert sorted(states["score 2"]) == ["Completed", "NotReady"]
    label_plainly(small_job(archive, tmp_path / "plain"), tmp_path / "scratch")
    assert content(job.warehouse_path) == content(tmp_path / "plain" / "warehouse.duckdb")


def test_a_run_of_which_nothing_is_done_fails_with_its_own_sentence(
    prefect_server: str, archive: Path, tmp_path: Path
) -> None:
    job = small_job(archive, tmp_path / "workspace", shard_size=30)
    plan_only(job)
    poison = block(job, 1)
    state = label_archive(job, return_state=True)
    assert state.is_failed()
    assert re.match(rf"1 of 1 shard failed: 1 \(\w+\): {poison} cannot be written", state.message)


def test_an_error_keeps_its_type_through_task_flow_and_command(
    prefect_server: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(run: Run) -> NoReturn:
        raise DamagedError("https://host/x?sig=abc is damaged; delete it", "manifest", "cut off")

    monkeypatch.setattr(plan_step, "plan_archive", damaged)
    job = small_job(archive, tmp_path / "workspace")
    state = label_archive(job, return_state=True)
    assert state.message == "https://host/x?sig=*** is damaged; delete it"
    shown = failure(state)
    assert isinstance(shown, DamagedError) and shown.name == "manifest"
    assert str(shown) == state.message
    with pytest.raises(DamagedError, match=r"sig=\*\*\* is damaged; delete it$"):
        label_archive(job)


def test_a_run_that_crashed_three_times_by_itself_gives_up_until_a_person_presses_retry(
    prefect_server: str, archive: Path, tmp_path: Path
) -> None:
    job = small_job(archive, tmp_path / "workspace")
    again = [Crashed(), Scheduled(message=STARTED_AGAIN)]
    flow_run = flow_run_with([Running(), *again, Running(), *again, Running(), *again])
    state = run_flow(label_archive, flow_run=flow_run, parameters={"job": job}, return_type="state")
    assert state.is_failed() and "the process died 3 times in a row" in state.message
    assert not Path(job.workspace).exists()
    retried = flow_run_with([Running(), *again, Running(), *again, Crashed(), AwaitingRetry()])
    state = run_flow(label_archive, flow_run=retried, parameters={"job": job}, return_type="state")
    assert state.is_completed(), state.message


def flow_run_with(states: list[State[Any]]) -> FlowRun:
    """A run of label-archive that went through these states."""
    with get_client(sync_client=True) as client:
        created = client.create_flow_run(label_archive, state=Pending())
        for state in states:
            client.set_flow_run_state(created.id, state, force=True)
        return client.read_flow_run(created.id)


def test_planning_again_leaves_shards_to_the_batches_that_are_under_way(
    prefect_server: str, archive: Path, tmp_path: Path
) -> None:
    with get_client(sync_client=True) as client:
        # No worker looks at it, so the batches wait.
        client.create_deployment(client.create_flow(label_batch), LABEL_BATCH.split("/")[1])
    job = small_job(archive, tmp_path / "workspace")
    planned = plan_archive(job, batch_shards=2, return_state=True)
    key = open_run(job).key
    stopping = f"; to stop them, run cancel-batches with {key}"
    assert planned.message == (
        f"3 shards, 3 missing: 2 batches started, 0 shards are under way already{stopping}"
    )
    again = plan_archive(job, batch_shards=2, return_state=True)
    assert again.message == (
        f"3 shards, 3 missing: 0 batches started, 3 shards are under way already{stopping}"
    )
    assert cancel_batches("nope", return_state=True).message == (
        "no batch of run 'nope' waits or runs; give the key that is their tag"
    )
    stray = label_batch(job, key, ["0" * 16], return_state=True)
    assert "1 of the 1 shards of this batch are in no manifest" in stray.message
    cancelled = cancel_batches(key, return_state=True)
    assert cancelled.message == f"2 batches of {key} are being cancelled"
    anew = plan_archive(job, batch_shards=2, return_state=True)
    assert "2 batches started, 0 shards are under way already" in anew.message


def test_a_shard_with_more_rejects_than_allowed_fails_and_can_be_retried(
    prefect_server: str, archive: Path, tmp_path: Path
) -> None:
    job = small_job(archive, tmp_path / "workspace", reject_ceiling=0.5)
    state = label_archive(job, return_state=True)
    assert state.is_failed()
    assert "5 of the 8 images of shard" in state.message
    assert "1 truncated" in state.message and "reject_ceiling" in state.message
    failed = run_status(Folder(job.workspace))
    assert failed["missing"] == 8 and failed["shards_done"] == 2
    allowed = label_archive(small_job(archive, tmp_path / "workspace"), return_state=True)
    assert allowed.message.startswith("3 shards done, 1 of them in this run")


def test_relabelling_needs_neither_the_images_nor_the_vision_tower(
    prefect_server: str, tmp_path: Path
) -> None:
    archive = copy_sample(tmp_path / "archive", 6)
    job = small_job(archive, tmp_path / "workspace")
    assert label_archive(job, return_state=True).is_completed()
    first = open_run(job)
    shutil.rmtree(archive)
    birds = '{"Heron": ["a long straight yellow beak"], "Crow": ["a black head", "black legs"]}'
    (tmp_path / "two.json").write_text(birds)
    models._loaded.clear()
    state = relabel(job.workspace, first.key, labels=str(tmp_path / "two.json"), return_state=True)
    assert state.is_completed(), state.message
    assert [key[2] for key in models._loaded] == ["text"]
    assert [encoder.model.visual for encoder in models._loaded.values()] == [None]
    status = run_status(Folder(job.workspace))
    assert status["run"] != first.key and status["classes"] == 2
    assert (status["labelled"], status["rejected"], status["missing"]) == (13, 7, 0)
    assert status["crops"] == 0


def test_a_report_is_made_and_the_summary_links_to_it(
    prefect_server: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = small_job(archive, tmp_path / "workspace")
    key = label_plainly(job, tmp_path / "scratch").key
    made = report(job.workspace, warehouse=str(job.warehouse_path), return_state=True)
    page = Path(job.workspace) / "reports" / key / "index.html"
    assert made.is_completed() and made.message.endswith(f"; open {page}")
    assert page.is_file()
    assert f"Report: `{page}`" in summary_of(made)
    monkeypatch.setenv("LAZSL_WORKSPACE_LINK", "https://archive.example/work/")
    again = label_archive(job, return_state=True)
    link = f"[Report](https://archive.example/work/reports/{key}/index.html)"
    assert link in summary_of(again)


def summary_of(state: Any) -> str:
    (artifact,) = artifacts(state, "lazsl-summary")
    return artifact


def artifacts(state: Any, key: str) -> list[str]:
    """What a flow run left under a key."""
    of_flow_run = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_of(state)]),
        key=ArtifactFilterKey(any_=[key]),
    )
    with get_client(sync_client=True) as client:
        return [
            str(read_artifact.data)
            for read_artifact in client.read_artifacts(artifact_filter=of_flow_run)
        ]


def test_archive_and_workspace_in_a_bucket(
    prefect_server: str, archive: Path, bucket: str, tmp_path: Path
) -> None:
    put_into(archive, f"{bucket}/archive")
    job = small_job(
        f"{bucket}/archive", f"{bucket}/work", warehouse=str(tmp_path / "bucket.duckdb")
    )
    state = label_archive(job, return_state=True)
    assert state.is_completed(), state.message
    label_plainly(small_job(archive, tmp_path / "plain"), tmp_path / "scratch")
    # Another archive has other image ids; what was seen in each picture is the same.
    assert _labels(job.warehouse_path) == _labels(tmp_path / "plain" / "warehouse.duckdb")
    assert not list(tmp_path.glob("lazsl-*"))


def test_a_store_that_fails_at_every_first_request_loses_and_doubles_no_image(
    prefect_server: str,
    archive: Path,
    bucket: str,
    faulty_s3: FaultyS3,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(S3FileSystem, "read_timeout", 2)  # of 15 seconds
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")  # as in earnest
    S3FileSystem.clear_instance_cache()
    put_into(archive, f"{bucket}/archive")
    faulty_s3.every_first = [503, TORN, RESET, 500, 503, TORN, RESET, SILENT]
    job = small_job(
        f"{bucket}/archive", f"{bucket}/work", warehouse=str(tmp_path / "bucket.duckdb")
    )
    state = label_archive(job, return_state=True)
    assert state.is_completed(), state.message
    assert set(faulty_s3.met) == set(faulty_s3.every_first)
    faulty_s3.every_first = []
    plain = small_job(f"{bucket}/archive", tmp_path / "plain")
    label_plainly(plain, tmp_path / "scratch")
    assert content(job.warehouse_path) == content(plain.warehouse_path)

    # Once more, with nothing new: that costs the listing, and no question about any image.
    for arguments in (faulty_s3.gets, faulty_s3.heads):
        arguments.clear()
    again = label_archive(job, return_state=True)
    assert again.message.startswith("3 shards done, 0 of them in this run")
    assert not [path for path in faulty_s3.gets + faulty_s3.heads if "/archive/" in path]


def _labels(path: Path) -> list[tuple[Any, ...]]:
    from contextlib import closing

    from lazsl.warehouse.opening import open_warehouse

    with closing(open_warehouse(path)) as connection:
        return connection.execute(
            "select key, label, round(score, 5) from labelled "
            "union all select key, reason, null from rejected order by all"
        ).fetchall()
