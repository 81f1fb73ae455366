"""The service as its operator has it: server, workers, deployments, and Retry in a real browser.

It runs from an installed wheel, outside of the checkout.
"""

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
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from connections import connections, logging_connections, unguarded
from flow_runs import block, plan_only, put_into
from installed import ROOT, install, outside, packages_of
from lazsl_flows.serve import _running
from lazsl_flows.summary import table
from playwright.sync_api import Browser, Page, expect
from processes import made_once
from sample import content, copy_sample, label_plainly, small_job

from lazsl import fieldguide
from lazsl.run import plan_step
from lazsl.run.run import open_run
from lazsl.run.status import run_status
from lazsl.settings import Job
from lazsl.store.folder import Folder
from lazsl.store.paths import done_shards

SECRET = "s3cr3t-4711"
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(frozen=True)
class Service:
    """A running service: its URL, its home, what its webhook was told, and its programs."""

    url: str
    client: httpx.Client
    home: Path
    notices: list[dict[str, Any]]
    environment: dict[str, str]
    programs: Path
    key: str
    signed_in: Any

    def page(self, browser: Browser, **options: Any) -> Page:
        """A page in a browser that was given the key."""
        return browser.new_page(storage_state=self.signed_in, **options)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """What the API answers; a server that is too busy says so (503) and is asked again."""

        def answered() -> bool:
            nonlocal answer
            method = "GET" if body is None else "POST"
            answer = self.client.request(method, f"{self.url}/api/{path}", json=body)
            return answer.status_code != 503

        answer: Any = None
        wait_for(answered)
        answer.raise_for_status()
        return answer.json()

    def prefect(self, *arguments: str) -> str:
        """What the command says."""
        return run_to_end([self.programs / "prefect", *arguments], self.environment, self.home)

    def deployment(self, name: str) -> Any:
        return self.ask(f"deployments/name/{name}/{name}")

    def start(self, deployment: str, **parameters: Any) -> str:
        entry = self.deployment(deployment)
        run = self.ask(f"deployments/{entry['id']}/create_flow_run", {"parameters": parameters})
        return str(run["id"])

    def state(self, flow_run: str) -> dict[str, Any]:
        state: dict[str, Any] = self.ask(f"flow_runs/{flow_run}")["state"]
        return state

    def set_state(self, flow_run: str, type: str, name: str) -> None:
        """What a button in the browser sends; a command would take too long to start."""
        self.ask(f"flow_runs/{flow_run}/set_state", {"state": {"type": type, "name": name}})

    @contextmanager
    def changed(self, old: str, new: str) -> Iterator[None]:
        """Flow processes that start meanwhile work through shards by changed code."""
        file = packages_of(self.programs) / "lazsl_flows" / "shards.py"
        right = file.read_text()
        assert right.count(old) == 1
        file.write_text(right.replace(old, new))
        try:
            yield
        finally:
            file.write_text(right)

    def slow(self) -> AbstractContextManager[None]:
        """All shards but the first three take a second more: time enough to be in the way."""
        return self.changed(
            "    with _model:\n", "    with _model:\n        time.sleep(number > 3)\n"
        )

    def end(self, flow_run: str) -> dict[str, Any]:
        wait_for(lambda: self.state(flow_run)["type"] in ENDED)
        return self.state(flow_run)

    def runs(self, flow: str) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self.ask(
            "flow_runs/filter", {"flows": {"name": {"any_": [flow]}}}
        )
        return runs

    def tasks(self, flow_run: str) -> dict[str, list[str]]:
        """States by task and number: {"embed 2": ["FAILED", "COMPLETED"]}."""
        tasks = self.ask(
            "task_runs/filter",
            {"task_runs": {"flow_run_id": {"any_": [flow_run]}}, "sort": "EXPECTED_START_TIME_ASC"},
        )
        states: dict[str, list[str]] = {}
        for task in tasks:
            states.setdefault(task["name"].split(" (")[0], []).append(task["state_type"])
        return states

    def workers(self, flow_run: str) -> list[str]:
        """Names of the workers that took a run, attempt by attempt."""
        only = {"flow_run_id": {"any_": [flow_run]}, "task_run_id": {"is_null_": True}}
        logs = self.ask("logs/filter", {"logs": only, "sort": "TIMESTAMP_ASC"})
        matches = [re.match(r"Worker '(.*)' submitting", log["message"]) for log in logs]
        return [match[1] for match in matches if match]


