"""The images most like a sentence: the answer of a plain loop over what is stored."""

from __future__ import annotations

import io
import json
import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lazsl.api.results import open_results
from lazsl.archive.selection import read_selection
from lazsl.cli.commands import app
from lazsl.explain.lookup import find_run
from lazsl.explain.similar import By, embed_sentence, find_similar
from lazsl.run import momentary_rejects, plan_step
from lazsl.run.models import load_model
from lazsl.run.run import Run
from lazsl.store import paths
from lazsl.store.checking import check_workspace
from lazsl.store.folder import Folder
from lazsl.store.vectors import vectors_of
from lazsl.warehouse.opening import open_warehouse

SENTENCE = "a long curved neck"


@pytest.fixture(scope="module")
def expected(labelled: Run) -> list[tuple[float, float, str, int]]:
    """Similarity of the best region, of the whole, image_id and region, most similar first."""
    text = load_model(labelled, "text").encode_sentences([SENTENCE])[0].numpy()
    rows = []
    for shard in plan_step.archive_shards(labelled):
        name = paths.region_embeddings(labelled.encoder, labelled.regions, shard)
        table = labelled.workspace.read_table(name)
        products = vectors_of(table).astype(np.float32) @ text
        for image in dict.fromkeys(table["image_id"].to_pylist()):
            rows_of_image = [n for n, i in enumerate(table["image_id"].to_pylist()) if i == image]
            best = max(rows_of_image, key=lambda n: products[n])
            whole = products[rows_of_image[0]]
            rows.append((float(products[best]), float(whole), image, best - rows_of_image[0]))
    return sorted(rows, key=lambda row: (-row[0], row[2]))


def test_find_gives_what_a_plain_loop_over_all_regions_gives(
    labelled: Run, expected: list[tuple[float, float, str, int]]
) -> None:
    with open_results(labelled.job.workspace) as results:
        matches = results.find(SENTENCE, count=5)
        by_image = results.find(SENTENCE, count=3, by="image")
    assert [(m.image.image_id, m.region) for m in matches] == [(i, r) for *_, i, r in expected[:5]]
    assert [m.similarity for m in matches] == pytest.approx(
        [row[0] for row in expected[:5]], abs=1e-5
    )
    whole = sorted(expected, key=lambda row: (-row[1], row[2]))
    assert [m.image.image_id for m in by_image] == [row[2] for row in whole[:3]]


def test_the_answer_is_kept_as_keys_as_a_sheet_and_asked_in_sql(
    labelled: Run, expected: list[tuple[float, float, str, int]], tmp_path: Path
) -> None:
    def ask(*arguments: str) -> str:
        answer = CliRunner().invoke(app, [*arguments, "-w", labelled.job.workspace])
        assert answer.exit_code == 0, answer.output
        return answer.stdout

    keys, sheet = tmp_path / "crests.csv", tmp_path / "sheet.png"
    ask("find", SENTENCE, "-n", "4", "-o", str(keys))
    listed = json.loads(ask("find", SENTENCE, "-n", "4", "--json", "-o", str(sheet)))
    assert read_selection(str(keys)).keys == {row["key"] for row in listed}
    assert [row["image_id"] for row in listed] == [row[2] for row in expected[:4]]
    with Image.open(io.BytesIO(sheet.read_bytes())) as picture:
        colours = np.asarray(picture.convert("RGB")).reshape(-1, 3)
        assert picture.width > 4 * 240 and len(np.unique(colours, axis=0)) > 1000
        assert (colours == (0xD5, 0x5E, 0x00)).all(axis=1).sum() > 500
    query = (
        "select key from likes join labelled using (run, shard, image_id) order by similarity desc"
    )
    rows = json.loads(ask("sql", query, "--find", f"likes={SENTENCE}", "--json"))
    assert [row["key"] for row in rows[:4]] == [row["key"] for row in listed]
    assert len(rows) == len(expected)


def test_the_index_finds_what_is_exact_and_makes_only_what_is_missing(
    labelled: Run, expected: list[tuple[float, float, str, int]], tmp_path: Path
) -> None:
    shutil.copytree(labelled.job.workspace, tmp_path / "workspace")
    workspace = Folder(str(tmp_path / "workspace"))
    shards = plan_step.archive_shards(labelled)
    made: list[tuple[int, int]] = []
    with closing(open_warehouse(labelled.job.warehouse_path)) as connection:
        run = find_run(connection, labelled.key, workspace.url)
        text = embed_sentence(run, SENTENCE)

        def find(count: int, by: By = "region") -> list[tuple[str, float, int]]:
            matches = find_similar(connection, run, text, count, by, lambda *of: made.append(of))
            return [(m.image.image_id, m.similarity, m.region) for m in matches]

        # A quarter of the images is asked for: all are compared, and the answer is the exact one.
        exact = [(i, pytest.approx(best, abs=1e-5), r) for best, _, i, r in expected]
        assert find(len(expected) // 4 + 1) == exact[: len(expected) // 4 + 1]
        assert made == [(n + 1, len(shards)) for n in range(len(shards))]
        few = find(2)
        assert few[0] == exact[0] and len(made) == len(shards), "none is made twice"
        whole = max(expected, key=lambda row: row[1])
        assert find(1, "image")[0][0] == whole[2]

    # Whoever embeds a shard again has its sketch made again.
    momentary_rejects.forget_scores(workspace, labelled.encoder, labelled.regions, [shards[0]])
    sketched = paths.sketched_shards(workspace, labelled.encoder, labelled.regions)
    assert sketched == set(shards[1:])
    assert not check_workspace(workspace).damaged


def test_what_cannot_be_looked_for_is_one_sentence(labelled: Run, tmp_path: Path) -> None:
    for arguments, sentence in (
        (["find", " "], "the sentence is empty"),
        (["find", "x", "--by", "word"], "is not region or image"),
        (["find", "x", "-o", "a.txt"], "must end in"),
        (["sql", "select 1", "--find", "x"], "is not NAME=SENTENCE"),
    ):
        answer = CliRunner().invoke(app, [*arguments, "-w", labelled.job.workspace])
        assert answer.exit_code == 2 and sentence in " ".join(answer.stderr.split())
