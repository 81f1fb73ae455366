"""Claims about `lazsl evaluate`: its figures are those of the run, its files are used by others."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from lazsl import fieldguide
from lazsl.alignment.align import class_scores, crop_mean_scores, select_regions
from lazsl.cli.commands import app
from lazsl.errors import UserError
from lazsl.evaluation import sweeps
from lazsl.evaluation.answers import Answers, views_of
from lazsl.evaluation.comparison import Comparison, compare
from lazsl.evaluation.evaluate import Evaluation, evaluate
from lazsl.evaluation.known_truth import join_truth
from lazsl.evaluation.methods import METHODS, aligning
from lazsl.evaluation.sections.comparison_section import ComparisonSection
from lazsl.evaluation.sections.section import plain
from lazsl.evaluation.stored import open_stored, read_images
from lazsl.evaluation.trust_file import read_trust, trust_notices
from lazsl.run import plan_step, score_step
from lazsl.run.run import Run, open_relabelling
from lazsl.settings import RegionSettings
from lazsl.store import paths

PICTURES = ["methods", "classes", "confusions", "reliability", "risk_coverage", "confidence"]


@pytest.fixture(scope="module")
def workspace_of_run(labelled: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The workspace of a finished run, to be written to."""
    home = tmp_path_factory.mktemp("own") / "workspace"
    shutil.copytree(labelled.job.workspace, home, ignore=shutil.ignore_patterns("*.duckdb"))
    return str(home)


@pytest.fixture(scope="module")
def evaluation(workspace_of_run: str) -> Evaluation:
    return evaluate(workspace_of_run, precision=0.6, sweep=sweeps.SETTINGS)


def truth() -> dict[str, str]:
    with fieldguide.TRUTH_FILE.open() as file:
        return {row["key"]: row["label"] for row in csv.DictReader(file)}


