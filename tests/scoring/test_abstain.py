"""Claims about abstaining: below a confidence an image gets no label, and everything else stays."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import fake_run
import numpy as np
import pyarrow as pa
import pytest
from lazsl_flows import label as label_flow
from prefect.states import Completed
from scored import REGIONS, Row, score, world
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from lazsl import fieldguide
from lazsl.cli.commands import app
from lazsl.errors import UserError
from lazsl.evaluation.evaluate import evaluate
from lazsl.evaluation.open_set import open_set_split
from lazsl.evaluation.trust_file import write_trust
from lazsl.evaluation.trust_measurement import measure_trust
from lazsl.run import label_set_step, plan_step, score_step
from lazsl.run.run import Run, open_relabelling, open_run, record_run
from lazsl.run.todo import missing_shards
from lazsl.scoring.confidence import confidence
from lazsl.settings import ScoringSettings, make_job
from lazsl.store import keys as identity
from lazsl.store import paths, schemas
from lazsl.store.folder import Folder
from lazsl.warehouse import loading, run_keys, sqlfiles
from lazsl.warehouse.opening import open_warehouse

TABLES = ("scores", "evidence", "plans")
HOW: dict[str, Any] = {"temperature": 0.05, "abstain_below": 0.35}


# Settings and names


@pytest.mark.parametrize(
    ("scoring", "sentence"),
    [
        ({"abstain_below": 0.5}, "there is none without a temperature"),
        ({"temperature": 0.01, "top_k": 1, "plans": 1}, "raise top_k to 2 or more"),
        ({"temperature": 0.01, "abstain_below": 1.5}, "less than or equal to 1"),
        ({"temperature": 0.01, "abstain_below": -0.1}, "greater than or equal to 0"),
        ({"temperature": 0}, "greater than 0"),
        ({"temperature": -1}, "greater than 0"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": 0.1, "abstain_below": float("nan")}, "abstain_below"),
        ({"temperature": "warm"}, "valid number"),
    ],
)
def test_impossible_abstaining_is_one_sentence(scoring: Row, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as error:
        make_job(archive="a", labels="l", scoring=scoring)
    assert str(error.value).count("impossible settings") == 1


def test_runs_that_do_not_abstain_keep_the_name_they_had_before_there_was_abstaining() -> None:
    before = {
        "theta": 0.8,
        "epsilon": 0.1,
        "gamma": 0.0,
        "rule": "paper",
        "max_iterations": 100,
        "tolerance": 0.01,
        "top_k": 5,
        "plans": 2,
    }
    keys = ("photos-1", "e", "r", "l")
    old = f"photos-{identity.digest('run', *keys, before)}"
    assert identity.run_key(*keys, ScoringSettings()) == old
    others = [
        identity.run_key(*keys, ScoringSettings(**settings))
        for settings in ({"temperature": 0.01}, HOW, {**HOW, "abstain_below": 0.4})
    ]
    assert len({old, *others}) == 4


def test_a_label_set_of_one_class_has_no_confidence(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text('{"bird": ["a beak"]}')
    job = make_job(
        archive=str(tmp_path),
        labels=str(tmp_path / "one.json"),
        model="fieldguide",
        scoring={"temperature": 0.01},
    )
    with pytest.raises(UserError, match="confidence compares classes"):
        open_run(job)
    with pytest.raises(UserError, match="only one is scored"):
        confidence(np.full((3, 1), 0.3), 0.01)


def test_one_class_takes_over_no_temperature_from_the_run_it_scores_anew(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text('{"bird": ["a beak"]}')
    job = make_job(
        archive=str(tmp_path),
        labels=str(fieldguide.LABELS_FILE),
        workspace=str(tmp_path / "workspace"),
        model="fieldguide",
        scoring={"temperature": 0.01, "abstain_below": 0.5},
    )
    run = open_run(job)
    record_run(run)
    changes = {"labels": str(tmp_path / "one.json")}
    relabelled = open_relabelling(Folder(job.workspace), run.key, changes)
    assert relabelled.job.scoring.temperature is relabelled.job.scoring.abstain_below is None


# One shard


def test_abstaining_withholds_labels_and_changes_nothing_else() -> None:
    w = world(images=40)
    plain, sure, strict = score(w), score(w, temperature=0.05), score(w, **HOW)
    for name in TABLES:
        assert plain[name] == sure[name] == strict[name]
    withheld = 0
    for before, between, after in zip(
        *(t["predictions"] for t in (plain, sure, strict)), strict=True
    ):
        assert (before["confidence"], before["abstained"]) == (None, False)
        assert between["abstained"] is False and between["label"] == before["label"]
        assert after["abstained"] == (after["confidence"] < 0.35)
        assert after["label"] == (None if after["abstained"] else before["label"])
        withheld += after["abstained"]
        for row in (before, between, after):
            for name in ("label", "confidence", "abstained"):
                row.pop(name)
        assert before == between == after
    assert 5 < withheld < 35


def test_confidence_can_be_computed_again_from_the_stored_scores() -> None:
    w = world(images=20)
    tables = score(w, top_k=4, **HOW)
    for row in tables["predictions"]:
        scores = [s["score"] for s in tables["scores"] if s["image_id"] == row["image_id"]]
        odds = np.exp((np.array(scores) - scores[0]) / 0.05)
        assert row["confidence"] == pytest.approx(1 / odds.sum(), rel=1e-6)


def test_an_image_exactly_at_the_threshold_is_labelled() -> None:
    w = world(images=12)
    values = sorted(row["confidence"] for row in score(w, temperature=0.05)["predictions"])
    predictions = score(w, temperature=0.05, abstain_below=values[6])["predictions"]
    assert sum(row["abstained"] for row in predictions) == 6
    above = float(np.nextafter(values[6], 1))
    predictions = score(w, temperature=0.05, abstain_below=above)["predictions"]
    assert sum(row["abstained"] for row in predictions) == 7


@pytest.mark.parametrize("images", [1, 3, 16])
def test_shards_of_any_size_abstain_on_the_same_images(images: int) -> None:
    w = world(images=33)
    whole = score(w, **HOW)["predictions"]
    parts = []
    for start in range(0, 33, images):
        rows = w.regions.slice(start * (REGIONS + 1), images * (REGIONS + 1))
        parts += score(w._replace(regions=rows), **HOW)["predictions"]
    assert parts == whole
    assert 0 < sum(row["abstained"] for row in whole) < 33


# The warehouse, on synthetic runs


@pytest.fixture
def abstaining(tmp_path: Path) -> Iterator[tuple[fake_run.FakeRun, duckdb.DuckDBPyConnection]]:
    """A synthetic run that abstained on every third image, beside one that did not; loaded."""
    workspace = Folder(str(tmp_path / "workspace"))
    fake_run.write_run(workspace, run="plain")
    fake = fake_run.write_run(workspace, run="strict", abstain_every=3)
    path = tmp_path / "warehouse.duckdb"
    names = list(fake_run.CLASSES)
    truth = pa.table(
        {
            "key": [row["key"] for row in fake.images],
            "label": [names[i % 4] for i in range(len(fake.images))],
        }
    )
    loading.load(workspace, path, truth=truth, archive="archive-1")
    with open_warehouse(path) as connection:
        yield fake, connection


def ask(connection: duckdb.DuckDBPyConnection, query: str) -> list[Row]:
    rows = connection.execute(query)
    names = [column[0] for column in rows.description or []]
    return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]


def test_an_abstained_image_never_shows_a_label_and_always_a_best_guess(
    abstaining: tuple[fake_run.FakeRun, duckdb.DuckDBPyConnection],
) -> None:
    fake, connection = abstaining
    best = {row["image_id"]: row["class"] for row in fake.tables["scores"] if row["rank"] == 1}
    answer = ask(connection, "from labelled where run = 'strict'")
    withheld = {row["image_id"] for row in fake.tables["predictions"] if row["abstained"]}
    assert {row["image_id"] for row in answer} == set(best)
    assert {row["image_id"] for row in answer if row["abstained"]} == withheld
    for row in answer:
        assert row["best_guess"] == best[row["image_id"]]
        assert (row["label"] is None) == (row["correct"] is None) == row["abstained"]
        assert row["label"] in (None, row["best_guess"])
        assert row["confidence"] == (0.25 if row["abstained"] else 0.75)
    for name in withheld:
        rows = ask(connection, f"from why('strict', '{name}')")
        assert {(row["label"], row["best_guess"]) for row in rows} == {(None, best[name])}
    (labels,) = ask(connection, "select labels from duplicates where run = 'strict'")
    assert None not in labels["labels"]
    close = ask(connection, "from close_calls('strict', 10)")
    assert {row["image_id"] for row in close if row["label"] is None} == withheld


def test_counts_reconcile_and_accuracy_is_of_the_labelled(
    abstaining: tuple[fake_run.FakeRun, duckdb.DuckDBPyConnection],
) -> None:
    fake, connection = abstaining
    predictions = fake.tables["predictions"]
    withheld = sum(row["abstained"] for row in predictions)
    actual = {row["run"]: row for row in ask(connection, "from run_summary")}
    assert (actual["strict"]["abstained"], actual["plain"]["abstained"]) == (withheld, 0)
    for row in actual.values():
        assert row["labelled"] == len(predictions) and row["missing"] == 0
        assert row["listed"] == row["labelled"] + row["rejected"]
    assert ask(connection, "from reconciliation where not reconciled") == []
    truth = {row["image_id"]: list(fake_run.CLASSES)[i % 4] for i, row in enumerate(fake.images)}
    right = sum(row["label"] == truth[row["image_id"]] for row in predictions)
    (judged,) = ask(connection, "from accuracy where run = 'strict' and method = 'lazsl'")
    assert (judged["images"], judged["labelled"]) == (
        len(predictions),
        len(predictions) - withheld,
    )
    assert judged["correct"] == right
    assert judged["accuracy"] == pytest.approx(right / (len(predictions) - withheld))
    assert judged["coverage"] == pytest.approx(1 - withheld / len(predictions))
    clip = ask(connection, "from accuracy where method = 'clip'")
    assert {row["coverage"] for row in clip} == {1.0}


def test_a_run_that_abstains_agrees_with_the_same_run_that_does_not(
    abstaining: tuple[fake_run.FakeRun, duckdb.DuckDBPyConnection],
) -> None:
    _, connection = abstaining
    assert ask(connection, "from disagreements('plain', 'strict')") == []
    assert ask(connection, "from moved_attributes('plain', 'strict')") == []
    few = sqlfiles.run(connection, "few_predictions.sql", run="strict", how_many=50)
    names = [column[0] for column in few.description]
    rows = [dict(zip(names, row, strict=True)) for row in few.fetchall()]
    assert {row["label"] in (None, row["best_guess"]) for row in rows} == {True}
    assert any(row["label"] is None for row in rows)


def test_a_shard_whose_abstained_images_have_labels_is_refused(tmp_path: Path) -> None:
    workspace = Folder(str(tmp_path / "workspace"))
    fake = fake_run.write_run(workspace, abstain_every=3)
    name = paths.run_table(fake.run, "predictions", fake.shards[0])
    table = workspace.read_table(name)
    at = table.schema.get_field_index("label")
    forced = table.set_column(at, table.schema.field(at), pa.array(["wren"] * len(table)))
    workspace.write_table(name, forced)
    with pytest.raises(UserError, match=r"predictions without a label|is damaged"):
        loading.load(workspace, tmp_path / "warehouse.duckdb")


# Warehouses and workspaces from before there was abstaining


def test_a_warehouse_of_version_1_is_brought_up_to_date_by_the_next_load(tmp_path: Path) -> None:
    workspace = Folder(str(tmp_path / "workspace"))
    fake_run.write_run(workspace)
    path = tmp_path / "warehouse.duckdb"
    loading.load(workspace, path)
    wanted = _rows(path)
    _as_version_1(path)
    with pytest.raises(
        UserError, match=r"older lazsl.*version 1.*lazsl load --warehouse"
    ) as refused:
        open_warehouse(path)
    assert "\n" not in str(refused.value)
    fake_run.write_run(workspace, run="later", seed=1, abstain_every=2)
    loading.load(workspace, path)
    rows_now = _rows(path)
    assert {run for run, *_ in rows_now} == {"sample-a", "later"}
    assert [row for row in rows_now if row[0] == "sample-a"] == wanted
    with closing(open_warehouse(path)) as connection:
        fresh = tmp_path / "fresh.duckdb"
        loading.load(workspace, fresh)
        with closing(open_warehouse(fresh)) as other:
            for question in ("from schema_version", "from run_summary order by run"):
                assert ask(connection, question) == ask(other, question)
            columns = "select column_name, comment from duckdb_columns() where table_name = "
            for table in ("predictions", "labelled"):
                assert ask(connection, f"{columns}'{table}'") == ask(other, f"{columns}'{table}'")


def test_a_load_without_news_also_brings_version_1_up_to_date(tmp_path: Path) -> None:
    workspace = Folder(str(tmp_path / "workspace"))
    fake_run.write_run(workspace, images=5)
    path = tmp_path / "warehouse.duckdb"
    loading.load(workspace, path)
    wanted = _rows(path)
    _as_version_1(path)
    assert loading.load(workspace, path).shards == 0
    assert _rows(path) == wanted
    assert run_keys.status(path)["abstained"] == 0


def test_shards_that_were_scored_before_are_loaded_as_they_were_meant(tmp_path: Path) -> None:
    workspace = Folder(str(tmp_path / "workspace"))
    fake = fake_run.write_run(workspace, images=8)
    loading.load(workspace, tmp_path / "now.duckdb")
    for shard in fake.shards:
        name = paths.run_table(fake.run, "predictions", shard)
        older = workspace.read_table(name).drop_columns(list(schemas.LATER["predictions"]))
        marker = workspace.read_record(paths.marker(fake.run, shard))
        marker["files"][name] = workspace.write_table(name, older)
        workspace.write_record(paths.marker(fake.run, shard), marker)
    loading.load(workspace, tmp_path / "older.duckdb")
    assert _rows(tmp_path / "older.duckdb") == _rows(tmp_path / "now.duckdb")


def _rows(path: Path) -> list[tuple[Any, ...]]:
    with closing(open_warehouse(path)) as connection:
        columns = ", ".join(schemas.PREDICTIONS.names)
        rows = connection.execute(f"select run, {columns} from predictions").fetchall()
    return sorted(rows, key=repr)


def _as_version_1(path: Path) -> None:
    """What a warehouse was before: no such columns, older views, version 1."""
    path.chmod(0o644)
    with duckdb.connect(path) as connection:
        for view in connection.execute(
            "select view_name from duckdb_views() where not internal"
        ).fetchall():
            connection.execute(f"drop view {view[0]}")
        for column in schemas.LATER["predictions"]:
            connection.execute(f"alter table predictions drop column {column}")
        connection.execute(
            "create view labelled as select run, image_id, label from predictions; "
            "update schema_version set version = 1, definitions = 'of version 1'"
        )


# The product: stored embeddings scored again, with a trust file


@pytest.fixture
def copied(labelled: Run, tmp_path: Path) -> Run:
    """The finished run in a workspace and a warehouse of its own, which may be written to."""
    folder = tmp_path / "workspace"
    shutil.copytree(labelled.job.workspace, folder)
    path = shutil.copy(labelled.job.warehouse_path, tmp_path / "own.duckdb")
    changes = {"warehouse": str(path)}
    return open_relabelling(Folder(str(folder)), labelled.key, changes)


@pytest.fixture
def plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """`lazsl relabel` without a Prefect server: the same steps, one after the other."""

    def relabel(workspace: str, run: str, return_state: bool, **given: Any) -> Any:
        given["scoring"] = given["scoring"].model_dump()
        score_again(workspace, run, {k: v for k, v in given.items() if v is not None})
        return Completed()

    monkeypatch.setattr(label_flow, "relabel", relabel)


def score_again(workspace: str, run: str, changes: dict[str, Any]) -> Run:
    again = open_relabelling(Folder(workspace), run, changes)
    record_run(again)
    label_set_step.embed_attributes(again, "text")
    for shard in missing_shards(again, plan_step.archive_shards(again)):
        score_step.score_shard(again, shard)
    loading.load(again.workspace, again.job.warehouse_path, [again.key])
    return again


def top_scores(run: Run) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Keys, scores (B, k), right and known (B,) of the images with truth, from the warehouse."""
    with closing(open_warehouse(run.job.warehouse_path)) as connection:
        rows = connection.execute(
            "select p.key, list(s.score order by s.rank), any_value(p.best_guess), "
            "any_value(p.truth) from labelled as p join scores as s using (run, image_id) "
            "where p.run = ? and p.truth is not null group by p.key order by p.key",
            [run.key],
        ).fetchall()
    keys, scores, guess, truth = zip(*rows, strict=True)
    right = np.array(guess) == np.array(truth)
    known = np.isin(np.array(truth), run.labelset.classes)
    return list(keys), np.array(scores, np.float32), right, known


