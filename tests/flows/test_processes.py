"""Commands as processes of their own, with the temporary Prefect server that they start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sample import content, copy_sample, label_plainly, small_job
from warm_python import ROOT, Program, WarmPython

from lazsl.run.run import open_run
from lazsl.store import paths

PATIENCE = 120.0
"""Seconds that an end may take on a machine that does much else: what ends at all ends by then."""
SOON = 20.0
"""Seconds within which a command says what keeps Prefect from starting."""


class Here:
    """A small archive, a workspace, and an environment without any Prefect server."""

    def __init__(self, home: Path, pictures: int, python: WarmPython) -> None:
        self.home = home
        self.python = python
        self.job = small_job(
            copy_sample(home / "archive", pictures, odd=False), home / "workspace", shard_size=2
        )
        self.temporary = home / "tmp"
        self.temporary.mkdir()
        kept = {k: v for k, v in os.environ.items() if "PROXY" not in k.upper()}
        kept.pop("PREFECT_API_URL", None)
        self.environment = kept | {"PREFECT_HOME": str(home / "prefect")}
        self.environment["TMPDIR"] = str(self.temporary)

    @property
    def command(self) -> list[str]:
        job = self.job
        options = f"--labels={job.labels} --workspace={job.workspace} --model=fieldguide"
        options += " --regions=12 --shard-size=2 --device=cpu"
        return ["-m", "lazsl.cli", "label", job.archive, *options.split()]

    def start(self, **environment: str) -> Program:
        return self.python.start(*self.command, environment=self.environment | environment)

    def run(self, **environment: str) -> tuple[int, str]:
        """Exit status, and what was said."""
        process = self.start(**environment)
        out, err = process.communicate(timeout=240)
        return process.wait(), " ".join((out + err).split())

    def servers(self) -> list[psutil.Process]:
        """Temporary servers of this home that still live."""
        actual = []
        for process in psutil.process_iter():
            try:
                home = process.environ().get("PREFECT_HOME")
                if home == self.environment["PREFECT_HOME"]:
                    actual.append(process)
            except (psutil.Error, OSError):
                continue
        return [process for process in actual if process.status() != psutil.STATUS_ZOMBIE]

    def none_left(self, within: float) -> bool:
        deadline = time.monotonic() + within
        while self.servers():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True

    def until_done(self, process: Program, shards: int) -> None:
        run = open_run(self.job)
        deadline = time.monotonic() + 180
        while len(paths.done_shards(run.workspace, run.key)) < shards:
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.02)


@pytest.fixture
def here(tmp_path: Path, warm_python: WarmPython) -> Iterator[Here]:
    made = Here(tmp_path, 4, warm_python)
    yield made
    for process in made.servers():
        process.kill()


def test_a_killed_command_leaves_no_process_and_the_next_one_no_file(
    tmp_path: Path, prefect_home: Callable[[Path], Path], warm_python: WarmPython
) -> None:
    """SIGKILL of the process alone, as for want of memory; then SIGTERM; then to the end, where a
    proxy that does not answer is named in the environment."""
    here = Here(tmp_path, 18, warm_python)
    prefect_home(Path(here.environment["PREFECT_HOME"]))
    process = here.start()
    here.until_done(process, 2)
    assert here.servers()
    process.kill()
    process.wait()
    assert here.none_left(within=PATIENCE)
    assert [path.name for path in here.temporary.glob("lazsl-*")], "nothing can sweep after SIGKILL"

    process = here.start()
    here.until_done(process, 4)
    process.terminate()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "stopped; run the same command again" in err and "Traceback" not in err
    assert here.none_left(within=PATIENCE)
    assert list(here.temporary.glob("lazsl-*")) == [], "the killed one's folder is swept too"

    nobody = "http://127.0.0.1:9"
    status, result = here.run(HTTP_PROXY=nobody, http_proxy=nobody, ALL_PROXY=nobody)
    assert status == 0, result
    assert here.none_left(within=PATIENCE) and list(here.temporary.glob("lazsl-*")) == []
    plain = small_job(here.job.archive, tmp_path / "plain", shard_size=2)
    label_plainly(plain, tmp_path / "scratch")
    assert content(here.job.warehouse_path) == content(plain.warehouse_path)


def broken_database(here: Here) -> dict[str, str]:
    """A file that was a database."""
    home = Path(here.environment["PREFECT_HOME"])
    home.mkdir(mode=0o700)
    (home / "prefect.db").write_bytes(b"SQLite format 3\0" + b"U" * 8192)
    return {}


def newer_database(here: Here) -> dict[str, str]:
    """A database of a Prefect that this one does not know: the server itself must refuse it."""
    import sqlite3

    home = Path(here.environment["PREFECT_HOME"])
    home.mkdir(mode=0o700)
    with sqlite3.connect(home / "prefect.db") as database:
        database.execute("create table alembic_version (version_num varchar(32))")
        database.execute("insert into alembic_version values ('of a later Prefect')")
    database.close()
    return {}


def dead_server(here: Here) -> dict[str, str]:
    return {"PREFECT_API_URL": "http://127.0.0.1:9/api"}


def dead_server_behind_a_proxy(here: Here) -> dict[str, str]:
    return {"PREFECT_API_URL": "http://prefect.invalid/api", "HTTP_PROXY": "http://127.0.0.1:9"}


def unusable_proxy(here: Here) -> dict[str, str]:
    return {"ALL_PROXY": "nonsense://127.0.0.1:9"}


def home_that_is_closed(here: Here) -> dict[str, str]:
    """/proc refuses folders to root as well."""
    return {"PREFECT_HOME": "/proc/prefect"}


CASES: dict[Callable[[Here], dict[str, str]], str] = {
    broken_database: "prefect.db cannot be used",
    newer_database: "cannot start: Can't locate revision",
    dead_server: "PREFECT_API_URL",
    dead_server_behind_a_proxy: "through the proxy in HTTP_PROXY",
    unusable_proxy: "the proxy in ALL_PROXY cannot be used",
    home_that_is_closed: "/proc/prefect",
}


START = """
import json, time
from lazsl.errors import UserError
from lazsl_flows.temporary_server import keep_to_this_command, starting_api

