"""Every SQL file runs by itself, and every view and macro answers rightly on a known run."""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import duckdb
import fake_run
import pyarrow as pa
import pytest

from lazsl.errors import UserError
from lazsl.store import schemas
from lazsl.store.folder import Folder
from lazsl.warehouse import finished_shards, loading, opening, sqlfiles

Row = dict[str, Any]
OTHER_CLASSES = {
    # One class loses an attribute, one gains one, one is gone, one is new.
    "wren": ["a cocked tail"],
    "Grünspecht 鳥 \u202egnirts": ["a red crown", "a new attribute"],
    "$run ? {} \\ %s": ["used for $1", "a \\n bill"],
    "a new class": ["a new attribute"],
}


@dataclass(frozen=True)
class Known:
    """A warehouse with two runs over one archive, and what was written, in plain Python."""

    path: Path
    connection: duckdb.DuckDBPyConnection
    a: fake_run.FakeRun
    b: fake_run.FakeRun
    truth: dict[str, str]

    def ask(self, query: str, *values: Any) -> list[Row]:
        """Rows as dictionaries."""
        result = self.connection.execute(query, list(values))
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def key(self, image_id: str) -> str:
        return str(next(row["key"] for row in self.a.images if row["image_id"] == image_id))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    root = tmp_path_factory.mktemp("known")
    workspace = Folder(str(root / "workspace"))
    a = fake_run.write_run(workspace, run="run-a", images=40, plans=3, top_k=3)
    b = fake_run.write_run(
        workspace,
        run="run-b",
        labels="labels-2",
        classes=OTHER_CLASSES,
        images=40,
        seed=1,
        created="2026-02-02T03:04:05+00:00",
    )
    names = list(fake_run.CLASSES)
    truth = {row["key"]: names[i % 4] for i, row in enumerate(a.images) if i % 3}
    table = pa.table({"key": list(truth), "label": list(truth.values())})
    path = root / "warehouse.duckdb"
    gone = {"archive-1": pa.table({"image_id": [row["image_id"] for row in a.images[1:]]})}
    loading.load(workspace, path, truth=table, archive="archive-1", listed=gone)
    with opening.open_warehouse(path) as connection:
        yield Known(path, connection, a, b, truth)


