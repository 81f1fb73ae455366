"""Claims about trust: what is measured is what scikit-learn and plain loops measure."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from lazsl import fieldguide
from lazsl.errors import UserError
from lazsl.evaluation import calibration
from lazsl.evaluation.open_set import open_set_split
from lazsl.evaluation.sections.trust_plots import plot_trust
from lazsl.evaluation.trust import Trust
from lazsl.evaluation.trust_file import read_trust, trust_notices, write_trust
from lazsl.evaluation.trust_measurement import measure_trust
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.reading import load_labelset
from lazsl.run.run import Run
from lazsl.scoring.confidence import confidence


def drawn(
    images: int = 400, temperature: float = 0.002, seed: int = 0, k: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Top scores of random images, and whether their labels are right: as often as the softmax at
    this temperature says."""
    rng = np.random.default_rng(seed)
    scores = np.sort(rng.normal(0.25, 0.006, (images, k)))[:, ::-1].astype(np.float32)
    chance = softmax(scores.astype(np.float64) / temperature, axis=1)[:, 0]
    return scores, rng.random(images) < chance


def coarse(values: np.ndarray) -> np.ndarray:
    """The same with many ties."""
    return np.round(values * 20) / 20


def trusted(precision: float = 0.9, unknown: int = 0, **settings: Any) -> Trust:
    scores, right = drawn(**settings)
    known = np.arange(len(right)) >= unknown
    return measure_trust(scores, right, known, precision)


# Confidence and its temperature


@pytest.mark.parametrize("temperature", [1e-4, 0.003, 0.01, 1.0, 100.0])
def test_confidence_is_the_first_entry_of_the_softmax(temperature: float) -> None:
    scores, _ = drawn(images=50)
    confidences = confidence(scores, temperature)
    assert confidences.dtype == np.float32
    for row, value in zip(scores.astype(np.float64), confidences, strict=True):
        odds = [math.exp((s - row[0]) / temperature) for s in row]
        assert value == pytest.approx(odds[0] / sum(odds), rel=1e-6)


def test_the_confidence_of_an_image_does_not_depend_on_the_others() -> None:
    scores, _ = drawn(images=301)
    together = confidence(scores, 0.004)
    for start, stop in ((0, 1), (7, 8), (3, 20), (100, 301)):
        assert np.array_equal(confidence(scores[start:stop], 0.004), together[start:stop])


@pytest.mark.parametrize("temperature", [0.002, 0.004, 0.05])
def test_the_loss_is_scikit_learns_log_loss_of_right_and_wrong(temperature: float) -> None:
    scores, right = drawn()
    chance = softmax(scores.astype(np.float64) / temperature, axis=1)[:, 0]
    expected = sklearn_log_loss(right, chance)
    assert calibration.log_loss(scores, right, temperature) == pytest.approx(expected, rel=1e-9)


def test_a_wrong_label_that_was_certain_has_a_finite_loss() -> None:
    scores = np.array([[0.9, 0.1]], np.float32)
    loss = calibration.log_loss(scores, np.array([False]), 1e-4)
    assert loss == pytest.approx(0.8 / 1e-4, rel=1e-6)


def test_the_fitted_temperature_has_the_least_loss_of_a_fine_grid() -> None:
    scores, right = drawn()
    fitted = calibration.fit_temperature(scores, right)
    grid = fitted * np.geomspace(0.5, 2, 401)
    losses = [
        sklearn_log_loss(right, softmax(scores.astype(np.float64) / t, axis=1)[:, 0]) for t in grid
    ]
    assert fitted == pytest.approx(grid[int(np.argmin(losses))], rel=4e-3)


@pytest.mark.parametrize("temperature", [0.002, 0.02])
def test_the_temperature_that_made_the_data_is_found(temperature: float) -> None:
    fitted = calibration.fit_temperature(*drawn(20_000, temperature))
    assert fitted == pytest.approx(temperature, rel=0.1)


def test_the_temperature_scales_with_the_scores() -> None:
    scores, right = drawn()
    temperature = calibration.fit_temperature(scores, right)
    other = calibration.fit_temperature(scores * 1000, right)
    assert other == pytest.approx(1000 * temperature, rel=1e-4)


@pytest.mark.parametrize("right", [True, False])
def test_a_temperature_is_found_where_every_label_is_right_or_none_is(right: bool) -> None:
    scores, _ = drawn()
    fitted = calibration.fit_temperature(scores, np.full(len(scores), right))
    mean = confidence(scores, fitted).mean()
    assert mean > 0.99 if right else mean < 0.21
    assert calibration.fit_temperature(np.full((9, 3), 0.3), np.full(9, right)) == 1.0


