"""Claims about stored embeddings that are gone: whoever misses them says what makes them anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample import content, copy_sample, small_job

from lazsl.errors import UserError
from lazsl.run import in_process
from lazsl.run.run import Run, open_relabelling, open_run
from lazsl.store import paths
from lazsl.store.folder import DAMAGED


def relabel(run: Run) -> None:
    changes = {"scoring": {"theta": 0.5}, "scratch": run.job.scratch}
    other = open_relabelling(run.workspace, run.key, changes)
    in_process.relabel_archive(other, relabels=run.key)


def test_lost_embeddings_are_made_anew_as_the_sentence_says(tmp_path: Path) -> None:
    """By `lazsl label`, although its own run was done; whichever of a shard's two files is gone."""
    archive = copy_sample(tmp_path / "archive", 4, odd=False)
    run = open_run(small_job(archive, tmp_path / "workspace", shard_size=2, scratch=str(tmp_path)))
    in_process.label_archive(run)
    before = content(run.job.warehouse_path)
    shards = paths.done_shards(run.workspace, run.key)
    for name, shard in zip((paths.images, paths.region_embeddings), shards, strict=True):
        run.workspace.remove(name(run.encoder, run.regions, shard))
    with pytest.raises(UserError, match="2 of 2 shards failed") as failed:
        relabel(run)
    assert "label the archive" in str(failed.value) or "lazsl label" in str(failed.value)
    in_process.label_archive(run)
    assert content(run.job.warehouse_path) == before
    relabel(run)
    assert len(paths.done_shards(run.workspace, run.key)) == 2


def test_an_artifact_that_is_damaged_twice_is_made_anew_twice(tmp_path: Path) -> None:
    archive = copy_sample(tmp_path / "archive", 2, odd=False)
    run = open_run(small_job(archive, tmp_path / "workspace", scratch=str(tmp_path)))
    in_process.label_archive(run)
    before = content(run.job.warehouse_path)
    (shard,) = paths.done_shards(run.workspace, run.key)
    plans = paths.run_table(run.key, "plans", shard)
    for times in (1, 2):
        run.workspace.write_bytes(plans, b"U" * 4000)
        run.job.warehouse_path.unlink()
        in_process.label_archive(run)
        assert content(run.job.warehouse_path) == before
        kept = [name for name in run.workspace.names(DAMAGED) if "/plans/" in name]
        assert len(kept) == times