@pytest.mark.starts  # a server, although nothing is asked of it
@pytest.mark.usefixtures("plainly")
def test_relabel_with_a_trust_file_abstains_as_it_was_measured(copied: Run, tmp_path: Path) -> None:
    keys, scores, right, known = top_scores(copied)
    trust = measure_trust(scores, right, known, 0.8, floored=True)
    assert trust.threshold is not None
    write_trust(tmp_path / "trust.json", trust, copied)
    options = ["-w", copied.job.workspace, "--warehouse", str(copied.job.warehouse_path)]
    result = CliRunner().invoke(
        app, ["relabel", copied.key, *options, "--trust", str(tmp_path / "trust.json")]
    )
    assert result.exit_code == 0, result.output
    sure = confidence(scores, trust.temperature).astype(np.float64)
    given = {key for key, value in zip(keys, sure, strict=True) if value >= trust.threshold}
    assert 0 < len(given) < len(keys)
    assert f"{len(keys) - len(given)} of them abstained" in result.output
    assert "of those not abstained" in result.output and "nearest" in result.output
    assert "measured with" not in result.stderr
    with closing(open_warehouse(copied.job.warehouse_path)) as connection:
        runs = [row["run"] for row in ask(connection, "from runs order by created")]
        (run,) = set(runs) - {copied.key}
        scoring = paths.read_run_record(copied.workspace, run)["job"]["scoring"]
        assert scoring["floor"] == trust.floor == scores[:, 0].min()
        answer = ask(connection, f"select key, label from labelled where run = '{run}'")
        assert {row["key"] for row in answer if row["label"] is not None} == given
        for name in TABLES:
            columns = "* exclude (run)"
            same = f"from (select {columns} from {name} where run = '{run}' except "
            same += f"select {columns} from {name} where run = '{copied.key}')"
            assert ask(connection, same) == []
        assert ask(connection, "from reconciliation where not reconciled") == []
        (accuracy,) = ask(connection, f"from accuracy where run = '{run}' and method = 'lazsl'")
    assert accuracy["accuracy"] == pytest.approx(trust.precision_at_threshold)
    assert accuracy["coverage"] == pytest.approx(trust.coverage_at_threshold)
    status = CliRunner().invoke(app, ["status", run, "--json", *options])
    counts = json.loads(status.stdout)
    assert counts["abstained"] == len(keys) - len(given)
    assert counts["listed"] == counts["labelled"] + counts["rejected"]
    judged = [evaluate(copied.job.workspace, key).comparison.to_json() for key in (run, copied.key)]
    assert judged[0] == judged[1]


