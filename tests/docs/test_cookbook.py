"""docs/sql.md: every question is on the page as it stands in its file, and every answer is right,
computed once more in plain Python from the tables alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import exp, log
from pathlib import Path
from statistics import fmean
from typing import Any

import duckdb
import pytest
from reported import two_runs

from lazsl.run.run import Run
from lazsl.warehouse import sqlfiles
from studies.pages import cookbook
from studies.pages.filled import DOCS

Row = dict[str, Any]
EXAMPLES = sorted(name for names in cookbook.CHAPTERS.values() for name in names)


@dataclass(frozen=True)
class Kitchen:
    """Answers of all examples, and the tables they were taken from."""

    old: str
    new: str
    answers: dict[str, tuple[list[str], list[tuple[Any, ...]]]]
    tables: dict[str, list[Row]]

    def answer(self, name: str) -> list[Row]:
        columns, rows = self.answers[name]
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def of(self, table: str, run: str = "", **wanted: Any) -> list[Row]:
        wanted["run"] = run or self.new
        return [r for r in self.tables[table] if all(r[n] == v for n, v in wanted.items())]

    def images(self, run: str = "", listed: bool = True) -> list[Row]:
        """The run's labelled images, each with its best class, its file and its truth."""
        files = {r["image_id"]: r for r in self.tables["images"]}
        truth = {r["key"]: r["label"] for r in self.tables["truth"]}
        best = {r["image_id"]: r["class"] for r in self.of("scores", run, rank=1)}
        actual = []
        for r in self.of("predictions", run):
            file = files[r["image_id"]]
            if file["listed"] or not listed:
                known = {"best": best[r["image_id"]], "truth": truth.get(file["key"])}
                actual.append({**file, **r, **known})
        return actual


@pytest.fixture(scope="module")
def kitchen(labelled: Run, tmp_path_factory: pytest.TempPathFactory) -> Kitchen:
    """Two runs and a reviewer's judgements; of some images no truth is known, one is gone."""
    home = tmp_path_factory.mktemp("kitchen")
    two = two_runs(labelled, home)
    cookbook._judged(home, two.new)
    with duckdb.connect(two.warehouse) as connection:
        keys = [row[0] for row in connection.sql("select key from images order by key").fetchall()]
        connection.execute("delete from truth where key in (from (select unnest($1)))", [keys[::7]])
        connection.execute("update images set listed = false where key = $1", [keys[3]])
        tables = {}
        for name in ("images", "truth", "predictions", "scores", "evidence", "plans", "shards",
                     "regions", "rejects", "samples", "reviews"):  # fmt: skip
            read = connection.sql(f"from {name}")
            tables[name] = [dict(zip(read.columns, r, strict=True)) for r in read.fetchall()]
    return Kitchen(two.old.key, two.new.key, cookbook.answers(two.new), tables)


def same(answer: list[Row], wanted: list[Row], digits: int = 3) -> None:
    """Rows alike in their order, numbers to so many digits."""
    near = [
        {n: pytest.approx(v, abs=0.6 * 10**-digits) if isinstance(v, float) else v
         for n, v in row.items()}
        for row in wanted
    ]  # fmt: skip
    assert answer == near


