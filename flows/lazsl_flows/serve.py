"""A whole labelling service on this machine: `lazsl serve`.

Server, work pools, deployments and workers, on loopback only. Ctrl-C or SIGTERM ends all of them.
Whoever uses it needs the key that the first start puts into `api-key` in the home: Prefect's API
runs commands as this user, and all users and web pages of the machine can reach loopback.
All that the service writes is readable by its user alone.
Without an archive in the environment (LAZSL_ARCHIVE, LAZSL_LABELS, ...) the deployments are set to
label the embedded sample archive with the embedded model.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from lazsl import fieldguide
from lazsl.errors import UserError
from lazsl.store.private import UMASK, close_to_others, kept_key, private_folder
from lazsl_flows import recording

_HERE = Path(__file__).resolve().parent
INFRA = next(
    (place for place in (_HERE / "infra", _HERE.parent.parent / "infra") if place.is_dir()),
    _HERE / "infra",
)
PREFECT_FILE = INFRA / "prefect.yaml"
AUTOMATIONS = INFRA / "automations.yaml"
POOLS = ("lazsl", "lazsl-loader")
KEY_FILE = "api-key"
"""In the home; its text is what the server asks of everybody (Prefect's `auth_string`)."""
_BETWEEN_LOOKS = 3.0  # seconds; a worker that dies at once is not started more often
_ENDING = 10.0
"""Seconds that what was killed may take to be gone."""


def main() -> int:
    """`python -m lazsl_flows.serve`; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--port", type=int, default=4200, help="of the server (4200)")
    parser.add_argument("--workers", type=int, default=1, help="that label batches (1)")
    parser.add_argument("--home", type=Path, default=Path(".prefect"), help="database and logs")
    given = parser.parse_args()
    return serve(given.port, given.workers, given.home)


def serve(port: int, workers: int, home: Path) -> int:
    """Serve until the process is told to stop; the exit status.

    Args:
        port: of the server, on loopback.
        workers: how many label batches.
        home: folder of the database, the logs and the key; made if need be.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    os.umask(UMASK)
    try:
        with ExitStack() as stack:
            url = f"http://127.0.0.1:{port}"
            home = private_folder(home.resolve())
            close_to_others(home)
            key, advice = _key(home)
            environment = _environment(home, url, key)
            logs = private_folder(home / "logs")
            if _answers(f"{url}/api/health"):
                print(f"lazsl: port {port} is taken; use --port", file=sys.stderr)
                return 2
            server_start = (sys.executable, "-m", "lazsl_flows.offline_server", "start")
            start = (*server_start, "--host", "127.0.0.1", "--port", str(port))
            server_only = _server_environment(environment, port, key)
            server = stack.enter_context(_running("server", start, server_only, logs))
            _wait(url, server, logs)
            for pool in POOLS:
                create = ("work-pool", "create", pool, "--type", "process", "--overwrite")
                _prefect(create, environment, logs)
            deploy = ("--no-prompt", "deploy", "--all", "--prefect-file", str(PREFECT_FILE))
            _prefect(deploy, environment, logs)
            _run(
                [sys.executable, "-m", "lazsl_flows.automations", str(AUTOMATIONS)],
                environment,
                logs,
            )
            names = {f"worker-{n}": "lazsl" for n in range(1, workers + 1)}
            # One flow run at a time: two in one worker would share the processor or the GPU.
            work = (_command(), "worker", "start", "--limit", "1")
            commands = {
                name: (*work, "--pool", pool, "--name", name)
                for name, pool in {**names, "loader": "lazsl-loader"}.items()
            }
            running = {
                name: stack.enter_context(_running(name, command, environment, logs))
                for name, command in commands.items()
            }
            print(f"\nlazsl serves at {url}; deployments: {url}/deployments", flush=True)
            print(f"{advice}; logs in {logs}; Ctrl-C stops everything", flush=True)
            while server.poll() is None:
                time.sleep(_BETWEEN_LOOKS)
                for name in [name for name, worker in running.items() if worker.poll() is not None]:
                    print(f"lazsl: {name} ended by itself and is started again", file=sys.stderr)
                    restarted = _running(name, commands[name], environment, logs)
                    running[name] = stack.enter_context(restarted)
            print(f"lazsl: the server ended by itself; see {logs}", file=sys.stderr)
            return 1
    except KeyboardInterrupt:
        return 0
    except UserError as error:
        print(f"lazsl: {error}", file=sys.stderr)
        return 2


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _key(home: Path) -> tuple[str, str]:
    """What the server asks of everybody, and a sentence that says where it is."""
    for name in ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"):
        if os.environ.get(name):
            return os.environ[name], f"the key it asks for is what {name} holds"
    file = home / KEY_FILE
    return kept_key(file), f"its pages ask for a key: cat {shlex.quote(str(file))}"


def _server_environment(environment: dict[str, str], port: int, key: str) -> dict[str, str]:
    """What the server alone is told: what to ask for, and whose pages may call it."""
    pages = f"http://127.0.0.1:{port},http://localhost:{port}"
    return {
        **environment,
        "PREFECT_SERVER_API_AUTH_STRING": key,
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": pages,
    }


def _environment(home: Path, url: str, key: str) -> dict[str, str]:
    workspace = os.environ.get("LAZSL_WORKSPACE", str(Path("workspace").resolve()))
    local = "://" not in workspace
    defaults = {
        "LAZSL_ARCHIVE": str(fieldguide.IMAGES_DIR),
        "LAZSL_LABELS": str(fieldguide.LABELS_FILE),
        "LAZSL_WORKSPACE": workspace,
        "LAZSL_WAREHOUSE": str(Path(workspace if local else ".").resolve() / "warehouse.duckdb"),
        "LAZSL_MODEL": "fieldguide",
        # Flow runs of more than 90 days ago leave the database (110 kB a shard).
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        **recording.TOGETHER,
    }
    if "LAZSL_ARCHIVE" in os.environ:
        del defaults["LAZSL_LABELS"], defaults["LAZSL_MODEL"]
    settings = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_API_AUTH_STRING": key,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        # The server's database is SQLite, which is busy now and then.
        "PREFECT_SERVER_EVENTS_MESSAGING_BROKER": "lazsl_flows.messaging",
        # Who holds the place of a deployment that goes one at a time is known after a restart, too:
        # forgotten, a load that was stopped would keep the place for good.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
            "prefect.server.concurrency.lease_storage.filesystem"
        ),
        "DO_NOT_TRACK": "1",
    }
    return {**defaults, **os.environ, **settings}


