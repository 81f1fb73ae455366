"""Same bytes, same settings: same boxes, same labels, same scores, however it was cut and run."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from sample import content, copy_sample, label_plainly, small_job

from lazsl.errors import DamagedError

BIRDS = 8
FEW: dict[str, Any] = {"regions": {"count": 6}}
"""Of every picture; the model has a batch of one crop padded to sixteen."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sample(tmp_path_factory.mktemp("determinism") / "archive", BIRDS)


@pytest.fixture(scope="module")
def undisturbed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    job = small_job(archive, folder / "workspace", **FEW)
    label_plainly(job, folder / "scratch")
    return job.warehouse_path


@pytest.mark.parametrize(
    ("shard_size", "batch_size", "decoders"), [(7, 3, 1), (7, 32, 4), (64, 5, 3)]
)
def test_shards_and_batches_change_no_box_no_label_and_no_score(
    archive: Path,
    undisturbed: Path,
    tmp_path: Path,
    shard_size: int,
    batch_size: int,
    decoders: int,
) -> None:
    job = small_job(
        archive,
        tmp_path / "workspace",
        shard_size=shard_size,
        batch_size=batch_size,
        decoders=decoders,
        **FEW,
    )
    label_plainly(job, tmp_path / "scratch")
    rows = content(job.warehouse_path, by_shard=False)
    wanted = content(undisturbed, by_shard=False)
    for table in ("images", "regions", "rejects"):
        assert rows[table] == wanted[table]
    for table in ("predictions", "scores", "evidence", "plans"):
        assert len(rows[table]) == len(wanted[table])
        for got, want in zip(rows[table], wanted[table], strict=True):
            assert _same(got, want)


def _same(got: object, want: object) -> bool:
    if isinstance(got, tuple | list) and isinstance(want, tuple | list):
        return len(got) == len(want) and all(map(_same, got, want))
    if isinstance(got, float) and isinstance(want, float):
        return abs(got - want) <= 1e-6
    return got == want


def _label(archive: str, folder: str) -> None:
    """What a child process does until it is killed."""
    os.setpgid(0, 0)
    base = Path(folder)
    label_plainly(small_job(archive, base / "workspace", **FEW), base / "scratch")


@pytest.mark.starts
def test_killed_at_random_moments_and_run_again_it_ends_the_same(
    archive: Path, undisturbed: Path, tmp_path: Path
) -> None:
    # A fork server that has the imports already: most of a child's life is then the job itself.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lazsl.run.run", "lazsl.warehouse.loading"])
    moments = random.Random(20)

    def child() -> multiprocessing.process.BaseProcess:
        process = context.Process(target=_label, args=(str(archive), str(tmp_path)))
        process.start()
        return process

    measured = child()
    started = time.monotonic()
    measured.join(120)
    whole = time.monotonic() - started
    assert measured.exitcode == 0
    _clear(tmp_path)

    killed = 0
    while killed < 5:  # `make faults` kills far more often
        process = child()
        process.join(moments.uniform(0.02, 1.0) * whole)
        if process.exitcode is None:
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            killed += 1
        else:
            # It got to the end between two kills: that content must be right too. Start afresh.
            assert process.exitcode == 0
            assert content(tmp_path / "workspace" / "warehouse.duckdb") == content(undisturbed)
            _clear(tmp_path)
    last = child()
    last.join(120)
    assert last.exitcode == 0
    assert content(tmp_path / "workspace" / "warehouse.duckdb") == content(undisturbed)


def _clear(folder: Path) -> None:
    for name in ("workspace", "scratch"):
        shutil.rmtree(folder / name, ignore_errors=True)


@pytest.mark.parametrize("damage", ["cut short", "missing"])
def test_damaged_embeddings_are_set_aside_and_made_anew_by_the_next_run(
    damage: str, archive: Path, undisturbed: Path, tmp_path: Path
) -> None:
    workspace = tmp_path / "workspace"
    shutil.copytree(undisturbed.parent, workspace)
    job = small_job(archive, workspace, **FEW)
    regions = min(set(workspace.glob("embeddings/*/*/*.parquet")), key=lambda path: len(path.name))
    regions.write_bytes(regions.read_bytes()[:-9])
    if damage == "missing":
        regions.unlink()
    shutil.rmtree(workspace / "runs")
    sentence = rf"of shard {regions.stem} were damaged .*set aside; lazsl label makes them anew"
    with pytest.raises(DamagedError, match=sentence):
        label_plainly(job, tmp_path / "scratch")
    job.warehouse_path.unlink()
    label_plainly(job, tmp_path / "scratch")
    assert content(job.warehouse_path) == content(undisturbed)
