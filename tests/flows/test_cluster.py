"""The job on a Dask cluster of two processes: the same warehouse, and a retry on another one."""

from __future__ import annotations

from pathlib import Path

import pytest
from distributed import LocalCluster
from flow_runs import block, flow_run_of, plan_only, task_runs
from lazsl_flows.cluster import _runner, label_on_cluster
from sample import content, copy_sample, label_plainly, small_job


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sample(tmp_path_factory.mktemp("cluster") / "archive", 10)


def test_two_processes_label_what_one_would_and_another_cluster_goes_on_after_a_failure(
    prefect_server: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = small_job(archive, tmp_path / "workspace")
    plan_only(job)
    poison = block(job, 2)
    failed = label_on_cluster(job, return_state=True)
    assert failed.is_failed() and "1 of 3 shards failed: 2 (" in failed.message, failed.message
    assert "cannot be written" in failed.message
    assert task_runs(flow_run_of(failed))["label 2"] == ["Failed"]
    poison.rmdir()
    # One that runs already; its worker is a thread, so that nothing has to be imported again.
    alone = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "protocol": "tcp"}
    with LocalCluster(**alone, dashboard_address=None) as other:
        monkeypatch.setenv("LAZSL_DASK", other.scheduler_address)
        mended = label_on_cluster.with_options(task_runner=_runner())(job, return_state=True)
        assert other.scheduler.transition_log, "nothing ran at that address"
    assert mended.message.startswith("3 shards done, 1 of them in this run")
    label_plainly(small_job(archive, tmp_path / "plain"), tmp_path / "scratch")
    assert content(job.warehouse_path) == content(tmp_path / "plain" / "warehouse.duckdb")