# Reliability, risk and thresholds


@pytest.mark.parametrize("bins", [2, 10, 15])
@pytest.mark.parametrize("ties", [False, True])
def test_reliability_bins_are_scikit_learns(bins: int, ties: bool) -> None:
    scores, right = drawn()
    sure = confidence(scores, 0.004).astype(np.float64)
    sure = coarse(sure) if ties else sure
    bins_of_curve = calibration.reliability(sure, right, bins)
    accuracy, mean = calibration_curve(right, sure, n_bins=bins, strategy="quantile")
    assert [b.accuracy for b in bins_of_curve] == pytest.approx(accuracy.tolist())
    assert [b.confidence for b in bins_of_curve] == pytest.approx(mean.tolist())
    assert sum(b.images for b in bins_of_curve) == len(right)


def test_the_calibration_error_is_that_of_a_plain_loop() -> None:
    scores, right = drawn()
    sure = confidence(scores, 0.01)
    error = calibration.calibration_error(calibration.reliability(sure, right, 10))
    edges = np.quantile(sure, np.linspace(0, 1, 11))
    expected = 0.0
    for low, high in pairwise(edges):
        inside = [i for i, c in enumerate(sure) if low < c <= high or (c == edges[0] == low)]
        gap = abs(np.mean(right[inside]) - np.mean(sure[inside].astype(float)))
        expected += gap * len(inside) / len(sure)
    assert error == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("ties", [False, True])
def test_risk_and_coverage_are_those_of_a_plain_loop(ties: bool) -> None:
    scores, right = drawn(images=150)
    sure = confidence(scores, 0.004)
    sure = coarse(sure) if ties else sure
    curve = calibration.risk_coverage(sure, right)
    assert curve.threshold.tolist() == sorted(set(sure.tolist()), reverse=True)
    assert (len(curve.threshold) < 30) == ties
    for threshold, coverage, risk in zip(curve.threshold, curve.coverage, curve.risk, strict=True):
        given = [bool(r) for r, c in zip(right, sure, strict=True) if c >= threshold]
        assert coverage == pytest.approx(len(given) / len(right))
        assert risk == pytest.approx(given.count(False) / len(given))
    risks = [np.mean([not r for r, d in zip(right, sure, strict=True) if d >= c]) for c in sure]
    assert curve.area == pytest.approx(np.mean(risks))


def test_the_lower_bound_is_the_exact_binomial_one() -> None:
    for correct, labelled in ((0, 5), (1, 1), (59, 59), (58, 59), (173, 200), (1000, 1000)):
        (bound,) = calibration.lower_bound(np.array([correct]), np.array([labelled]))
        test = binomtest(correct, labelled, alternative="greater")
        exact = test.proportion_ci(confidence_level=0.95, method="exact")
        assert bound == pytest.approx(exact.low, abs=1e-12)


@pytest.mark.parametrize("precision", [0.5, 0.8, 0.9, 0.95, 0.999999])
@pytest.mark.parametrize("assured", [True, False])
def test_the_cut_labels_the_most_images_that_keep_the_precision(
    precision: float, assured: bool
) -> None:
    scores, right = drawn()
    sure = confidence(scores, 0.004)
    reaching = {}
    for threshold in sure:
        given = right[sure >= threshold]
        bound = binomtest(int(given.sum()), len(given), alternative="greater").proportion_ci().low
        if (bound if assured else given.mean()) >= precision:
            reaching[float(threshold)] = len(given) / len(right)
    cut = calibration.widest_cut(calibration.risk_coverage(sure, right), precision, assured)
    if not reaching:
        assert cut is None
        return
    assert cut is not None
    assert cut.threshold == max(reaching, key=lambda t: reaching[t])
    assert cut.coverage == pytest.approx(max(reaching.values()))
    assert cut.precision == pytest.approx(right[sure >= cut.threshold].mean())
    assert (cut.at_least if assured else cut.precision) >= precision


@pytest.mark.parametrize("ties", [False, True])
def test_auroc_is_scikit_learns(ties: bool) -> None:
    rng = np.random.default_rng(0)
    known = rng.random(300) < 0.7
    scores = rng.random(300) + 0.3 * known
    scores = coarse(scores) if ties else scores
    assert calibration.auroc(scores, known) == pytest.approx(roc_auc_score(known, scores))


