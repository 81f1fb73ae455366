"""The field guide: what is shipped, that it is honest, and how right the methods are on it."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lazsl import fieldguide
from lazsl.cli.commands import app
from studies.fieldguide import sample, training
from studies.fieldguide.species import look, make_species, random_traits
from studies.fieldguide.traits import PARTS, all_phrases, attribute_phrases


def test_the_shipped_model_is_small_and_cannot_execute_code() -> None:
    files = list(fieldguide.MODEL_DIR.iterdir())
    assert sum(file.stat().st_size for file in files) <= 10 * 2**20
    assert {file.suffix for file in files} == {".json", ".safetensors"}


def test_the_sample_archive_has_240_pictures_of_60_species_and_14_odd_files() -> None:
    with fieldguide.TRUTH_FILE.open(encoding="utf-8") as file:
        truth = {row["key"]: row["label"] for row in csv.DictReader(file)}
    plates = {k: v for k, v in truth.items() if not k.startswith("odd/")}
    assert len(plates) == 240 and set(Counter(plates.values()).values()) == {4}
    assert len(set(plates.values())) == 60
    for key in truth:
        assert (fieldguide.IMAGES_DIR / key).is_file()
    odd = {file.name for file in (fieldguide.IMAGES_DIR / "odd").iterdir()}
    assert odd == set(sample.odd_files()) and len(odd) == 14
    labels = json.loads(fieldguide.LABELS_FILE.read_text(encoding="utf-8"))
    assert labels == sample.sample_labels() and set(labels["classes"]) == set(plates.values())


@pytest.mark.parametrize("number", [0, 77, 239])
def test_a_shipped_picture_can_be_drawn_again_with_the_part_of_every_pixel(number: int) -> None:
    species, scene = sample.sample_scene(number)
    with fieldguide.TRUTH_FILE.open(encoding="utf-8") as file:
        truth = {row["key"]: row["label"] for row in csv.DictReader(file)}
    key = sample.sample_key(number)
    assert truth[key] == species.name
    with Image.open(fieldguide.IMAGES_DIR / key) as stored:
        drawn = io.BytesIO()
        scene.image.save(drawn, "JPEG", quality=sample.QUALITY)
        # Other versions of Pillow may round otherwise; the picture is the same.
        difference = np.asarray(stored, float) - np.asarray(Image.open(drawn), float)
        assert np.abs(difference).mean() < 2
    shown = {PARTS[value] for value in np.unique(scene.parts)}
    wanted = {phrase.part for phrase in attribute_phrases(species.traits)} | {"background"}
    assert wanted <= shown and scene.parts.shape == scene.image.size[::-1]


def test_family_members_differ_in_one_to_three_traits_and_no_two_species_look_alike() -> None:
    species = sample.sample_species()
    assert len({look(s.traits) for s in species}) == len({s.name for s in species}) == 60
    for first in species[::4]:
        family = [s for s in species if s.family == first.family]
        assert len(family) == 4
        for other in family[1:]:
            pairs = zip(look(first.traits), look(other.traits), strict=True)
            # Losing its crest, a bird loses the crest's colour with it.
            assert 1 <= sum(a != b for a, b in pairs) <= 4


def test_training_never_draws_a_bird_that_looks_like_a_sample_species(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forbidden = sample.sample_species()[7].traits
    other = make_species(1, 1, seed=5)[0].traits
    answers = [forbidden, forbidden, other]
    monkeypatch.setattr(training, "random_traits", lambda rng: answers.pop(0))
    _, _, values = training._draw((1, 2))
    names = training.TRAIT_NAMES
    assert answers == []
    assert values == [training.VALUES[name].index(getattr(other, name)) for name in names]


def test_the_truth_given_to_training_is_what_the_phrases_say() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        traits = random_traits(rng)
        values = np.array([training.VALUES[n].index(getattr(traits, n)) for n in training.VALUES])
        required = training._REQUIRED
        holds = ((required == -1) | (required == values)).all(axis=1)
        assert [phrase.holds(traits) for phrase in all_phrases()] == holds.tolist()
        sentences = {phrase.text for phrase in attribute_phrases(traits)}
        true = {phrase.text for phrase in all_phrases() if phrase.holds(traits)}
        assert sentences <= true


@pytest.fixture(scope="module")
def labelled_sample(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace after `lazsl label --sample`, which is what `make label` runs."""
    workspace = tmp_path_factory.mktemp("sample") / "workspace"
    result = CliRunner().invoke(app, ["label", "--sample", "-w", str(workspace)])
    assert result.exit_code == 0, result.output
    assert "because of" in result.output and result.output.count("lazsl sql") == 3
    return workspace


def test_every_file_of_the_sample_ends_as_a_prediction_or_a_reject(labelled_sample: Path) -> None:
    result = CliRunner().invoke(app, ["status", "--json", "-w", str(labelled_sample)])
    document = json.loads(result.stdout)
    counts = [document[name] for name in ("listed", "labelled", "rejected", "missing")]
    assert counts == [254, 247, 7, 0] and document["unreconciled_shards"] == 0
    assert document["rejects"] == {
        "corrupt": 1,
        "empty": 1,
        "format-not-allowed": 1,
        "not-an-image": 1,
        "too-many-pixels": 1,
        "too-small": 1,
        "truncated": 1,
    }


def test_the_sample_is_labelled_by_parts_and_rightly(labelled_sample: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", "--json", "-w", str(labelled_sample)])
    document = json.loads(result.stdout)
    assert document["methods"]["images"] == 247 and document["seconds"] < 60
    top1 = {row["name"]: row["top1"]["value"] for row in document["methods"]["methods"]}
    assert document["scoring"]["aligner"] == "one-sided" and document["regions"]["layout"] == "zoom"
    assert top1["one-sided"] >= 0.98
    (one_sided,) = [row for row in document["methods"]["methods"] if row["name"] == "one-sided"]
    assert one_sided["paired"]["only_this"] > one_sided["paired"]["only_other"]
    assert one_sided["paired"]["p_value"] < 0.001
    assert top1["lazsl"] >= 0.75
    assert top1["dclip"] < top1["lazsl"]
    (dclip,) = [row for row in document["methods"]["methods"] if row["name"] == "dclip"]
    assert dclip["paired"]["p_value"] < 0.01
    # Class names carry no information: chance is 1 in 60.
    assert top1["clip"] < 0.06