@pytest.mark.starts  # a server, although nothing is asked of it
@pytest.mark.usefixtures("plainly")
def test_a_threshold_is_not_taken_over_to_another_label_set_or_other_settings(
    copied: Run, tmp_path: Path
) -> None:
    strict = score_again(
        copied.job.workspace,
        copied.key,
        {"scoring": HOW, "warehouse": str(copied.job.warehouse_path)},
    )
    assert strict.job.scoring.abstain_below == 0.35
    where = strict.job.workspace
    paths_given = {"warehouse": str(strict.job.warehouse_path)}
    assert open_relabelling(Folder(where), strict.key, paths_given).key == strict.key
    other = tmp_path / "other.json"
    other.write_text(fieldguide.LABELS_FILE.read_text().replace("a ", "one ", 1))
    again = open_relabelling(Folder(where), strict.key, {"labels": str(other), **paths_given})
    assert again.job.scoring == ScoringSettings()
    options = ["-w", where, "--warehouse", str(strict.job.warehouse_path)]
    result = CliRunner().invoke(app, ["relabel", strict.key, *options, "--theta", "0.7"])
    assert result.exit_code == 0, result.output
    assert "abstained" not in result.output


@pytest.mark.starts  # a server, although nothing is asked of it
@pytest.mark.usefixtures("plainly")
def test_an_open_set_is_measured_end_to_end(copied: Run, tmp_path: Path) -> None:
    known_labels, gone = open_set_split(copied.labelset, 0.25, seed=1)
    file = tmp_path / "known.json"
    classes = dict(zip(known_labels.classes, known_labels.attributes, strict=True))
    file.write_text(json.dumps({"template": known_labels.template, "classes": classes}))
    options = ["-w", copied.job.workspace, "--warehouse", str(copied.job.warehouse_path)]
    arguments = ["relabel", copied.key, *options, "--labels", str(file)]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2 and "--open-set" in refused.stderr
    result = CliRunner().invoke(app, [*arguments, "--open-set"])
    assert result.exit_code == 0, result.output
    changes = {"labels": str(file), "open_set": True, "warehouse": copied.job.warehouse}
    run = open_relabelling(copied.workspace, copied.key, changes)
    keys, scores, right, known = top_scores(run)
    with fieldguide.TRUTH_FILE.open(encoding="utf-8") as rows:
        truth = {row["key"]: row["label"] for row in csv.DictReader(rows)}
    assert [truth[key] not in gone for key in keys] == known.tolist()
    assert 3 < (~known).sum() < len(known) / 2 and not right[~known].any()
    trust = measure_trust(scores, right, known, 0.8)
    sure = confidence(scores, trust.temperature)
    assert trust.auroc_open_set == pytest.approx(roc_auc_score(known, sure))
    assert trust.unknown == (~known).sum() and trust.images == len(keys)