@contextmanager
def _running(
    name: str, command: tuple[str, ...], environment: dict[str, str], logs: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A part of the service; when the block ends, it and all that it started are gone."""
    place = private_folder(logs.parent / "work") / name
    place.mkdir(exist_ok=True)
    with (logs / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _signal(process, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            print(f"lazsl: {name} does not end; it is killed", file=sys.stderr)
        _signal(process, signal.SIGKILL)
        process.wait()
        _wait_for_session(process.pid)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To the process and all of its session's; flow runs are children of their worker."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _wait_for_session(leader: int) -> None:
    """Wait for what was killed: the system takes its time over a process with a model in memory."""
    deadline = time.monotonic() + _ENDING
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(leader, 0)
            time.sleep(0.02)


def _prefect(arguments: tuple[str, ...], environment: dict[str, str], logs: Path) -> None:
    _run([_command(), *arguments], environment, logs)


def _run(command: list[str], environment: dict[str, str], logs: Path) -> None:
    """Run a command to its end; what it says goes to the log, unless it fails."""
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    with (logs / "deploy.log").open("a") as log:
        log.write(done.stdout + done.stderr)
    if done.returncode:
        output = (done.stderr.strip() or done.stdout.strip())[-500:]
        raise SystemExit(f"lazsl: {' '.join(command[:4])} failed: {output}")


def _command() -> str:
    """The `prefect` that belongs to this Python."""
    beside = Path(sys.executable).with_name("prefect")
    return str(beside) if beside.exists() else str(shutil.which("prefect"))


def _wait(url: str, server: subprocess.Popen[bytes], logs: Path) -> None:
    deadline = time.monotonic() + 180
    while not _answers(f"{url}/api/health"):
        if server.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"lazsl: the server did not start; see {logs / 'server.log'}")
        time.sleep(0.3)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
