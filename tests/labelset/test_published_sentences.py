"""Claims about the published script's sentences: `template: published` makes them to the letter.

The rule below is the script's own, written down again: `which is` before any attribute that begins
with the letter a, verbs by their first letters, no full stop except for ImageNet. The table in
docs/benchmarks.md is of all 10,189 sentences of the public files.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lazsl.errors import UserError
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.reading import load_labelset
from lazsl.labelset.sentences import PUBLISHED, PUBLISHED_STOPPED

PUBLISHED_BY_SCRIPT = {
    "a seabird": "which is a seabird",
    "an airport": "which is an airport",
    "aircraft": "which is aircraft",
    "antennae": "which is antennae",
    "black feet": "which has black feet",
    "A crest": "which has A crest",
    "has a tail": "which has a tail",
    "hash marks": "which hash marks",
    "often found near water": "which often found near water",
    "typically has rows of seats": "which typically has rows of seats",
    "may be green": "which may be green",
    "can be tall": "which can be tall",
    "candles": "which candles",
    "used to cut": "which is used to cut",
    "usually grey": "which has usually grey",
    "is grey": "which has is grey",
}


@pytest.mark.parametrize("attribute", PUBLISHED_BY_SCRIPT)
def test_a_sentence_is_the_scripts_to_the_letter(attribute: str) -> None:
    labels = LabelSet("x", ("airplane_cabin",), ((attribute,),), template=PUBLISHED)
    labels = replace(labels, spoken_names={"airplane_cabin": "airplane cabin"})
    expected = f"airplane cabin, {PUBLISHED_BY_SCRIPT[attribute]}"
    assert labels.prompts == ((expected,),)
    assert replace(labels, template=PUBLISHED_STOPPED).prompts == ((expected + ".",),)


def test_a_class_without_attributes_gets_the_scripts_empty_place(tmp_path: Path) -> None:
    file = tmp_path / "d.json"
    classes = {"corn_field": [], "bar": ["a counter"]}
    file.write_text(json.dumps({"template": "published", "classes": classes}))
    prompts = load_labelset(str(file)).prompts
    assert prompts == (("corn field, which has ",), ("bar, which is a counter",))


def test_another_word_for_a_template_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    file = tmp_path / "d.json"
    file.write_text(json.dumps({"template": "publishd", "classes": {"bar": ["a counter"]}}))
    with pytest.raises(UserError, match=r"'published' \('published.' for ImageNet\)"):
        load_labelset(str(file))
