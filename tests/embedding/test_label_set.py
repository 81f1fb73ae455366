"""Claims about embedded label sets: a sentence is embedded once, and cut sentences are said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import torch

from lazsl.embedding.label_set import Remembering, embed_labels, embedded_before
from lazsl.fieldguide import LABELS_FILE
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.reading import load_labelset
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import Encoder, load_encoder
from lazsl.run import label_set_step
from lazsl.run.run import Run, open_run
from lazsl.settings import make_job
from lazsl.store import paths


class Counting:
    """The field guide's encoder, and what it was asked."""

    def __init__(self) -> None:
        self.encoder: Encoder = load_encoder(find_model("fieldguide", "float32"), "cpu", "text")
        self.asked: list[str] = []

    def __call__(self) -> Counting:
        return self

    def encode_sentences(self, sentences: Sequence[str]) -> torch.Tensor:
        self.asked += sentences
        return self.encoder.encode_sentences(sentences)


def changed(labels: LabelSet) -> LabelSet:
    """The label set with the attributes of one class written anew."""
    return replace(labels, attributes=(("a purple bill", "two tails"), *labels.attributes[1:]))


def test_one_changed_class_has_its_new_sentences_embedded_and_no_others() -> None:
    labels = load_labelset(str(LABELS_FILE))
    counting = Counting()
    first = embed_labels(labels, Remembering(counting))
    assert len(counting.asked) == len(set(counting.asked))  # nothing twice to begin with
    counting.asked.clear()
    other = changed(labels)
    second = embed_labels(other, Remembering(counting, [first]))
    assert counting.asked == list(other.prompts[0])
    anew = embed_labels(other, counting.encoder)
    assert second.equals(anew)  # to the bit what embedding everything gives


def run_of(labels: Path, workspace: Path) -> Run:
    archive = workspace / "archive"
    archive.mkdir(parents=True, exist_ok=True)
    return open_run(
        make_job(archive=str(archive), labels=str(labels), workspace=str(workspace),
                 model="fieldguide", device="cpu")
    )  # fmt: skip


def written(folder: Path, name: str, classes: dict[str, list[str]]) -> Path:
    file = folder / name
    file.write_text(json.dumps(classes))
    return file


def test_a_workspace_remembers_the_sentences_of_its_label_sets(tmp_path: Path) -> None:
    run = run_of(written(tmp_path, "one.json", {"A": ["a red bill"], "B": ["a tail"]}), tmp_path)
    two = run_of(written(tmp_path, "two.json", {"A": ["a red bill"], "C": ["wings"]}), tmp_path)
    assert label_set_step.embed_attributes(run, "text")
    tables = embedded_before(two.workspace, two.encoder, two.labelset)
    prompts = [prompt for table in tables for prompt in table["prompt"].to_pylist()]
    assert sorted(prompts) == ["A, which is a red bill.", "a photo of a A."]
    assert label_set_step.embed_attributes(two, "text")
    stored = two.workspace.read_table(paths.attributes(two.encoder, two.labels))
    assert stored["prompt"].to_pylist()[1] == "A, which is a red bill."


def test_a_label_set_of_known_sentences_needs_no_model(tmp_path: Path) -> None:
    labels = LabelSet("x", ("A", "B"), (("a red bill",), ()))
    table = embed_labels(labels, Counting().encoder)

    def none() -> Counting:
        raise AssertionError("the model was loaded")

    fewer = LabelSet("y", ("B",), ((),))
    again: pa.Table = embed_labels(fewer, Remembering(none, [table]))
    assert again["prompt"].to_pylist() == ["a photo of a B."] * 2


def test_sentences_that_the_model_cuts_are_said_before_they_are(tmp_path: Path) -> None:
    long = "a bill that is " + "very " * 80 + "long"
    run = run_of(written(tmp_path, "l.json", {"A": [long, "a tail"], "B": ["wings"]}), tmp_path)
    notice = label_set_step.cut_sentences(run)
    assert notice is not None and "1 of 3 sentences are longer than" in notice
    assert "A, which is a bill that is very" in notice
    short = run_of(written(tmp_path, "s.json", {"A": ["a tail"]}), tmp_path)
    assert label_set_step.cut_sentences(short) is None
