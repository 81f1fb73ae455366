"""The benchmarks as a suite: what is kept of a run, what counts as missed, what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from figures import Figure, best_of_turns, conclude, options

from benchmarks import __main__ as suite
from benchmarks import cost, history, page, plots


def record(ratio: float, quick: bool = False) -> dict[str, object]:
    """A record of one benchmark with one figure, wanted to be at least 2."""
    figure = Figure("speed", ratio, "a plain loop", at_least=2).as_json()
    actual = {"benchmark": "loop", "figures": [figure]}
    return {**history.surroundings(), "quick": quick, "benchmarks": {"loop": actual}}


def test_a_figure_is_met_on_the_side_that_is_wanted() -> None:
    assert Figure("a", 2.0, "b", at_least=2).met is True
    assert Figure("a", 1.9, "b", at_least=2).met is False
    assert Figure("a", 1.9, "b", at_most=2).met is True
    assert Figure("a", 2.1, "b", at_most=2).met is False
    assert Figure("a", 9.0, "b").met is None


def test_a_benchmark_ends_with_1_and_says_so_where_a_target_is_missed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    args = options("What is measured.").parse_args(["--json"])
    good, bad = Figure("a", 3, "a loop", at_least=2), Figure("memory", 1.5, "half", at_most=1.1)
    assert conclude(args, "one", [good], "said") == 0
    assert conclude(args, "two", [good, bad], "said", more=1) == 1
    out, err = capsys.readouterr()
    assert "two: memory is 1.5, wanted at most 1.1 times half" in err
    document = json.loads(out[out.index('{\n "benchmark": "two"') :])
    assert [figure["met"] for figure in document["figures"]] == [True, False] and document[
        "more"
    ] == 1


def test_ways_take_turns_and_the_least_of_each_counts() -> None:
    moments = iter([0, 5, 5, 6, 10, 12, 12, 20])
    order: list[str] = []
    ways = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    assert best_of_turns(ways, 2, lambda: next(moments)) == {"a": 2, "b": 1}
    assert order == ["a", "b", "a", "b"]


@pytest.mark.starts
def test_a_benchmark_that_breaks_is_told_from_one_that_misses(tmp_path: Path) -> None:
    miss = tmp_path / "bench_miss.py"
    miss.write_text(
        'import json, sys\nQUICK = ("--few",)\n'
        'print(json.dumps({"figures": [], "given": sys.argv[1:]}))\nsys.exit(1)\n'
    )
    results, _ = suite.measure(miss, quick=True)
    assert results is not None and results["given"] == ["--json", "--few"]
    broken = tmp_path / "bench_broken.py"
    broken.write_text('raise SystemExit("no model")\n')
    assert suite.measure(broken, quick=False) == (None, "no model\n")


def test_stopped_by_hand_it_keeps_what_is_measured_and_says_what_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept: list[dict[str, Any]] = []

    def measure(file: Path, quick: bool) -> tuple[dict[str, Any] | None, str]:
        if file.name == "bench_growth.py":
            raise KeyboardInterrupt
        return {"figures": [Figure("speed", 3, "a loop", at_least=2).as_json()]}, ""

    monkeypatch.setattr(suite, "measure", measure)
    monkeypatch.setattr(history, "append", kept.append)
    arguments = [f"--only={name}" for name in ("crops", "growth", "scoring")]
    monkeypatch.setattr("sys.argv", ["benchmarks", "--quick", *arguments])
    assert suite.main() == 1
    assert [list(record["benchmarks"]) for record in kept] == [["crops"]]
    assert "stopped; not measured: growth, scoring" in capsys.readouterr().out


def test_what_was_measured_in_a_hurry_is_kept_but_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    for kept in (record(2.5), record(1.5, quick=True)):
        history.append(kept, file)
    records = history.read(file)
    assert [record["quick"] for record in records] == [False, True]
    latest, _ = history.latest("loop", records)
    assert latest["figures"][0]["ratio"] == 2.5
    assert "| loop | speed, over a plain loop | 2.5 | at least 2 | met |" in page.targets(records)
    with pytest.raises(LookupError, match="never run: python -m benchmarks --only crops"):
        history.latest("crops", records)


def test_every_figure_with_a_target_has_a_panel(tmp_path: Path) -> None:
    plots.over_time([record(1.5), record(2.5)], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_a_record_says_when_on_what_and_how_busy_but_not_where() -> None:
    surroundings = history.surroundings()
    assert re.fullmatch(r"[0-9a-f]{10}\+?", surroundings["commit"])
    assert surroundings["processor"] and surroundings["threads"] >= 1 and surroundings["load"] >= 0
    assert "nodename" not in surroundings and "host" not in surroundings


def test_the_history_names_no_host_and_no_path() -> None:
    for line in history.HISTORY.read_text(encoding="utf-8").splitlines():
        assert not re.search(r'"(?:/|[A-Za-z]:\\)|/tmp|/home|/root|file://', line), line[:200]


def test_the_page_is_what_the_history_says() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.filled(text, history.read()) == text, "run: python -m benchmarks.page"


def test_every_benchmark_prints_figures() -> None:
    files = sorted(history.HERE.glob("bench_*.py"))
    assert len(files) >= 10
    without = [file.name for file in files if "Figure(" not in file.read_text(encoding="utf-8")]
    assert not without, f"no figure in the sense of benchmarks/figures.py: {without}"


def test_operations_are_those_that_open_clip_publishes() -> None:
    # Its model profile, in 10^9 multiply-adds: image and text tower.
    published = {"ViT-B-32": (4.40, 2.98), "ViT-B-16": (17.58, 2.98)}
    for name, (vision, text) in published.items():
        network = cost.model(name)
        assert network.vision / 2e9 == pytest.approx(vision, rel=0.01)
        assert network.text / 2e9 == pytest.approx(text, rel=0.01)


def test_a_million_images_cost_what_the_formula_says_by_hand() -> None:
    network = cost.Model("m", vision=10e9, text=1e9, width=512)
    where = cost.Hardware("h", "float16", 100e12, 0.5, 3.6, 8)
    # 50 TFLOP/s over 91 x 10 GFLOP: 54.9 images a second, 18,200 seconds a million.
    assert cost.images_per_second(network, where) == pytest.approx(54.945, rel=1e-4)
    assert cost.dollars_per_million(network, where) == pytest.approx(18.2, rel=1e-4)
