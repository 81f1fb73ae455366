"""What two runs were told differently, and the news of the later one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import fake_run
import pytest

from lazsl.report.dashboard import news, read_dashboard
from lazsl.report.differences import settings_that_differ, words_that_differ
from lazsl.store.folder import Folder
from lazsl.warehouse import loading
from lazsl.warehouse.opening import open_warehouse

CHANGED = {
    "wren": ["a cocked tail", "a long bill"],
    **{name: texts for name, texts in list(fake_run.CLASSES.items())[1:3]},
    "a new class": ["a new attribute"],
}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("told")
    workspace = Folder(str(home / "workspace"))
    fake_run.write_run(workspace, run="run-a", images=40)
    fake_run.write_run(
        workspace, run="run-b", images=40, labels="labels-2", classes=CHANGED, seed=1,
        created="2026-02-02T03:04:05+00:00",
    )  # fmt: skip
    loading.load(workspace, home / "warehouse.duckdb")
    return home / "warehouse.duckdb"


def test_settings_are_compared_by_their_values() -> None:
    before = {"workspace": "a", "labels": "x.json", "scoring": {"theta": 0.8, "floor": None}}
    now = {"workspace": "b", "labels": "x.json", "scoring": {"theta": 0.3}, "model": "m"}
    assert settings_that_differ(before, now) == [
        ("scoring.theta", "0.8", "0.3"), ("model", "", "m")
    ]  # fmt: skip


def test_words_are_compared_class_by_class(warehouse: Path) -> None:
    with closing(open_warehouse(warehouse)) as connection:
        words = words_that_differ(connection, "run-a", "run-b")
    assert words["others"] == 0
    differences = {
        row["class"]: (row["only"], row["gone"], row["added"]) for row in words["classes"]
    }
    lost = list(fake_run.CLASSES)[3]
    assert differences == {
        "wren": (None, ["a white eyebrow"], ["a long bill"]),
        lost: ("before", fake_run.CLASSES[lost], []),
        "a new class": ("now", [], ["a new attribute"]),
    }


def test_the_news_of_a_run_say_what_changed_against_the_last(warehouse: Path) -> None:
    first = news(read_dashboard(warehouse, "run-a"))
    assert "first run over this archive" in first
    with closing(open_warehouse(warehouse)) as connection:
        labels = [
            dict(
                connection.execute(
                    "select image_id, label from predictions where run = ?", [run]
                ).fetchall()
            )
            for run in ("run-a", "run-b")
        ]
    changed = sum(labels[0][image] != label for image, label in labels[1].items())
    text = news(read_dashboard(warehouse, "run-b"))
    assert f"Against run-a: another label for {changed} of {len(labels[1])} images" in text
    assert f"{len(labels[1])} of 40 images labelled" in text and "mean margin" in text
