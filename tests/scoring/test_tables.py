"""Claims about scoring: stored embeddings in, tables out that agree with the reference loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from scored import (
    DIMENSION,
    REGIONS,
    SIZES,
    index,
    label_table,
    of_image,
    region_table,
    score,
    world,
)

from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.store import schemas

pytestmark = pytest.mark.usefixtures("one_thread")


HOW: list[dict[str, Any]] = [
    {},
    {"theta": 1.0},
    {"theta": 0.0, "gamma": -2.0},
    {"epsilon": 0.03, "gamma": 0.05},
    {"epsilon": 1.0, "gamma": 1.0},
]


@pytest.mark.parametrize("settings", HOW, ids=str)
@pytest.mark.parametrize("common", [1.0, 0.0, -1.0])
def test_labels_and_scores_are_those_of_the_reference(
    settings: dict[str, Any], common: float
) -> None:
    w = world(common=common)
    tables = score(w, top_k=5, **settings)
    assert [row["image_id"] for row in tables["predictions"]] == w.ids()
    assert [row["image_id"] for row in tables["scores"]] == [i for i in w.ids() for _ in range(5)]
    for image, row in enumerate(tables["predictions"]):
        expected = np.array([w.reference(image, c, **settings).score for c in range(len(SIZES))])
        order = np.argsort(-expected)
        best = of_image(tables["scores"], row["image_id"])
        assert [r["rank"] for r in best] == [1, 2, 3, 4, 5]
        assert [index(r["class"]) for r in best] == order[:5].tolist()
        assert np.abs([r["score"] for r in best] - expected[order[:5]]).max() < 1e-5
        assert (row["label"], row["runner_up"]) == (best[0]["class"], best[1]["class"])
        assert row["score"] == best[0]["score"]
        assert abs(row["margin"] - (best[0]["score"] - best[1]["score"])) < 1e-7
        assert row["kept"] == len(w.kept(image, settings.get("gamma", 0.0)))


def test_baselines_are_plain_means_of_cosines() -> None:
    w = world(images=7)
    tables = score(w, top_k=3)
    means = np.stack([vectors.mean(axis=0) for vectors in w.attributes])
    expected = {
        "clip": w.images[:, 0] @ w.names.T,
        "dclip": w.images[:, 0] @ means.T,
        "crop_mean": w.images[:, 1:].mean(axis=1) @ means.T,
    }
    for name, scores in expected.items():
        for image, row in enumerate(tables["predictions"]):
            assert index(row[f"{name}_label"]) == scores[image].argmax()
            assert abs(row[f"{name}_score"] - scores[image].max()) < 1e-5
            for best in of_image(tables["scores"], row["image_id"]):
                cosine = scores[image, index(best["class"])]
                assert abs(best[f"{name}_score"] - cosine) < 1e-5


@pytest.mark.parametrize("common", [1.0, 0.0, -1.0])
def test_evidence_adds_up_to_the_score_and_is_the_references(common: float) -> None:
    w = world(common=common)
    tables = score(w, top_k=4)
    for row in tables["scores"]:
        image, c = w.ids().index(row["image_id"]), index(row["class"])
        evidence = of_image(tables["evidence"], row["image_id"], row["rank"])
        assert [e["attribute_index"] for e in evidence] == list(range(SIZES[c]))
        assert [e["attribute"] for e in evidence] == [
            f"attribute {j} of {c}" for j in range(SIZES[c])
        ]
        assert {e["class"] for e in evidence} == {row["class"]}
        assert abs(sum(e["contribution"] for e in evidence) - row["score"]) < 1e-6
        solved, kept = w.reference(image, c), w.kept(image)
        parts = solved.plan * solved.similarity
        for j, e in enumerate(evidence):
            assert abs(e["contribution"] - parts[:, j].sum()) < 1e-5
            assert abs(e["similarity"] - e["contribution"] * SIZES[c]) < 1e-6
            # A region speaks for an attribute if it adds to the score; if none does, by its mass.
            weight = parts[:, j] if parts[:, j].max() > 0 else solved.plan[:, j]
            best = kept.index(e["best_region"])
            assert weight[best] > weight.max() - 1e-7
            assert abs(e["best_share"] - solved.plan[best, j] / solved.plan[:, j].sum()) < 1e-5


@pytest.mark.parametrize("settings", HOW, ids=str)
def test_plans_are_whole_and_those_of_the_reference(settings: dict[str, Any]) -> None:
    w = world()
    tables = score(w, top_k=4, plans=3, **settings)
    assert [row["image_id"] for row in tables["plans"]] == [i for i in w.ids() for _ in range(3)]
    for row in tables["plans"]:
        image, c = w.ids().index(row["image_id"]), index(row["class"])
        [scored] = of_image(tables["scores"], row["image_id"], row["rank"])
        assert (row["class"], row["score"]) == (scored["class"], scored["score"])
        assert row["regions"] == w.kept(image, settings.get("gamma", 0.0))
        assert row["attributes"] == SIZES[c]
        shape = (len(row["regions"]), row["attributes"])
        assert len(row["mass"]) == len(row["similarity"]) == shape[0] * shape[1]
        plan, similarity = (np.reshape(row[name], shape) for name in ("mass", "similarity"))
        solved = w.reference(image, c, **settings)
        assert np.abs(plan - solved.plan).max() < 1e-5
        assert np.abs(similarity - solved.similarity).max() < 1e-6
        rest = [i for i in range(1, REGIONS + 1) if i not in row["regions"]]
        theta = settings.get("theta", 0.8)
        mixed = theta * w.images[image, rest] + (1 - theta) * w.images[image, :1]
        reshaped = np.reshape(row["passed_over"], (len(rest), SIZES[c]))
        assert np.abs(reshaped - mixed @ w.attributes[c].T).max(initial=0) < 1e-6
        assert row["iterations"] == solved.iterations
        assert abs(plan.sum() - 1) < 1e-6
        assert np.abs(plan.sum(axis=0) - 1 / shape[1]).max() < 1e-6
        assert abs((plan * similarity).sum() - row["score"]) < 1e-6
        assert abs(np.abs(plan.sum(axis=1) - 1 / shape[0]).max() - row["residual"]) < 1e-6


def test_converged_plans_have_both_marginals() -> None:
    w = world()
    for row in score(w, rule="converged", tolerance=1e-4)["plans"]:
        shape = (len(row["regions"]), row["attributes"])
        plan = np.reshape(row["mass"], shape)
        assert np.abs(plan.sum(axis=1) - 1 / shape[0]).max() < 1.1e-4
        assert row["residual"] < 1.1e-4
        # One iteration less is not enough.
        if row["iterations"] > 1:
            similarity = np.reshape(row["similarity"], shape)
            before = reference.paper_sinkhorn(similarity, REGIONS, 0.1, row["iterations"] - 1, 0)
            assert np.abs(before.plan.sum(axis=1) - 1 / shape[0]).max() > 0.9e-4


def test_a_plan_and_its_evidence_tell_the_same() -> None:
    tables = score(world(), top_k=2, plans=2)
    for row in tables["plans"]:
        shape = (len(row["regions"]), row["attributes"])
        parts = np.reshape(row["mass"], shape) * np.reshape(row["similarity"], shape)
        evidence = of_image(tables["evidence"], row["image_id"], row["rank"])
        contributions = [e["contribution"] for e in evidence]
        assert np.abs(parts.sum(axis=0) - contributions).max() < 1e-6
        best = [row["regions"][i] for i in parts.argmax(axis=0)]
        assert [e["best_region"] for e in evidence] == best


@pytest.mark.parametrize("memory_bytes", [1, 2**20, 2**22])
def test_little_memory_gives_the_same_tables(memory_bytes: int) -> None:
    images = 12 if memory_bytes == 1 else 40  # where each is a batch of its own
    w = world(images=images, sizes=tuple(1 + n % 7 for n in range(60)))
    assert score(w, memory_bytes, plans=2) == score(w, plans=2)


def test_an_image_is_scored_alike_among_others_and_alone() -> None:
    w = world(images=9)
    together = score(w)
    for image in (0, 4, 8):
        rows = w.regions.slice(image * (REGIONS + 1), REGIONS + 1)
        alone = score(w._replace(regions=rows))
        for name, table in alone.items():
            assert table == of_image(together[name], f"image-{image}")


def test_more_classes_are_asked_for_than_there_are() -> None:
    tables = score(world(images=2), top_k=50, plans=50)
    for name in ("scores", "plans"):
        for image in ("image-0", "image-1"):
            rows = of_image(tables[name], image)
            assert [row["rank"] for row in rows] == list(range(1, len(SIZES) + 1))
            assert len({row["class"] for row in rows}) == len(SIZES)
    assert len(tables["evidence"]) == 2 * sum(SIZES)


def test_no_plan_is_kept_where_none_is_asked_for() -> None:
    tables = score(world(), plans=0)
    assert tables["plans"] == [] and len(tables["evidence"]) > 0


def test_a_single_class_has_no_runner_up() -> None:
    w = world(sizes=(3,))
    for image, row in enumerate(score(w)["predictions"]):
        assert row["label"] == row["clip_label"] == "class 0"
        assert row["runner_up"] is None and row["margin"] is None
        assert abs(row["score"] - w.reference(image, 0).score) < 1e-5


def test_no_image_gives_empty_tables() -> None:
    w = world()
    tables = score(w._replace(regions=schemas.regions(DIMENSION).empty_table()))
    assert tables == {name: [] for name in schemas.RUN_TABLES}


def test_a_single_region_speaks_for_every_attribute() -> None:
    w = world()
    few = w.images[:, :2].astype(np.float16)
    tables = score(w._replace(regions=region_table(few)))
    for row in tables["plans"]:
        assert row["regions"] == [1]
        assert np.abs(np.array(row["mass"]) - 1 / row["attributes"]).max() < 1e-6
    assert {(e["best_region"], round(e["best_share"], 5)) for e in tables["evidence"]} == {(1, 1.0)}


def test_a_class_without_attributes_is_scored_by_its_bare_name() -> None:
    w = world(sizes=(3, 1, 2))
    # As it is stored: the bare name is its own only attribute.
    attributes = [w.attributes[0], w.names[1:2], w.attributes[2]]
    labels = label_table(w.names, attributes)
    bare = w._replace(attributes=attributes, labels=labels)
    tables = score(bare)
    for row in of_image(tables["scores"], "image-0"):
        assert abs(row["score"] - bare.reference(0, index(row["class"])).score) < 1e-5
        if index(row["class"]) == 1:
            assert abs(row["dclip_score"] - row["clip_score"]) < 1e-6
    evidence = [e for e in tables["evidence"] if e["class"] == "class 1"]
    assert len(evidence) == len(bare.images)


def test_labels_are_read_back_in_their_order() -> None:
    w = world()
    labels = EmbeddedLabels.from_table(w.labels)
    assert labels.classes == tuple(f"class {c}" for c in range(len(SIZES)))
    assert labels.attributes == tuple(
        tuple(f"attribute {j} of {c}" for j in range(size)) for c, size in enumerate(SIZES)
    )
    assert np.array_equal(labels.names.double().numpy(), w.names)
    stacked = np.concatenate(w.attributes)
    assert np.abs(labels.packed.embeddings.double().numpy() - stacked).max() <= 2**-27
    assert labels.packed.starts.tolist() == [0, *np.cumsum(SIZES).tolist()]
