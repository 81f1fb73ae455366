"""The topology of compose.yaml without containers, and a worker that dies: `make drill`.

PostgreSQL from the distribution, a Prefect server on it, an S3 server over HTTP, two workers and a
loader, each a process of its own in a directory of its own; nothing is shared but the bucket. The
sample archive is put into the bucket and planned in batches. When the first shards are done, one
worker is killed for good with all that it runs. Its batch must be marked Crashed when its heartbeat
stops, be started again on the other worker, and the run must end complete, no shard embedded twice.
Takes about five minutes on two cores; needs `postgresql` (Debian: apt-get install postgresql).
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def main() -> int:
    """0 when the archive is labelled completely although a worker died."""
    argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0]).parse_args()
    if not BINARIES:
        sys.exit("the drill needs PostgreSQL; apt-get install postgresql")
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)

    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lazsl-drill-")))
        home.chmod(0o755)
        database = stack.enter_context(postgres(home / "postgres"))
        say("PostgreSQL runs")
        endpoint = stack.enter_context(s3_server())
        os.environ |= {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "drill",
            "AWS_SECRET_ACCESS_KEY": "drill-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "PREFECT_API_DATABASE_CONNECTION_URL": database,
            # One key for the server and the workers, which would be on other machines.
            "PREFECT_API_AUTH_STRING": f"drill:{secrets.token_urlsafe(24)}",
            "LAZSL_ARCHIVE": "s3://drill/archive",
            "LAZSL_LABELS": str(ROOT / "lazsl/fieldguide/sample/labels.json"),
            "LAZSL_MODEL": "fieldguide",
            "LAZSL_WORKSPACE": "s3://drill/work",
            "LAZSL_WAREHOUSE": str(home / "warehouse.duckdb"),
        }
        fill("s3://drill/archive")
        say("the sample archive is in the bucket")
        url = stack.enter_context(service(home))
        doomed = stack.enter_context(worker(home / "doomed", url))
        say(f"server on PostgreSQL, two workers, loader: {url}")
        api = Api(url, os.environ["PREFECT_API_AUTH_STRING"])
        api.start("plan-archive", {"job": {**api.job(), "shard_size": 16}, "batch_shards": 4})
        wait(lambda: api.done_shards() >= 2 and bool(api.running_on("doomed")))
        (lost,) = api.running_on("doomed")
        say(f"{api.done_shards()} shards are done; a worker is killed for good, and {lost} with it")
        kill_all(doomed)
        shown: set[str] = set()
        deadline = time.monotonic() + 900
        while not api.complete():
            if time.monotonic() > deadline:
                sys.exit("the drill waited too long")
            states = api.states()
            for line in sorted(states - shown):
                say(line)
            shown |= states
            time.sleep(1)
        wait(lambda: api.status()["loaded"])
        status = api.status()
        counts = {k: status[k] for k in ("listed", "labelled", "rejected", "missing", "shards")}
        embedded = api.embedded()
        twice = sorted(name for name, times in embedded.items() if times > 1)
        crashed = f"{lost}: Crashed (no heartbeat for 100 seconds; the worker is gone)" in shown
        say(f"complete: {counts}")
        say(f"{lost} was {'' if crashed else 'NOT '}marked Crashed when its heartbeat stopped")
        say(f"{len(embedded)} shards embedded; more than once: {', '.join(twice) or 'none'}")
        return 0 if status["missing"] == 0 and crashed and not twice else 1


class Api:
    """What the drill asks the Prefect server and the bucket."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = base64.b64encode(key.encode()).decode()

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {self.key}"}
        request = urllib.request.Request(f"{self.url}/api/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def job(self) -> dict[str, Any]:
        deployment = self.ask("deployments/name/plan-archive/plan-archive")
        return dict(deployment["parameters"]["job"])

    def start(self, name: str, parameters: dict[str, Any]) -> None:
        deployment = self.ask(f"deployments/name/{name}/{name}")
        self.ask(f"deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})

    def batches(self) -> list[dict[str, Any]]:
        return list(self.ask("flow_runs/filter", {"flows": {"name": {"any_": ["label-batch"]}}}))

    def states(self) -> set[str]:
        return {
            f"{run['name']}: {run['state']['name']} ({run['state']['message'] or ''})"
            for run in self.batches()
        }

    def running_on(self, worker: str) -> list[str]:
        """Names of the batches that a worker is at."""
        running = {b["id"]: b["name"] for b in self.batches() if b["state"]["type"] == "RUNNING"}
        filters = {"flow_run_id": {"any_": list(running)}, "text": {"query": f"'{worker}'"}}
        logs = self.ask("logs/filter", {"logs": filters}) if running else []
        return sorted({running[log["flow_run_id"]] for log in logs})

    def complete(self) -> bool:
        batches = self.batches()
        return bool(batches) and all(b["state"]["type"] == "COMPLETED" for b in batches)

    def embedded(self) -> Counter[str]:
        ids = [run["id"] for run in self.batches()]
        body = {"task_runs": {"flow_run_id": {"any_": ids}}, "limit": 200}
        tasks = [t for t in self.ask("task_runs/filter", body) if t["name"].startswith("embed ")]
        return Counter(t["name"] for t in tasks if t["state_type"] == "COMPLETED")

    def status(self) -> dict[str, Any]:
        from lazsl.run.status import run_status
        from lazsl.store.folder import Folder

        return run_status(
            Folder(os.environ["LAZSL_WORKSPACE"]), None, Path(os.environ["LAZSL_WAREHOUSE"])
        )

    def done_shards(self) -> int:
        from lazsl.store import paths
        from lazsl.store.folder import Folder

        folder = Folder(os.environ["LAZSL_WORKSPACE"])
        return sum(len(paths.done_shards(folder, run)) for run in paths.runs(folder))


def fill(archive: str) -> None:
    """The sample archive in a bucket of its own."""
    import boto3

    from lazsl.fieldguide import IMAGES_DIR
    from lazsl.store.folder import Folder

    boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).create_bucket(Bucket="drill")
    folder = Folder(archive)
    for file in sorted(IMAGES_DIR.rglob("*")):
        if file.is_file():
            folder.write_bytes(file.relative_to(IMAGES_DIR).as_posix(), file.read_bytes())


def kill_all(worker: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the worker and to all that it started, at once."""
    import psutil

    parent = psutil.Process(worker.pid)
    for process in [parent, *parent.children(recursive=True)]:
        process.kill()
    worker.wait()


@contextmanager
def postgres(place: Path) -> Iterator[str]:
    """A PostgreSQL of our own on a free port; its URL as Prefect takes it."""
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    place.mkdir()
    if os.geteuid() == 0:
        shutil.chown(place, user)
    as_user = ["runuser", "-u", user, "--"] if os.geteuid() == 0 else []
    port = free_port()
    run([*as_user, BINARIES[-1] / "initdb", "-D", place / "data", "-A", "trust"], place)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {place}"
    control = [*as_user, BINARIES[-1] / "pg_ctl", "-D", place / "data", "-l", place / "log", "-w"]
    run([*control, "-o", options, "start"], place)
    try:
        run([*as_user, BINARIES[-1] / "createdb", "-h", place, "-p", str(port), "prefect"], place)
        yield f"postgresql+asyncpg://{user}@127.0.0.1:{port}/prefect"
    finally:
        run([*control, "-m", "immediate", "stop"], place)


@contextmanager
def s3_server() -> Iterator[str]:
    """An S3 server over HTTP in a process of its own; its URL."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait(lambda: answers(f"http://127.0.0.1:{port}/moto-api/"))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def service(home: Path) -> Iterator[str]:
    """`make serve`; its URL."""
    port = free_port()
    command = [sys.executable, "-m", "lazsl_flows.serve", f"--port={port}"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'flows'}", "OMP_NUM_THREADS": "1"}
    with (home / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [*command, f"--home={home / 'serve'}"],
            cwd=home,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        wait(lambda: "lazsl serves" in (home / "serve.log").read_text() or bool(process.poll()))
        if process.poll() is not None:
            sys.exit((home / "serve.log").read_text())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextmanager
def worker(place: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """One more worker, as on a machine of its own: named after its directory."""
    place.mkdir()
    command = [Path(sys.executable).with_name("prefect"), "worker", "start", "--pool", "lazsl"]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'flows'}",
        "OMP_NUM_THREADS": "1",
        "PREFECT_HOME": str(place / "home"),
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }
    environment.pop("PREFECT_API_DATABASE_CONNECTION_URL")
    with (place / "worker.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--name", place.name, "--limit", "1"],
            cwd=place,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def run(command: list[Any], place: Path) -> None:
    """Run to the end, quietly; what went wrong is shown."""
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command} failed: {done.stderr or done.stdout}")


def wait(ready: Callable[[], bool], seconds: float = 300) -> None:
    """Until it is so."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            sys.exit("the drill waited too long")
        time.sleep(0.5)


def answers(url: str) -> bool:
    """True when something is there."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