# All of it together


def test_calibration_is_measured_on_images_it_was_not_fitted_on() -> None:
    scores, right = drawn(images=60)
    trust = measure_trust(scores, right, np.ones(60, bool), 0.9)
    least = calibration.log_loss(scores, right, trust.temperature)
    assert trust.loss_after > least
    # One half alone decides what the other is measured at: turn it round and the other suffers.
    half = np.random.default_rng(0).permutation(60) % 2 == 0
    turned = measure_trust(scores, np.where(half, ~right, right), np.ones(60, bool), 0.9)
    fitted = calibration.fit_temperature(scores[half], ~right[half])
    other = calibration.fit_temperature(scores[~half], right[~half])
    expected = (
        calibration.log_loss(scores[~half], right[~half], fitted)
        + calibration.log_loss(scores[half], ~right[half], other)
    ) / 2
    assert turned.loss_after == pytest.approx(expected)


def test_a_temperature_makes_unsure_labels_as_sure_as_they_are_right() -> None:
    trust = trusted(images=4000)
    assert trust.ece_before > 0.1 and trust.ece_after < 0.03
    assert trust.loss_after < trust.loss_before
    assert trust.temperature == pytest.approx(0.002, rel=0.1)


def test_the_promised_precision_is_kept_on_new_images() -> None:
    kept = 0
    for seed in range(40):
        trust = trusted(images=600, seed=seed)
        assert trust.threshold is not None and trust.precision_at_threshold is not None
        scores, right = drawn(20_000, seed=1000 + seed)
        given = right[confidence(scores, trust.temperature) >= trust.threshold]
        kept += given.mean() >= 0.9
        assert trust.precision_at_threshold >= 0.9
    assert kept >= 34, "the bound is to hold 95 times in 100, the plain fraction half as often"


def test_the_threshold_parts_stored_images_as_it_was_measured() -> None:
    scores, right = drawn()
    trust = measure_trust(scores, right, np.ones(len(right), bool), 0.9)
    assert trust.threshold is not None
    given = confidence(scores, trust.temperature).astype(np.float64) >= trust.threshold
    assert given.mean() == trust.coverage_at_threshold
    assert right[given].mean() == pytest.approx(trust.precision_at_threshold)


def test_a_precision_that_cannot_be_reached_is_a_sentence_and_no_threshold() -> None:
    few = trusted(0.99, images=80)
    assert few.threshold is few.coverage_at_threshold is few.precision_at_threshold is None
    assert "cannot be promised" in few.sentence and "plain fraction" in few.sentence
    rng = np.random.default_rng(0)
    scores, _ = drawn()
    scores[0] = scores[0, 0] + np.array([1, 0, 0, 0, 0])
    right = rng.random(len(scores)) < 0.3
    right[0] = False
    none = measure_trust(scores, right, np.ones(len(right), bool), 0.9)
    assert none.threshold is None and none.held_out_precision is None
    assert none.held_out_coverage == 0


def test_an_image_of_no_known_class_is_wrong_when_labelled_and_not_part_of_the_calibration() -> (
    None
):
    scores, right = drawn()
    known = np.arange(len(right)) >= 100
    trust = measure_trust(scores, right, known, 0.6)
    alone = measure_trust(scores[known], right[known], known[known], 0.6)
    assert trust.temperature == alone.temperature and trust.accuracy == alone.accuracy
    assert trust.ece_before == alone.ece_before
    assert trust.risk_coverage.risk[-1] == pytest.approx(1 - right[known].sum() / len(right))
    assert trust.unknown == 100
    assert trust.auroc_open_set == pytest.approx(
        roc_auc_score(known, confidence(scores, trust.temperature))
    )
    margin = scores[:, 0] - scores[:, 1]
    assert trust.auroc_scores["margin"] == pytest.approx(roc_auc_score(known, margin))
    assert trust.auroc_scores["best score"] == pytest.approx(roc_auc_score(known, scores[:, 0]))
    assert alone.auroc_open_set is None and alone.auroc_scores == {}


def test_the_same_images_give_the_same_trust_as_json() -> None:
    first, again = (json.dumps(trusted(unknown=30).to_json(), allow_nan=False) for _ in range(2))
    assert first == again
    document = json.loads(first)
    assert len(document["risk_coverage"]["risk"]) == 100
    assert document["risk_coverage"]["coverage"][-1] == 1.0
    assert document["threshold"] == trusted(unknown=30).threshold
    assert sum(b["images"] for b in document["bins_after"]) == 370
    assert json.loads(json.dumps(trusted(0.999).to_json()))["cut"] is None


