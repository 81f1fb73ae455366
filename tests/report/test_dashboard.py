"""Claims about what the operator sees of a run: its pictures of evidence, and its report."""

from __future__ import annotations

import io
import statistics
from contextlib import closing
from pathlib import Path

from PIL import Image
from sample import copy_sample, label_plainly, small_job

from lazsl.report.dashboard import draw_evidence, report_of
from lazsl.run.into_warehouse import load_run
from lazsl.run.run import Run
from lazsl.store.folder import Folder
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.opening import open_warehouse


def test_the_surest_a_usual_and_the_closest_call_are_chosen(labelled: Run) -> None:
    with closing(open_warehouse(labelled.job.warehouse_path)) as connection:
        chosen = dict(
            sqlfiles.run(connection, "dashboard/evidence.sql", run=labelled.key).fetchall()
        )
        margins = dict(
            connection.execute(
                "select image_id, margin from predictions where run = ?", [labelled.key]
            ).fetchall()
        )
    assert list(chosen) == ["surest", "usual", "closest"] and len(set(chosen.values())) == 3
    assert margins[chosen["surest"]] == max(margins.values())
    assert margins[chosen["closest"]] == min(margins.values())
    assert margins[chosen["usual"]] == statistics.median_low(margins.values())


def test_a_picture_of_each_is_drawn_and_says_which_image_it_is(labelled: Run) -> None:
    job = labelled.job
    pictures = draw_evidence(job.warehouse_path, labelled.key, job.workspace)
    assert [picture.name for picture in pictures] == ["surest", "usual", "closest"]
    for picture in pictures:
        assert ".jpg: " in picture.title
        image = Image.open(io.BytesIO(picture.webp))
        assert image.format == "WEBP" and min(image.size) > 800


def test_few_images_make_few_pictures_and_those_no_longer_listed_none(tmp_path: Path) -> None:
    archive = copy_sample(tmp_path / "archive", 1, odd=False)
    job = small_job(archive, tmp_path / "workspace")
    run = label_plainly(job, tmp_path / "scratch")
    (only,) = draw_evidence(job.warehouse_path, run.key, job.workspace)
    assert only.name == "surest"
    (plate,) = archive.rglob("*.jpg")
    plate.rename(plate.with_name("another.jpg"))
    again = label_plainly(job, tmp_path / "scratch")
    load_run(Folder(job.workspace), job, again.key, again.archive)
    (only,) = draw_evidence(job.warehouse_path, run.key, job.workspace)
    assert "another.jpg: " in only.title


def test_the_report_is_found_where_lazsl_report_puts_it(tmp_path: Path) -> None:
    assert report_of(str(tmp_path), "run-1") is None
    Folder(str(tmp_path)).write_bytes("reports/run-1/index.html", b"")
    assert report_of(str(tmp_path), "run-1") == "reports/run-1/index.html"
