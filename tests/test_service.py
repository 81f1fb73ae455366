"""The service as its operator has it: server, workers, deployments, and Retry in a real browser."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, expect
from sample import content, copy_sample, label_plainly, small_job
from test_flows import block, plan_only

from lazsl import run as steps
from lazsl.settings import Job
from lazsl.status import run_status
from lazsl.storage import Folder
from lazsl.workspace import done_shards

ROOT = Path(__file__).parent.parent
SECRET = "s3cr3t-4711"
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(frozen=True)
class Service:
    """A running service: its URL, its home, and what its webhook was told."""

    url: str
    home: Path
    notices: list[dict[str, Any]]

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = httpx.post(f"{self.url}/api/{path}", json=body or {}, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def start(self, deployment: str, **parameters: Any) -> str:
        found = httpx.get(f"{self.url}/api/deployments/name/{deployment}/{deployment}").json()
        run = self.ask(f"deployments/{found['id']}/create_flow_run", {"parameters": parameters})
        return str(run["id"])

    def state(self, flow_run: str) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.url}/api/flow_runs/{flow_run}").json()["state"]
        return found

    def end(self, flow_run: str) -> dict[str, Any]:
        wait_for(lambda: self.state(flow_run)["type"] in ENDED)
        return self.state(flow_run)

    def runs(self, flow: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(
            "flow_runs/filter", {"flows": {"name": {"any_": [flow]}}}
        )
        return found

    def tasks(self, flow_run: str) -> dict[str, list[str]]:
        """States by task and number: {"embed 2": ["FAILED", "COMPLETED"]}."""
        found = self.ask(
            "task_runs/filter",
            {"task_runs": {"flow_run_id": {"any_": [flow_run]}}, "sort": "EXPECTED_START_TIME_ASC"},
        )
        states: dict[str, list[str]] = {}
        for task in found:
            states.setdefault(task["name"].split(" (")[0], []).append(task["state_type"])
        return states


def wait_for(ready: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.3)


def listen() -> tuple[ThreadingHTTPServer, list[dict[str, Any]]]:
    """An HTTP listener on a free port, and the JSON it was sent."""
    told: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, told


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("service")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    listener, notices = listen()
    environment |= {
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(ROOT),
        "LAZSL_WEBHOOK_URL": f"http://127.0.0.1:{listener.server_port}/{SECRET}",
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }
    command = [sys.executable, "-m", "flows.serve", f"--port={port}", f"--home={home / 'home'}"]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=home, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(lambda: "lazsl serves" in (home / "log").read_text() or process.poll() is not None)
        assert process.poll() is None, (home / "log").read_text()
        yield Service(f"http://127.0.0.1:{port}", home, notices)
    finally:
        listener.shutdown()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    left = subprocess.run(["pgrep", "-f", str(home)], capture_output=True, text=True, check=False)
    assert left.stdout == "", "stopping the service left processes behind"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sample(tmp_path_factory.mktemp("service") / "archive", 10)


def parameters(job: Job) -> dict[str, Any]:
    return job.model_dump(mode="json")


def test_retry_pressed_in_the_browser_runs_only_the_missing_shard(
    service: Service, browser: Browser, archive: Path, tmp_path: Path
) -> None:
    job = small_job(archive, tmp_path / "workspace")
    plan_only(job)
    poison = block(job, 2)
    flow_run = service.start("label-archive", job=parameters(job))
    failed = service.end(flow_run)
    shard = steps.archive_shards(steps.open_run(job))[1]
    assert failed["type"] == "FAILED"
    assert failed["message"].startswith(f"1 of 3 shards failed: 2 ({shard}): {poison} cannot be")

    wait_for(lambda: len(service.notices) == 1)
    (notice,) = service.notices
    assert notice["run"] == f"label {archive}" and notice["message"] == failed["message"]
    assert notice["page"].endswith(f"/runs/flow-run/{flow_run}")

    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.goto(f"{service.url}/runs/flow-run/{flow_run}")
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible(timeout=30_000)
    page.get_by_text("Details", exact=True).first.click()
    expect(page.get_by_text(re.compile("1 of 3 shards failed")).first).to_be_visible()
    page.get_by_text("Task Runs", exact=True).first.click()
    expect(page.get_by_text(f"embed 2 ({shard})").first).to_be_visible()
    keep_picture(page, "failed")

    poison.rmdir()
    page.get_by_role("button", name="Retry").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    wait_for(lambda: service.state(flow_run)["type"] == "COMPLETED")
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=30_000)
    page.get_by_text("Artifacts", exact=True).first.click()
    expect(page.get_by_text("lazsl-summary").first).to_be_visible(timeout=30_000)
    keep_picture(page, "retried")
    page.close()

    states = service.tasks(flow_run)
    assert states["embed 1"] == states["embed 3"] == ["COMPLETED"]
    assert sorted(states["embed 2"]) == ["COMPLETED", "FAILED"]
    assert service.state(flow_run)["message"] == "3 shards done, 1 of them in this run"
    label_plainly(small_job(archive, tmp_path / "plain"), tmp_path / "scratch")
    assert content(job.warehouse_path) == content(tmp_path / "plain" / "warehouse.duckdb")


def test_a_planned_archive_is_labelled_batch_by_batch_and_planned_again_costs_a_listing(
    service: Service, archive: Path, tmp_path: Path
) -> None:
    job = small_job(archive, tmp_path / "workspace")
    planned = service.end(service.start("plan-archive", job=parameters(job), batch_shards=2))
    assert planned["message"] == (
        "3 shards, 3 missing: 2 batches started, 0 shards are under way already"
    )
    key = steps.open_run(job).key
    again = service.end(service.start("plan-archive", job=parameters(job), batch_shards=2))
    mine = [run for run in service.runs("label-batch") if key in run["tags"]]
    assert {run["name"] for run in mine} == {f"{key} 1 to 2", f"{key} 3"}
    assert " 0 batches started" in again["message"]
    for run in mine:
        assert service.end(run["id"])["type"] == "COMPLETED"
    states = [service.tasks(run["id"]) for run in mine]
    embedded = [name for found in states for name in found if name.startswith("embed")]
    assert sorted(embedded) == ["embed 1", "embed 2", "embed 3"]
    wait_for(lambda: run_status(Folder(job.workspace))["loaded"])
    found = run_status(Folder(job.workspace))
    assert (found["listed"], found["labelled"], found["missing"]) == (24, 17, 0)
    label_plainly(small_job(archive, tmp_path / "plain"), tmp_path / "scratch")
    assert content(job.warehouse_path) == content(tmp_path / "plain" / "warehouse.duckdb")


def test_a_killed_flow_process_is_started_again_and_does_only_what_is_missing(
    service: Service, archive: Path, tmp_path: Path
) -> None:
    job = small_job(archive, tmp_path / "workspace", shard_size=2)
    run = steps.open_run(job)
    flow_run = service.start("label-archive", job=parameters(job))
    wait_for(lambda: len(done_shards(run.workspace, run.key)) >= 2)
    process_of(flow_run).kill()
    wait_for(lambda: service.state(flow_run)["type"] not in ("RUNNING", "PENDING"))
    done = len(done_shards(run.workspace, run.key))
    assert done < 12
    wait_for(lambda: service.state(flow_run)["type"] == "COMPLETED")
    assert service.state(flow_run)["message"] == f"12 shards done, {12 - done} of them in this run"
    found = run_status(Folder(job.workspace))
    assert (found["listed"], found["labelled"], found["missing"]) == (24, 17, 0)


def test_secrets_are_in_no_log_parameter_or_artifact(service: Service) -> None:
    said = [path.read_text() for path in (service.home / "home" / "logs").iterdir()]
    for path in ("flow_runs", "logs", "artifacts", "deployments", "block_documents"):
        said.append(json.dumps(service.ask(f"{path}/filter", {"limit": 200})))
    assert len(said) > 8 and all(len(text) > 2 for text in said)
    assert not [text for text in said if SECRET in text]


def process_of(flow_run: str) -> psutil.Process:
    """The process that runs a flow run."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("PREFECT__FLOW_RUN_ID") == flow_run:
                return process
        except psutil.Error:
            continue
    raise AssertionError("no process has this flow run")


def keep_picture(page: Any, name: str) -> None:
    """A screenshot for people, where the environment asks for one."""
    folder = os.environ.get("LAZSL_SCREENSHOTS")
    if folder:
        page.wait_for_timeout(1500)
        page.screenshot(path=f"{folder}/{name}.png")
