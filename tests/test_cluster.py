"""The job on a Dask cluster of two processes: the same warehouse, and a retry as cheap."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample import content, copy_sample, label_plainly, small_job
from test_flows import block, flow_run_of, plan_only, task_runs

from flows.cluster import label_on_cluster


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sample(tmp_path_factory.mktemp("cluster") / "archive", 10)


def test_two_processes_label_what_one_would_and_go_on_after_a_failure(
    prefect_server: str, archive: Path, tmp_path: Path
) -> None:
    job = small_job(archive, tmp_path / "workspace")
    plan_only(job)
    poison = block(job, 2)
    failed = label_on_cluster(job, return_state=True)
    assert failed.is_failed() and "1 of 3 shards failed: 2 (" in failed.message, failed.message
    assert "cannot be written" in failed.message
    assert task_runs(flow_run_of(failed))["label 2"] == ["Failed"]
    poison.rmdir()
    mended = label_on_cluster(job, return_state=True)
    assert mended.message == "3 shards done, 1 of them in this run"
    label_plainly(small_job(archive, tmp_path / "plain"), tmp_path / "scratch")
    assert content(job.warehouse_path) == content(tmp_path / "plain" / "warehouse.duckdb")
