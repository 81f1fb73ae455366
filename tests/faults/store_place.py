"""The same small archive, with its workspace, in a bucket of a real S3 server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from place import THETAS, Content, Place, make_archive
from s3 import FaultyS3
from s3fs import S3FileSystem

_SERVER = """
import logging, sys, time
from moto.server import ThreadedMotoServer
logging.disable(logging.CRITICAL)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class StorePlace(Place):
    """A place whose archive and workspace are in a bucket of a server, a process of its own."""

    server: str = ""
    process: int = 0

    @property
    def archive(self) -> str:
        return "s3://faults/archive"

    @property
    def workspace(self) -> str:
        return "s3://faults/workspace"

    @contextmanager
    def through(self, kinds: list[int]) -> Iterator[FaultyS3]:
        """A proxy that disturbs; 0 disturbs nothing."""
        proxy = FaultyS3(self.server)
        proxy.every_first = kinds
        point_at(proxy.url)
        try:
            yield proxy
        finally:
            proxy.stop()
            point_at(self.server)

    def put_back(self, labelled: bool) -> None:
        store = S3FileSystem()
        if store.exists("faults/workspace"):
            store.rm("faults/workspace", recursive=True)
        super().put_back(labelled=False)


def point_at(endpoint: str) -> None:
    """Have every S3 client use an endpoint."""
    os.environ["AWS_ENDPOINT_URL"] = endpoint
    S3FileSystem.clear_instance_cache()


def make_store_place(home: Path) -> tuple[StorePlace, dict[bool, Content]]:
    """The place, not labelled, and what its warehouse holds once it is labelled and relabelled."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    server = f"http://{process.stdout.readline().strip()}"
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "faults",
        "AWS_SECRET_ACCESS_KEY": "faults",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }
    point_at(server)
    local = make_archive(home)
    store = S3FileSystem()
    store.mkdir("faults")
    store.put(local.archive, "faults/archive", recursive=True)
    place = StorePlace(home, server, process.pid)
    _SERVERS.append(process)
    place.label()
    place.relabel(THETAS[1])
    return place, {False: place.content()}


_SERVERS: list[subprocess.Popen[str]] = []


def stop_servers() -> None:
    """End the servers of this process."""
    for process in _SERVERS:
        process.kill()
        process.wait()
    _SERVERS.clear()
