"""Claims about flows over a workspace with damaged artifacts: the same command makes them anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from lazsl_flows.batches import LOAD_WAREHOUSE, label_batch
from lazsl_flows.label import label_archive, relabel
from lazsl_flows.loading import load_warehouse
from prefect.client.orchestration import get_client
from sample import content, copy_sample, label_plainly, small_job

from lazsl.run.run import open_run
from lazsl.run.status import run_status
from lazsl.store import paths
from lazsl.store.folder import Folder


def damage(workspace: Folder, name: str) -> None:
    data = bytearray(workspace.read_bytes(name))
    data[len(data) // 2] ^= 1
    workspace.write_bytes(name, bytes(data))


def test_one_run_makes_anew_whatever_was_damaged(prefect_server: str, tmp_path: Path) -> None:
    archive = copy_sample(tmp_path / "archive", 9, odd=False)
    job = small_job(archive, tmp_path / "workspace", shard_size=3)
    run = label_plainly(job, tmp_path / "scratch")
    before = content(job.warehouse_path)
    job.warehouse_path.unlink()
    first, second, third = paths.done_shards(run.workspace, run.key)
    for name in (
        paths.run_table(run.key, "plans", first),
        paths.marker(run.key, second),
        paths.images(run.encoder, run.regions, third),
        paths.attributes(run.encoder, run.labels),
        paths.run_record(run.key),
        f"{paths.manifests(run.archive)}/000001.parquet",
    ):
        damage(run.workspace, name)
    state = label_archive(job, return_state=True)
    assert state.is_completed(), state.message
    assert content(job.warehouse_path) == before
    status = run_status(run.workspace, run.key, job.warehouse_path)
    assert status["reconciled"] and status["loaded"] and status["labelled"] == 9


def test_relabelling_says_what_makes_damaged_embeddings_anew_and_that_does_it(
    prefect_server: str, tmp_path: Path
) -> None:
    archive = copy_sample(tmp_path / "archive", 6, odd=False)
    job = small_job(archive, tmp_path / "workspace", shard_size=3)
    run = label_plainly(job, tmp_path / "scratch")
    vectors = sorted(paths.embedded_shards(run.workspace, run.encoder, run.regions))[0]
    damage(run.workspace, paths.region_embeddings(run.encoder, run.regions, vectors))
    other = open_run(job).job.scoring.model_copy(update={"theta": 0.5})
    failed = relabel(job.workspace, run.key, scoring=other, return_state=True)
    assert failed.is_failed() and "1 of 2 shards failed" in failed.message
    assert label_archive(job, return_state=True).is_completed()
    # A beginning that both runs share means the one that has the embeddings.
    prefix = run.key.rsplit("-", 1)[0]
    again = relabel(job.workspace, prefix, scoring=other, return_state=True)
    assert again.is_completed(), again.message
    assert run_status(run.workspace, None, job.warehouse_path)["labelled"] == 6


def test_a_run_that_labelled_nothing_is_a_failure(prefect_server: str, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    for name in ("a", "b", "c"):
        (archive / f"{name}.jpg").write_bytes(b"no picture")
    state = label_archive(small_job(archive, tmp_path / "workspace"), return_state=True)
    assert state.is_failed()
    assert "not one of 3 images was labelled (3 not-an-image)" in state.message


@pytest.mark.parametrize("lost", [1, 3])
def test_a_listing_that_lost_too_much_stops_the_run(
    lost: int, prefect_server: str, tmp_path: Path
) -> None:
    archive = copy_sample(tmp_path / "archive", 10, odd=False)
    job = small_job(archive, tmp_path / "workspace")
    label_plainly(job, tmp_path / "scratch")
    for file in sorted(archive.rglob("*.jpg"))[:lost]:
        file.unlink()
    state = label_archive(job, return_state=True)
    assert state.is_completed() == (lost == 1), state.message
    assert ("loss_ceiling" in (state.message or "")) == (lost == 3)


def test_a_batch_makes_anew_what_it_finds_damaged_and_refuses_another_run(
    prefect_server: str, tmp_path: Path
) -> None:
    with get_client(sync_client=True) as client:
        client.create_deployment(client.create_flow(load_warehouse), LOAD_WAREHOUSE.split("/")[1])
    archive = copy_sample(tmp_path / "archive", 4, odd=False)
    job = small_job(archive, tmp_path / "workspace", shard_size=2)
    run = label_plainly(job, tmp_path / "scratch")
    shards = paths.done_shards(run.workspace, run.key)
    run.workspace.remove(paths.marker(run.key, shards[0]))
    damage(run.workspace, paths.region_embeddings(run.encoder, run.regions, shards[0]))
    state = label_batch(job, run.key, shards, return_state=True)
    assert state.is_completed(), state.message
    assert paths.done_shards(run.workspace, run.key) == shards
    other = label_batch(job, "another-run", shards, return_state=True)
    assert other.is_failed() and "this batch was planned for run another-run" in other.message


def test_a_load_that_fails_is_told_and_retry_does_only_the_load(
    prefect_server: str, tmp_path: Path
) -> None:
    archive = copy_sample(tmp_path / "archive", 2, odd=False)
    job = small_job(archive, tmp_path / "workspace")
    taken = job.warehouse_path.with_name("warehouse.loading.duckdb")
    taken.mkdir(parents=True)
    state = label_archive(job, return_state=True)
    assert state.is_failed() and "every shard is done, but loading failed: " in state.message
    taken.rmdir()
    state = label_archive(job, return_state=True)
    assert state.is_completed() and "1 shards done, 0 of them in this run" in state.message
