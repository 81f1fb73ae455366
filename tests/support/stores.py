"""Fixtures: real stores, servers and browsers, and runs that several tests share.

The process that only hands out tests does without these, which take seconds to import.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
import torch
import typer.testing
from defined_once import defining_once
from embedded_once import embedding_once
from filelock import FileLock
from installed import build_wheel
from matplotlib.figure import Figure
from moto.server import ThreadedMotoServer
from playwright.sync_api import Browser, sync_playwright
from prefect import settings as prefect_settings
from processes import made_once, shared_folder
from s3 import FaultyS3
from s3fs import S3FileSystem
from sample import copy_sample, label_plainly, small_job
from warm_python import WarmPython

from lazsl import fieldguide
from lazsl.run.run import Run, open_run


@pytest.fixture(scope="module", autouse=True)
def embedded_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """Crops and sentences are embedded once, where how they are is not what is tested."""
    with embedding_once(request.path.parent.name, request.path.stem):
        yield


@pytest.fixture(scope="module", autouse=True)
def defined_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """Empty warehouses are defined once, where how they are is not what is tested."""
    with defining_once(request.path.stem):
        yield


@pytest.fixture(scope="session", autouse=True)
def commands_once() -> Iterator[None]:
    """The commands are made from their functions once, not every time that one is called."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.testing, "_get_command", cache(typer.testing._get_command))
        yield


@pytest.fixture(scope="session", autouse=True)
def loosely_packed() -> Iterator[None]:
    """Plots show what they show in larger files, which are written in half of the time."""
    save = Figure.savefig

    def savefig(figure: Figure, file: Any, **options: Any) -> None:
        if options.get("format") == "png":
            packing = {"compress_level": 1, "optimize": False}
            options["pil_kwargs"] = {**options.get("pil_kwargs", {}), **packing}
        save(figure, file, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        yield


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """On a busy machine two threads wait for each other longer than small products take."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """URL of an S3 server on a free port of this machine; the environment points at it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test-key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        # The client's own retries would hide ours, and take long on an endpoint that is not there.
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        S3FileSystem.clear_instance_cache()
        yield f"http://{host}:{port}"
    S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture
def bucket(s3_server: str) -> str:
    """URL of a fresh bucket."""
    name = f"b-{uuid.uuid4().hex}"
    boto3.client("s3", endpoint_url=s3_server).create_bucket(Bucket=name)
    return f"s3://{name}"


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a folder that does not exist yet: on the local disk, then in a bucket."""
    if request.param == "local":
        return str(tmp_path / "place")
    return f"{request.getfixturevalue('bucket')}/place"


@pytest.fixture
def s3_endpoint(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Points the environment at another S3 endpoint until the test ends."""

    def point(url: str) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        # Clients keep the endpoint they were made with.
        S3FileSystem.clear_instance_cache()

    yield point
    S3FileSystem.clear_instance_cache()


@pytest.fixture
def faulty_s3(s3_server: str, s3_endpoint: Callable[[str], None]) -> Iterator[FaultyS3]:
    """The S3 server behind a proxy that breaks on demand; the environment points at the proxy."""
    proxy = FaultyS3(s3_server)
    s3_endpoint(proxy.url)
    yield proxy
    proxy.stop()


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished, loaded run of 36 birds and the odd files with truth, to be read only."""
    # Processes of one suite share it: the first makes it, the others find it.
    home = shared_folder(tmp_path_factory) / "labelled"
    with FileLock(f"{home}.lock"):
        job = small_job(
            copy_sample(home / "archive", 36),
            home / "workspace",
            regions={"count": 24},
            shard_size=16,
            truth=str(fieldguide.TRUTH_FILE),
        )
        if job.warehouse_path.exists():
            return open_run(job)
        return label_plainly(job, home / "scratch")


@pytest.fixture(scope="session")
def warm_python() -> Iterator[WarmPython]:
    """A Python that has imported the large libraries, and runs programs in copies of itself."""
    python = WarmPython()
    yield python
    python.close()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product's wheel."""
    folder = shared_folder(tmp_path_factory) / "wheel"
    with FileLock(f"{folder}.lock"):
        return next(folder.glob("*.whl"), None) or build_wheel(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium. Closed after each module: its event loop would be in others' way."""
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next((path for name in names if (path := shutil.which(name))), None)
    if executable is None:
        if os.environ.get("CI"):
            pytest.fail("CI tests pages in a real browser, but there is no chromium")
        pytest.skip("needs Chromium: apt-get install chromium")
    flags = (
        "--no-sandbox --disable-gpu --disable-quic --no-first-run "
        "--disable-background-networking --disable-component-update --disable-sync"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags.split())
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Makes a folder a home of Prefect whose database has its tables: making them takes seconds."""
    made = shared_folder(tmp_path_factory) / "prefect-database"
    with FileLock(f"{made}.lock"):
        if not (made / "prefect.db").exists():
            command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
            kept = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
            subprocess.run(
                command, env=kept | {"PREFECT_HOME": str(made)}, check=True, capture_output=True
            )

    def home(folder: Path) -> Path:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(made / "prefect.db", folder / "prefect.db")
        return folder

    return home


@pytest.fixture(scope="session")
def prefect_server(
    tmp_path_factory: pytest.TempPathFactory, prefect_home: Callable[[Path], Path]
) -> Iterator[str]:
    """URL of a real Prefect server of our own; the environment and this process point at it."""
    made_once("Prefect server", tmp_path_factory)
    home = prefect_home(tmp_path_factory.mktemp("prefect"))
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "DO_NOT_TRACK": "1",
        # Seconds of every run; tests/flows/test_service.py looks at the pictures.
        "LAZSL_EVIDENCE": "off",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
        log = (home / "server.log").open("w")
        server = subprocess.Popen([*command, "--port", str(port)], stdout=log, stderr=log)
        deadline = time.monotonic() + 180
        while not _answers(f"{url}/health"):
            assert server.poll() is None and time.monotonic() < deadline, "no Prefect server"
            time.sleep(0.2)
        settings = {
            getattr(prefect_settings, name): value
            for name, value in environment.items()
            if hasattr(prefect_settings, name)
        }
        with prefect_settings.temporary_settings(settings):
            yield url
        server.terminate()
        server.wait(30)
        log.close()


@pytest.fixture
def unused_port() -> int:
    """A port of this machine that nothing listens on."""
    return _free_port()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
