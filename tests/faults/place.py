"""A small archive that was labelled once, to be copied and damaged as often as one likes."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.server import ThreadedMotoServer
from s3 import FaultyS3
from s3fs import S3FileSystem
from sample import content, copy_sample, label_plainly, small_job

from lazsl.run import steps
from lazsl.run.run import open_relabelling, open_run, record_run
from lazsl.settings import Job
from lazsl.store.folder import Folder
from lazsl.warehouse import publishing

PICTURES = 8
CHANGES: dict[str, Any] = {"scoring": {"theta": 0.5}}
Content = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Place:
    """A folder with `archive`, `workspace` and, loaded from it, `warehouse.duckdb`."""

    home: Path

    @property
    def workspace(self) -> Path:
        return self.home / "workspace"

    @property
    def archive(self) -> Path:
        return self.home / "archive"

    def job(self, **changes: Any) -> Job:
        values = {"regions": {"count": 6}, "shard_size": 4, "device": "cpu", **changes}
        values.setdefault("warehouse", str(self.home / "warehouse.duckdb"))
        return small_job(*self.where, **values)

    @property
    def where(self) -> tuple[str, str]:
        """Archive and workspace, as a job names them."""
        return str(self.archive), str(self.workspace)

    def label(self, **changes: Any) -> str:
        """The key of the run, which is done and loaded now."""
        return label_plainly(self.job(**changes), self.home / "scratch").key

    def relabel(self, **changes: Any) -> None:
        """Score what is stored with other settings, and load that too."""
        job = self.job(**changes)
        where = {"workspace": job.workspace, "warehouse": str(job.warehouse_path)}
        # The archive lies elsewhere in every copy, and so does its key.
        folder = Folder(job.workspace)
        run = open_relabelling(folder, open_run(job).key, {**CHANGES, **where})
        record_run(run)
        steps.embed_attributes(run)
        for shard in steps.missing_shards(run, steps.archive_shards(run)):
            steps.score_shard(run, shard)
        publishing.load(run.workspace, job.warehouse_path, [run.key])

    def content(self, **changes: Any) -> Content:
        """Every row of the warehouse, without what names the place of this copy."""
        return content(self.job(**changes).warehouse_path, by_shard=False)

    def artifacts(self) -> list[Path]:
        """Every file of the workspace, in a fixed order."""
        return sorted(path for path in self.workspace.rglob("*") if path.is_file())

    def kind(self, path: Path) -> str:
        """What an artifact holds: its table, or the record's name."""
        parts = path.relative_to(self.workspace).parts
        if parts[0] == "runs":
            return "run.json" if parts[2] == "run.json" else parts[2]
        if parts[0] == "embeddings":
            return "images" if path.name.endswith(".images.parquet") else "embeddings"
        return parts[0]


@dataclass(frozen=True)
class StorePlace(Place):
    """A place whose archive and workspace are in a bucket of a real S3 server."""

    server: str

    @property
    def where(self) -> tuple[str, str]:
        return "s3://faults/archive", "s3://faults/workspace"

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


def point_at(endpoint: str) -> None:
    """Have every S3 client use an endpoint."""
    os.environ["AWS_ENDPOINT_URL"] = endpoint
    S3FileSystem.clear_instance_cache()


def make_store_place(home: Path) -> StorePlace:
    """A bucket with the same archive, not labelled yet, on a server of this process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "faults",
        "AWS_SECRET_ACCESS_KEY": "faults",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }
    point_at(f"http://{host}:{port}")
    place = StorePlace(home, f"http://{host}:{port}")
    copy_sample(place.archive, PICTURES, odd=False)
    store = S3FileSystem()
    store.mkdir("faults")
    store.put(str(place.archive), "faults/archive", recursive=True)
    return place


def make_place(home: Path) -> Place:
    """An archive with one file that is no picture, labelled, and put by in `kept`."""
    place = Place(home)
    copy_sample(place.archive, PICTURES, odd=False)
    (place.archive / "broken.jpg").write_bytes(b"no picture")
    place.label()
    place.relabel()
    kept = home / "kept"
    shutil.copytree(place.workspace, kept / "workspace")
    shutil.copyfile(home / "warehouse.duckdb", kept / "warehouse.duckdb")
    return place


def fresh(place: Place, labelled: bool) -> Place:
    """The same place anew: with its workspace and warehouse as they were put by, or without.

    In the same folder, because an archive's address is a part of its keys.
    """
    if isinstance(place, StorePlace):
        store = S3FileSystem()
        if store.exists("faults/workspace"):
            store.rm("faults/workspace", recursive=True)
    for name in ("workspace", "scratch"):
        shutil.rmtree(place.home / name, ignore_errors=True)
    for path in list(place.home.glob("*.duckdb*")):
        path.unlink()
    if labelled:
        shutil.copytree(place.home / "kept" / "workspace", place.workspace)
        shutil.copyfile(place.home / "kept" / "warehouse.duckdb", place.home / "warehouse.duckdb")
    return place
