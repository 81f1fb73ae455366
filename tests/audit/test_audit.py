"""A person judges a sample: what is drawn, what is written, what comes back, and what follows."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import fake_run
import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binomtest
from typer.testing import CliRunner

from lazsl import fieldguide
from lazsl.audit import estimate, judgements
from lazsl.audit import sample as audit
from lazsl.audit.judging_files import NONE, csv_file, label_studio_config
from lazsl.cli.commands import app
from lazsl.errors import UserError
from lazsl.run import label_set_step, score_step
from lazsl.run.run import Run, open_relabelling, record_run
from lazsl.run.todo import missing_shards
from lazsl.store import paths
from lazsl.store.folder import Folder
from lazsl.visible_text import guarded, unguarded
from lazsl.warehouse import loading, opening, sqlfiles

Row = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A workspace with a loaded run, and a folder for files to judge in."""

    workspace: Folder
    path: Path
    home: Path
    fake: Any = None
    """The fake_run.FakeRun that was written, where it is a synthetic run."""

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with closing(opening.open_warehouse(self.path)) as connection:
            return connection.execute(query).fetchall()

    def drawn(self, images: int = 20, by: tuple[str, ...] = ("label",), seed: int = 0) -> pa.Table:
        sample = audit.draw_sample(
            self.workspace, self.path, self.fake.run, images, by=by, seed=seed
        )
        loading.load(self.workspace, self.path, runs=[])
        return sample

    def sheet(self, sample: pa.Table, judge: Callable[[Row], str]) -> str:
        """Path of the CSV of a sample, filled in as `judge` says of every row."""
        text = csv_file(audit.shown(self.path, sample)).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text)))
        file = self.home / f"judged-{len(list(self.home.glob('judged-*')))}.csv"
        with file.open("w", encoding="utf-8", newline="") as opened:
            writer = csv.DictWriter(opened, rows[0])
            writer.writeheader()
            writer.writerows({**row, "judged_label": judge(row)} for row in rows)
        return str(file)

    def imported(
        self, file: str, reviewer: str | None = "ada", **settings: Any
    ) -> judgements.Imported:
        return judgements.import_judgements(
            self.workspace, self.path, file, reviewer=reviewer, **settings
        )


def make_place(home: Path, workspace: str, images: int = 60) -> Place:
    folder = Folder(workspace)
    fake = fake_run.write_run(folder, run="run-a", images=images, shard_size=20)
    path = home / "warehouse.duckdb"
    loading.load(folder, path)
    return Place(folder, path, home, fake)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Nothing was ever drawn here."""
    home = tmp_path_factory.mktemp("audit")
    return make_place(home, str(home / "workspace"))


@pytest.fixture
def here(untouched: Place, tmp_path: Path) -> Place:
    """A copy of it to write into."""
    return copy_of(untouched, tmp_path)


@pytest.fixture(scope="module")
def shared(untouched: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A copy in which several tests draw; nobody judges."""
    return copy_of(untouched, tmp_path_factory.mktemp("shared"))


def copy_of(place: Place, home: Path) -> Place:
    shutil.copytree(place.home, home, dirs_exist_ok=True)
    workspace = Folder(str(home / "workspace"))
    return Place(workspace, home / "warehouse.duckdb", home, place.fake)


def as_called(row: Row) -> str:
    return str(row["label"])


# Drawing


def test_allocation_is_proportional_with_two_images_from_every_stratum() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        sizes = [int(n) for n in random.integers(1, 2000, random.integers(1, 30))]
        images = int(random.integers(2 * len(sizes), 600))
        drawn = audit.allocate(sizes, images)
        assert sum(drawn) == min(images, sum(sizes))
        assert all(min(2, size) <= n <= size for n, size in zip(drawn, sizes, strict=True))
        # Where nobody needs the minimum, every stratum has its part, up to one image.
        free = [s for s in range(len(sizes)) if sizes[s] * images / sum(sizes) > 3]
        if len(free) == len(sizes):
            for s in free:
                assert abs(drawn[s] - sizes[s] * images / sum(sizes)) <= 1
        more = audit.allocate(sizes, images + 7)
        assert all(a <= b for a, b in zip(drawn, more, strict=True)), "never one taken away"