@pytest.fixture
def writable(known: Known, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy of the warehouse that can be changed."""
    path = Path(shutil.copy(known.path, tmp_path / "copy.duckdb"))
    path.chmod(0o644)
    with duckdb.connect(path) as connection:
        yield connection


def plain(rows: list[Row], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def of(fake: fake_run.FakeRun, table: str, **wanted: Any) -> list[Row]:
    """Rows of a table of a run with these values."""
    return [
        row
        for row in fake.tables[table]
        if all(row[name] == value for name, value in wanted.items())
    ]


# The files


_SHARD = pa.field("shard", pa.string())
_EMPTY: dict[str, pa.Table] = {
    "new_shards": finished_shards.MARKERS.empty_table(),
    "new_images": schemas.IMAGES.append(_SHARD).empty_table(),
    "new_regions": schemas.regions(4).append(_SHARD).empty_table().drop_columns("embedding"),
    "new_attributes": schemas.attributes(4).empty_table().drop_columns("embedding"),
    "new_listed": pa.schema(
        [("image_id", pa.string()), ("shard", pa.string()), ("done", pa.bool_())]
    ).empty_table(),
    "new_truth": pa.schema([("key", pa.string()), ("label", pa.string())]).empty_table(),
    **{
        f"new_{name}": schema.append(_SHARD).empty_table()
        for name, schema in schemas.RUN_TABLES.items()
    },
    **{f"new_{name}": schema.empty_table() for name, schema in schemas.AUDIT_TABLES.items()},
    "new_cells": pa.table(
        {
            **{name: pa.array([], pa.string()) for name in ("label", "band")},
            **{name: pa.array([], pa.int64()) for name in ("stratum", "population", "drawn")},
        }
    ),
    "new_names": pa.schema([("name", pa.string())]).empty_table(),
    "new_matches": pa.schema(
        [("shard", pa.string()), ("image_id", pa.string()), ("place", pa.int64())]
        + [(name, pa.float32()) for name in ("similarity", "whole")]
        + [(name, pa.int32()) for name in ("region", "left", "top", "right", "bottom")]
    ).empty_table(),
    "forgotten": pa.schema([("shard", pa.string())]).empty_table(),
    "new_versions": pa.schema([("shard", pa.string()), ("version", pa.string())]).empty_table(),
    "sites": pa.schema([("key", pa.string()), ("site", pa.string())]).empty_table(),
}
_VALUES: dict[str, Any] = {
    **dict.fromkeys(("run", "shard", "archive", "encoder", "regions", "labels"), "new"),
    **dict.fromkeys(("archive_url", "model", "definitions"), "new"),
    **dict.fromkeys(("classes", "attributes"), 0),
    **dict.fromkeys(("job", "software"), "{}"),
    **dict.fromkeys(("created",), "2026-01-01T00:00:00Z"),
    "folders": ["/nowhere"],
    "images": None,
    "by_label": True,
    "by_margin": True,
    "sample": "new",
    "how_many": 5,
    "seed": 0,
}


def parts(name: str) -> tuple[str, str]:
    """The header comment of a file, and the rest of it."""
    lines = sqlfiles.read(name).splitlines()
    end = next(i for i, line in enumerate(lines) if not line.startswith("--"))
    return "\n".join(lines[:end]), "\n".join(lines[end:])


def parameters(text: str) -> set[str]:
    return set(re.findall(r"\$([a-z_]+)", text))


@pytest.mark.parametrize(
    # A lake takes the place of a warehouse (`test_lake.py`).
    "name",
    [name for name in sqlfiles.names() if not name.startswith("lake/")],
)
def test_every_file_runs_by_itself_with_the_parameters_its_header_names(
    writable: duckdb.DuckDBPyConnection, known: Known, name: str
) -> None:
    header, body = parts(name)
    assert len(header) > 30
    used = parameters(re.sub(r"--.*|'[^']*'", "", body))
    assert parameters(header) == used
    relations = set(re.findall(r"\bnew_[a-z]+|\bsites\b|\bforgotten\b", body))
    assert relations == set(re.findall(r"\bnew_[a-z]+|\bsites\b|\bforgotten\b", header))
    if name == "open/restrict.sql":
        sqlfiles.run(writable, "open/attach.sql", path=str(known.path))
    plans = str(known.path.parent / "workspace/runs/run-a/plans/*.parquet")
    values = {**_VALUES, "path": str(known.path), "plans": plans}
    values = {name: values.get(name) for name in used}
    if "Reads `shown_images`" in header:
        sqlfiles.run(writable, "report/shown.sql", run="run-a", part_size=48, limit=None)
    with sqlfiles.registered(writable, {name: _EMPTY[name] for name in relations}):
        sqlfiles.run(writable, name, **values).fetchall()


def test_files_are_found_in_an_installed_package_and_in_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = sqlfiles.folder()
    assert checkout.name == "sql"
    installed = tmp_path / "site-packages" / "lazsl"
    shutil.copytree(checkout, installed / "sql")
    (tmp_path / "site-packages" / "sql").mkdir()
    monkeypatch.setattr(sqlfiles, "__file__", str(installed / "warehouse" / "sqlfiles.py"))
    sqlfiles.folder.cache_clear()
    try:
        assert sqlfiles.folder() == installed / "sql"
        shutil.rmtree(installed / "sql")
        sqlfiles.folder.cache_clear()
        with pytest.raises(UserError, match="install lazsl again"):
            sqlfiles.folder()
    finally:
        sqlfiles.folder.cache_clear()


def test_an_unknown_file_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"no SQL file '../errors.py'.*schema\.sql"):
        sqlfiles.read("../errors.py")


def test_every_table_and_column_has_a_comment(known: Known) -> None:
    inside = "where database_name = 'warehouse'"
    tables = known.ask(f"select table_name as name, comment from duckdb_tables() {inside}")
    columns = known.ask(
        "select table_name || '.' || column_name as name, comment from duckdb_columns() "
        f"{inside} and not internal and table_name in "
        f"(select table_name from duckdb_tables() {inside})"
    )
    assert len(tables) == 14
    views = known.ask(f"select view_name as name, comment from duckdb_views() {inside}")
    macros = known.ask(f"select function_name as name, comment from duckdb_functions() {inside}")
    assert len(views) == 14 and len(macros) == 12
    undescribed = [row["name"] for row in tables + columns + views + macros if not row["comment"]]
    assert undescribed == []


def test_guesses_are_what_labelled_says_of_every_image(known: Known) -> None:
    columns = "run, shard, image_id, label, best_guess, score, margin"
    guesses = known.ask(f"select {columns} from guesses order by all")
    assert guesses == known.ask(f"select {columns} from labelled order by all")
    assert len(guesses) == len(known.a.tables["predictions"]) + len(known.b.tables["predictions"])


def test_runs_that_kept_no_shown_attributes_have_no_row_of_them(known: Known) -> None:
    assert known.ask("from shown_attributes") == []


def test_no_view_or_macro_is_left_without_a_test(known: Known) -> None:
    tests = Path(__file__).read_text(encoding="utf-8")
    views = known.ask("select view_name as name from duckdb_views() where not internal")
    macros = known.ask(
        "select function_name as name from duckdb_functions() "
        "where database_name = 'warehouse' and function_type = 'table_macro' and not internal"
    )
    assert len(views) == 14
    assert len(macros) == 11
    for row in views + macros:
        assert re.search(rf"from {row['name']}\b", tests), row["name"]


# One image


@pytest.fixture(params=["image_id", "key", "hostile key"])
def image(known: Known, request: pytest.FixtureRequest) -> tuple[str, str]:
    """An image's id, and what it is asked for by."""
    if request.param == "hostile key":
        return known.a.images[1]["image_id"], fake_run.HOSTILE_KEY
    row = known.a.labelled[7]
    return row["image_id"], row[request.param]


def test_image_of_finds_it_by_id_and_by_key(known: Known, image: tuple[str, str]) -> None:
    image_id, name = image
    (entry,) = known.ask("from image_of(?, ?)", "run-a", name)
    (row,) = (row for row in known.a.images if row["image_id"] == image_id)
    names = ("image_id", "shard", "key", "uri", "width", "height")
    assert plain([entry], *names) == plain([row], *names)
    assert known.ask("from image_of(?, ?)", "run-a", "no such image") == []
    with pytest.raises(duckdb.Error, match="no run begins with no such run"):
        known.ask("from image_of(?, ?)", "no such run", name)


def test_the_beginning_of_a_run_key_is_enough_where_one_run_has_it(
    writable: duckdb.DuckDBPyConnection,
) -> None:
    writable.execute("update runs set run = 'other-b' where run = 'run-b'")
    assert writable.execute("select run_named('oth'), run_named('run-a')").fetchall() == [
        ("other-b", "run-a")
    ]
    writable.execute("insert into runs by name select * replace ('run-ab' as run) from runs")
    assert writable.execute("select run_named('run-a')").fetchall() == [("run-a",)]
    for name, complaint in (("run-", "runs begin with run-"), ("x", "no run begins with x")):
        with pytest.raises(duckdb.Error, match=complaint):
            writable.execute("from why(?, 'any')", [name]).fetchall()


def test_of_two_versions_of_a_key_the_listed_one_is_meant(
    writable: duckdb.DuckDBPyConnection, known: Known
) -> None:
    ids = [row["image_id"] for row in known.a.labelled[2:4]]
    writable.execute(
        "update images set key = 'same', listed = image_id = ? where image_id in ?",
        [
            ids[1],
            ids,
        ],
    )
    for listed in (ids[1], ids[0]):
        writable.execute("update images set listed = image_id = ? where key = 'same'", [listed])
        rows = writable.execute("select image_id from image_of('run-a', 'same')").fetchall()
        assert rows == [(listed,)]


def expected_why(known: Known, image_id: str, **wanted: Any) -> list[Row]:
    """Attributes of one class, strongest first, from what was written."""
    rows = of(known.a, "evidence", image_id=image_id, **wanted)
    total = sum(row["contribution"] for row in rows)
    return [
        {
            **row,
            "share": pytest.approx(row["contribution"] / total),
            "box": known.a.boxes[image_id][row["best_region"]],
        }
        for row in sorted(rows, key=lambda row: (-row["contribution"], row["attribute_index"]))
    ]


WHY = ["attribute_index", "attribute", "contribution", "share", "similarity", "best_region"]
WHY += ["best_share", "presence", "box"]


def test_why_gives_the_label_s_attributes_with_share_and_box(
    known: Known, image: tuple[str, str]
) -> None:
    image_id, name = image
    rows = known.ask("from why(?, ?)", "run-a", name)
    wanted = expected_why(known, image_id, rank=1)
    assert plain(rows, *WHY) == plain(wanted, *WHY)
    (prediction,) = of(known.a, "predictions", image_id=image_id)
    assert {row["label"] for row in rows} == {prediction["label"]}
    assert sum(row["contribution"] for row in rows) == pytest.approx(prediction["score"], rel=1e-5)
    assert sum(row["share"] for row in rows) == pytest.approx(1)


def test_why_class_gives_those_of_any_of_its_best_classes(
    known: Known, image: tuple[str, str]
) -> None:
    image_id, name = image
    for score in of(known.a, "scores", image_id=image_id):
        rows = known.ask("from why_class(?, ?, ?)", "run-a", name, score["class"])
        wanted = expected_why(known, image_id, **{"class": score["class"]})
        assert plain(rows, "class", *WHY) == plain(wanted, "class", *WHY)
        assert rows
    assert known.ask("from why_class(?, ?, ?)", "run-a", name, "no such class") == []


def test_best_classes_gives_every_method_s_score(known: Known, image: tuple[str, str]) -> None:
    image_id, name = image
    names = ("rank", "class", "score", "clip_score", "dclip_score", "crop_mean_score")
    rows = known.ask("from best_classes(?, ?)", "run-a", name)
    assert plain(rows, *names) == plain(of(known.a, "scores", image_id=image_id), *names)
    assert len(rows) == 3


def expected_cells(known: Known, image_id: str) -> list[Row]:
    cells = []
    for plan in of(known.a, "plans", image_id=image_id):
        words = fake_run.CLASSES[plan["class"]]
        for row, region in enumerate(plan["regions"]):
            for column, word in enumerate(words):
                at = row * len(words) + column
                cells.append(
                    {
                        "rank": plan["rank"],
                        "class": plan["class"],
                        "region": region,
                        "attribute_index": column,
                        "attribute": word,
                        "mass": plan["mass"][at],
                        "similarity": plan["similarity"][at],
                        "contribution": pytest.approx(plan["mass"][at] * plan["similarity"][at]),
                        "box": known.a.boxes[image_id][region],
                    }
                )
    return cells


def test_plan_of_and_plan_cells_take_a_plan_apart(known: Known, image: tuple[str, str]) -> None:
    image_id, name = image
    wanted = expected_cells(known, image_id)
    rows = known.ask("from plan_of(?, ?)", "run-a", name)
    assert rows == wanted
    columns = ", ".join(wanted[0])
    cells = known.ask(
        f"select {columns} from plan_cells where run = ? and image_id = ? "
        "order by rank, region, attribute_index",
        "run-a",
        image_id,
    )
    assert cells == wanted


def test_the_cells_of_every_plan_add_up_to_its_score_and_to_a_mass_of_one(known: Known) -> None:
    rows = known.ask(
        "select run, image_id, rank, sum(contribution) as score, sum(mass) as mass "
        "from plan_cells group by all"
    )
    wanted = {
        (fake.run, row["image_id"], row["rank"]): row["score"]
        for fake in (known.a, known.b)
        for row in fake.tables["plans"]
    }
    assert len(rows) == len(wanted)
    for row in rows:
        assert row["score"] == pytest.approx(wanted[row["run"], row["image_id"], row["rank"]])
        assert row["mass"] == pytest.approx(1, rel=1e-5)


# One class


def expected_strength(known: Known, name: str) -> list[Row]:
    rows = []
    for index, word in enumerate(fake_run.CLASSES[name]):
        held = of(known.a, "evidence", attribute_index=index, **{"class": name})
        best = [row for row in held if row["rank"] == 1]
        rival = [row["similarity"] for row in held if row["rank"] > 1]
        if not best:
            continue
        similarity = fmean(row["similarity"] for row in best)
        rows.append(
            {
                "attribute_index": index,
                "attribute": word,
                "images": len(best),
                "contribution": fmean(row["contribution"] for row in best),
                "similarity": pytest.approx(similarity),
                "lift": pytest.approx(similarity - fmean(rival)) if rival else None,
            }
        )
    return rows


@pytest.mark.parametrize("name", fake_run.CLASSES)
def test_attribute_strength_and_its_strongest_and_weakest(known: Known, name: str) -> None:
    wanted = expected_strength(known, name)
    assert wanted
    columns = ("attribute_index", "attribute", "images", "similarity", "lift")
    rows = known.ask("from attribute_strength where run = 'run-a' and class = ?", name)
    rows.sort(key=lambda row: row["attribute_index"])
    assert plain(rows, *columns) == plain(wanted, *columns)
    strongest = sorted(wanted, key=lambda row: -row["contribution"])
    rows = known.ask("from strongest_attributes('run-a', ?)", name)
    assert plain(rows, *columns) == plain(strongest, *columns)
    for got, row in zip(rows, strongest, strict=True):
        assert got["contribution"] == pytest.approx(row["contribution"])
    (weakest,) = known.ask("from weakest_attributes('run-a', ?, how_many := 1)", name)
    assert weakest["attribute"] == strongest[-1]["attribute"]


# One run


def test_labelled_has_every_prediction_with_its_truth(known: Known) -> None:
    rows = known.ask("from labelled where run = 'run-a'")
    got = {
        row["image_id"]: (row["key"], row["label"], row["truth"], row["correct"]) for row in rows
    }
    wanted = {}
    for row in known.a.tables["predictions"]:
        key = known.key(row["image_id"])
        truth = known.truth.get(key)
        correct = None if truth is None else truth == row["label"]
        wanted[row["image_id"]] = (key, row["label"], truth, correct)
    assert got == wanted
    assert len(rows) == len(wanted)


def test_withheld_says_what_an_abstained_image_was_nearest_to(
    writable: duckdb.DuckDBPyConnection, known: Known
) -> None:
    assert writable.execute("from withheld").fetchall() == []
    image_id = known.a.labelled[4]["image_id"]
    (best,) = of(known.a, "scores", image_id=image_id, rank=1)
    writable.execute(
        "update predictions set abstained = true, label = null, confidence = 0.25 "
        "where run = 'run-a' and image_id = ?",
        [image_id],
    )
    rows = writable.execute("select * exclude (shard) from withheld").fetchall()
    assert rows == [("run-a", image_id, best["class"], 0.25)]


def test_rejected_and_reject_reasons(known: Known) -> None:
    rejects = [row for row in known.a.images if row["reason"] is not None]
    rows = known.ask("select key, reason, detail from rejected where run = 'run-a' order by key")
    wanted = sorted(plain(rejects, "key", "reason", "detail"))
    assert plain(rows, "key", "reason", "detail") == wanted
    (row,) = known.ask("from reject_reasons where run = 'run-a'")
    assert row == {
        "run": "run-a",
        "reason": "undecodable",
        "images": len(rejects),
        "example": min(row["key"] for row in rejects),
        "detail": rejects[0]["detail"],
    }


@pytest.mark.parametrize("run", ["run-a", "run-b"])
def test_accuracy_of_every_method_over_listed_images_with_known_truth(
    known: Known, run: str
) -> None:
    fake = known.a if run == "run-a" else known.b
    gone = known.a.images[0]["image_id"]
    judged = [
        (row, known.truth[known.key(row["image_id"])])
        for row in fake.tables["predictions"]
        if known.key(row["image_id"]) in known.truth and row["image_id"] != gone
    ]
    accuracy = {row["method"]: row for row in known.ask("from accuracy where run = ?", run)}
    columns = {"lazsl": "label"} | {m: f"{m}_label" for m in ("clip", "dclip", "crop_mean")}
    assert accuracy.keys() == columns.keys()
    for method, column in columns.items():
        correct = sum(row[column] == truth for row, truth in judged)
        assert plain([accuracy[method]], "images", "correct") == [(len(judged), correct)]
        assert accuracy[method]["accuracy"] == pytest.approx(correct / len(judged))


def test_close_calls_are_those_below_the_margin_closest_first(known: Known) -> None:
    margins = sorted(row["margin"] for row in known.a.tables["predictions"])
    below = margins[len(margins) // 2]
    calls = known.ask("from close_calls('run-a', ?)", below)
    assert [row["margin"] for row in calls] == [m for m in margins if m < below]
    (row,) = of(known.a, "predictions", image_id=calls[0]["image_id"])
    assert (calls[0]["label"], calls[0]["runner_up"]) == (row["label"], row["runner_up"])


def test_run_summary_counts_rows_and_adds_seconds(known: Known) -> None:
    summaries = {row["run"]: row for row in known.ask("from run_summary")}
    labelled = len(known.a.labelled)
    wanted: Row = {"shards": 6, "listed": 40, "labelled": labelled, "rejected": 40 - labelled}
    wanted |= {"missing": 0, "crops": 7 * labelled, "embed_seconds": 9.0}
    for run in ("run-a", "run-b"):
        assert {name: summaries[run][name] for name in wanted} == wanted


def test_duplicates_are_found_by_their_bytes_and_compared_by_their_labels(known: Known) -> None:
    for fake in (known.a, known.b):
        (row,) = known.ask("from duplicates where run = ?", fake.run)
        twins = known.a.images[2:4]
        labels = {of(fake, "predictions", image_id=t["image_id"])[0]["label"] for t in twins}
        assert row == {
            "run": fake.run,
            "digest": twins[0]["digest"],
            "images": 2,
            "keys": sorted(t["key"] for t in twins),
            "labels": sorted(labels),
            "labels_differ": len(labels) > 1,
        }


def test_duplicates_say_when_their_labels_differ(writable: duckdb.DuckDBPyConnection) -> None:
    writable.execute(
        "update predictions set label = image_id where image_id in "
        "(select image_id from images where key in ('folder/000002.jpg', 'folder/000003.jpg'))"
    )
    rows = writable.execute("select labels_differ, len(labels) from duplicates").fetchall()
    assert rows == [(True, 2), (True, 2)]


# Judgements


def judge(connection: duckdb.DuckDBPyConnection, *rows: tuple[Any, ...]) -> None:
    """Add judgements: batch, number of the image, judged label, reviewer, minute."""
    for batch, index, judged_label, reviewer, minute in rows:
        connection.execute(
            "insert into reviews by name select ? as batch, archive, image_id, key, digest, "
            "? as judged_label, 'wrong' as verdict, ? as reviewer, "
            "make_timestamp(2026, 1, 1, 0, ?, 0) as judged_at from images where key = ?",
            [batch, judged_label, reviewer, minute, f"folder/{index:06d}.jpg"],
        )


def test_reviewed_takes_each_reviewers_latest_answer_and_the_answer_of_most(
    writable: duckdb.DuckDBPyConnection,
) -> None:
    judge(
        writable,
        # One changes her mind: the latest counts, in whatever order the rows came.
        ("b", 10, "wren", "ada", 2),
        ("a", 10, "finch", "ada", 1),
        # Two against one; the one came last.
        ("a", 11, "wren", "ada", 1),
        ("b", 11, "wren", "bob", 2),
        ("c", 11, None, "cleo", 3),
        # One against one: the later. None of the classes is an answer like any other.
        ("a", 12, "wren", "ada", 1),
        ("b", 12, None, "bob", 2),
    )
    rows = writable.execute(
        "select key, judged_label, reviewers, agreed, len(answers) from reviewed order by key"
    ).fetchall()
    assert rows == [
        ("folder/000010.jpg", "wren", 1, True, 1),
        ("folder/000011.jpg", "wren", 3, False, 3),
        ("folder/000012.jpg", None, 2, False, 2),
    ]


def test_judged_compares_every_run_with_the_judgement_of_the_same_bytes(
    writable: duckdb.DuckDBPyConnection, known: Known
) -> None:
    image = known.a.images[10]
    label = labels_of(known.a)[image["image_id"]]
    judge(writable, ("a", 10, label, "ada", 1))
    verdicts = dict(writable.execute("select run, correct from judged").fetchall())
    assert verdicts == {"run-a": True, "run-b": labels_of(known.b)[image["image_id"]] == label}
    writable.execute(
        "update predictions set label = null where run = 'run-b' and image_id = ?",
        [image["image_id"]],
    )
    verdicts = dict(writable.execute("select run, correct from judged").fetchall())
    assert verdicts == {"run-a": True, "run-b": None}, "no label is neither right nor wrong"
    writable.execute("update images set digest = 'other bytes' where key = ?", [image["key"]])
    assert writable.execute("from judged").fetchall() == []


def test_audit_frame_has_every_listed_labelled_image_in_its_class_and_quarter(
    known: Known,
) -> None:
    gone = known.a.images[0]["image_id"]
    wanted = {
        row["image_id"]: row for row in known.a.tables["predictions"] if row["image_id"] != gone
    }
    frame = known.ask("from audit_frame('run-a', true, true)")
    assert {row["image_id"]: row["label"] for row in frame} == {
        image_id: row["label"] for image_id, row in wanted.items()
    }
    bands = [row["band"] for row in sorted(frame, key=lambda r: wanted[r["image_id"]]["margin"])]
    assert bands == sorted(bands)
    assert max(map(bands.count, bands)) - min(map(bands.count, bands)) <= 1 and set(bands) == {
        1,
        2,
        3,
        4,
    }
    plainly = known.ask("from audit_frame('run-a', false, false)")
    assert {(row["label"], row["band"]) for row in plainly} == {(None, None)}


# Two runs


def labels_of(fake: fake_run.FakeRun) -> dict[str, str]:
    return {row["image_id"]: row["label"] for row in fake.tables["predictions"]}


def test_disagreements_are_the_images_with_two_labels(known: Known) -> None:
    a, b = labels_of(known.a), labels_of(known.b)
    wanted = sorted((known.key(i), i, a[i], b[i]) for i in a if a[i] != b[i])
    rows = known.ask("from disagreements('run-a', 'run-b')")
    assert plain(rows, "key", "image_id", "label_a", "label_b") == wanted
    assert len(wanted) > 3
    assert known.ask("from disagreements('run-a', 'run-a')") == []


def test_moved_attributes_compares_both_labels_attributes_in_both_runs(known: Known) -> None:
    a, b = labels_of(known.a), labels_of(known.b)
    held: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(lambda: [{}, {}])
    for side, fake in enumerate((known.a, known.b)):
        for row in fake.tables["evidence"]:
            i = row["image_id"]
            if a[i] != b[i] and row["class"] in (a[i], b[i]):
                held[i, row["class"]][side][row["attribute"]] = row["contribution"]
    wanted = {}
    for (i, name), (before_words, other) in held.items():
        for word in before_words.keys() | other.keys():
            before = before_words.get(word, 0) if before_words else None
            after = other.get(word, 0) if other else None
            wanted[i, name, word] = (before, after)
    rows = known.ask("from moved_attributes('run-a', 'run-b')")
    got = {
        (r["image_id"], r["class"], r["attribute"]): (r["contribution_a"], r["contribution_b"])
        for r in rows
    }
    assert got == wanted
    assert len(rows) == len(wanted)
    assert any(before == 0 for before, _ in wanted.values()), "an attribute that is new in b"
    assert any(after is None for _, after in wanted.values()), "a class that b does not have"
    changes = [abs(row["change"]) for row in rows if row["change"] is not None]
    assert changes == sorted(changes, reverse=True)
    for row in rows:
        if row["change"] is not None:
            assert row["change"] == pytest.approx(row["contribution_b"] - row["contribution_a"])
            image_id = row["image_id"]
            assert (row["key"], row["best_guess_a"]) == (known.key(image_id), a[image_id])


# Reconciliation


def test_reconciliation_is_zero_for_every_shard_of_every_run(known: Known) -> None:
    rows = known.ask("from reconciliation")
    assert sorted(plain(rows, "run", "shard")) == sorted(
        (fake.run, shard) for fake in (known.a, known.b) for shard in fake.shards
    )
    for row in rows:
        assert row["reconciled"]
        assert row["unaccounted"] == 0
        assert {v for name, v in row.items() if name.endswith("_difference")} == {0}


@pytest.mark.parametrize(
    "table", ["images", "predictions", "rejects", "scores", "evidence", "plans", "regions"]
)
def test_reconciliation_sees_a_single_row_too_few_or_too_many(
    writable: duckdb.DuckDBPyConnection, table: str
) -> None:
    column = f"{table}_difference"
    ask = f"select {column} from reconciliation where not reconciled"
    runs = 1 if table not in ("images", "regions") else 2  # the latter are shared by both runs
    writable.execute(f"insert into {table} from {table} limit 1")
    assert writable.execute(ask).fetchall() == [(1,)] * runs
    writable.execute(f"delete from {table} where rowid = (select max(rowid) from {table})")
    assert writable.execute(ask).fetchall() == []
    writable.execute(f"delete from {table} where rowid = (select min(rowid) from {table})")
    assert writable.execute(ask).fetchall() == [(-1,)] * runs
    missing = writable.execute("select sum(missing) from run_summary").fetchall()
    assert missing == [(1 if table in ("predictions", "rejects") else 0,)]


def test_reconciliation_sees_a_shard_that_has_rows_but_was_never_marked(
    writable: duckdb.DuckDBPyConnection,
) -> None:
    writable.execute(
        "insert into rejects (run, shard, image_id, reason) values ('run-a', 'x', 'y', 'z')"
    )
    rows = writable.execute(
        "select shard, rejects_difference from reconciliation where not reconciled"
    ).fetchall()
    assert rows == [("x", 1)]


# The examples


def example(known: Known, name: str) -> list[Row]:
    result = sqlfiles.run(known.connection, f"examples/{name}.sql")
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def test_example_why_explains_the_least_certain_image_of_the_latest_run(known: Known) -> None:
    least = min(known.b.tables["predictions"], key=lambda row: row["margin"])
    wanted = of(known.b, "evidence", image_id=least["image_id"], rank=1)
    rows = example(known, "why")
    assert {row["attribute"] for row in rows} == {row["attribute"] for row in wanted}
    assert {row["best_guess"] for row in rows} == {least["label"]}


def test_example_confusions_counts_wrong_labels_by_truth(known: Known) -> None:
    counts: dict[tuple[str, str, str], int] = defaultdict(int)
    for fake in (known.a, known.b):
        for image_id, label in labels_of(fake).items():
            truth = known.truth.get(known.key(image_id))
            if truth not in (None, label) and image_id != known.a.images[0]["image_id"]:
                counts[fake.run, str(truth), label] += 1
    rows = example(known, "confusions")
    assert all(counts[r["run"], r["truth"], r["label"]] == r["images"] for r in rows)
    assert [r["images"] for r in rows] == sorted(counts.values(), reverse=True)[:20]


def test_example_rejects_and_health_agree_with_the_counts(known: Known) -> None:
    rejected = 40 - len(known.b.labelled)
    assert plain(example(known, "rejects"), "reason", "images") == [("undecodable", rejected)]
    latest, first = example(known, "health")
    assert (latest["run"], first["run"]) == ("run-b", "run-a")
    wanted = {"shards": 6, "listed": 40, "rejected": rejected, "missing": 0, "unreconciled": 0}
    assert {name: latest[name] for name in wanted} == wanted


def test_example_small_regions_measures_the_best_regions(known: Known) -> None:
    sizes = {
        row["image_id"]: row["width"] * row["height"] for row in known.b.images if row["width"]
    }
    parts = defaultdict(list)
    for row in of(known.b, "evidence", rank=1):
        box = known.b.boxes[row["image_id"]][row["best_region"]]
        area = (box["right"] - box["left"]) * (box["bottom"] - box["top"])
        parts[row["attribute"]].append(area / sizes[row["image_id"]])
    rows = example(known, "small_regions")
    assert {row["attribute"]: row["images"] for row in rows} == {
        k: len(v) for k, v in parts.items()
    }
    for row in rows:
        assert row["part_of_image"] == pytest.approx(fmean(parts[row["attribute"]]), abs=1e-3)


def test_example_what_moved_summarises_the_two_latest_runs(known: Known) -> None:
    moved = known.ask("from moved_attributes('run-a', 'run-b')")
    rows = example(known, "what_moved")
    assert {(r["class"], r["attribute"]) for r in rows} <= {
        (r["class"], r["attribute"]) for r in moved
    }
    first = rows[0]
    changes = [
        r["change"]
        for r in moved
        if (r["class"], r["attribute"]) == (first["class"], first["attribute"])
        and r["change"] is not None
    ]
    assert first["mean_change"] == pytest.approx(fmean(changes), abs=1e-4)