started, sentence = time.monotonic(), ""
try:
    keep_to_this_command()
    with starting_api() as wait:
        wait()
except UserError as error:
    sentence = str(error)
print(json.dumps([sentence, time.monotonic() - started]))
"""


Start = Callable[..., tuple[str, float]]


@pytest.fixture
def start_prefect(here: Here, warm_python: WarmPython) -> Start:
    """What a start of Prefect says, and after how many seconds; the imports are not counted."""

    def start(**environment: str) -> tuple[str, float]:
        status, out, err = warm_python.run(
            "-c", START, environment=here.environment | environment, timeout=PATIENCE * 2
        )
        assert status == 0, err
        sentence, seconds = json.loads(out)
        return sentence, seconds

    return start


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_what_keeps_prefect_from_starting_is_named_within_seconds(
    case: Callable[[Here], dict[str, str]], here: Here, start_prefect: Start
) -> None:
    output, seconds = start_prefect(**case(here))
    assert CASES[case] in output and "try again" not in output, output
    # A server that is started and refuses must be imported first, which a busy machine takes long
    # for; nothing waits for a timeout.
    assert seconds < (60 if case is newer_database else SOON)
    assert here.none_left(within=10)


def test_a_command_says_it_in_one_sentence(here: Here) -> None:
    done = subprocess.run(
        [sys.executable, *here.command],
        cwd=ROOT,
        env=here.environment | dead_server(here),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    result = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 2 and "Traceback" not in result
    assert "no Prefect server answers at" in result


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_is_named(here: Here, start_prefect: Start) -> None:
    home = Path(here.environment["PREFECT_HOME"])
    home.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(home)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.decode()}")
    try:
        (home / "full").write_bytes(bytes(1_800_000))
        output, seconds = start_prefect()
        assert f"home {home} cannot be written: No space left" in output and seconds < SOON, output
    finally:
        subprocess.run(["umount", str(home)], check=True)


def test_the_database_is_mended_as_the_sentence_says(here: Here, start_prefect: Start) -> None:
    broken_database(here)
    (Path(here.environment["PREFECT_HOME"]) / "prefect.db").rename(here.home / "away.db")
    output, _ = start_prefect()
    assert output == "" and here.none_left(within=PATIENCE)
