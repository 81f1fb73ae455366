"""An estimate is a small real run: of a whole small archive it says what labelling it costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sample import copy_sample, label_plainly, small_job
from typer.testing import CliRunner

from lazsl import fieldguide
from lazsl.cli.commands import app
from lazsl.run.cost_estimate import estimate
from lazsl.store.folder import Folder
from lazsl.store.paths import done_shards, marker


def test_passes_and_bytes_are_those_of_the_run_itself(tmp_path: Path) -> None:
    archive = copy_sample(tmp_path / "archive", 6)
    job = small_job(archive, tmp_path / "workspace")
    listed, [cost] = estimate([job], 1000)
    run = label_plainly(job, tmp_path / "scratch")
    where = run.workspace
    markers = [where.read_json(marker(run.key, s)) for s in done_shards(where, run.key)]
    assert listed.images == cost.tried == sum(m["listed"] for m in markers)
    assert cost.rejected == sum(m["rejected"] for m in markers) > 0
    assert cost.passes * cost.tried == pytest.approx(sum(m["crops"] for m in markers))
    stored = where.details(f"embeddings/{run.encoder}/{run.regions}")
    bytes_stored = sum(info["size"] for info in stored.values())
    assert cost.embeddings * cost.tried == pytest.approx(bytes_stored, rel=0.05)
    assert 0 < cost.fetch < cost.embed


def test_the_command_multiplies_and_keeps_nothing(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = Folder(f"{bucket}/photos")
    for path in copy_sample(tmp_path / "archive", 4, odd=False).rglob("*.jpg"):
        photos.write_bytes(path.name, path.read_bytes())
    asked = ["estimate", photos.url, "-l", str(fieldguide.LABELS_FILE), "-m", "fieldguide"]
    asked += ["--set", "regions.count=5", "--pictures", "2", "--images", "1e6", "--rate", "2"]
    result = CliRunner().invoke(app, [*asked, "--json"])
    assert result.exit_code == 0, result.output
    estimate = json.loads(result.stdout)
    assert estimate["images"] == 4 and estimate["kinds"] == {".jpg": 4}
    assert estimate["estimated_for"] == 10**6
    [cost] = estimate["costs"]
    assert cost["tried"] == 2 and cost["passes"] == 6 and cost["forward_passes"] == 6e6
    assert cost["money"] == pytest.approx(2 * cost["hours"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archive"]
    presets = ["--preset", "parts", "--preset", "parts-fast", "--pictures", "1"]
    shown = CliRunner().invoke(app, [*asked[:6], *presets]).stdout
    assert "parts-fast" in shown and "91.0 an image" in shown and "30.0 an image" in shown
    assert "1,000,000 images" in CliRunner().invoke(app, asked).stdout
