"""What a killed process leaves in temporary folders is gone after the next run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lazsl.errors import UserError
from lazsl.store import scratch
from lazsl.store.folder import Folder
from lazsl.store.scratch import scratch_folder, sweep_scratch, sweep_workspace
from lazsl.store.temporary_names import temporary_name

HOLD = """
import sys, time
from lazsl.store.scratch import scratch_folder
with scratch_folder("victim", sys.argv[1]) as folder:
    (folder / "picture.jpg").write_bytes(b"x" * 100)
    print("holding", flush=True)
    time.sleep(60)
"""


def holder(parent: Path) -> subprocess.Popen[str]:
    """A process that has staged a picture and does not end by itself."""
    command = [sys.executable, "-c", HOLD, str(parent)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "holding\n"
    return process


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_the_folder_of_a_killed_owner_is_removed_and_that_of_a_living_one_is_not(
    tmp_path: Path, death: signal.Signals
) -> None:
    process = holder(tmp_path)
    left = tmp_path / "lazsl-victim"
    try:
        with scratch_folder("mine", tmp_path) as alive:
            assert alive.is_dir() and (left / "picture.jpg").exists(), "its owner lives"
            process.send_signal(death)
            process.wait()
            assert sweep_scratch(tmp_path) == [left]
            assert alive.is_dir() and not left.exists()
    finally:
        process.kill()
        process.wait()
    assert list(tmp_path.iterdir()) == []


def test_what_a_thread_still_writes_at_the_end_is_removed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a shard that is being staged when a run is terminated."""
    removed = []
    rmdir = os.rmdir

    def beside_a_writer(folder: Path, **kwargs: Any) -> None:
        if not removed:
            (tmp_path / "lazsl-mine" / "shard").mkdir()
        removed.append(folder)
        rmdir(folder, **kwargs)

    monkeypatch.setattr(os, "rmdir", beside_a_writer)
    with scratch_folder("mine", tmp_path) as folder:
        pass
    assert not folder.exists() and removed[0] == removed[-1] == folder


@pytest.mark.parametrize("kill", range(4))
def test_who_is_killed_while_removing_a_folder_leaves_what_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: int
) -> None:
    unlinked = []
    unlink = os.unlink

    def killed(*args: Any, **kwargs: Any) -> None:
        if len(unlinked) == kill:
            raise SystemExit
        unlinked.append(args)
        unlink(*args, **kwargs)

    with pytest.raises(SystemExit), scratch_folder("victim", tmp_path) as folder:
        for name in ("a", "b", "c"):
            (folder / name).write_bytes(b"picture")
        monkeypatch.setattr(os, "unlink", killed)
    monkeypatch.undo()
    assert folder.exists() and sweep_scratch(tmp_path) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "lazsl-photos"
    other.mkdir()
    with scratch_folder("mine", tmp_path):
        assert other.is_dir()
    assert other.is_dir()


def test_a_folder_that_goes_meanwhile_stops_no_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "lazsl-plan-0" / scratch._LOCK
    monkeypatch.setattr(Path, "glob", lambda *_: iter([gone]))
    assert sweep_scratch(tmp_path) == []


def test_a_folder_in_use_is_not_used_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = holder(tmp_path)
    acquire = scratch.FileLock.acquire
    monkeypatch.setattr(
        scratch.FileLock, "acquire", lambda self, timeout: acquire(self, timeout=0.1)
    )
    try:
        with pytest.raises(UserError, match="in use"), scratch_folder("victim", tmp_path):
            pass
    finally:
        process.kill()
        process.wait()


def test_half_written_files_are_swept_unless_their_writer_may_live(tmp_path: Path) -> None:
    folder = tmp_path / "embeddings" / "one"
    folder.mkdir(parents=True)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    gone = temporary_name().replace(f"-{os.getpid()}-", f"-{dead.pid}-")
    hours_old = {".tmp-0123456789abcdef": True, temporary_name(): False, "shard.parquet": False}
    new = {gone: True, ".tmp-1123456789abcdef": False, temporary_name(): False}
    for name in hours_old | new:
        (folder / name).write_bytes(b"half")
    for name in hours_old:
        os.utime(folder / name, (time.time() - 7200,) * 2)
    assert sweep_workspace(Folder(str(tmp_path))) == 2
    left = {path.name for path in folder.iterdir()}
    assert left == {name for name, swept in (hours_old | new).items() if not swept}
