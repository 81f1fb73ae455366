"""Claims about `import lazsl`: verbs do what the command line does, results show themselves."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sample import content, copy_sample, label_plainly, small_job

import lazsl
from lazsl import fieldguide
from lazsl.run import in_process
from lazsl.run.run import Run, open_run

SMALL: dict[str, Any] = {
    "model": "fieldguide",
    "regions": {"count": 6},
    "shard_size": 8,
    "decoders": 2,
    "device": "cpu",
    "progress": False,
}


@pytest.fixture
def results(labelled: Run) -> lazsl.Results:
    return lazsl.open_results(labelled.job.workspace)


def test_importing_lazsl_imports_none_of_its_libraries() -> None:
    heavy = "'torch', 'prefect', 'duckdb', 'pyarrow', 'numpy', 'pydantic', 'rich'"
    code = f"import sys, lazsl; print([name for name in ({heavy}) if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_opening_results_and_asking_them_imports_no_model(labelled: Run) -> None:
    code = (
        "import sys, lazsl; "
        f"results = lazsl.open_results({labelled.job.workspace!r}); "
        "results.sql('from predictions').fetchall(); "
        "print([name for name in ('torch', 'open_clip', 'prefect') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_documented() -> None:
    for name in lazsl.__all__:
        assert (getattr(lazsl, name).__doc__ or "").strip(), name
        assert name in dir(lazsl)
    with pytest.raises(AttributeError, match="no attribute 'labels_everything'"):
        _ = lazsl.labels_everything


def test_label_has_the_results_of_the_same_steps_one_by_one(tmp_path: Path) -> None:
    archive = copy_sample(tmp_path / "archive", 14)
    job = small_job(archive, tmp_path / "plain", regions={"count": 6})
    label_plainly(job, tmp_path / "scratch")
    small = {**SMALL, "reject_ceiling": 1.0}
    results = lazsl.label(archive, fieldguide.LABELS_FILE, workspace=tmp_path / "own", **small)
    assert content(results.warehouse) == content(job.warehouse_path)
    status = results.status()
    assert status["missing"] == 0 and status["loaded"] is True
    assert status["listed"] == status["labelled"] + status["rejected"] == 28


def test_an_interrupted_call_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = copy_sample(tmp_path / "archive", 20, odd=False)
    run = open_run(small_job(archive, tmp_path / "workspace", regions={"count": 6}))
    seen: list[tuple[int, int]] = []

    def interrupt(done: int, total: int) -> None:
        seen.append((done, total))
        if done >= 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_process.label_archive(run, interrupt)
    assert seen[0] == (0, 20)
    seen.clear()
    in_process.label_archive(run, lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 12) and seen[-1] == (12, 12)  # the first shard of 8 was done
    seen.clear()
    monkeypatch.setattr("lazsl.run.embed_step.embed_shard", None)  # nothing is embedded again
    in_process.label_archive(run, lambda done, total: seen.append((done, total)))
    assert set(seen) == {(0, 0)}


def test_a_shard_that_fails_leaves_the_others_done_and_loaded(tmp_path: Path) -> None:
    archive = copy_sample(tmp_path / "archive", 16)
    with pytest.raises(lazsl.UserError, match=r"of 4 shards failed: .*; the others are done"):
        lazsl.label(
            archive,
            fieldguide.LABELS_FILE,
            workspace=tmp_path / "workspace",
            reject_ceiling=0.3,
            **SMALL,
        )
    results = lazsl.open_results(tmp_path / "workspace")
    assert results.sql("select count(*) from predictions").fetchall() == [(16,)]
    assert results.status()["missing"] == 14


def test_relabel_scores_stored_embeddings_into_the_same_warehouse(tmp_path: Path) -> None:
    archive = copy_sample(tmp_path / "archive", 8, odd=False)
    first = lazsl.label(archive, fieldguide.LABELS_FILE, workspace=tmp_path / "own", **SMALL)
    for path in archive.rglob("*.jpg"):
        path.unlink()
    by_results = lazsl.relabel(first, scoring={"theta": 0.5}, progress=False)
    by_key = lazsl.relabel(
        first.run[:-2], workspace=tmp_path / "own", scoring={"theta": 0.5}, progress=False
    )
    assert by_results.run == by_key.run != first.run
    assert by_results.warehouse == first.warehouse
    job = by_key.sql(
        "select job->>'$.scoring.theta' from runs where run = $run", {"run": by_key.run}
    )
    assert job.fetchall() == [("0.5",)]


def test_what_cannot_be_used_is_one_sentence(tmp_path: Path, results: lazsl.Results) -> None:
    with pytest.raises(lazsl.UserError, match=r"epsilon: .*greater than 0"):
        lazsl.label(tmp_path, fieldguide.LABELS_FILE, scoring={"epsilon": 0})
    with pytest.raises(lazsl.UserError, match="nosuch"):
        lazsl.label(tmp_path, tmp_path / "nosuch.json", model="fieldguide")
    with pytest.raises(lazsl.UserError, match=r"the query failed: .*nosuch"):
        results.sql("from nosuch")
    with pytest.raises(lazsl.UserError, match=r"no image 'nosuch\.jpg'"):
        results.explain("nosuch.jpg")
    with pytest.raises(lazsl.UserError, match="no run in the warehouse begins with 'nosuch'"):
        lazsl.open_results(results.workspace, "nosuch")


def test_queries_cannot_write(results: lazsl.Results) -> None:
    with pytest.raises(lazsl.UserError, match="the query failed"):
        results.sql("delete from predictions")


def test_a_closed_warehouse_is_opened_again_when_it_is_asked(results: lazsl.Results) -> None:
    with results:
        before = results.sql("select count(*) from predictions").fetchall()
    assert "connection" not in vars(results)
    assert results.sql("select count(*) from predictions").fetchall() == before


def test_an_explanation_shows_itself(labelled: Run, results: lazsl.Results, tmp_path: Path) -> None:
    ((key, label),) = results.sql(
        "select key, label from predictions join images using (image_id) order by key limit 1"
    ).fetchall()
    explained = results.explain(key)
    assert explained.label == label
    assert repr(explained).startswith(label)
    picture = Image.open(io.BytesIO(explained._repr_png_()))
    assert picture.format == "PNG" and min(picture.size) > 500
    explained.save(tmp_path / "why.png")
    assert (tmp_path / "why.png").read_bytes() == explained.png
    page = explained._repr_html_()
    assert "data:image/jpeg;base64," in page
    rows = explained.attributes.to_pylist()
    of_label = [row for row in rows if row["class"] == label]
    assert sum(row["contribution"] for row in of_label) == pytest.approx(
        explained.explanation.this.score
    )
    assert of_label == sorted(of_label, key=lambda row: -row["contribution"])
    for row in of_label:
        assert row["attribute"] in page
    other = next(
        name for name in labelled.labelset.classes if name not in {r["class"] for r in rows}
    )
    assert f"than {other}" in repr(results.explain(key, against=other))


def test_what_an_archive_calls_itself_is_no_markup(results: lazsl.Results) -> None:
    from lazsl.api.pages import render

    page = render("results.html", run="<script>", rows=[("<b>", "&")])
    assert "<script>" not in page and "<b>" not in page and "&amp;" in page
    assert results.run in results._repr_html_()