# What the command line says


@pytest.mark.parametrize("command", [["label", "--sample"], ["relabel", "any"]])
def test_a_trust_file_that_cannot_be_used_is_one_sentence_and_nothing_is_written(
    command: list[str], labelled: Run, tmp_path: Path
) -> None:
    scores = np.tile(np.array([[0.3, 0.2]], np.float32), (30, 1))
    none = measure_trust(scores, np.arange(30) % 2 == 0, np.ones(30, bool), 0.9)
    write_trust(tmp_path / "none.json", none, labelled)
    (tmp_path / "nonsense.json").write_text('{"temperature": "[red]hot[/]"}')
    for file, expected in {
        "none.json": "has no threshold",
        "nonsense.json": "cannot be used",
        "missing.json": "no such file",
    }.items():
        arguments = [*command, "--trust", str(tmp_path / file), "-w", str(tmp_path / "w")]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2, result.output
        lines = result.stderr.splitlines()
        assert len(lines) == 1 and lines[0].startswith("lazsl: ") and expected in lines[0]
        assert file in lines[0] and not (tmp_path / "w").exists()


@pytest.mark.starts  # a server, while what is asked for is still looked at
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["scoring.abstain_below=0.9"], "none without a temperature"),
        (["scoring.temperature=0"], "greater than 0"),
        (["regions.count=3"], "not a scoring setting"),
        (["scoring.a.b=3"], "not a scoring setting"),
        (["scoring.colour=3"], "colour"),
        (["abstain"], "not NAME=VALUE"),
    ],
)
def test_impossible_settings_of_relabel_are_one_sentence(
    settings: list[str], sentence: str, labelled: Run
) -> None:
    options = [part for setting in settings for part in ("--set", setting)]
    result = CliRunner().invoke(
        app, ["relabel", labelled.key, "-w", labelled.job.workspace, *options]
    )
    assert result.exit_code == 2, result.output
    # Before it may stand what is being waited for.
    line = result.stderr.splitlines()[-1]
    assert line.startswith("lazsl: ") and sentence in line


def test_a_confidence_among_one_class_is_refused(tmp_path: Path) -> None:
    labels = tmp_path / "labels.json"
    labels.write_text('{"classes": {"Finch": ["a red beak"]}}')
    job = make_job(archive=str(tmp_path), labels=str(labels), model="fieldguide", device="cpu")
    assert open_run(job).labelset.classes == ("Finch",)
    with pytest.raises(UserError, match=r"confidence compares classes .* has one"):
        open_run(job.model_copy(update={"scoring": ScoringSettings(temperature=0.02)}))