def test_a_sample_has_the_size_and_the_strata_that_were_asked_for(shared: Place) -> None:
    labels = {row["image_id"]: row["label"] for row in shared.fake.tables["predictions"]}
    sample = shared.drawn(20).to_pylist()
    assert len(sample) == 20 and len({row["image_id"] for row in sample}) == 20
    for row in sample:
        stratum = [r for r in sample if r["stratum"] == row["stratum"]]
        assert labels[row["image_id"]] == row["label"] == stratum[0]["label"]
        assert row["drawn"] == len(stratum)
        assert row["population"] == list(labels.values()).count(row["label"])
    both = shared.drawn(40, ("label", "margin")).to_pylist()
    populations = {row["stratum"]: row["population"] for row in both}
    assert sum(populations.values()) == len(labels) and len(populations) > 8
    plain = shared.drawn(20, ()).to_pylist()
    assert {(r["stratum"], r["population"], r["drawn"]) for r in plain} == {(0, len(labels), 20)}


def test_classes_too_small_for_two_images_share_a_stratum_that_is_drawn_as_its_size_says(
    shared: Place,
) -> None:
    sample = shared.drawn(6).to_pylist()
    strata = {row["stratum"]: (row["population"], row["drawn"]) for row in sample}
    images = len(shared.fake.labelled)
    assert len(strata) <= 3 and all(drawn >= 2 for _, drawn in strata.values())
    assert sum(population for population, _ in strata.values()) == images
    for population, drawn in strata.values():
        assert abs(drawn - population * 6 / images) < 1
    # However many classes: none is left over with two draws.
    stratum = audit.pooled([100] * 1000, 200)
    assert sorted(Counter(stratum).values()) == [10] * 100
    one_large = audit.pooled([900] + [1] * 100, 20)
    assert one_large[0] == 0 and set(one_large[1:]) == {1}


def test_the_seed_decides_and_a_larger_sample_contains_the_smaller(shared: Place) -> None:
    def names(sample: pa.Table) -> set[str]:
        return set(sample["image_id"].to_pylist())

    twenty = shared.drawn(20)
    assert shared.drawn(20).equals(twenty)
    assert names(shared.drawn(20, seed=1)) != names(twenty)
    assert names(twenty) < names(shared.drawn(33))


def test_every_image_is_drawn_with_the_probability_that_is_stored(shared: Place) -> None:
    seeds, images, drawn = 150, len(shared.fake.labelled), 12
    cells = pa.table(
        {
            "label": pa.array([None], pa.string()),
            "band": pa.array([None], pa.int64()),
            "stratum": [0],
            "population": [images],
            "drawn": [drawn],
        }
    )
    counts: dict[str, int] = {}
    with (
        closing(opening.open_warehouse(shared.path)) as connection,
        sqlfiles.registered(connection, {"new_cells": cells}),
    ):
        settings = {"run": "run-a", "by_label": False, "by_margin": False}
        for seed in range(seeds):
            for row in sqlfiles.run(connection, "audit/draw.sql", **settings, seed=seed).fetchall():
                counts[row[0]] = counts.get(row[0], 0) + 1
    chance = drawn / images
    error = np.sqrt(chance * (1 - chance) / seeds)
    assert len(counts) == images
    assert all(abs(n / seeds - chance) < 4 * error for n in counts.values())


# Estimating


def test_overall_weighs_every_stratum_by_its_images() -> None:
    stratum = np.array([0, 0, 0, 0, 1, 1])
    right = np.array([1, 1, 1, 0, 0, 1], bool)
    weights = estimate.stratum_weights(stratum, {0: 100, 1: 900})
    accuracy = estimate.stratified(*weights, right, np.ones(6, bool))
    assert accuracy.value == pytest.approx(0.1 * 3 / 4 + 0.9 * 1 / 2)
    # Of a part of the images, such as those that a run did not abstain from.
    within = np.array([1, 1, 0, 1, 1, 0], bool)
    part = estimate.stratified(*weights, right, within)
    assert part.value == pytest.approx(2 * 25 / (3 * 25 + 450)) and part.judged == 4


