"""Tables of one-sided plans: what is stored adds up, and says what is there."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import reference
from scored import (
    ONE_SIDED,
    REGIONS,
    SIZES,
    World,
    index,
    of_image,
    score,
    texts_of,
    with_texts,
    world,
)

from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.scoring.presence import measure_presence
from lazsl.scoring.rivals import without_names


def solved(w: World, image: int, c: int) -> reference.Solution:
    return reference.one_sided(w.images[image], w.attributes[c], ONE_SIDED["epsilon"])


def test_scores_evidence_and_plans_are_those_of_the_closed_form_and_add_up() -> None:
    w = world()
    tables = score(w, top_k=5, plans=3, **ONE_SIDED)
    for image, row in enumerate(tables["predictions"]):
        expected = np.array([solved(w, image, c).score for c in range(len(SIZES))])
        order = np.argsort(-expected)
        best = of_image(tables["scores"], row["image_id"])
        assert [index(r["class"]) for r in best] == order[:5].tolist()
        assert np.abs([r["score"] for r in best] - expected[order[:5]]).max() < 1e-6
        assert row["kept"] == REGIONS + 1 and row["seen"] == REGIONS
    for row in tables["plans"]:
        image, c = w.ids().index(row["image_id"]), index(row["class"])
        assert row["regions"] == list(range(REGIONS + 1))
        shape = (REGIONS + 1, SIZES[c])
        plan, similarity = (np.reshape(row[name], shape) for name in ("mass", "similarity"))
        wanted = solved(w, image, c)
        assert np.abs(plan - wanted.plan).max() < 1e-6
        assert np.abs(plan.sum(axis=0) - 1 / SIZES[c]).max() < 1e-6
        assert np.abs(plan.sum(axis=1) - row["marginals"]).max() < 1e-6
        assert row["passed_over"] == []
        evidence = of_image(tables["evidence"], row["image_id"], row["rank"])
        parts = plan * similarity
        assert np.abs(parts.sum(axis=0) - [e["contribution"] for e in evidence]).max() < 1e-6
        assert abs(sum(e["contribution"] for e in evidence) - row["score"]) < 1e-6
        assert [e["best_region"] for e in evidence] == parts.argmax(axis=0).tolist()
        for j, e in enumerate(evidence):
            strength = (wanted.plan[:, j] * wanted.similarity[:, j]).sum() * SIZES[c]
            assert abs(e["similarity"] - strength) < 1e-6


def test_marginals_of_the_papers_plans_are_stored_too() -> None:
    for row in score(world(), plans=2)["plans"]:
        mass = np.reshape(row["mass"], (len(row["regions"]), row["attributes"]))
        assert np.abs(mass.sum(axis=1) - row["marginals"]).max() < 1e-6


def test_papers_plans_say_nothing_of_presence() -> None:
    tables = score(world())
    assert {row["presence"] for row in tables["evidence"] + tables["predictions"]} == {None}
    assert {row["gap"] for row in tables["predictions"]} == {None}


def test_presence_is_held_against_the_nearest_attributes_that_no_class_shares() -> None:
    w = world(seed=3)
    texts = texts_of(w)
    tables = score(with_texts(w, texts), top_k=4, plans=0, **ONE_SIDED)
    tau = ONE_SIDED["presence_temperature"]
    names = sorted({text for class_texts in texts for text in class_texts})
    together = {(first, second) for row in texts for first in row for second in row}
    place = [(c, j) for c, size in enumerate(SIZES) for j in range(size)]
    vectors = {(c, j): w.attributes[c][j] for c, j in place}

    def mean(name: str) -> np.ndarray:
        total = np.sum([vectors[c, j] for c, j in place if texts[c][j] == name], axis=0)
        return np.asarray(total / np.linalg.norm(total))

    def rivals(name: str) -> list[str]:
        others = [n for n in names if (name, n) not in together]
        return sorted(others, key=lambda n: -float(mean(n) @ mean(name)))[:10]

    for row in tables["predictions"]:
        image = w.ids().index(row["image_id"])
        strength = {
            (c, j): (s.plan[:, j] * s.similarity[:, j]).sum() * SIZES[c]
            for c in range(len(SIZES))
            for s in [solved(w, image, c)]
            for j in range(SIZES[c])
        }
        by_text = {
            n: np.mean([strength[c, j] for c, j in place if texts[c][j] == n]) for n in names
        }
        for e in of_image(tables["evidence"], row["image_id"]):
            c, j = index(e["class"]), e["attribute_index"]
            ahead = [by_text[n] - strength[c, j] for n in rivals(texts[c][j])]
            assert abs(e["presence"] - 1 / (1 + np.exp(np.array(ahead) / tau).sum())) < 1e-4
        c = index(row["label"])
        presences = [e["presence"] for e in of_image(tables["evidence"], row["image_id"], 1)]
        assert abs(row["presence"] - np.exp(np.log(presences).mean())) < 1e-5
        lacking = [
            max(0.0, max((by_text[n] - strength[c, j] for n in rivals(texts[c][j])), default=0.0))
            for j in range(SIZES[c])
        ]
        assert abs(row["gap"] + np.mean(lacking)) < 1e-5


LANGUAGES = {
    "that name no part": "somehow {}ish",
    "in Japanese": "特徴{}がある",
    "in Russian": "признак {} виден",
    "that are whole sentences": "A {name} typically has trait {}.",
}


@pytest.mark.parametrize("kind", LANGUAGES)
def test_presence_asks_nothing_of_words_but_whether_they_are_the_same(kind: str) -> None:
    w = world(seed=3)
    texts = texts_of(w)
    bare = w.labels["attribute_index"].to_numpy() < 0
    names = [str(name) for name in w.labels["class"].filter(pa.array(bare)).to_pylist()]
    other = [
        [LANGUAGES[kind].format(text.removeprefix("trait "), name=name) for text in row]
        for name, row in zip(names, texts, strict=True)
    ]
    expected, tables = (score(with_texts(w, t), top_k=4, **ONE_SIDED) for t in (texts, other))
    for row, same in zip(tables["predictions"], expected["predictions"], strict=True):
        assert row.pop("shown") != same.pop("shown"), "these are texts"
        assert row == same
    assert len({row["presence"] for row in tables["predictions"]}) > 2
    for row, same in zip(tables["evidence"], expected["evidence"], strict=True):
        assert row["presence"] == same["presence"]


def test_names_that_are_all_that_is_said_are_rivals_of_one_another() -> None:
    names = ["Wren", "Coot", "great_tit"]
    assert without_names(names, [["Wren"], ["Coot"], ["great tit"]]) == [
        ["wren"], ["coot"], ["great tit"],
    ]  # fmt: skip
    photos = [[f"a photo of a {name}."] for name in names]
    assert without_names(names, photos) == [[text.casefold() for text in row] for row in photos]
    marked = without_names(names, [["a wren's tail", "Wrens"], ["A coot's tail"], ["wings"]])
    assert marked[0][0] == marked[1][0] and marked[0][1] == "wrens"


def test_an_attribute_without_rivals_is_there() -> None:
    tables = score(world(sizes=(3,)), **ONE_SIDED)
    assert {row["presence"] for row in tables["evidence"]} == {1.0}
    assert {(row["presence"], row["gap"]) for row in tables["predictions"]} == {(1.0, 0.0)}


def test_an_image_is_scored_alike_among_others_and_alone() -> None:
    w = world(images=9)
    together = score(w, **ONE_SIDED)
    for image in (0, 4, 8):
        rows = w.regions.slice(image * (REGIONS + 1), REGIONS + 1)
        for name, table in score(w._replace(regions=rows), **ONE_SIDED).items():
            assert table == of_image(together[name], f"image-{image}")


@pytest.mark.parametrize("memory_bytes", [1, 2**20])
def test_little_memory_gives_the_same_tables(memory_bytes: int) -> None:
    w = world(images=40, sizes=tuple(1 + n % 7 for n in range(60)))
    assert score(w, memory_bytes, plans=2, **ONE_SIDED) == score(w, plans=2, **ONE_SIDED)


def test_a_class_that_is_added_moves_no_other() -> None:
    w = world(sizes=(*SIZES, 4))
    before = w._replace(labels=w.labels.slice(0, w.labels.num_rows - 5))
    more = score(w, top_k=9, plans=9, **ONE_SIDED)
    less = score(before, top_k=8, plans=8, **ONE_SIDED)
    for table in ("scores", "plans"):
        names = {"rank", "crop_mean_score", "dclip_score", "clip_score"}
        rows = {
            (r["image_id"], r["class"]): {k: v for k, v in r.items() if k not in names}
            for r in more[table]
        }
        for row in less[table]:
            kept = {k: v for k, v in row.items() if k not in names}
            assert rows[row["image_id"], row["class"]] == kept


def test_presence_waits_for_the_models_temperature() -> None:
    labels = EmbeddedLabels.from_table(world().labels)
    with pytest.raises(ValueError, match="resolve it first"):
        measure_presence(None, None, labels, None)  # type: ignore[arg-type]