def grouped(rows: list[Row], by: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    grouped = defaultdict(list)
    for row in rows:
        grouped[by(row)].append(row)
    return grouped


# The page


def test_every_example_has_a_place_in_the_cookbook() -> None:
    files = [Path(name) for name in sqlfiles.names()]
    assert set(EXAMPLES) == {file.stem for file in files if file.parent.name == "examples"}
    assert len(EXAMPLES) == len(set(EXAMPLES)) >= 15


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_has_the_question_as_it_stands_in_its_file(name: str) -> None:
    assert cookbook.section(name) in (DOCS / "sql.md").read_text(encoding="utf-8")


def test_every_question_has_an_answer_here(kitchen: Kitchen) -> None:
    assert [name for name in EXAMPLES if not kitchen.answer(name)] == []


# Is everything there


def test_counts_and_costs_are_those_of_the_shards(kitchen: Kitchen) -> None:
    for row in kitchen.answer("reconciled"):
        shards = kitchen.of("shards", row["run"])
        assert (row["shards"], row["off"], row["unaccounted"]) == (len(shards), 0, 0)
        assert row["listed"] == sum(s["listed"] for s in shards)
        assert row["labelled"] == len(kitchen.of("predictions", row["run"]))
        assert row["rejected"] == len(kitchen.of("rejects", row["run"]))
    costs = {(s["run"], s["shard"]): s for s in kitchen.tables["shards"]}
    for row in kitchen.answer("cost"):
        shard = costs.pop((row["run"], row["shard"]))
        assert (row["listed"], row["crops"]) == (shard["listed"], shard["crops"])
        assert row["megabytes"] == pytest.approx((shard["bytes"] or 0) / 1e6, abs=0.005)
    assert not costs


def test_copies_are_files_of_the_same_bytes(kitchen: Kitchen) -> None:
    for row in kitchen.answer("copies"):
        images = kitchen.images(row["run"])
        times = Counter(image["digest"] for image in images)
        assert row["images"] == len(images)
        assert row["copied"] == sum(n > 1 for n in times.values())
        assert row["called_differently"] == 0


# How right


def test_rightness_of_classes_methods_and_the_surer_images(kitchen: Kitchen) -> None:
    known = [r for r in kitchen.images() if r["truth"] is not None]
    called, shown = Counter(r["label"] for r in known), Counter(r["truth"] for r in known)
    hits = Counter(r["truth"] for r in known if r["label"] == r["truth"])
    for row in kitchen.answer("class_accuracy"):
        name = row["class"]
        assert (row["called"], row["shown"], row["hits"]) == (called[name], shown[name], hits[name])
    for row in kitchen.answer("called"):
        assert (row["called"], row["shown"]) == (called[row["class"]], shown[row["class"]])
    worst = max(abs(called[name] - shown[name]) for name in called | shown)
    assert abs(kitchen.answer("called")[0]["too_many"]) == worst
    right = [(r["best"] == r["truth"], r["dclip_label"] == r["truth"]) for r in known]
    agree = sum(r["best"] == r["dclip_label"] for r in known)
    only = (sum(a and not b for a, b in right), sum(b and not a for a, b in right))
    (row,) = kitchen.answer("methods")
    assert (row["images"], row["same"]) == (len(known), agree)
    assert (row["only_lazsl_right"], row["only_dclip_right"]) == only
    assert row["neither"] == len(known) - agree - sum(only)
    surest = sorted(known, key=lambda r: (-r["margin"], r["image_id"]))
    for row in kitchen.answer("answered"):
        chosen = surest[: max(1, int(float(row["answered"]) * len(known)))]
        assert row["images"] == len(chosen)
        assert row["margin_at_least"] == pytest.approx(chosen[-1]["margin"], abs=6e-5)
        assert row["accuracy"] == pytest.approx(
            fmean(r["best"] == r["truth"] for r in chosen), abs=6e-4
        )


def test_what_is_withheld_is_what_has_no_label(kitchen: Kitchen) -> None:
    for row in kitchen.answer("withheld"):
        images = kitchen.images(row["run"])
        answered = [r for r in images if r["label"] is not None and r["truth"] is not None]
        assert (row["images"], row["abstained"]) == (len(images), 0)
        right = fmean(r["label"] == r["truth"] for r in answered)
        assert row["right_when_answered"] == pytest.approx(right, abs=6e-4)


def test_confused_by_names_what_only_the_wrong_class_has(kitchen: Kitchen) -> None:
    spoken = grouped(kitchen.of("evidence"), lambda r: (r["image_id"], r["class"]))
    evidence: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for image in kitchen.images():
        wrong = spoken[image["image_id"], image["label"]]
        right = spoken.get((image["image_id"], image["truth"]), [])
        texts = {r["attribute"] for r in right}
        apart = [r for r in wrong if r["attribute"] not in texts]
        if image["truth"] not in (None, image["label"]) and right and apart:
            misled = max(apart, key=lambda r: r["similarity"])["attribute"]
            missed = min(right, key=lambda r: r["similarity"])["attribute"]
            evidence[image["truth"], image["label"]].append((misled, missed))
    assert evidence
    answered = kitchen.answer("confused_by")
    assert {(r["truth"], r["label"]): r["images"] for r in answered} == {
        pair: len(pairs) for pair, pairs in evidence.items()
    }
    for row in answered:
        group = evidence[row["truth"], row["label"]]
        if len(group) == 1:
            assert (row["misled_by"], row["did_not_see"]) == group[0]


# Why


def test_the_least_certain_come_first_with_what_tells_them_apart(kitchen: Kitchen) -> None:
    images = sorted(kitchen.images(), key=lambda r: (r["margin"], r["key"]))[:20]
    answered = kitchen.answer("least_certain")
    assert [r["key"] for r in answered] == [r["key"] for r in images]
    spoken = grouped(kitchen.of("evidence"), lambda r: (r["image_id"], r["rank"]))
    for image, row in zip(images, answered, strict=True):
        sides = [spoken[image["image_id"], rank] for rank in (1, 2)]
        texts = [{r["attribute"] for r in side} for side in sides]
        for side, others, name in (
            (sides[0], texts[1], "speaks_for_it"),
            (sides[1], texts[0], "speaks_for_the_other"),
        ):
            apart = [r for r in side if r["attribute"] not in others]
            wanted = max(apart, key=lambda r: r["contribution"])["attribute"] if apart else None
            assert row[name] == wanted


# Attributes and regions


def test_attributes_carry_and_fire_and_speak_together(kitchen: Kitchen) -> None:
    score = {r["image_id"]: r["score"] for r in kitchen.of("predictions")}
    best = kitchen.of("evidence", rank=1)
    by_text = grouped(best, lambda r: r["attribute"])
    for row in kitchen.answer("attributes"):
        rows_of_text = by_text[row["attribute"]]
        part = fmean(r["contribution"] / score[r["image_id"]] for r in rows_of_text)
        assert (row["images"], row["classes"]) == (
            len(rows_of_text),
            len({r["class"] for r in rows_of_text}),
        )
        assert row["part_of_score"] == pytest.approx(part, abs=6e-4, rel=1e-4)
    by_class = grouped(best, lambda r: (r["class"], r["attribute"]))
    fired = {
        name: (len(rows), sum(r["similarity"] > score[r["image_id"]] for r in rows))
        for name, rows in by_class.items()
    }
    answered = kitchen.answer("silent_attributes")
    for row in answered:
        assert (row["images"], row["fired"]) == fired[row["class"], row["attribute"]]
    least = sorted(n / images for images, n in fired.values())[: len(answered)]
    assert [r["fired"] / r["images"] for r in answered] == pytest.approx(least)
    pairs: Counter[tuple[str, ...]] = Counter()
    for rows in grouped(best, lambda r: r["image_id"]).values():
        rows.sort(key=lambda r: (-r["contribution"], r["attribute_index"]))
        pairs.update(combinations(sorted(r["attribute"] for r in rows[:3]), 2))
    together = kitchen.answer("together")
    assert [r["images"] for r in together] == sorted(pairs.values(), reverse=True)[: len(together)]
    for row in together:
        assert row["images"] == pairs[row["attribute"], row["together_with"]]


def test_what_is_shown_and_not_said_is_counted_over_all_classes(kitchen: Kitchen) -> None:
    words = defaultdict(set)
    for row in kitchen.of("evidence", rank=1):
        words[row["image_id"]].add(row["attribute"])
    strengths: dict[str, list[float]] = defaultdict(list)
    classes: dict[str, set[str]] = defaultdict(set)
    for image in kitchen.images():
        for text, strength in list(zip(image["shown"], image["shown_strength"], strict=True))[:3]:
            if text not in words[image["image_id"]]:
                strengths[text].append(strength)
                classes[text].add(image["best"])
    order = sorted(strengths, key=lambda text: (-len(strengths[text]), text))[:20]
    assert order and len(strengths) > len(order)
    wanted = [
        {"attribute": text, "images": len(strengths[text]), "called_classes": len(classes[text]),
         "strength": fmean(strengths[text])}
        for text in order
    ]  # fmt: skip
    same(kitchen.answer("shown"), wanted)


def plan_cells(kitchen: Kitchen) -> list[tuple[Row, Row, float, float]]:
    """Image, box, mass and contribution of every cell of the best classes' plans."""
    files = {r["image_id"]: r for r in kitchen.tables["images"]}
    boxes = {r["image_id"]: r["boxes"] for r in kitchen.tables["regions"]}
    return [
        (files[plan["image_id"]], boxes[plan["image_id"]][region], mass, mass * similarity)
        for plan in kitchen.of("plans", rank=1)
        for at, (mass, similarity) in enumerate(
            zip(plan["mass"], plan["similarity"], strict=True)
        )
        for region in [plan["regions"][at // plan["attributes"]]]
    ]  # fmt: skip


def test_the_border_and_region_sizes_are_measured_on_boxes(kitchen: Kitchen) -> None:
    inside: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    sizes: dict[float, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for file, box, mass, contribution in plan_cells(kitchen):
        width, height = (box["right"] - box["left"], box["bottom"] - box["top"])
        side = sizes[round(min(width, height) / min(file["width"], file["height"]) + 1e-9, 1)]
        side[0] += mass
        side[1] += contribution
        if contribution > 0:
            across = min(box["right"], 0.9 * file["width"]) - max(box["left"], 0.1 * file["width"])
            down = min(box["bottom"], 0.9 * file["height"]) - max(box["top"], 0.1 * file["height"])
            part = inside[file["key"]]
            part[0] += contribution * (1 - max(0, across) * max(0, down) / (width * height))
            part[1] += contribution
    for row in kitchen.answer("border"):
        border, whole = inside[row["key"]]
        assert row["in_border"] == pytest.approx(border / whole, abs=6e-4)
    total = [sum(column) for column in zip(*sizes.values(), strict=True)]
    answered = kitchen.answer("region_sizes")
    assert [float(row["side"]) for row in answered] == pytest.approx(sorted(sizes))
    for row in answered:
        mass, evidence = sizes[round(float(row["side"]), 1)]
        assert row["part_of_mass"] == pytest.approx(mass / total[0], abs=2e-3)
        assert row["part_of_evidence"] == pytest.approx(evidence / total[1], abs=2e-3)
    assert sum(row["part_of_regions"] for row in answered) == pytest.approx(1, abs=0.01)


def test_plans_are_read_without_the_warehouse(kitchen: Kitchen) -> None:
    plans = grouped(kitchen.of("plans", rank=1), lambda r: r["class"])
    for row in kitchen.answer("plans_in_bucket"):
        plans_of_class = plans[row["class"]]
        entropies = [
            -sum(t * log(t) for t in plan["mass"] if t > 0) - log(plan["attributes"])
            for plan in plans_of_class
        ]
        assert row["images"] == len(plans_of_class)
        assert row["regions_kept"] == pytest.approx(
            fmean(len(plan["regions"]) for plan in plans_of_class), abs=0.06
        )
        assert row["regions_in_use"] == pytest.approx(fmean(map(exp, entropies)), abs=0.06)


# Two runs


def test_agreement_and_drift_compare_the_two_latest_runs(kitchen: Kitchen) -> None:
    old, new = (
        {r["image_id"]: r for r in kitchen.images(run)} for run in (kitchen.old, kitchen.new)
    )
    pairs = [(old[i], new[i]) for i in new]
    differ = [(a, b) for a, b in pairs if a["best"] != b["best"]]
    (row,) = kitchen.answer("agreement")
    assert (row["images"], row["same_label"]) == (len(pairs), len(pairs) - len(differ))
    assert row["only_first_right"] == sum(a["best"] == a["truth"] for a, _ in differ)
    assert row["only_second_right"] == sum(b["best"] == b["truth"] for _, b in differ)
    for row in kitchen.answer("drift"):
        name = row["class"]
        was, now = ([r["best"] == name for r in side] for side in zip(*pairs, strict=True))
        both = sum(a and b for a, b in zip(was, now, strict=True))
        assert (row["before"], row["after"], row["stayed"]) == (sum(was), sum(now), both)
        assert (row["came"], row["went"]) == (sum(now) - both, sum(was) - both)


# People, and data of one's own


def test_corrections_and_reviewers_are_those_that_were_brought_in(kitchen: Kitchen) -> None:
    images = {r["image_id"]: r for r in kitchen.images(listed=False)}
    judged = {r["image_id"]: r["judged_label"] for r in kitchen.tables["reviews"]}
    wrong = [images[i] for i, label in judged.items() if images[i]["best"] != label]
    wanted = sorted((r for r in wrong if r["listed"]), key=lambda r: (-r["margin"], r["key"]))
    same(
        [{n: r[n] for n in ("key", "best_guess", "margin")} for r in kitchen.answer("corrections")],
        [{"key": r["key"], "best_guess": r["best"], "margin": r["margin"]} for r in wanted][:20],
    )
    (row,) = kitchen.answer("reviewers")
    drawn = len(kitchen.tables["samples"])
    assert (row["drawn"], row["judged"], row["to_do"]) == (drawn, len(judged), drawn - len(judged))
    assert row["reviewers"] == ["the truth file"]


def test_a_users_own_table_is_joined_by_key(kitchen: Kitchen) -> None:
    sites = cookbook.sites().to_pydict()
    place = dict(zip(sites["key"], sites["site"], strict=True))
    by_site = grouped([r for r in kitchen.images() if r["key"] in place], lambda r: place[r["key"]])
    wanted = [
        {
            "site": site,
            "images": len(rows),
            "classes": len({r["label"] for r in rows}),
            "margin": fmean(r["margin"] for r in rows),
            "accuracy": fmean(r["label"] == r["truth"] for r in rows if r["truth"] is not None),
        }
        for site, rows in sorted(by_site.items())
    ]
    actual = [{n: row[n] for n in wanted[0]} for row in kitchen.answer("sites")]
    same(actual, wanted)