@pytest.mark.parametrize(("right", "judged"), [(0, 5), (3, 5), (29, 30), (200, 200)])
def test_a_class_has_clopper_and_pearsons_interval(right: int, judged: int) -> None:
    huge = np.full(judged, 1e12)
    interval = estimate.share(huge, np.arange(judged) < right, np.ones(judged, bool))
    wanted = binomtest(right, judged).proportion_ci(method="exact")
    assert (interval.low, interval.high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)
    assert interval.value == right / judged


def test_strata_without_enough_judgements_are_put_together() -> None:
    population = {0: 50, 1: 30, 2: 20, 3: 10}
    stratum, weights, sizes = estimate.stratum_weights([0, 0, 0, 1, 3], population)
    assert weights.sum() == pytest.approx(110) and sizes.tolist() == [50, 50, 50, 60, 60]
    assert len(set(stratum.tolist())) == 2
    # One judged image is too few: it joins the strata before it.
    stratum, weights, _ = estimate.stratum_weights([0, 0, 0, 1, 1, 3], population)
    assert weights.sum() == pytest.approx(110) and len(set(stratum.tolist())) == 2
    (alone,) = estimate.stratum_weights([2], population)[1]
    assert alone == 110


# The whole way, on real labels


@pytest.fixture(scope="module")
def real(labelled: Run, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A copy of a real run, with another one that scored the same embeddings."""
    home = tmp_path_factory.mktemp("real")
    shutil.copytree(labelled.job.workspace, home / "workspace")
    workspace = Folder(str(home / "workspace"))
    changes = {"scoring": {"theta": 0.3}, "warehouse": None}
    other = open_relabelling(workspace, labelled.key, changes)
    record_run(other)
    label_set_step.embed_attributes(other)
    for shard in missing_shards(other, paths.done_shards(workspace, labelled.key)):
        score_step.score_shard(other, shard)
    path = home / "workspace" / "warehouse.duckdb"
    loading.load(workspace, path)
    return Place(workspace, path, home)


def truth_of() -> dict[str, str]:
    with fieldguide.TRUTH_FILE.open(encoding="utf-8") as file:
        return {row["key"]: row["label"] for row in csv.DictReader(file)}


def lazsl(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_two_commands_turn_judgements_into_the_accuracy_of_any_run(
    real: Place, labelled: Run
) -> None:
    sheet, options = str(real.home / "audit.csv"), ["-w", real.workspace.url]
    output = lazsl("audit", "sample", labelled.key, "-n", "1000", "-o", sheet, *options)
    truth = truth_of()
    rows = list(csv.DictReader(io.StringIO(Path(sheet).read_text(encoding="utf-8-sig"))))
    assert f"{len(rows)} images" in output and len(rows) == 43
    assert all(row["judged_label"] == row["comment"] == "" for row in rows)
    with Path(sheet).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "judged_label": truth[row["key"]]} for row in rows)
    lazsl("audit", "import", sheet, "--reviewer", "ada", *options)
    calls = dict(real.ask("select (run, key), label from labelled"))
    for run in {run for run, _ in calls}:
        document = json.loads(lazsl("audit", "estimate", run, "--json", *options))
        labels = {key: label for (of, key), label in calls.items() if of == run}
        right = sum(truth[key] == label for key, label in labels.items())
        # Everything was judged, so nothing is uncertain.
        accuracy = document["accuracy"]
        assert accuracy["value"] == accuracy["low"] == accuracy["high"] == right / len(labels)
        assert document["judged"] == document["population"] == document["images"] == 43
        assert len(labels) == 43
        for name, of in document["classes"].items():
            called = [key for key, label in labels.items() if label == name]
            assert of["judged"] == len(called)
            assert of["value"] == sum(truth[key] == name for key in called) / len(called)
    shown = lazsl("audit", "estimate", labelled.key, *options)
    assert "all labels" in shown and "43 of 43 images" in shown


def test_images_that_were_chosen_to_be_judged_stand_for_no_others(here: Place) -> None:
    sample = here.drawn()
    sheet = Path(here.sheet(sample, as_called)).read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(sheet)))
    assert [row["image_id"] for row in rows] == sorted(row["image_id"] for row in rows), "no random"
    chosen, drawn = rows[:6], rows[6:12]
    by_hand = here.home / "chosen.csv"
    by_hand.write_text(
        "key,judged_label\n" + "".join(f"{row['key']},{NONE}\n" for row in chosen), encoding="utf-8"
    )
    here.imported(str(by_hand), run="run-a")
    with pytest.raises(UserError, match=r"6 judged images of sample .* were chosen, not drawn"):
        estimate.estimate_run(here.path, "run-a")

    of_sample = {row["key"] for row in drawn}
    here.imported(here.sheet(sample, lambda r: r["label"] if r["key"] in of_sample else ""))
    part = estimate.estimate_run(here.path, "run-a")
    assert (part.judged, part.chosen, part.accuracy.value) == (6, 6, 1)
    assert "6 more are left out: somebody chose them" in "\n".join(part.notes())

    # All are judged: then it makes no difference who chose some of them.
    by_hand_keys = {row["key"] for row in chosen}
    here.imported(
        here.sheet(sample, lambda r: "" if r["key"] in by_hand_keys else r["label"]), "bob"
    )
    whole = estimate.estimate_run(here.path, "run-a")
    assert (whole.judged, whole.chosen) == (20, 0) and whole.accuracy.value < 1
    assert "left out" not in "\n".join(whole.notes())


# What is kept


def test_importing_a_file_twice_changes_nothing(here: Place) -> None:
    sheet = here.sheet(here.drawn(), as_called)
    first = here.imported(sheet)
    before = (here.ask("from reviews order by all"), here.workspace.details("reviews"))
    again = here.imported(sheet)
    assert (first.new, again.new) == (True, False) and first.batch == again.batch
    assert (here.ask("from reviews order by all"), here.workspace.details("reviews")) == before
    assert len(before[0]) == 20 and first.verdicts == {"right": 20, "wrong": 0, "none": 0}


def test_a_warehouse_that_is_built_anew_has_all_judgements_again(
    tmp_path: Path, place: str
) -> None:
    other_place = make_place(tmp_path, place, images=40)
    other_place.imported(other_place.sheet(other_place.drawn(6), as_called))
    before = (
        other_place.ask("from reviews order by all"),
        other_place.ask("from samples order by all"),
    )
    other_place.path.unlink()
    loading.load(other_place.workspace, other_place.path)
    after = (
        other_place.ask("from reviews order by all"),
        other_place.ask("from samples order by all"),
    )
    assert after == before and all(before)


def test_a_second_opinion_is_added_and_the_first_is_kept(here: Place) -> None:
    sample = here.drawn()
    here.imported(here.sheet(sample, as_called))
    here.imported(here.sheet(sample, lambda row: NONE))
    assert here.ask("select verdict, count(*) from reviews group by all order by all") == [
        ("none", 20),
        ("right", 20),
    ]
    assert here.ask("select distinct judged_label, reviewers, agreed from reviewed") == [
        (None, 1, True)
    ]
    measured = estimate.estimate_run(here.path, "run-a")
    assert measured.accuracy.value == 0 and measured.conflicts == 0
    here.imported(here.sheet(sample, as_called), reviewer="bob")
    measured = estimate.estimate_run(here.path, "run-a")
    assert (measured.accuracy.value, measured.conflicts) == (1, 20)
    assert "Reviewers differ on 20 images" in " ".join(measured.notes())


def test_cut_off_between_keeping_and_loading_the_next_load_brings_judgements_in(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = here.sheet(here.drawn(), as_called)
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "write_table", _cut_off)
        with pytest.raises(KeyboardInterrupt):
            here.imported(sheet)
    assert here.workspace.names("reviews") == [] and here.ask("from reviews") == []
    with monkeypatch.context() as patch:
        real_load, calls = loading.load, []

        def load(*arguments: Any, **options: Any) -> Any:
            calls.append(arguments)
            return real_load(*arguments, **options) if len(calls) == 1 else _cut_off()

        patch.setattr(loading, "load", load)
        with pytest.raises(KeyboardInterrupt):
            here.imported(sheet)
    assert len(here.workspace.names("reviews")) == 1 and here.ask("from reviews") == []
    assert loading.load(here.workspace, here.path).published
    assert len(here.ask("from reviews")) == 20
    assert not loading.load(here.workspace, here.path).published


def _cut_off(*arguments: Any) -> Any:
    raise KeyboardInterrupt


def test_a_later_run_and_a_removed_image_leave_judgements_alone(here: Place) -> None:
    here.imported(here.sheet(here.drawn(), as_called))
    before = here.ask("from reviews order by all")
    fake_run.write_run(here.workspace, run="run-b", images=60, shard_size=20, seed=3)
    listed = pa.table({"image_id": [row["image_id"] for row in here.fake.images[5:]]})
    loading.load(here.workspace, here.path, listed={"archive-1": listed})
    assert here.ask("from reviews order by all") == before
    judged = {row[0]: row[1] for row in here.ask("select key, judged_label from reviews")}
    calls = dict(here.ask("select key, label from labelled where run = 'run-b' and listed"))
    weights = dict(here.ask("select key, population / drawn from samples"))
    inside = [key for key in judged if key in calls]
    right = sum(weights[key] for key in inside if calls[key] == judged[key])
    measured = estimate.estimate_run(here.path, "run-b")
    assert measured.drawn_from == "run-a" and measured.accuracy.judged == len(inside) < 20
    assert measured.accuracy.value == pytest.approx(right / sum(weights[key] for key in inside))


# Files to judge in


NASTY = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    " =1",
    "'=1",
    "''@x",
    "＝1",
    "'quoted'",
    "plain",
    "",
]


@pytest.mark.parametrize("text", NASTY)
def test_a_guarded_cell_is_no_formula_and_comes_back_as_it_was(text: str) -> None:
    cell = guarded(text)
    assert unguarded(cell) == text
    assert not cell.strip().startswith(("=", "+", "-", "@", "＝"))


@pytest.fixture
def hostile(tmp_path: Path) -> Place:
    """A run whose classes are named so as to hurt a spreadsheet, an XML file and a reader."""
    words = ["=cmd|' /C calc'!A0", "+1;2", '-x, "y"', "@sum", "<b>&amp;", "\u202egnirts", "a\nb"]
    folder = Folder(str(tmp_path / "workspace"))
    classes = {name: ["=an attribute", "another"] for name in words}
    fake = fake_run.write_run(folder, run="run-a", images=60, shard_size=20, classes=classes)
    loading.load(folder, tmp_path / "warehouse.duckdb")
    return Place(folder, tmp_path / "warehouse.duckdb", tmp_path, fake)


def test_hostile_names_go_through_a_spreadsheet_and_back(hostile: Place) -> None:
    sample = hostile.drawn(28)
    assert len(set(sample["label"].to_pylist())) == 7
    text = csv_file(audit.shown(hostile.path, sample)).decode("utf-8-sig")
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    numbers = [cell for cell in cells if cell.replace(".", "").lstrip("-").isdigit()]
    assert not [c for c in cells if c.strip()[:1] in tuple("=+-@") and c and c not in numbers]
    imported = hostile.imported(hostile.sheet(sample, as_called))
    assert imported.verdicts == {"right": 28, "wrong": 0, "none": 0}
    assert {row[0] for row in hostile.ask("select judged_label from reviews")} == set(
        sample["label"].to_pylist()
    )


def test_a_spreadsheet_with_semicolons_and_a_byte_order_mark_is_read(here: Place) -> None:
    sheet = Path(here.sheet(here.drawn(), as_called))
    rows = list(csv.DictReader(io.StringIO(sheet.read_text(encoding="utf-8"))))
    with sheet.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    assert here.imported(str(sheet)).judgements == 20


def test_a_sheet_that_was_judged_in_is_replaced_only_when_asked_for(hostile: Place) -> None:
    sheet = hostile.home / "judged.csv"
    command = ["audit", "sample", "run-a", "-n", "4", "-o", str(sheet), "-w", hostile.workspace.url]
    command += ["--warehouse", str(hostile.path)]
    lazsl(*command)
    blank = sheet.read_bytes()
    lazsl(*command)  # the same again is well
    sheet.write_bytes(blank + b"judged")
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2 and "already exists" in refused.stderr
    assert sheet.read_bytes() == blank + b"judged"
    lazsl(*command, "--force")
    assert sheet.read_bytes() == blank


def label_studio(here: Place, file: Path) -> tuple[list[Row], ElementTree.Element]:
    lazsl(
        *("audit", "sample", "run-a", "-n", "20", "-o", str(file)),
        *("-w", here.workspace.url, "--warehouse", str(here.path)),
    )
    tasks = json.loads(file.read_text(encoding="utf-8"))
    return tasks, ElementTree.parse(file.with_suffix(".xml")).getroot()


def test_label_studio_gets_tasks_with_predictions_and_its_interface(hostile: Place) -> None:
    tasks, interface = label_studio(hostile, hostile.home / "tasks.json")
    choices = [choice.get("value") for choice in interface.iter("Choice")]
    assert choices == [*(row["class"] for row in hostile.fake.attributes[::3]), NONE]
    names = {element.get("name"): element.tag for element in interface}
    for task in tasks:
        (prediction,) = task["predictions"]
        (result,) = prediction["result"]
        assert names[result["from_name"]] == "Choices" and names[result["to_name"]] == "Image"
        assert result["value"]["choices"] == [task["data"]["label"]]
        assert prediction["model_version"] == "run-a"
        assert task["data"]["image"] == task["data"]["uri"]
    with pytest.raises(UserError, match="control characters"):
        label_studio_config(["bell \a"])


def test_label_studios_export_comes_back(here: Place) -> None:
    tasks, _ = label_studio(here, here.home / "tasks.json")

    def annotation(choice: str | None, who: Any, **more: Any) -> Row:
        result = [{"from_name": "judged_label", "type": "choices", "value": {"choices": [choice]}}]
        comment = {
            "from_name": "comment",
            "type": "textarea",
            "value": {"text": ["odd", "wings"]},
        }
        return {
            "result": [*result, comment] if choice else [],
            "completed_by": who,
            "updated_at": "2026-03-09T23:16:08.728378+01:00",
            **more,
        }

    for at, task in enumerate(tasks):
        label = task["data"]["label"]
        task["annotations"] = [annotation(label, {"id": 1, "email": "ada@example.org"})]
        if at == 0:
            task["annotations"].append(annotation(NONE, 7))
        if at == 1:
            task["annotations"] = [annotation(label, 7, was_cancelled=True)]
        if at == 2:
            task["annotations"] = [annotation(None, 7)]
    file = here.home / "export.json"
    file.write_text(json.dumps(tasks))
    imported = here.imported(str(file), reviewer=None)
    assert imported.verdicts == {"right": 18, "wrong": 0, "none": 1}
    assert set(here.ask("select reviewer, judged_at::varchar, comment, source from reviews")) == {
        ("ada@example.org", "2026-03-09 22:16:08.728378", "odd wings", "label-studio"),
        ("label-studio-7", "2026-03-09 22:16:08.728378", "odd wings", "label-studio"),
    }


def test_fiftyone_gets_a_folder_and_its_labels_come_back(
    real: Place, labelled: Run, tmp_path: Path
) -> None:
    options = ["-w", real.workspace.url]
    lazsl(
        *("audit", "sample", labelled.key, "-n", "30", "--format", "fiftyone"),
        *("-o", str(tmp_path / "fo"), *options),
    )
    labels = json.loads((tmp_path / "fo" / "labels.json").read_text())
    data = json.loads((tmp_path / "fo" / "data.json").read_text())
    assert labels["classes"][:-1] == list(labelled.labelset.classes)
    assert labels["labels"].keys() == data.keys() and len(data) == 30
    assert all(Path(path).is_file() for path in data.values())
    # It names files by their paths without suffix, and classes by their place.
    root = labelled.job.archive + "/"
    exported = {
        str(Path(data[uuid].removeprefix(root)).with_suffix("")): labels["classes"].index(label)
        for uuid, label in labels["labels"].items()
    }
    file = tmp_path / "labels.json"
    file.write_text(json.dumps({**labels, "labels": exported}))
    (sample,) = {row[0] for row in real.ask("select sample from samples where drawn < population")}
    output = lazsl("audit", "import", str(file), "--sample", sample, "--reviewer", "fo", *options)
    assert "30 judgements (30 right" in output


# What is wrong is said in one sentence


HEADER = "image_id,judged_label,sample,reviewer\n"
BAD: dict[str, tuple[str, str]] = {
    "an unknown class": (HEADER + "{key},wrem,,ada\n", "neither a class.*nearest: 'wren"),
    "an unknown image": (HEADER + "{key}x,wren,{sample},ada\n", "no image.*nearest: 'folder/"),
    "nothing judged": (HEADER + "{key},,,ada\n", "no answer in it"),
    "nobody": (HEADER + "{key},wren,,\n", "--reviewer NAME"),
    "an unknown sample": (HEADER + "{key},wren,nope,ada\n", "'nope' was not drawn"),
    "two samples": (HEADER + "{key},wren,a,ada\n{key},wren,b,ada\n", "samples a, b; split"),
    "a contradiction": (
        HEADER + "{key},wren,{sample},ada\n{key},(none of these),{sample},ada\n",
        "two answers of 'ada'.*'wren' and",
    ),
    "other columns": ("image,label\nx,y\n", "must have a column judged_label"),
    "an empty file": ("", "must have a column judged_label"),
    "Label Studio's JSON-MIN": ('[{"image": "x", "choice": "wren"}]', "not JSON-MIN"),
    "a task that is none": ('[{"data": 3}]', "neither an export"),
    "an answer that is none": (
        '[{"data": {"key": "x"}, "annotations": [{"result": [{"value": null}]}]}]',
        "neither an export",
    ),
    "half of a file": ('[{"data": {"im', "is not JSON"),
    "a class beyond the last": ('{"classes": ["wren"], "labels": {"x": 3}}', "class 3 of 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_used_is_one_sentence_and_leaves_nothing(
    name: str, shared: Place, tmp_path: Path
) -> None:
    text, expected = BAD[name]
    sample = shared.drawn(20)
    for field in ("key", "sample"):
        text = text.replace("{" + field + "}", sample[field][0].as_py())
    file = tmp_path / "judged.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=expected) as caught:
        shared.imported(str(file), reviewer=None, run="run-a")
    assert "\n" not in str(caught.value)
    assert shared.workspace.names("reviews") == []


def test_estimating_without_a_sample_or_a_judgement_says_what_to_do(here: Place) -> None:
    with pytest.raises(UserError, match="draw one: lazsl audit sample"):
        estimate.estimate_run(here.path, "run-a")
    here.drawn()
    with pytest.raises(UserError, match="import judgements with lazsl audit import"):
        estimate.estimate_run(here.path, "run-a")
    with pytest.raises(UserError, match="no run in the warehouse begins with 'nope'"):
        estimate.estimate_run(here.path, "nope")
