"""Embeddings that an older lazsl made in other colours: told, and made anew where that is asked."""

from __future__ import annotations

from pathlib import Path

import made_pictures
import pytest
from PIL import Image
from sample import content, copy_sample, label_plainly, small_job

from lazsl.images import colour
from lazsl.run import embed_step, plan_step, recoloured, todo
from lazsl.run.run import Run
from lazsl.run.status import run_status
from lazsl.store import paths

FEW = {"regions": {"count": 6}, "shard_size": 2}


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of two shards, of two pictures and of one with a profile, as an older lazsl left it:
    profiles were not converted, and nothing has notes."""
    archive = copy_sample(tmp_path / "archive", 2, odd=False)
    wide = Image.fromarray(made_pictures.stored_in("adobe")).resize((128, 128))
    wide.save(archive / "wide.png", icc_profile=made_pictures.profile("adobe"))
    with monkeypatch.context() as patch:
        patch.setattr(colour, "_profile", lambda *_: colour.Profile(""))
        run = label_plainly(small_job(archive, tmp_path / "w", **FEW), tmp_path / "scratch")
    for shard in paths.done_shards(run.workspace, run.key):
        name = paths.images(run.encoder, run.regions, shard)
        images = run.workspace.read_table(name)
        run.workspace.write_table(name, images.drop_columns("notes"))
    return run


def crops(run: Run) -> list[int]:
    names = (paths.marker(run.key, shard) for shard in plan_step.archive_shards(run))
    return [run.workspace.read_record(name)["crops"] for name in names]


def test_only_what_looks_otherwise_now_is_embedded_again_and_scored_for_every_run(
    older: Run, tmp_path: Path
) -> None:
    assert crops(older) == [14, 7]
    less = small_job(tmp_path / "archive", tmp_path / "w", scoring={"theta": 0.5}, **FEW)
    other = label_plainly(less, tmp_path / "s")
    before = content(older.job.warehouse_path)
    again = label_plainly(older.job, tmp_path / "s")
    assert again.key == older.key and content(older.job.warehouse_path) == before
    assert embed_step.older_colours(again, plan_step.archive_shards(again)) == recoloured.NOTICE
    assert run_status(again.workspace, again.key)["older_colours"]

    renewed = label_plainly(older.job.model_copy(update={"recolour": True}), tmp_path / "s")
    assert renewed.key == older.key and crops(renewed) == [14, 14]
    assert embed_step.older_colours(again, plan_step.archive_shards(again)) is None
    assert not run_status(again.workspace, again.key)["older_colours"]
    assert not todo.to_label(renewed, plan_step.archive_shards(renewed))
    assert len(todo.missing_shards(other, plan_step.archive_shards(other))) == 1
    label_plainly(other.job, tmp_path / "s")

    anew = {"workspace": str(tmp_path / "anew")}
    for job in (older.job, other.job):
        fresh = label_plainly(job.model_copy(update=anew), tmp_path / "s")
    expected, actual = (content(run.job.warehouse_path) for run in (fresh, older))
    assert before["scores"] != [row for row in expected["scores"] if row in before["scores"]]
    for table in ("images", "predictions", "scores", "evidence", "plans"):
        assert expected[table] == actual[table], table


def test_a_reject_that_is_tried_again_leaves_the_others_known_as_older(
    older: Run, tmp_path: Path
) -> None:
    shard = plan_step.archive_shards(older)[0]
    name = paths.images(older.encoder, older.regions, shard)
    images = recoloured.with_notes(older.workspace.read_table(name))
    assert images["notes"].to_pylist() == [recoloured.OLDER] * 2
    settled = recoloured.as_now(images, images["image_id"].slice(1))
    assert settled["notes"].to_pylist() == [recoloured.OLDER, None]
    older.workspace.write_table(name, settled)
    assert recoloured.is_older(older.workspace, older.encoder, older.regions, shard)
