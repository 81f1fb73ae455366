"""Controls: label sets that say nothing, and what it means when they do as well."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from rich.console import Console

from lazsl import fieldguide
from lazsl.evaluation.control_label_sets import CONTROLS, FOREIGN, WORDS, Control
from lazsl.evaluation.controls import Controlled, Controls, measure_controls, verdict
from lazsl.evaluation.known_truth import join_truth
from lazsl.evaluation.stored import open_stored
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.reading import load_labelset
from lazsl.run.run import Run


@pytest.fixture(scope="module")
def labels() -> LabelSet:
    return load_labelset(str(fieldguide.LABELS_FILE))


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_a_control_changes_what_attributes_say_and_nothing_else(
    control: Control, labels: LabelSet
) -> None:
    made = control.make(labels, 3)
    assert made.classes == labels.classes and made.sizes == labels.sizes
    for name, prompts in zip(made.classes, made.prompts, strict=True):
        assert all(prompt.startswith(f"{name}, which has ") for prompt in prompts)
    same = sum(a == b for a, b in zip(made.attributes, labels.attributes, strict=True))
    assert same == 0 and made.key != labels.key
    assert control.make(labels, 3) == made and control.make(labels, 4).attributes != made.attributes


def test_shuffling_deals_every_attribute_once(labels: LabelSet) -> None:
    dealt = CONTROLS[0].make(labels, 0)
    pools = [
        Counter(text for texts in labelset.attributes for text in texts)
        for labelset in (labels, dealt)
    ]
    assert pools[0] == pools[1]


def test_foreign_and_random_attributes_have_no_word_of_the_label_set(labels: LabelSet) -> None:
    sentences = {word for texts in labels.attributes for text in texts for word in text.split()}
    strange = {word for text in (*FOREIGN, *WORDS) for word in text.split()}
    assert sentences & strange == {"a", "an"}
    assert len(set(FOREIGN)) == len(FOREIGN) == 40 and len(set(WORDS)) == len(WORDS)


def test_where_attributes_are_whole_sentences_controls_still_name_the_class() -> None:
    cupl = LabelSet("cupl", ("tench",), (("A tench is a green fish.",),), "{attribute}")
    shuffled, foreign, words = (control.make(cupl, 0) for control in CONTROLS)
    assert shuffled.prompts == cupl.prompts
    assert all(control.prompts[0][0].startswith("tench, which") for control in (foreign, words))
    bare = LabelSet("bare", ("tench", "eel"), ((), ("a long body",)))
    assert all(control.make(bare, 0).sizes == (1, 1) for control in CONTROLS)


@pytest.fixture(scope="module")
def measured(labelled: Run) -> Controls:
    stored = open_stored(labelled.job.workspace, labelled.key)
    return measure_controls(stored, join_truth(stored))


def test_on_the_sample_every_control_drops_accuracy_to_about_chance(measured: Controls) -> None:
    real, *controls = measured.rows
    assert measured.images == 43 and measured.chance == pytest.approx(1 / 60)
    assert real.accuracy["lazsl"] > 0.6
    for control in controls:
        for method in ("dclip", "crop-mean", "lazsl"):
            assert control.accuracy[method] <= 0.09, control.name
        assert control.kept < 0.1
        assert control.kept == pytest.approx(
            max(0, control.accuracy["lazsl"] - 1 / 60) / (real.accuracy["lazsl"] - 1 / 60)
        )
    assert measured.verdict.startswith("The evidence of this label set carries the label:")


def test_a_page_a_program_and_a_terminal_are_told_the_same(measured: Controls) -> None:
    console = Console(record=True, width=120, force_terminal=False)
    measured.show(console)
    shown, written = console.export_text(), measured.to_markdown()
    document = json.loads(json.dumps(measured.to_json()))
    for row, stored_row in zip(measured.rows, document["rows"], strict=True):
        assert stored_row["accuracy"] == row.accuracy
        for text in (f"{row.accuracy['lazsl']:.1%}", row.title):
            assert text in shown and text in written
    assert measured.verdict in written and "(seed 0)" in written
    assert "(seeds 0 to 2)" in replace(measured, seeds=(0, 1, 2)).to_markdown()


def test_the_second_time_nothing_is_embedded(
    labelled: Run, measured: Controls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("lazsl.evaluation.compared_sentences.load_encoder", gone)
    stored = open_stored(labelled.job.workspace, labelled.key)
    assert measure_controls(stored, join_truth(stored)) == measured


def rows(real: float, *controls: float, chance: float = 0.1) -> list[Controlled]:
    def one(name: str, accuracy: float) -> Controlled:
        kept = max(0.0, accuracy - chance) / max(real - chance, 1e-9)
        return Controlled(name, f"{name} words", {"lazsl": accuracy}, {"lazsl": (accuracy,)}, kept)

    return [one("real", real), *(one(f"control{i}", a) for i, a in enumerate(controls))]


@pytest.mark.parametrize(
    ("real", "controls", "expected"),
    [
        (0.8, (0.1, 0.75, 0.2), "does not carry the label"),
        (0.8, (0.1, 0.12, 0.05), "carries the label:"),
        (0.8, (0.1, 0.3, 0.05), "carries the label in part"),
        (0.09, (0.1, 0.3, 0.05), "no more than chance"),
    ],
)
def test_the_verdict_is_said_in_words(
    real: float, controls: tuple[float, ...], expected: str
) -> None:
    sentence = verdict(rows(real, *controls), chance=0.1)
    assert expected in sentence and f"{real:.1%}" in sentence
    if "carr" in expected:
        assert f"{max(controls):.1%}" in sentence
