"""A run with one-sided plans, from stored embeddings to why: warehouse, explanation, what-if."""

from __future__ import annotations

import shutil
from contextlib import closing

import numpy as np
import pytest
import torch
from duckdb import DuckDBPyConnection

from lazsl import fieldguide
from lazsl.archive.truth import read_truth
from lazsl.evaluation.evaluate import evaluate
from lazsl.explain.explanation import Explanation, explain
from lazsl.explain.lookup import find_image, find_run
from lazsl.explain.recomputed import read_attributes, read_stored
from lazsl.explain.whatif import WhatIf, stored_labelset, what_if
from lazsl.run import plan_step, score_step
from lazsl.run.recorded_jobs import rescoring
from lazsl.run.run import Run, open_relabelling, record_run
from lazsl.store.folder import Folder
from lazsl.warehouse import loading
from lazsl.warehouse.opening import open_warehouse

IMAGE = "1858/plate-001.jpg"


@pytest.fixture(scope="module")
def run(labelled: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("one-sided")
    shutil.copytree(labelled.job.workspace, home / "workspace")
    scoring = rescoring(labelled.job.scoring.model_dump(), {"aligner": "one-sided"})
    changes = {"scoring": scoring, "warehouse": str(home / "warehouse.duckdb")}
    relabelled = open_relabelling(Folder(str(home / "workspace")), labelled.key, changes)
    record_run(relabelled)
    for shard in plan_step.archive_shards(relabelled):
        score_step.score_shard(relabelled, shard)
    truth = read_truth(str(fieldguide.TRUTH_FILE), relabelled.labelset)
    path = relabelled.job.warehouse_path
    loading.load(
        relabelled.workspace, path, [relabelled.key], truth=truth, archive=relabelled.archive
    )
    return relabelled


def explained(connection: DuckDBPyConnection, run: Run, against: str | None = None) -> Explanation:
    of = find_run(connection, run.key, run.job.workspace)
    return explain(connection, of, find_image(connection, run.key, IMAGE), against)


def test_epsilon_follows_the_models_logit_scale_and_is_stored_as_resolved(run: Run) -> None:
    scoring = run.job.scoring
    assert scoring.epsilon == pytest.approx(2.5 / 49.3, rel=0.01)
    assert scoring.presence_temperature == pytest.approx(1 / 49.3, rel=0.01)
    with closing(open_warehouse(run.job.warehouse_path)) as connection:
        assert find_run(connection, run.key, run.job.workspace).job.scoring == scoring
    paths_given = {"warehouse": str(run.job.warehouse_path)}
    again = open_relabelling(run.workspace, run.key, paths_given)
    assert again.key == run.key


def test_the_warehouse_reconciles_and_says_what_is_there(run: Run) -> None:
    with closing(open_warehouse(run.job.warehouse_path)) as connection:
        [(everything,)] = connection.execute(
            "select bool_and(reconciled) from reconciliation"
        ).fetchall()
        rows = connection.execute(
            "select contribution, presence, best_region, box from why($run, $image)",
            {"run": run.key, "image": IMAGE},
        ).fetchall()
        cells = connection.execute(
            "select region, sum(mass) from plan_of($run, $image) where rank = 1 group by region "
            "order by region",
            {"run": run.key, "image": IMAGE},
        ).fetchall()
        [(score, presence, gap)] = connection.execute(
            "select score, presence, gap from labelled where key = $image", {"image": IMAGE}
        ).fetchall()
        [(marginals,)] = connection.execute(
            "select marginals from plans as p join images as i using (image_id) "
            "where key = $image and rank = 1",
            {"image": IMAGE},
        ).fetchall()
    assert everything
    assert sum(row[0] for row in rows) == pytest.approx(score, abs=1e-6)
    assert all(0 <= row[1] <= 1 and row[3] is not None for row in rows)
    assert 0 < presence <= 1 and gap <= 0
    assert [region for region, _ in cells] == list(range(25))
    assert [mass for _, mass in cells] == pytest.approx(marginals, abs=1e-6)


def test_kept_and_recomputed_plans_are_the_same(run: Run) -> None:
    with closing(open_warehouse(run.job.warehouse_path)) as connection:
        kept = explained(connection, run)
        third = connection.execute(
            "select class from best_classes($run, $image) where rank = 3",
            {"run": run.key, "image": IMAGE},
        ).fetchall()[0][0]
        other = explained(connection, run, third)
    assert kept.this.regions.tolist() == list(range(25))
    assert tuple(kept.this.boxes[0]) == (0, 0, kept.this.width, kept.this.height)
    assert kept.other is not None and other.other is not None
    assert other.other.boxes.tolist() == kept.this.boxes.tolist()
    with closing(open_warehouse(run.job.warehouse_path)) as connection:
        stored = connection.execute(
            "select presence from evidence join images using (image_id) "
            "where key = $image and class = $third order by attribute_index",
            {"image": IMAGE, "third": third},
        ).fetchall()
    assert other.other.presence is not None and kept.this.presence is not None
    assert other.other.presence == pytest.approx([row[0] for row in stored], abs=1e-6)
    assert other.other.contributions.sum() == pytest.approx(other.other.score, abs=1e-6)
    assert np.abs(other.other.mass.sum(axis=0) - 1 / len(other.other.attributes)).max() < 1e-6


def ask(run: Run, *edits: str) -> tuple[WhatIf, list[str]]:
    """What an edit does, and the sentences that the text tower was asked for."""
    requests: list[str] = []

    def embed(sentences: list[str]) -> torch.Tensor:
        requests.extend(sentences)
        noise = torch.randn(len(sentences), 128, generator=torch.Generator().manual_seed(1))
        return torch.nn.functional.normalize(noise, dim=1)

    with closing(open_warehouse(run.job.warehouse_path)) as connection:
        of = find_run(connection, run.key, run.job.workspace)
        stored = read_stored(of, find_image(connection, run.key, IMAGE))
    embedded = read_attributes(of)
    labels = stored_labelset(embedded, "labels")
    return what_if(stored, embedded, labels, edits, run.job.scoring, embed), requests


def test_editing_one_attribute_moves_no_other_and_needs_its_sentence_alone(run: Run) -> None:
    answer, sentences = ask(run, "rewrite 1 => a plaid crest")
    assert [sentence for sentence in sentences if "plaid" not in sentence] == []
    assert len(sentences) == 1
    label = answer.before.top[0][0]
    moved = [move for move in answer.moved if move.label == label]
    kept = [move for move in moved if move.before is not None and move.after is not None]
    assert len(kept) == len(moved) - 2
    assert all(move.change == 0 for move in kept)


def test_a_new_class_moves_no_score_and_needs_its_sentences_alone(run: Run) -> None:
    answer, sentences = ask(run, "add class Roller: blue wings; a stout bill")
    assert len(sentences) == 3 and all("Roller" in sentence for sentence in sentences)
    before, after = dict(answer.before.top), dict(answer.after.top)
    shared = before.keys() & after.keys()
    assert len(shared) >= 4
    assert {name: before[name] for name in shared} == {name: after[name] for name in shared}


def test_an_evaluation_shows_both_aligners_from_one_set_of_regions(run: Run, labelled: Run) -> None:
    by_run = {}
    for either in (run, labelled):
        evaluation = evaluate(either.job.workspace, either.key, str(fieldguide.TRUTH_FILE))
        by_run[either.key] = evaluation.answers
        assert {"lazsl", "one-sided", "crop-mean", "dclip"} <= evaluation.answers.best.keys()
    for name in ("lazsl", "one-sided"):
        ours, other = (by_run[either.key] for either in (run, labelled))
        assert np.array_equal(ours.best[name], other.best[name])
        assert np.array_equal(ours.scores[name], other.scores[name])
    with closing(open_warehouse(run.job.warehouse_path)) as connection:
        stored = dict(connection.execute("select image_id, score from predictions").fetchall())
    answers = by_run[run.key]
    for image_id, score in zip(answers.image_ids, answers.scores["one-sided"][:, 0], strict=True):
        assert np.float32(stored[image_id]) == score
