"""Staged pictures, spilled rows and keys are their user's alone; planted folders are refused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest
from sample import copy_sample, small_job

from lazsl.archive.shard_planning import plan_shards
from lazsl.errors import UserError
from lazsl.run.plan_step import archive_shards
from lazsl.run.run import Run, open_run
from lazsl.run.stage_step import stage_shard
from lazsl.store.folder import Folder
from lazsl.store.private import kept_key, private_folder
from lazsl.store.scratch import scratch_folder, spill_folder, sweep_scratch

NOBODY = 65534
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as another user")


@pytest.fixture
def run(tmp_path: Path, bucket: str) -> Run:
    """A planned run of pictures in a bucket, which are copied when they are staged."""
    for file in sorted(
        p for p in copy_sample(tmp_path / "a", 2, odd=False).rglob("*") if p.is_file()
    ):
        Folder(bucket).write_bytes(f"archive/{file.name}", file.read_bytes())
    opened = open_run(small_job(f"{bucket}/archive", tmp_path / "work"))
    job = opened.job
    plan_shards(opened.workspace, job.archive, job.suffixes, job.shard_size)
    return opened


def test_staged_pictures_are_their_users_alone(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "staged"
    stage_shard(run, archive_shards(run)[0], place)
    assert len(list(place.iterdir())) == 3 and place.stat().st_mode & 0o077 == 0


@only_root
def test_another_user_reads_no_staged_picture_no_spilled_row_and_no_key(
    run: Run, tmp_path: Path
) -> None:
    place = tmp_path / "staged"
    stage_shard(run, archive_shards(run)[0], place)
    (spill_folder() / "rows").write_text("private")
    kept_key(tmp_path / "key")
    for path in [tmp_path, *tmp_path.parents]:  # only what was closed on purpose is in the way
        if path.stat().st_uid == os.geteuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    (tmp_path / "open").write_text("public")
    files = [*place.iterdir(), spill_folder() / "rows", tmp_path / "key", tmp_path / "open"]
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat"]
    tried = [subprocess.run([*command, f], capture_output=True, check=False) for f in files]
    assert [process.returncode == 0 for process in tried] == [False] * (len(files) - 1) + [True]


@only_root
@pytest.mark.parametrize("what", ["the folder", "the one above it"])
def test_a_folder_that_another_user_made_beforehand_is_refused(
    run: Run, tmp_path: Path, what: str
) -> None:
    above = tmp_path / "scratch"
    place = above / "staged"
    place.mkdir(parents=True)
    os.chown(place if what == "the folder" else above, NOBODY, NOBODY)
    with pytest.raises(UserError, match="belongs to another user"):
        stage_shard(run, archive_shards(run)[0], place)


def test_a_link_where_a_picture_is_staged_is_not_written_through(run: Run, tmp_path: Path) -> None:
    aim = tmp_path / "mine"
    aim.write_text("precious")
    place = tmp_path / "staged"
    shard = archive_shards(run)[0]
    (link := tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(UserError, match="no folder but a link"):
        stage_shard(run, shard, link)
    table: pa.Table = run.workspace.read_table(f"manifests/{run.archive}/000001.parquet")
    place.mkdir(mode=0o700)
    for image in table["image_id"].to_pylist():
        (place / str(image)).symlink_to(aim)
    stage_shard(run, shard, place)  # what a half-staged folder holds is removed first
    assert aim.read_text() == "precious"


@only_root
def test_a_planted_scratch_folder_is_neither_used_nor_swept(tmp_path: Path) -> None:
    planted = tmp_path / "lazsl-run"
    planted.mkdir()
    (planted / ".lazsl-scratch.lock").touch()
    os.chown(planted, NOBODY, NOBODY)
    assert sweep_scratch(tmp_path) == []
    with pytest.raises(UserError, match="belongs to another user"), scratch_folder("run", tmp_path):
        pass
    assert planted.exists()
    with scratch_folder("own", tmp_path) as folder:
        assert folder.stat().st_mode & 0o077 == 0


def test_folders_for_what_does_not_fit_in_memory_have_names_nobody_can_guess() -> None:
    folder = spill_folder()
    assert folder.stat().st_mode & 0o077 == 0 and str(os.getpid()) not in folder.name


def test_a_key_is_made_once_and_refused_when_others_may_read_it(tmp_path: Path) -> None:
    key = kept_key(tmp_path / "key")
    assert kept_key(tmp_path / "key") == key and len(key) > 30
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert kept_key(tmp_path / "other") != key
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(UserError, match="others may read"):
        kept_key(tmp_path / "key")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    with pytest.raises(UserError, match="no key of yours"):
        kept_key(tmp_path / "link")


@only_root
def test_a_private_folder_is_closed_and_another_users_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o755)
    assert private_folder(tmp_path / "mine").stat().st_mode & 0o777 == 0o700
    os.chown(tmp_path / "mine", NOBODY, NOBODY)
    with pytest.raises(UserError, match="belongs to another user"):
        private_folder(tmp_path / "mine")