def run_to_end(command: list[Any], environment: dict[str, str], place: Path) -> str:
    done = subprocess.run(
        command,
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_for(ready: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.5)


def listen() -> tuple[ThreadingHTTPServer, list[dict[str, Any]]]:
    """An HTTP listener on a free port, and the JSON it was sent."""
    messages: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, messages


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory,
    s3_server: str,
    browser: Browser,
    prefect_home: Callable[[Path], Path],
    wheel: Path,
) -> Iterator[Service]:
    made_once("service", tmp_path_factory)
    home = tmp_path_factory.mktemp("service")
    prefect_home(home / "home")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    programs = install(wheel, home / "installed")
    ours = ("PREFECT_", "LAZSL_", "AWS_")
    environment = {k: v for k, v in outside(programs).items() if not k.startswith(ours)}
    environment["LAZSL_FIELDGUIDE"] = str(fieldguide.HOME)  # the one these tests compare with
    listener, notices = listen()
    url = f"http://127.0.0.1:{port}"
    environment |= {
        "CUDA_VISIBLE_DEVICES": "",
        "DO_NOT_TRACK": "1",  # for Prefect's own commands; the service itself must do without
        **logging_connections(home),
        "PREFECT_API_URL": f"{url}/api",
        "LAZSL_WEBHOOK_URL": f"http://127.0.0.1:{listener.server_port}/{SECRET}",
    }
    command = [programs / "lazsl", "serve", f"--port={port}", f"--home={home / 'home'}"]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=home,
            env=unguarded(environment),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(lambda: "lazsl serves" in (home / "log").read_text() or process.poll() is not None)
        assert process.poll() is None, (home / "log").read_text()
        # Workers know the store from the block alone.
        store = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        store |= {"AWS_SECRET_ACCESS_KEY": SECRET}
        key = (home / "home" / "api-key").read_text().strip()
        environment["PREFECT_API_AUTH_STRING"] = key
        keep = [programs / "python", "-m", "lazsl_flows.credentials"]
        assert SECRET not in run_to_end(keep, environment | store, home)
        # One client, whose making is dear; but no connection is kept, as the server ends idle ones.
        unkept = httpx.Limits(max_keepalive_connections=0)
        asked_for = tuple(key.split(":"))
        with httpx.Client(timeout=30, limits=unkept, auth=asked_for) as client:
            signed_in = sign_in(browser, url, key)
            yield Service(url, client, home, notices, environment, programs, key, signed_in)
    finally:
        listener.shutdown()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    left = subprocess.run(["pgrep", "-f", str(home)], capture_output=True, text=True, check=False)
    assert left.stdout == "", "stopping the service left processes behind"


def sign_in(browser: Browser, url: str, key: str) -> Any:
    """What a browser keeps after its person gave the key."""
    page = browser.new_page()
    page.set_default_timeout(180_000)  # the first page takes long where other processes work
    page.goto(f"{url}/deployments")
    page.locator("input[type=password]").fill(key)
    page.get_by_role("button", name="Login").click()
    expect(page.get_by_text("label-archive").first).to_be_visible(timeout=60_000)
    kept = page.context.storage_state()
    page.close()
    return kept


