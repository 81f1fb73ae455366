"""A service of its own to measure: `lazsl serve`, a run of a deployment, and the page of the run.

All is seen from outside, as an operator could: processes, completion markers in the workspace, what
Prefect's API says, what Chromium shows.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

_EVERY = 2.0
"""Seconds between two looks at processes and markers."""
_ASKED_EVERY = 20.0
"""Seconds between two questions to Prefect's server."""
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_STILL = 180.0
"""Seconds without a change after which Prefect's page is said to be never complete."""


@dataclass
class Service:
    """A service of this machine in a home of its own."""

    url: str
    key: str
    process: psutil.Process
    client: httpx.Client

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """What the API answers; asked again where the server is too busy."""
        for _ in range(30):
            with suppress(httpx.TransportError):
                method = "GET" if body is None else "POST"
                answer = self.client.request(method, f"{self.url}/api/{path}", json=body)
                if answer.status_code != 503:
                    answer.raise_for_status()
                    return answer.json()
            time.sleep(1)
        raise RuntimeError(f"Prefect's server is too busy to answer {path}")

    def start(self, deployment: str, **parameters: Any) -> str:
        """The id of a new run of a deployment."""
        entry = self.ask(f"deployments/name/{deployment}/{deployment}")
        asked = {"parameters": parameters}
        return str(self.ask(f"deployments/{entry['id']}/create_flow_run", asked)["id"])

    def is_idle(self) -> bool:
        """True when no flow run waits or runs."""
        waiting = {"state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING"]}}}
        return int(self.ask("flow_runs/count", {"flow_runs": waiting})) == 0

    def began_and_ended(self) -> tuple[datetime, datetime]:
        """When the first flow run began, and the last one ended."""
        first = {"sort": "START_TIME_ASC", "limit": 1}
        last = {"sort": "END_TIME_DESC", "limit": 1}
        began = self.ask("flow_runs/filter", first)[0]["start_time"]
        ended = self.ask("flow_runs/filter", last)[0]["end_time"]
        return datetime.fromisoformat(began), datetime.fromisoformat(ended)

    def count(self, states: list[str]) -> int:
        """Task runs that the server's database has in these states."""
        asked = {"task_runs": {"state": {"type": {"any_": states}}}} if states else {}
        return int(self.ask("task_runs/count", asked))


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    """`lazsl serve` on a free port; at the end it and all that it started are gone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    others = ("PREFECT_", "LAZSL_")
    surroundings = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(others) or name == "LAZSL_FIELDGUIDE"
    }
    surroundings |= {"LAZSL_EVIDENCE": "off", "LAZSL_WORKSPACE": str(folder / "workspace")}
    command = [sys.executable, "-m", "lazsl_flows.serve"]
    command += [f"--port={port}", f"--home={folder / 'home'}"]
    with (folder / "serve.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=surroundings, stdout=log, stderr=log, start_new_session=True
        )
    try:
        while "lazsl serves at" not in (folder / "serve.log").read_text():
            if process.poll() is not None:
                raise RuntimeError((folder / "serve.log").read_text())
            time.sleep(0.5)
        key = (folder / "home" / "api-key").read_text().strip()
        user, _, password = key.partition(":")
        unkept = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(timeout=120, limits=unkept, auth=(user, password)) as client:
            url = f"http://127.0.0.1:{port}"
            yield Service(url, key, psutil.Process(process.pid), client)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


@dataclass
class Watched:
    """What processes of flow runs and of the server took so far."""

    service: Service
    spent: dict[int, float] = field(default_factory=dict)
    """Seconds of the processor of every flow run's process, ended ones too."""
    known: dict[int, psutil.Process] = field(default_factory=dict)
    server: psutil.Process | None = None

    def look(self) -> dict[str, float]:
        """MiB of the largest process of a flow run, processor seconds of all, and the server's."""
        memory = 0.0
        for process in self.service.process.children(recursive=True):
            with suppress(psutil.Error):
                if process.pid not in self.known:
                    self._know(process)
                if process.pid in self.spent:
                    times = process.cpu_times()
                    self.spent[process.pid] = times.user + times.system
                    memory = max(memory, process.memory_info().rss / 2**20)
        taken = {"mib": memory, "processor": sum(self.spent.values())}
        if self.server is not None:
            times = self.server.cpu_times()
            taken["server_mib"] = self.server.memory_info().rss / 2**20
            taken["server_processor"] = times.user + times.system
        return taken

    def _know(self, process: psutil.Process) -> None:
        command = process.cmdline()
        # Until it has become the program that it is to be, it is called as its parent is.
        if command == self.service.process.cmdline():
            return
        self.known[process.pid] = process
        if "lazsl_flows.offline_server" in command and self.server is None:
            self.server = process
        elif "PREFECT__FLOW_RUN_ID" in process.environ():
            self.spent[process.pid] = 0.0


