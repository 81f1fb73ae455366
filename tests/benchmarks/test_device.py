"""`make device` on a processor, in small: every section measures, none stops another, and no figure
of a processor is shown as one of a GPU."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks import page as performance
from benchmarks.device import __main__ as measuring
from benchmarks.device import fast, keep, page, right, wheels
from benchmarks.device.common import SIZES, Place
from lazsl.settings import RegionSettings

GIVEN = argparse.Namespace(size="small", patience=None)
ALL = {**right.SECTIONS, **fast.SECTIONS}


@pytest.fixture
def place() -> Place:
    return Place("cpu", SIZES["small"], time.monotonic() + 60)


pytestmark = pytest.mark.usefixtures("one_thread")


def test_every_section_has_a_time_and_a_sentence() -> None:
    assert set(ALL) == set(measuring.SECONDS) == set(page.ABOUT)
    assert sum(measuring.SECONDS[name] for name in ("machine", "throughput", "forward")) < 480


def test_what_is_right_is_right_on_a_processor(place: Place) -> None:
    for row in right.embeddings(place):
        assert row["least_cosine"] > (0.999 if row["precision"] == "bfloat16" else 0.99999), row
    for row in right.bits(place):
        assert row["same_bits"], row
    for row in right.scores(place):
        assert row["same_best_5"] == row["images"] and row["largest_score_difference"] == 0, row
    beyond, kept = right.overflow(place)
    assert beyond["said"] == "8 of 8 regions are no numbers: a reject"
    assert kept["said"] == "all are numbers"


@pytest.mark.parametrize("name", ["machine", "regions", "throughput", "scoring", "first"])
def test_a_section_measures_on_a_processor(name: str, place: Place) -> None:
    rows = list(ALL[name](place))
    assert rows and not any("not_measured" in row for row in rows)
    assert page.table(rows).count("\n") == len(rows) + 1
    assert page.verdict(name, rows)


def test_labels_that_change_are_counted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(right, "PRECISIONS", {"float32": "fp32"})
    pyramid = RegionSettings(layout="pyramid", count=4)
    monkeypatch.setattr(right, "layouts", lambda: {"pyramid": pyramid})
    packed = right.attributes(right.load_encoder(right.find_model("fieldguide", "float32"), "cpu"))
    monkeypatch.setattr(right, "attributes", lambda _: packed)
    expected = list(right.labels(place))
    assert all(row["same_label"] == row["images"] for row in expected if row["regions"] == "exact")
    scores, calls = right.scores_of, iter(range(100))
    # The first ones are the reference's; the others are turned about.
    ways = len(expected)
    monkeypatch.setattr(
        right, "scores_of", lambda *a: scores(*a) * (1 if next(calls) < ways else -1)
    )
    assert sum(row["same_label"] for row in right.labels(place)) == 0


def test_every_section_begins_although_all_together_may_take_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds: dict[str, float] = {}

    def run(name: str, given: Any, device: str, path: str, end: float) -> dict[str, Any]:
        seconds[name] = end - time.monotonic()
        return {"rows": [], "seconds": 0.0, "error": None}

    monkeypatch.setattr(measuring, "run", run)
    monkeypatch.setattr(measuring.page, "summary", lambda _: "")
    monkeypatch.setattr(measuring.page, "figures", lambda _: "")
    monkeypatch.setattr(sys, "argv", ["device", "--out", str(tmp_path)])
    monkeypatch.setattr(measuring.wheels, "unpack", lambda *_: [])
    monkeypatch.setattr(measuring, "about", lambda *_: {"device": "cpu"})
    assert measuring.main() == 0
    assert list(seconds) == list(measuring.SECONDS)
    given = list(seconds.values())
    assert all(later - before > 14 for before, later in itertools.pairwise(given))
    assert given[0] > 200 and given[-1] <= 480


@pytest.mark.starts
def test_a_section_that_fails_or_takes_too_long_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = "import sys,time; open(sys.argv[sys.argv.index('--rows') + 1], 'w').write({!r}); {}"
    programs = {
        "machine": write.format('{"a": 1}\n', "0"),
        "labels": write.format('{"a": 1}\n{"b', "time.sleep(60)"),
        "bits": "raise SystemError('the card is gone')",
    }
    monkeypatch.setattr(
        measuring, "section_command", lambda name: [sys.executable, "-c", programs[name]]
    )
    monkeypatch.setattr(measuring, "SECONDS", dict.fromkeys(programs, 1))
    monkeypatch.setattr(measuring, "LEAST", 1)
    end = time.monotonic() + 30
    actual = {name: measuring.run(name, GIVEN, "cpu", "", end) for name in programs}
    assert actual["machine"] | {"seconds": 0} == {"rows": [{"a": 1}], "seconds": 0, "error": None}
    assert actual["labels"]["rows"] == [{"a": 1}], "what it knew by then is kept"
    assert actual["labels"]["error"] == "stopped after 3 s"
    assert actual["bits"]["error"] == "SystemError: the card is gone"
    late = measuring.run("machine", GIVEN, "cpu", "", time.monotonic() + 0.5)
    assert late["error"] == "not begun: out of time"


def record(card: str | None, rate: float) -> dict[str, Any]:
    row = {"model": "ViT-B-16", "picture": "1600 x 1200", "regions": "fast", "images_per_s": rate}
    about = {
        "date": "2026-01-01T00:00", "commit": "abc", "processor": "EPYC", "cores": 2, "threads": 2,
        "python": "3.12", "torch": "2", "load": 0, "size": "full", "card": card, "cuda": "13",
        "memory_GiB": 80,
    }  # fmt: skip
    section = {"rows": [row], "seconds": 1, "error": None}
    return {"surroundings": about, "sections": {"throughput": section}}


def test_a_processor_s_figures_are_never_shown_as_a_card_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "<!-- begin gpu -->\n<!-- end gpu -->\n<!-- begin processor -->\n<!-- end processor -->"
    alone = keep.filled(text, [record(None, 7)])
    assert keep.NOT_YET in alone and "no figure here says anything of a GPU" in alone
    both = keep.filled(alone, [record(None, 7), record("Card A", 70), record("Card A", 71)])
    gpu, processor = both.split("<!-- end gpu -->")
    assert "**Card A**" in gpu and "| 71 |" in gpu and "| 70 |" not in gpu
    assert "Card A" not in processor and "| 7 |" in processor
    monkeypatch.setattr(keep, "RECORDS", tmp_path / "records.jsonl")
    assert "nothing yet" in performance.measured()
    rates = keep.measured_rates([record(None, 7), record("Card A", 70)])
    assert rates == [("Card A", "ViT-B-16", "fast", 70)]


def test_the_page_that_is_kept_says_what_was_not_measured() -> None:
    text = keep.PAGE.read_text(encoding="utf-8")
    records = keep.history.read(keep.RECORDS)
    assert keep.filled(text, records) == text, "the page is not that of the records"
    if not any(record["surroundings"]["card"] for record in records):
        assert keep.NOT_YET in text


def test_what_is_missing_comes_from_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "MODULES", {"torch": "torch", "a_b": "a-b", "nowhere": "nowhere"})
    with zipfile.ZipFile(tmp_path / "a_b-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("a_b/__init__.py", "")
    assert wheels.missing() == ["a_b", "nowhere"]
    assert wheels.unpack(tmp_path, tmp_path / "site") == ["nowhere"]
    assert (tmp_path / "site/a_b/__init__.py").exists()


def test_the_wheels_are_all_that_they_ask_for() -> None:
    present = {"torch", "torchvision", "numpy"}
    names = {canonicalize_name(name) for name in (*wheels.MODULES.values(), *wheels.NEVER_IMPORTED)}
    known = {"python_version": "3.12", "python_full_version": "3.12.0", "extra": ""}
    for name in names:
        for requirement in map(Requirement, metadata.requires(name) or ()):
            if requirement.marker is None or requirement.marker.evaluate(known):
                assert canonicalize_name(requirement.name) in names | present, (name, requirement)


@pytest.mark.starts
def test_a_section_needs_nothing_that_is_neither_there_nor_a_wheel(tmp_path: Path) -> None:
    """A real one in its own process, on a machine without Prefect, DuckDB, pyarrow or a server."""
    for module in ("prefect", "duckdb", "pyarrow", "fastapi", "s3fs", "rich", "lazsl_flows"):
        (tmp_path / f"{module}.py").write_text("raise ImportError('not on that machine')")
    path = os.pathsep.join([str(tmp_path), str(measuring.ROOT)])
    patient = argparse.Namespace(size="small", patience=20)
    section = measuring.run("machine", patient, "cpu", path, time.monotonic() + 600)
    assert section["error"] is None
    assert len(section["rows"]) == 4