@pytest.fixture(scope="module")
def elsewhere(service: Service) -> Iterator[psutil.Process]:
    """A second worker, in a directory of its own, as on another machine."""
    place = service.home / "elsewhere"
    place.mkdir()
    command = [service.programs / "prefect", "worker", "start", "--pool", "lazsl"]
    with (place / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--name", "elsewhere", "--limit", "1"],
            cwd=place,
            env=service.environment
            | {
                "PREFECT_HOME": str(place / "home"),
                # As often as the service's own, which would else do all there is.
                "PREFECT_WORKER_QUERY_SECONDS": "2",
                "LAZSL_EVIDENCE": "off",
            },
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    wait_for(lambda: "started" in (place / "log").read_text())
    yield psutil.Process(process.pid)
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(4)
    except subprocess.TimeoutExpired:
        # Prefect's worker may hang in the way out; how this one ends is nobody's claim.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sample(tmp_path_factory.mktemp("service") / "archive", 10)


def parameters(job: Job) -> dict[str, Any]:
    return job.model_dump(mode="json")


def test_without_the_key_no_other_user_and_no_page_of_another_origin_gets_at_the_api(
    service: Service, browser: Browser, tmp_path: Path
) -> None:
    unkeyed = httpx.Client(timeout=30)
    block = f"{service.url}/api/block_documents/filter"
    for headers in ({}, {"Authorization": "Basic bGF6c2w6d3Jvbmc="}):
        answer = unkeyed.post(block, json={"include_secrets": True}, headers=headers)
        assert answer.status_code == 401
    deployment = service.deployment("load-warehouse")["id"]
    start = f"{service.url}/api/deployments/{deployment}/create_flow_run"
    command = {"job_variables": {"command": f"touch {tmp_path / 'planted'}"}}
    assert unkeyed.post(start, json=command).status_code == 401
    # The key's own right is the same as before: nothing else was asked.
    assert service.ask("block_documents/filter", {"limit": 1})

    asked = {
        "Origin": "http://foreign.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = unkeyed.options(block, headers=asked)
    assert answer.status_code == 400 and "access-control-allow-origin" not in answer.headers
    server, _ = listen()
    page = browser.new_page()
    page.route("**/planted.html", lambda route: route.fulfill(body="<p>a page</p>"))
    page.goto(f"http://127.0.0.1:{server.server_port}/planted.html")
    script = "url => fetch(url).then(answer => answer.text()).catch(error => `no: ${error}`)"
    assert page.evaluate(script, f"{service.url}/api/admin/version").startswith("no: TypeError")
    page.close()
    server.shutdown()


def test_all_that_the_service_writes_is_its_users_alone(service: Service) -> None:
    files = [service.home / "home", *(service.home / "home").rglob("*")]
    assert len(files) > 10
    open_to_others = [path for path in files if path.lstat().st_mode & 0o077]
    assert not open_to_others
    log = (service.home / "log").read_text()
    assert f"cat {service.home / 'home' / 'api-key'}" in log and service.key not in log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_another_user_reads_neither_key_nor_database_and_gets_nothing_from_the_api(
    service: Service,
) -> None:
    parents = [
        p for p in service.home.parents if p.stat().st_uid == os.geteuid() and p != Path("/")
    ]
    modes = {p: p.stat().st_mode for p in [service.home, *parents]}
    try:
        for path, mode in modes.items():  # only what the service itself closed may be in the way
            path.chmod(mode | 0o055)
        for name in ("api-key", "prefect.db"):
            file = service.home / "home" / name
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", file]
            tried = subprocess.run(command, capture_output=True, text=True, check=False)
            assert tried.returncode != 0 and "Permission denied" in tried.stderr
        # Stored credentials, and a run whose job variables are a command of their own.
        port = service.url.rpartition(":")[2]
        start = f"deployments/{service.deployment('load-warehouse')['id']}/create_flow_run"
        planted = json.dumps({"job_variables": {"command": f"touch {service.home / 'planted'}"}})
        for path, body in (("block_documents/filter", "{}"), (start, planted)):
            asked = f"POST /api/{path} HTTP/1.0\r\nContent-Type: application/json\r\n"
            asked += f"Content-Length: {len(body)}\r\n\r\n{body}"
            script = f'exec 3<>/dev/tcp/127.0.0.1/{port}; printf %s "$0" >&3; head -1 <&3'
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            answer = subprocess.run(
                [*command, "bash", "-c", script, asked], capture_output=True, text=True, check=False
            )
            assert " 401 " in answer.stdout, answer
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def test_the_pool_for_kubernetes_is_one_that_the_server_takes(service: Service) -> None:
    template = ROOT / "infra" / "kubernetes" / "work-pool.json"
    pool = ("kubernetes-jobs", "--type", "kubernetes", "--base-job-template", str(template))
    service.prefect("work-pool", "create", *pool)
    work_pool = service.ask("work_pools/kubernetes-jobs")
    assert work_pool["base_job_template"] == json.loads(template.read_text())


def test_all_deployments_come_at_once_and_their_forms_explain_every_parameter(
    service: Service, browser: Browser
) -> None:
    assert (service.home / "home/logs/deploy.log").read_text().count("successfully created") == 7
    deployments = {
        deployment["name"]: deployment for deployment in service.ask("deployments/filter", {})
    }
    names = "label-archive plan-archive label-batch cancel-batches relabel load-warehouse report"
    assert set(deployments) == set(names.split())
    for name, deployment in deployments.items():
        assert deployment["tags"] == ["lazsl"] and deployment["description"]
        schema = deployment["parameter_openapi_schema"]
        inner = schema.get("definitions", {}).values()
        for field, about in [
            *schema["properties"].items(),
            *(item for model in inner for item in model["properties"].items()),
        ]:
            explained = about.get("description") or "$ref" in str(about)
            assert explained and ("type" in about or "anyOf" in about or "$ref" in str(about)), (
                f"{field} of {name} is not explained"
            )
    for name in ("label-archive", "plan-archive"):
        (schedule,) = deployments[name]["schedules"]
        assert schedule["schedule"]["cron"] == "0 2 * * *" and not schedule["active"]
        assert deployments[name]["global_concurrency_limit"]["limit"] == 1

    page = service.page(browser, viewport={"width": 1400, "height": 1500})
    page.goto(f"{service.url}/deployments/deployment/{deployments['label-archive']['id']}/run")
    for text in (
        "Where the images are: a path or any fsspec URL",
        "Group of settings, each of which",
    ):
        expect(page.get_by_text(text).first).to_be_visible(timeout=60_000)
    expect(page.get_by_role("button", name="Submit")).to_be_enabled()
    keep_picture(page, "form")
    page.goto(f"{service.url}/deployments")
    expect(page.get_by_text("At 02:00 AM every day").first).to_be_visible(timeout=60_000)
    keep_picture(page, "deployments")
    page.close()


def test_retry_pressed_in_the_browser_runs_only_the_missing_shard(
    service: Service, browser: Browser, archive: Path, tmp_path: Path
) -> None:
    job = small_job(archive, tmp_path / "workspace")
    plan_only(job)
    poison = block(job, 2)
    flow_run = service.start("label-archive", job=parameters(job))
    failed = service.end(flow_run)
    shard = plan_step.archive_shards(open_run(job))[1]
    assert failed["type"] == "FAILED"
    assert failed["message"].startswith(f"1 of 3 shards failed: 2 ({shard}): {poison} cannot be")

    of_run = {"logs": {"flow_run_id": {"any_": [flow_run]}}}

    def logged() -> list[str]:
        return [line["message"] for line in service.ask("logs/filter", of_run)]

    # Its process may send its last lines after its state.
    wait_for(lambda: any(failed["message"] in line for line in logged()))
    assert not [line for line in logged() if "Traceback" in line]

    wait_for(lambda: len(service.notices) == 1)
    (notice,) = service.notices
    assert notice["run"] == f"label {archive}" and notice["message"] == failed["message"]
    assert notice["page"].endswith(f"/runs/flow-run/{flow_run}")

    page = service.page(browser, viewport={"width": 1400, "height": 1000})
    page.goto(f"{service.url}/runs/flow-run/{flow_run}")
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible(timeout=60_000)
    page.get_by_text("Details", exact=True).first.click()
    expect(page.get_by_text(re.compile("1 of 3 shards failed")).first).to_be_visible()
    page.get_by_text("Task Runs", exact=True).first.click()
    expect(page.get_by_text(f"embed 2 ({shard})").first).to_be_visible()
    keep_picture(page, "failed")

    poison.rmdir()
    page.get_by_role("button", name="Retry").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    wait_for(lambda: service.state(flow_run)["type"] != "FAILED")
    shown = page.url
    page.goto("about:blank")  # it draws the run's graph all the time, without a GPU
    wait_for(lambda: service.state(flow_run)["type"] == "COMPLETED")
    page.goto(shown)
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=60_000)
    page.get_by_text("Artifacts", exact=True).first.click()
    expect(page.get_by_text("lazsl-summary").first).to_be_visible(timeout=60_000)
    keep_picture(page, "retried")
    page.get_by_text("lazsl-evidence").first.click()
    pictures = page.locator("img[src^='data:image/webp']")
    expect(pictures).to_have_count(3, timeout=60_000)
    assert pictures.first.evaluate("image => image.naturalWidth") > 1000
    keep_picture(page, "evidence")
    page.close()

    states = service.tasks(flow_run)
    assert states["embed 1"] == states["embed 3"] == ["COMPLETED"]
    assert sorted(states["embed 2"]) == ["COMPLETED", "FAILED"]
    assert service.state(flow_run)["message"].startswith("3 shards done, 1 of them in this run")
    label_plainly(small_job(archive, tmp_path / "plain"), tmp_path / "scratch")
    assert content(job.warehouse_path) == content(tmp_path / "plain" / "warehouse.duckdb")


def test_names_from_label_sets_and_archives_are_shown_as_they_are(
    service: Service, browser: Browser
) -> None:
    names = [
        "a_b *c*",
        "<b>d</b>",
        "e|f",
        "[g](http://h)",
        "`i`",
        "j\\k",
        "&amp; ~~l~~",
        "https://m",
    ]
    shown = {"type": "markdown", "data": table(("name",), [(name,) for name in names])}
    artifact = service.ask("artifacts/", shown)["id"]
    page = service.page(browser)
    page.goto(f"{service.url}/artifacts/artifact/{artifact}")
    for name in names:
        expect(page.get_by_role("cell", name=name, exact=True)).to_be_visible(timeout=60_000)
    assert page.get_by_role("cell").get_by_role("link").count() == 0
    page.close()


def test_one_run_goes_on_after_a_code_fix_on_another_worker_and_after_a_cancel(
    service: Service, elsewhere: psutil.Process, archive: Path, tmp_path: Path
) -> None:
    job = small_job(archive, tmp_path / "workspace", shard_size=2)
    run = open_run(job)
    (first,) = (p for p in psutil.process_iter() if "worker-1" in words_of(p, service.home))
    elsewhere.suspend()
    try:
        with service.changed("embed_step.embed_shard(", "embed_step.embet_shard("):
            flow_run = service.start("label-archive", job=parameters(job))
            failed = service.end(flow_run)
    finally:
        elsewhere.resume()
    assert failed["type"] == "FAILED"
    assert failed["message"].startswith("12 of 12 shards failed: 1 ("), failed["message"]
    assert "has no attribute 'embet_shard'; Retry runs only these" in failed["message"]

    first.suspend()
    try:
        with service.slow():
            service.set_state(flow_run, "SCHEDULED", "AwaitingRetry")
            wait_for(lambda: len(done_shards(run.workspace, run.key)) >= 1)
        service.set_state(flow_run, "CANCELLING", "Cancelling")
        wait_for(lambda: service.state(flow_run)["type"] == "CANCELLED")
        wait_for(lambda: not elsewhere.children())
        done = len(done_shards(run.workspace, run.key))
        assert 1 <= done < 12
        service.set_state(flow_run, "SCHEDULED", "AwaitingRetry")
        wait_for(lambda: service.state(flow_run)["type"] == "COMPLETED")
    finally:
        first.resume()
    message = service.state(flow_run)["message"]
    assert message.startswith(f"12 shards done, {12 - done} of them in this run")
    # A busy worker may learn of the cancelled process late, take its end for that of the retry,
    # and call this one crashed; it is then started again by itself.
    assert service.workers(flow_run)[:3] == ["worker-1", "elsewhere", "elsewhere"]
    assert set(service.workers(flow_run)[3:]) <= {"elsewhere"}
    scored = {n: s for n, s in service.tasks(flow_run).items() if n.startswith("score")}
    assert len(scored) == 12 and all(s.count("COMPLETED") == 1 for s in scored.values())
    label_plainly(small_job(archive, tmp_path / "plain", shard_size=2), tmp_path / "scratch")
    assert content(job.warehouse_path) == content(tmp_path / "plain" / "warehouse.duckdb")


def test_two_workers_that_share_a_bucket_label_an_archive_batch_by_batch_and_embed_nothing_twice(
    service: Service, elsewhere: psutil.Process, archive: Path, bucket: str, tmp_path: Path
) -> None:
    put_into(archive, f"{bucket}/archive")
    warehouse = tmp_path / "warehouse.duckdb"
    job = small_job(f"{bucket}/archive", f"{bucket}/work", shard_size=4, warehouse=str(warehouse))
    planned = service.end(service.start("plan-archive", job=parameters(job), batch_shards=3))
    key = open_run(job).key
    assert planned["message"] == (
        "6 shards, 6 missing: 2 batches started, 0 shards are under way already; to stop them, "
        f"run cancel-batches with {key}"
    )
    batches = [run for run in service.runs("label-batch") if key in run["tags"]]
    assert {run["name"] for run in batches} == {f"{key} 1 to 3", f"{key} 4 to 6"}
    for run in batches:
        assert service.end(run["id"])["type"] == "COMPLETED"
    took = {worker for run in batches for worker in service.workers(run["id"])}
    assert took == {"worker-1", "elsewhere"}
    states = [service.tasks(run["id"]) for run in batches]
    embedded = [n for tasks in states for n, s in tasks.items() for _ in s if n.startswith("embed")]
    assert sorted(embedded) == [f"embed {number}" for number in range(1, 7)]
    wait_for(lambda: warehouse.exists() and run_status(Folder(job.workspace))["loaded"])
    status = run_status(Folder(job.workspace))
    assert (status["listed"], status["labelled"], status["missing"]) == (24, 17, 0)
    plain = small_job(f"{bucket}/archive", tmp_path / "plain", shard_size=4)
    label_plainly(plain, tmp_path / "scratch")
    assert content(warehouse) == content(plain.warehouse_path)


def test_a_killed_flow_process_is_started_again_and_does_only_what_is_missing(
    service: Service, archive: Path, tmp_path: Path
) -> None:
    job = small_job(archive, tmp_path / "workspace", shard_size=2)
    run = open_run(job)
    with service.slow():
        flow_run = service.start("label-archive", job=parameters(job))
        wait_for(lambda: len(done_shards(run.workspace, run.key)) >= 2)
    process_of(flow_run).kill()
    wait_for(lambda: service.state(flow_run)["type"] not in ("RUNNING", "PENDING"))
    done = len(done_shards(run.workspace, run.key))
    assert done < 12
    wait_for(lambda: service.state(flow_run)["type"] == "COMPLETED")
    message = service.state(flow_run)["message"]
    assert message.startswith(f"12 shards done, {12 - done} of them in this run")
    status = run_status(Folder(job.workspace))
    assert (status["listed"], status["labelled"], status["missing"]) == (24, 17, 0)


def test_a_worker_that_ends_by_itself_is_started_again(service: Service) -> None:
    (worker,) = (p for p in psutil.process_iter() if "worker-1" in words_of(p, service.home))
    worker.kill()
    wait_for(lambda: "worker-1 ended by itself" in (service.home / "log").read_text())
    wait_for(lambda: any("worker-1" in words_of(p, service.home) for p in psutil.process_iter()))


def test_the_server_put_no_event_aside(service: Service) -> None:
    # Prefect keeps here what it gave up handing to automations; see flows/lazsl_flows/messaging.py.
    assert not list((service.home / "home").glob("dlq/*"))


def test_secrets_are_in_no_log_parameter_or_artifact(service: Service) -> None:
    texts = [path.read_text() for path in (service.home / "home" / "logs").iterdir()]
    for path in ("flow_runs", "logs", "artifacts", "deployments", "block_documents"):
        texts.append(json.dumps(service.ask(f"{path}/filter", {"limit": 200})))
    assert len(texts) > 8 and all(len(text) > 2 for text in texts)
    assert not [text for text in texts if SECRET in text or service.key in text]


def test_the_service_and_its_workers_connected_to_this_machine_only(service: Service) -> None:
    count, outside = connections(service.home)
    assert count > 10
    assert not outside


LARGE = """
import pathlib, sys, time
data = bytearray(bytes(400_000_000))
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""


def test_a_part_that_ended_has_left_nothing_that_is_still_ending(tmp_path: Path) -> None:
    """A killed flow run with a model in memory is not gone at once."""
    (tmp_path / "logs").mkdir()
    ready = tmp_path / "ready"
    command = ("sh", "-c", f"{sys.executable} -c '{LARGE}' {ready} & wait")
    with _running("worker", command, dict(os.environ), tmp_path / "logs") as worker:
        wait_for(ready.exists)
    with pytest.raises(ProcessLookupError):
        os.killpg(worker.pid, 0)


def words_of(process: psutil.Process, home: Path) -> list[str]:
    """The command line of a worker of this service; nothing for other processes."""
    try:
        return process.cmdline() if str(home) in process.environ().get("PYTHONPATH", "") else []
    except psutil.Error:
        return []


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