def markers(workspace: Path) -> int:
    """Shards that are done: markers in a workspace with one run."""
    return sum(1 for _ in workspace.glob("runs/*/shards/*.json"))


def follow(service: Service, flow_run: str, workspace: Path, shards: int) -> dict[str, Any]:
    """What was seen of a run, and of all that it started, until Prefect's database had the last
    of its tasks."""
    watched = Watched(service)
    step, noted, points, behind = max(1, shards // 16), 0, [], []
    started = asked = time.monotonic()
    peak: dict[str, float] = {}
    while True:
        now = watched.look()
        done = markers(workspace)
        moment = time.monotonic()
        peak = {name: max(value, peak.get(name, 0.0)) for name, value in now.items()}
        if done // step > noted:
            noted = done // step
            points.append({"shards": done, "seconds": moment - started, **now})
        if moment > asked + _ASKED_EVERY or done >= shards:
            asked = moment
            entered = service.count(["COMPLETED"]) / 3
            behind.append({"shards": done, "seconds": moment - started, "recorded": entered, **now})
            if service.is_idle():
                break
        time.sleep(_EVERY)
    began, ended = service.began_and_ended()
    run = service.ask(f"flow_runs/{flow_run}")
    return {
        "state": run["state"]["type"],
        "message": run["state"]["message"],
        "seconds": (ended - began).total_seconds(),
        "points": points,
        "behind": behind,
        "peak": peak,
        "processes": len(watched.spent),
        **recorded(service, ended, 3 * shards),
        "server_processor": watched.look()["server_processor"],
    }


def recorded(service: Service, ended: datetime, tasks: int) -> dict[str, Any]:
    """How many seconds after the end Prefect's database has all task runs, so many at least, as
    completed ones; or stays as it is."""
    last, before = datetime.now(UTC), (-1, -1)
    while (datetime.now(UTC) - last).total_seconds() < _STILL:
        now = service.count([]), service.count(["COMPLETED"])
        if now != before:
            before, last = now, datetime.now(UTC)
        if now[0] == now[1] >= tasks:
            break
        time.sleep(1)
    lag = (last - ended).total_seconds()
    return {"lag": lag, "tasks": before[0], "completed": before[1]}


def page(service: Service, flow_run: str, picture: Path) -> dict[str, float]:
    """Seconds until the page of a run shows its name, and its list of tasks after a click; pictures
    of both lie beside each other."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        sheet = browser.new_page(viewport={"width": 1400, "height": 1000})
        sheet.set_default_timeout(180_000)
        sheet.goto(f"{service.url}/deployments")
        sheet.locator("input[type=password]").fill(service.key)
        sheet.get_by_role("button", name="Login").click()
        sheet.get_by_text("label-archive").first.wait_for()
        name = service.ask(f"flow_runs/{flow_run}")["name"]
        started = time.perf_counter()
        sheet.goto(f"{service.url}/runs/flow-run/{flow_run}")
        sheet.get_by_text(name).first.wait_for()
        named = time.perf_counter() - started
        sheet.wait_for_timeout(5000)
        sheet.screenshot(path=picture.with_suffix(".first.png"))
        clicked = time.perf_counter()
        sheet.get_by_text("Task Runs", exact=True).first.click()
        # As the list has it, and no log does: with the shard behind it.
        sheet.get_by_text(re.compile(r"^(stage|embed|score) \d+ \(")).first.wait_for()
        listed = time.perf_counter() - clicked
        sheet.wait_for_timeout(1000)
        sheet.screenshot(path=picture)
        browser.close()
    return {"name": named, "list": listed}
