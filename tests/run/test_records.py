"""Claims about the record of a run: it is found, and what it names, from any folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sample import copy_sample, small_job

from lazsl import fieldguide
from lazsl.run.run import open_run, record_run
from lazsl.store import paths
from lazsl.store.folder import Folder


def test_every_path_in_a_record_is_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy_sample(tmp_path / "photos", 1, odd=False)
    shutil.make_archive("photos", "zip", "photos")
    for file in (fieldguide.LABELS_FILE, fieldguide.TRUTH_FILE):
        shutil.copy(file, tmp_path)
    Path("only.txt").write_text("1858/plate-001.jpg\n")
    where = {"labels": "labels.json", "truth": "truth.csv", "only": "only.txt"}
    where |= {"warehouse": "w.duckdb"}
    job = small_job("zip://::photos.zip", "workspace", **where)
    record_run(open_run(job))
    (key,) = paths.runs(Folder("workspace"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    record = paths.read_run_record(Folder(str(tmp_path / "workspace")), key)
    absolute = {name: f"{tmp_path}/{path}" for name, path in where.items()}
    absolute |= {"archive": f"zip://::{tmp_path}/photos.zip"}
    assert {name: record["job"][name] for name in absolute} == absolute
    assert record["archive_url"] == absolute["archive"]
    assert open_run(small_job(**{**record["job"], "workspace": "w"})).key == key
