"""Claims about the one reader of label sets: every public form means the same to every command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lazsl.cli.commands import app
from lazsl.errors import UserError
from lazsl.labelset.formats import import_labels
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.reading import load_labelset, read_labels, write_labels

CUPL = {
    "wheaten terrier": [
        "A pet wheaten terrier typically has a soft, silky coat.",
        "A wheaten terrier has a coat of soft hair that is wheat-colored.",
    ],
    "great pyrenees": ["A pet great pyrenees looks like a large furry dog.", "It is white!"],
}


def stored(folder: Path, name: str, value: Any) -> str:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    text = value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)
    file.write_text(text, encoding="utf-8")
    return str(file)


def refusal(url: str) -> str:
    with pytest.raises(UserError) as caught:
        load_labelset(url)
    return str(caught.value)


def test_every_reader_takes_cupls_file_for_whole_sentences(tmp_path: Path) -> None:
    url = stored(tmp_path, "cupl.json", CUPL)
    labels = load_labelset(url)  # what label, relabel and report read
    assert labels.prompts == tuple(tuple(texts) for texts in CUPL.values())
    assert "4 of 4 attributes end like sentences" in labels.notes[0]
    assert read_labels(url).labels.prompts == labels.prompts  # what check reads
    assert import_labels(url)[0].key == labels.key


def test_phrases_that_merely_end_in_a_full_stop_are_attributes(tmp_path: Path) -> None:
    labels = load_labelset(stored(tmp_path, "d.json", {"Wren": ["a cocked tail.", "brown."]}))
    assert labels.template is None and not labels.notes


def test_the_native_form_means_what_it_says(tmp_path: Path) -> None:
    labels = load_labelset(stored(tmp_path, "n.json", {"classes": CUPL}))
    assert labels.template is None


NAMES: dict[str, tuple[str, Any]] = {
    "a text": ("n.txt", "# birds of the pond\nWren\n\n# divers\nGreat crested grebe\n"),
    "a list": ("n.json", ["Wren", "Great crested grebe"]),
    "a table of names": ("n.csv", "id,class\n7,Wren\n9,Great crested grebe\n"),
    "tabs": ("n.tsv", "Label\tother\nWren\tx\nGreat crested grebe\ty\n"),
    "id2label": ("config.json", {"id2label": {"0": "Wren", "1": "Great crested grebe"}, "x": 1}),
    "label2id": ("config.json", {"label2id": {"Wren": 0, "Great crested grebe": 1}}),
    "numbers": ("n.json", {"0": "Wren", "1": "Great crested grebe"}),
    "an index": (
        "n.json",
        {"0": ["n00000001", "Wren"], "1": ["n00000002", "Great_crested_grebe"]},
    ),
    "WordNet ids": ("n.json", {"n00000001": "Wren", "n00000002": "Great crested grebe"}),
    "synset words": ("n.txt", "n00000001 Wren, jenny wren\nn00000002 Great crested grebe\n"),
    "COCO": (
        "instances.json",
        {"categories": [{"id": 1, "name": "Wren"}, {"id": 2, "name": "Great crested grebe"}]},
    ),
    "categories alone": ("c.json", [{"name": "Wren"}, {"name": "Great crested grebe"}]),
    "CLIP_benchmark's file": ("jp_classnames.json", {"cifar10": ["Wren", "Great crested grebe"]}),
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_are_read_in_every_public_form(kind: str, tmp_path: Path) -> None:
    name, value = NAMES[kind]
    labels = load_labelset(stored(tmp_path, name, value))
    assert labels.classes == ("Wren", "Great crested grebe")
    assert labels.prompts == (("a photo of a Wren.",), ("a photo of a Great crested grebe.",))


def test_comment_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    labels = load_labelset(stored(tmp_path, "n.txt", "# one\nWren\n#two\n\\#3 pencil\n"))
    assert labels.classes == ("Wren", "#3 pencil")
    assert labels.notes == ("2 comment lines were left out",)


def test_a_table_has_a_row_per_attribute(tmp_path: Path) -> None:
    rows = 'class,attribute,synonyms,parent\nWren,"a tail, cocked",jenny|kitty,songbird\n'
    labels = load_labelset(stored(tmp_path, "n.csv", f"{rows}Wren,brown,,\nCoot,black|white,,\n"))
    assert labels.attributes == (("a tail, cocked", "brown"), ("black", "white"))
    assert labels.called == {"Wren": "Wren", "Coot": "Coot", "jenny": "Wren", "kitty": "Wren"}
    assert labels.parents == {"Wren": "songbird"}


def test_cocos_supercategories_are_parents(tmp_path: Path) -> None:
    categories = [
        {"id": 1, "name": "person", "supercategory": "person"},
        {"id": 17, "name": "cat", "supercategory": "animal"},
    ]
    labels = load_labelset(stored(tmp_path, "c.json", {"images": [], "categories": categories}))
    assert labels.classes == ("person", "cat") and labels.parents == {"cat": "animal"}


SETS = {"cifar10": ["airplane", "ship"], "mnist": ["0", "1"]}
TEMPLATES = {"cifar10": ["a photo of a {c}.", "art of {c}"], "mnist": ["the number {c}"]}


def test_one_of_several_lists_is_named_with_its_templates(tmp_path: Path) -> None:
    url = stored(tmp_path, "en_classnames.json", SETS)
    stored(tmp_path, "en_zeroshot_classification_templates.json", TEMPLATES)
    labels = load_labelset(f"{url}#cifar10")
    assert labels.classes == ("airplane", "ship") and labels.name == "cifar10"
    assert labels.prompts[1] == ("a photo of a ship.", "art of ship")
    imported, form, _ = import_labels(f"{url}#cifar10")
    assert form == "clip-benchmark" and imported.key == labels.key


REFUSED: dict[str, tuple[str, Any, tuple[str, ...]]] = {
    "several lists": ("en_classnames.json", SETS, ("2 lists of class names", "#cifar10")),
    "lists of another benchmark": (
        "x.json",
        {"mine": [f"thing {i}" for i in range(40)], "yours": [f"thing {i}" for i in range(50)]},
        ("2 lists of class names (mine, yours)", "FILE.json#mine", '{"classes": ...}'),
    ),
    "lists of templates": ("t.json", TEMPLATES, ("templates such as 'a photo of a {c}.'",)),
    "templates": ("t.txt", "a bad photo of a {}.\na drawing of a {}.\n", ("2 templates",)),
    "templates in a list": ("t.json", ["a photo of a {}."], ("name_templates",)),
    "a table without names": ("t.csv", "/m/011k07,Tortoise\n", ("none is class", "first line")),
    "a category without a name": ("c.json", {"categories": [{"id": 3}]}, ("has no name", "line")),
    "a phrase for a list": ("d.json", {"Wren": "brown"}, ("list of attributes", "str")),
    "names twice": ("n.txt", "a\nb\na\nb\nb\n", ("'a' stands twice", "(line 3)", "2 more like it")),
    "a class that is a parent": (
        "n.json",
        {"classes": {"Wren": {"parent": "Coot"}, "Coot": []}},
        ("'Coot' is the parent of 'Wren'", "another name"),
    ),
    "a circle": (
        "n.json",
        {"parents": {"a": "b", "b": "a"}, "classes": {"Wren": {"parent": "a"}}},
        ("among its own parents",),
    ),
    "two classes of one name": (
        "n.json",
        {"classes": {"1": {"name": "Wren"}, "2": {"name": "Wren"}}},
        ("both named 'Wren'", "said"),
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_clear_is_refused_with_what_to_do(kind: str, tmp_path: Path) -> None:
    name, value, words = REFUSED[kind]
    sentence = refusal(stored(tmp_path, name, value))
    for word in words:
        assert word in sentence


def test_a_list_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    url = stored(tmp_path, "en_classnames.json", SETS)
    assert "no list 'cifar11'; there are cifar10, mnist" in refusal(f"{url}#cifar11")


# What a class is called


SPOKEN = {
    "airplane_cabin": "airplane cabin",
    "n01440764 tench, Tinca tinca": "tench",
    "Great crested grebe": "Great crested grebe",
    "3-D printer": "3-D printer",
    "2. floor": "2. floor",
    "n01440764": "n01440764",
}


@pytest.mark.parametrize("name", SPOKEN)
def test_underscores_and_ids_do_not_reach_the_model(name: str, tmp_path: Path) -> None:
    labels = load_labelset(stored(tmp_path, "d.json", {name: ["white"], "x": []}))
    assert labels.classes == (name, "x")  # what a truth and SQL call it stays what it was
    assert labels.prompts[0] == (f"{SPOKEN[name]}, which has white.",)
    assert labels.name_prompts[0] == f"a photo of a {SPOKEN[name]}."


def test_numbers_in_front_are_ids_where_every_class_has_one(tmp_path: Path) -> None:
    names = ["001.Black_footed_Albatross", "002.Laysan_Albatross"]
    labels = load_labelset(stored(tmp_path, "n.json", {name: [] for name in names}))
    assert labels.spoken == ("Black footed Albatross", "Laysan Albatross")


def test_a_key_a_name_and_what_is_said_are_three_things(tmp_path: Path) -> None:
    entry = {"name": "tench (fish)", "said": "tench", "attributes": ["white"]}
    labels = load_labelset(stored(tmp_path, "n.json", {"classes": {"n01440764": entry}}))
    assert labels.classes == ("tench (fish)",) and labels.called["n01440764"] == "tench (fish)"
    assert labels.prompts == (("tench, which has white.",),)
    kept = {"classes": {"snake_case": {"said": "snake_case", "attributes": ["white"]}}}
    assert load_labelset(stored(tmp_path, "k.json", kept)).prompts[0][0].startswith("snake_case,")


def test_ids_and_further_words_of_a_list_are_synonyms(tmp_path: Path) -> None:
    text = "n1 x\nn00000001 maillot\nn00000002 maillot, tank suit\nn00000003 crane, bird\n"
    labels = load_labelset(stored(tmp_path, "n.txt", text))
    assert labels.classes == ("n1 x", "n00000001 maillot", "maillot, tank suit", "crane")
    assert labels.called["n00000003"] == "crane" and labels.called["bird"] == "crane"
    assert labels.spoken == ("n1 x", "maillot", "maillot, tank suit", "crane")


@pytest.mark.parametrize("name", ["n.yaml", "n.json"])
def test_names_and_parents_come_back_from_the_native_form(name: str, tmp_path: Path) -> None:
    labels = LabelSet(
        "n",
        ("a_b", "c_d", "e"),
        ((), (), ("x",)),
        spoken_names={"a_b": "a b", "e": "E."},
        parents={"a_b": "letters", "letters": "signs"},
    )
    write_labels(labels, str(tmp_path / name))
    again = load_labelset(str(tmp_path / name))
    assert again == labels and again.spoken == ("a b", "c_d", "E.")
    assert again.parents == labels.parents


def test_label_sets_without_ids_or_underscores_keep_their_key() -> None:
    labels = LabelSet("birds", ("Wren", "Coot"), (("a cocked tail",), ()))
    assert labels.key == "birds-7e4f19cf08f9"  # as by version 0.1.0


def test_check_says_which_names_are_said_otherwise(tmp_path: Path) -> None:
    url = stored(tmp_path, "d.json", {"airplane_cabin": ["a window"], "bar": ["a counter"]})
    result = CliRunner().invoke(app, ["labels", "check", url], env={"COLUMNS": "200"})
    assert "1 name is said otherwise to the model: 'airplane_cabin' as 'airplane cabin'" in (
        " ".join(result.output.split())
    )
    as_json = CliRunner().invoke(app, ["labels", "check", url, "--json"])
    assert json.loads(as_json.stdout)["said"] == {"airplane_cabin": "airplane cabin"}
