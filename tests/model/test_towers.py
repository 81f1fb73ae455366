"""Claims about which towers of a model a run loads: none that it does not need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sample import copy_sample, label_plainly, small_job

from lazsl.model.encoder import Encoder, load_encoder
from lazsl.run import label_set_step, models, plan_step, score_step
from lazsl.run.run import open_relabelling


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Towers of every model that a test loads, in order."""
    requests: list[str] = []

    def load(source: Any, device: str, towers: Any) -> Encoder:
        requests.append(towers)
        return load_encoder(source, device, towers)

    monkeypatch.setattr(models, "_loaded", {})
    monkeypatch.setattr(models, "load_encoder", load)
    return requests


def test_a_grown_archive_is_labelled_without_the_text_tower(
    tmp_path: Path, loaded: list[str]
) -> None:
    archive = copy_sample(tmp_path / "archive", 2, odd=False)
    job = small_job(archive, tmp_path / "workspace", shard_size=2)
    label_plainly(job, tmp_path / "scratch")
    assert loaded == ["both"]
    models._loaded.clear()
    copy_sample(archive, 4, odd=False)
    label_plainly(job, tmp_path / "scratch")
    assert loaded == ["both", "vision"]


def test_stored_embeddings_are_relabelled_without_the_vision_tower(
    tmp_path: Path, loaded: list[str]
) -> None:
    archive = copy_sample(tmp_path / "archive", 2, odd=False)
    run = label_plainly(small_job(archive, tmp_path / "workspace"), tmp_path / "scratch")
    models._loaded.clear()
    labels = tmp_path / "labels.json"
    labels.write_text('{"Wren": ["a red crest"], "Jay": ["a long tail"]}')
    again = open_relabelling(run.workspace, run.key, {"labels": str(labels)})
    label_set_step.embed_attributes(again, "text")
    [shard] = plan_step.archive_shards(again)
    assert score_step.score_shard(again, shard)["labelled"] == 2
    assert loaded == ["both", "text"]
    models._loaded.clear()
    label_set_step.embed_attributes(again, "text")
    assert loaded == ["both", "text"]
