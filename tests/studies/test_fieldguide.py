"""The first field guide: its pictures can be drawn again, and its training is honest."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from PIL import Image

from lazsl import fieldguide
from studies.fieldguide import sample, training
from studies.fieldguide.species import look, make_species, random_traits
from studies.fieldguide.traits import PARTS, all_phrases, attribute_phrases


@pytest.mark.parametrize("number", [0, 77, 239])
def test_a_picture_of_it_can_be_drawn_again_with_the_part_of_every_pixel(number: int) -> None:
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