@pytest.mark.parametrize(
    ("images", "k", "precision", "sentence"),
    [
        (100, 1, 0.9, "--top-k 2 or more"),
        (19, 5, 0.9, "measured on 19 images"),
        (100, 5, 1.0, "between 0 and 1"),
        (100, 5, 0.0, "between 0 and 1"),
        (100, 5, float("nan"), "between 0 and 1"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(
    images: int, k: int, precision: float, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        trusted(precision, images=images, k=k)


# The trust file


def test_a_trust_file_says_again_what_was_written(labelled: Run, tmp_path: Path) -> None:
    trust = trusted()
    for name in ("trust.json", "again.json"):
        write_trust(tmp_path / name, trust, labelled)
    assert (tmp_path / "trust.json").read_bytes() == (tmp_path / "again.json").read_bytes()
    trust_file = read_trust(str(tmp_path / "trust.json"))
    assert (trust_file.temperature, trust_file.threshold) == (trust.temperature, trust.threshold)
    assert (trust_file.run, trust_file.encoder, trust_file.labels) == (
        labelled.key,
        labelled.encoder,
        labelled.labels,
    )
    assert (trust_file.precision, trust_file.images) == (0.9, 400)
    assert trust_notices(trust_file, labelled) == []


def test_another_encoder_label_set_or_setting_is_said_in_words(
    labelled: Run, tmp_path: Path
) -> None:
    write_trust(tmp_path / "trust.json", trusted(), labelled)
    trust_file = read_trust(str(tmp_path / "trust.json"))
    (notice,) = trust_notices(trust_file, replace(labelled, encoder="other-encoder"))
    assert "other-encoder" in notice and labelled.encoder in notice and "evaluate" in notice
    (notice,) = trust_notices(trust_file, replace(labelled, labels="other-labels"))
    assert "label set" in notice and "other-labels" in notice
    scoring = labelled.job.scoring.model_copy(update={"theta": 0.5, "plans": 1})
    job = labelled.job.model_copy(update={"scoring": scoring})
    (notice,) = trust_notices(trust_file, replace(labelled, job=job))
    assert "theta 0.8, this run has 0.5" in notice


GOOD = {
    "temperature": 0.01,
    "threshold": 0.5,
    "precision": 0.9,
    "sentence": "",
    "images": 100,
    "run": "r",
    "encoder": "e",
    "regions": "g",
    "labels": "l",
    "scoring": {},
}
NONSENSE = {
    "missing": None,
    "empty": b"",
    "text": b"trust me",
    "half a document": b'{"temperature": 0.01',
    "not UTF-8": b"\xff\xfe\x00{",
    "a list": b"[1, 2]",
    "null": b"null",
    "deep": b"[" * 100_000,
    "nothing inside": b"{}",
    "NaN": json.dumps({**GOOD, "temperature": float("nan")}).encode(),
    "no temperature": json.dumps({**GOOD, "temperature": 0}).encode(),
    "infinite": b'{"temperature": 1e999}',
    "a threshold above one": json.dumps({**GOOD, "threshold": 1.5}).encode(),
    "a threshold in words": json.dumps({**GOOD, "threshold": "high"}).encode(),
    "another document": json.dumps({**GOOD, "classes": {}}).encode(),
    "markup": json.dumps({**GOOD, "temperature": "[red]<script>"}).encode(),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_a_nonsense_trust_file_is_one_sentence(name: str, tmp_path: Path) -> None:
    file = tmp_path / "trust.json"
    content = NONSENSE[name]
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_trust(str(file))
    sentence = str(error.value)
    assert str(file) in sentence and sentence.endswith(
        "give a trust.json that lazsl evaluate wrote"
    )
    assert "\n" not in sentence and len(sentence) < 400
    file.write_text(json.dumps(GOOD))
    assert read_trust(str(file)).threshold == 0.5


# A floor under the best score


def test_a_floor_keeps_pictures_of_another_world_unlabelled_though_they_are_confident() -> None:
    scores, right = drawn(images=1000)
    known = np.ones(1000, bool)
    foreign, _ = drawn(images=400, seed=7)
    foreign -= 0.02  # as sure of one class over the others, but like none of them
    plain = measure_trust(scores, right, known, 0.8)
    floored = measure_trust(scores, right, known, 0.8, floored=True)
    assert floored.floor == np.sort(scores[:, 0])[9]  # nine images of a thousand lie below
    above = scores[:, 0] >= floored.floor

    def labelled(trust: Trust, images: np.ndarray) -> np.ndarray:
        sure = confidence(images, trust.temperature) >= (trust.threshold or 1)
        return sure & (images[:, 0] >= (-np.inf if trust.floor is None else trust.floor))

    assert labelled(plain, foreign).mean() > 0.5
    assert labelled(floored, foreign).mean() <= 0.05
    given = labelled(floored, scores)
    assert given.mean() == floored.coverage_at_threshold
    assert right[given].mean() == pytest.approx(floored.precision_at_threshold)
    assert (floored.held_against[~above] == -1).all()
    assert "and a best score of" in floored.sentence and "best score" not in plain.sentence


def test_where_every_label_is_right_the_floor_still_counts() -> None:
    """The threshold is then that of any confidence, and what lies below the floor has no label."""
    scores, _ = drawn(images=300)
    trust = measure_trust(scores, np.ones(300, bool), np.ones(300, bool), 0.9, floored=True)
    below = (scores[:, 0] < (trust.floor or 0)).sum()
    assert below == 2 and trust.coverage_at_threshold == pytest.approx(298 / 300)
    # Of a hundred images or fewer none lies below.
    few = measure_trust(scores[:90], np.ones(90, bool), np.ones(90, bool), 0.9, floored=True)
    assert few.coverage_at_threshold == 1.0 and few.floor == scores[:90, 0].min()


# Plots


@pytest.mark.parametrize(("unknown", "precision"), [(0, 0.7), (40, 0.9999)])
def test_plots_are_whole_pictures_and_the_same_ones_each_time(
    unknown: int, precision: float, tmp_path: Path
) -> None:
    trust = trusted(precision, unknown)
    assert (trust.threshold is None) == (precision > 0.9)
    written = plot_trust(trust, tmp_path / "a")
    assert [path.name for path in written] == [
        "reliability.png",
        "risk_coverage.png",
        "confidence.png",
    ]
    for path, again in zip(written, plot_trust(trust, tmp_path / "b"), strict=True):
        with Image.open(path) as picture:
            assert picture.size == (960, 720) and len(picture.convert("RGB").getcolors(2**20)) > 50
        assert path.read_bytes() == again.read_bytes()
    assert len(list((tmp_path / "a").iterdir())) == 3


# The open set


def test_an_open_set_takes_whole_classes_out_and_leaves_the_rest_as_it_was() -> None:
    whole = load_labelset(str(fieldguide.LABELS_FILE))
    known, gone = open_set_split(whole, 0.25, seed=3)
    assert (
        len(known) == 45
        and len(gone) == 15
        and set(gone) | set(known.classes) == set(whole.classes)
    )
    before = dict(zip(whole.classes, whole.prompts, strict=True))
    assert dict(zip(known.classes, known.prompts, strict=True)).items() <= before.items()
    assert known.key != whole.key
    assert open_set_split(whole, 0.25, seed=3) == (known, gone)
    assert open_set_split(whole, 0.25, seed=4)[1] != gone


def test_which_classes_are_taken_out_does_not_depend_on_their_order() -> None:
    names = tuple(f"class {i}" for i in range(12))
    labels = LabelSet("a", names, tuple((name,) for name in names))
    other = LabelSet("a", names[::-1], tuple((name,) for name in names[::-1]))
    assert set(open_set_split(labels, 0.3)[1]) == set(open_set_split(other, 0.3)[1])


def test_whole_families_can_be_taken_out() -> None:
    names = tuple(f"class {i}" for i in range(12))
    labels = LabelSet("a", names, tuple((name,) for name in names))
    families = {name: name[-1] for name in names}  # 10 and 11 go with 0 and 1
    for seed in range(10):
        known, gone = open_set_split(labels, 0.2, seed, families)
        assert len({families[name] for name in gone}) == 2
        assert not {families[name] for name in known.classes} & {families[name] for name in gone}


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 0.95, float("nan")])
def test_an_impossible_open_set_is_one_sentence(fraction: float) -> None:
    labels = LabelSet("a", ("x", "y", "z", "w"), ((), (), (), ()))
    with pytest.raises(UserError, match="leave two or more"):
        open_set_split(labels, fraction)