def says(arguments: list[str]) -> str:
    """What a refused command says: one sentence, exit code 2."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())


# The command


def test_the_table_counts_what_the_run_predicted(
    evaluation: Evaluation, workspace_of_run: str
) -> None:
    stored = evaluation.stored
    right = {"lazsl": set(), "clip": set(), "dclip": set(), "crop-mean": set()}  # type: ignore[var-annotated]
    known = truth()
    for shard in paths.done_shards(stored.folder, stored.key):
        images = stored.folder.read_table(paths.images(stored.encoder, stored.regions, shard))
        keys = {row["image_id"]: row["key"] for row in images.to_pylist()}
        predictions = stored.folder.read_table(paths.run_table(stored.key, "predictions", shard))
        for row in predictions.to_pylist():
            key = keys[row["image_id"]]
            for name in right:
                label = row["label" if name == "lazsl" else f"{name.replace('-', '_')}_label"]
                if label == known[key]:
                    right[name].add(key)
    rows = {row["name"]: row for row in evaluation.comparison.to_json()["methods"]}
    assert list(rows) == [method.name for method in METHODS if method.name != "cupl"]
    for name, keys_right in right.items():
        assert rows[name]["top1"]["value"] == pytest.approx(len(keys_right) / 43)
        if name != "lazsl":
            assert rows[name]["paired"]["only_this"] == len(keys_right - right["lazsl"])
            assert rows[name]["paired"]["only_other"] == len(right["lazsl"] - keys_right)
            difference = rows[name]["top1"]["value"] - rows["lazsl"]["top1"]["value"]
            assert rows[name]["difference"]["value"] == pytest.approx(difference)
    assert rows["lazsl"]["paired"] is None


def test_the_command_prints_writes_and_says_where(workspace_of_run: str, tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = [
        "evaluate",
        "-w",
        workspace_of_run,
        "--precision",
        "0.6",
        "--sweep",
        "theta",
        "-o",
        str(output),
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    for title in (
        "LaZSL, converged",
        "temperature",
        "0.8 (run)",
        "left out: cupl",
        "evaluation.md",
    ):
        assert title in result.output
    names = {path.name for path in output.iterdir()}
    pictures = {f"{name}.png" for name in [*PICTURES, "sweep_theta"]}
    assert names == pictures | {"evaluation.md", "evaluation.json", "trust.json"}
    for name in pictures:
        with Image.open(output / name) as picture:
            assert min(picture.size) > 300 and len(picture.convert("RGB").getcolors(2**20)) > 50
    page = (output / "evaluation.md").read_text()
    assert all(f"({name})" in page for name in pictures)
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    printed = CliRunner().invoke(app, [*arguments, "--json"])
    written = json.loads((output / "evaluation.json").read_text())
    assert json.loads(printed.stdout) == written
    for document in (written, json.loads(before["evaluation.json"])):
        assert {**document, "seconds": 0} == {**written, "seconds": 0}
    for name in pictures | {"trust.json", "evaluation.md"}:
        assert (output / name).read_bytes() == before[name], name


def test_without_a_folder_it_writes_beside_the_run(workspace_of_run: str) -> None:
    result = CliRunner().invoke(app, ["evaluate", "-w", workspace_of_run])
    assert result.exit_code == 0, result.output
    (folder,) = (Path(workspace_of_run) / "evaluations").iterdir()
    assert folder.name == open_stored(workspace_of_run).key and (folder / "trust.json").is_file()


def test_the_trust_file_is_one_that_label_applies(evaluation: Evaluation, tmp_path: Path) -> None:
    section = next(section for section in evaluation.sections if section.name == "trust")
    assert "trust.json" in [path.name for path in section.write(tmp_path)]
    read = read_trust(str(tmp_path / "trust.json"))
    run = open_relabelling(evaluation.stored.folder, evaluation.stored.key, {})
    assert trust_notices(read, run) == []
    assert read.floor == evaluation.answers.scores["lazsl"][:, 0].min()  # closed archives, too
    assert (read.images, read.precision, read.run) == (43, 0.6, run.key)
    assert read.threshold is not None and 0 < read.threshold < 1
    assert f"relabel {run.key} --trust trust.json" in section.to_markdown()


def test_what_cannot_be_evaluated_is_one_sentence(workspace_of_run: str, tmp_path: Path) -> None:
    at = ["evaluate", "-w", workspace_of_run]
    assert "'alpha' cannot be swept; there are theta" in says([*at, "--sweep", "theta,alpha"])
    assert "between 0 and 1" in says([*at, "--precision", "1.5"])
    assert "there are archive-" in says([*at, "other"])
    assert "there is no run in" in says(["evaluate", "-w", str(tmp_path / "none")])
    assert "cannot be read" in says([*at, "--truth", "none.csv"])
    assert "folder" in says([*at, "--truth", "folders"])
    assert "none.json" in says([*at, "--cupl", str(tmp_path / "none.json")])
    assert "clusters 'none.csv' cannot be read" in says([*at, "--clusters", "none.csv"])
    assert "groups 'none.csv' cannot be read" in says([*at, "--group-by", "none.csv"])


def test_controls_stand_beside_the_label_set_when_asked_for(workspace_of_run: str) -> None:
    arguments = ["evaluate", "-w", workspace_of_run, "--controls", "--json", "--clusters", "class"]
    result = CliRunner().invoke(app, [*arguments, "--group-by", "class"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["clusters"] == "class" and document["trust"]["grouped_by"] == "class"
    assert "by cluster" in document["methods"]["interval"]["assumes"]
    real, *others = document["controls"]["rows"]
    top1 = {row["name"]: row["top1"]["value"] for row in document["methods"]["methods"]}
    assert real["accuracy"]["lazsl"] == pytest.approx(top1["lazsl"])
    assert len(others) == 3 and document["controls"]["verdict"]


def test_few_images_give_a_table_and_no_trust(workspace_of_run: str, tmp_path: Path) -> None:
    rows = list(truth().items())[:12]
    (tmp_path / "few.csv").write_text("key,label\n" + "".join(f"{k},{v}\n" for k, v in rows))
    result = CliRunner().invoke(
        app, ["evaluate", "-w", workspace_of_run, "--truth", str(tmp_path / "few.csv"), "--json"]
    )
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["methods"]["images"] == 12 and "12 images" in document["trust"]["reason"]
    assert "31 of 43 embedded images have no truth" in " ".join(document["notices"])


def test_images_of_no_known_class_are_told_apart_from_mistakes(
    workspace_of_run: str, tmp_path: Path
) -> None:
    rows = [(k, "Dodo" if i < 9 else v) for i, (k, v) in enumerate(truth().items())]
    (tmp_path / "open.csv").write_text("key,label\n" + "".join(f"{k},{v}\n" for k, v in rows))
    evaluation = evaluate(
        workspace_of_run, truth=str(tmp_path / "open.csv"), open_set=True, precision=0.6
    )
    assert evaluation.comparison.images == 34
    trust = next(section for section in evaluation.sections if section.name == "trust").to_json()
    assert (trust["images"], trust["unknown"]) == (43, 9)
    assert set(trust["auroc_scores"]) == {"best score", "margin"} and trust["auroc_open_set"]
    every = [(k, "Dodo") for k in truth()]
    (tmp_path / "open.csv").write_text("key,label\n" + "".join(f"{k},{v}\n" for k, v in every))
    with pytest.raises(UserError, match="none of the 43 images with truth shows a class"):
        evaluate(workspace_of_run, truth=str(tmp_path / "open.csv"), open_set=True)


def test_truth_from_a_parquet_column_and_from_csv_is_the_same(
    workspace_of_run: str, tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = truth()
    table = pa.table({"key": list(rows), "species": list(rows.values()), "n": [1] * len(rows)})
    dictionary = table.set_column(1, "species", table["species"].dictionary_encode())
    pq.write_table(dictionary, tmp_path / "t.parquet")
    stored = open_stored(workspace_of_run)
    expected = join_truth(stored)
    assert join_truth(stored, f"{tmp_path}/t.parquet:species").labels == expected.labels
    with pytest.raises(UserError, match=r"columns key and label once each, but has key, species"):
        join_truth(stored, f"{tmp_path}/t.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(UserError, match="not a Parquet file"):
        join_truth(stored, f"{tmp_path}/broken.parquet")


# Sweeps


def points(evaluation: Evaluation, setting: str) -> dict[tuple[str, float], Any]:
    section = next(section for section in evaluation.sections if section.name == f"sweep_{setting}")
    return {(p["series"], p["value"]): p for p in section.to_json()["points"]}


def test_the_runs_own_value_is_on_every_sweep_and_gives_its_accuracy(
    evaluation: Evaluation,
) -> None:
    accuracy = evaluation.comparison.reference.top1
    for setting in sweeps.SETTINGS:
        current = [p for p in points(evaluation, setting).values() if p["current"]]
        assert len(current) == (2 if setting == "crops" else 1)
        for point in current:
            assert point["top1"]["value"] == accuracy.value
            assert point["paired"] == {"only_this": 0, "only_other": 0, "p_value": 1.0}


def test_the_ends_of_a_sweep_are_the_methods_they_turn_into(evaluation: Evaluation) -> None:
    answers = evaluation.answers
    assert np.array_equal(answers.best["theta 0 LaZSL"][:, 0], answers.best["dclip"][:, 0])
    assert np.array_equal(answers.best["theta 1 LaZSL"], answers.best["ot"])
    every = answers.best["regions 24 mean over crops"]
    assert np.array_equal(every, answers.best["crop-mean"])


def test_a_swept_value_gives_what_relabelling_with_it_gives(evaluation: Evaluation) -> None:
    stored = evaluation.stored
    place = {image_id: row for row, image_id in enumerate(evaluation.answers.image_ids)}
    for setting, value in (("theta", 0.3), ("epsilon", 0.05), ("gamma", 0.02)):
        scoring = {**stored.job.scoring.model_dump(), setting: value}
        again = open_relabelling(stored.folder, stored.key, {"scoring": scoring})
        for shard in plan_step.archive_shards(again):
            score_step.score_shard(again, shard)
            name = paths.run_table(again.key, "predictions", shard)
            for row in stored.folder.read_table(name).to_pylist():
                best = evaluation.answers.best[f"{setting} {value:g} LaZSL"][
                    place[row["image_id"]], 0
                ]
                assert evaluation.answers.classes[best] == row["label"]


def test_fewer_regions_are_the_first_crops_alone(evaluation: Evaluation) -> None:
    stored = evaluation.stored
    packed = stored.embedded_labels.packed
    place = {image_id: row for row, image_id in enumerate(evaluation.answers.image_ids)}
    for batch in read_images(stored):
        crops = batch.crops[:, :5].clone()
        keep = select_regions(crops, batch.whole)
        arguments = aligning(stored.job.scoring)
        expected = class_scores(crops, batch.whole, keep, packed, **arguments).argmax(1)
        mean = crop_mean_scores(crops, packed).argmax(1)
        rows = [place[image_id] for image_id in batch.image_ids]
        assert evaluation.answers.best["regions 5 LaZSL"][rows, 0].tolist() == expected.tolist()
        assert (
            evaluation.answers.best["regions 5 mean over crops"][rows, 0].tolist() == mean.tolist()
        )


def test_a_range_of_sides_leaves_just_the_crops_in_it(evaluation: Evaluation) -> None:
    stored = evaluation.stored
    (batch, *_) = read_images(stored)
    for low, high in ((0.6, 0.9), (0.75, 0.9), (0.6, 0.7), (0.05, 0.06), (0.97, 0.99)):
        valid = sweeps._sides_between(batch, low, high).numpy()
        for b, boxes in enumerate(batch.boxes):
            shorter = min(batch.sizes[b])
            sides = [int(right - left) for left, _, right, _ in boxes]
            inside = [int(low * shorter) <= side <= int(high * shorter) for side in sides]
            if any(inside):
                assert valid[b].tolist() == inside
            else:
                assert valid[b].sum() == 1
                chosen = sides[int(valid[b].argmax())]
                assert chosen == (min(sides) if high < 0.5 else max(sides))
    views = views_of(batch, stored.job.scoring)
    keep = select_regions(batch.crops, batch.whole, 0.0, torch.ones_like(views.keep))
    assert torch.equal(keep, views.keep)


def test_only_regions_that_are_stored_are_swept(evaluation: Evaluation) -> None:
    tried = sweeps.probes(
        sweeps.SETTINGS,
        evaluation.stored.job.scoring,
        RegionSettings(count=7),
        evaluation.sentences,
    )
    counts = [
        point.value for point in tried if point.setting == "regions" and point.series == "LaZSL"
    ]
    assert counts == [1, 2, 3, 5, 7]
    note = next(
        section for section in evaluation.sections if section.name == "sweep_crops"
    ).to_json()["note"]
    assert "new embeddings" in note and "regions.smallest" in note
    assert sweeps.parse_settings("gamma, theta") == ("theta", "gamma")
    assert sweeps.parse_settings("all") == sweeps.SETTINGS and sweeps.parse_settings("") == ()


# What is shown


HOSTILE = ("[bold]Wren[/]", "a|b", "<script>alert(1)</script>", "鳥\u202e$x^{$gnirts", "x" * 300)


def hostile() -> Comparison:
    """A comparison of classes whose names are markup, all of them confused."""
    count = 5 * 8
    truth = np.arange(count) % 5
    best = np.stack([(truth + 1) % 5, truth], axis=1)
    names = tuple(map(str, range(count)))
    chosen = [method for method in METHODS if method.name in ("dclip", "lazsl")]
    answers = Answers(
        names, names, HOSTILE, truth, names, {method.name: best for method in chosen}, {}
    )
    return compare(answers, chosen, {"cupl": "it needs [x](y)|z"})


def test_names_are_shown_as_they_are_whatever_they_hold(tmp_path: Path) -> None:
    section = ComparisonSection(hostile())
    console = Console(width=100, record=True, file=(tmp_path / "out").open("w"))
    section.show(console)
    shown = console.export_text()
    assert "[bold]Wren[/]" in shown and "‹U+202E›" in shown
    page = section.to_markdown()
    assert "<script>" not in page and "a\\|b" in page and "\u202e" not in page
    assert "\\[bold\\]Wren" in page and "x" * 60 not in page and "\\[x\\](y)\\|z" in page
    assert plain("*_`[<&|\\") == "\\*\\_\\`\\[&lt;&amp;\\|\\\\"
    assert [path.name for path in section.write(tmp_path)] == [
        f"{name}.png" for name in PICTURES[:3]
    ]


def test_a_perfect_method_is_confused_by_nothing(tmp_path: Path) -> None:
    truth = np.arange(30) % 3
    names = tuple(map(str, range(30)))
    best = np.stack([truth, (truth + 1) % 3], axis=1)
    chosen = [method for method in METHODS if method.name == "lazsl"]
    answers = Answers(names, names, ("a", "b", "c"), truth, names, {"lazsl": best}, {})
    comparison = compare(answers, chosen, {})
    assert (
        "confuses no pair" in ComparisonSection(comparison).to_markdown()
        and comparison.confused == ()
    )
    assert comparison.reference.top1.value == comparison.reference.top1.high == 1.0
    assert comparison.reference.top1.low < 0.9, "thirty images do not make it certain"
    assert len(ComparisonSection(comparison).write(tmp_path)) == 2
