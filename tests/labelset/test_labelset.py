"""Claims about label sets: how they are read, what their sentences are, what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lazsl.errors import UserError
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.native_form import parse_labelset
from lazsl.labelset.reading import load_labelset
from lazsl.labelset.sentences import sentence

BIRDS = {"Wren": ["a cocked tail", "brown wings"], "Crow": ["black wings"]}


def stored(folder: Path, content: object, name: str = "birds.json") -> str:
    """The path of a file with this content: bytes and text as they are, all else as JSON."""
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


def refusal(url: str) -> str:
    """The sentence that a label set is refused with."""
    with pytest.raises(UserError) as caught:
        load_labelset(url)
    message = str(caught.value)
    assert message.strip() and "\n" not in message
    return message


def test_the_plain_form_is_read_in_file_order(tmp_path: Path) -> None:
    labels = load_labelset(stored(tmp_path, BIRDS))
    assert labels.name == "birds"
    assert labels.classes == ("Wren", "Crow")
    assert labels.attributes == (("a cocked tail", "brown wings"), ("black wings",))
    assert labels.sizes == (2, 1) and len(labels) == 2
    assert labels.name_prompts == ("a photo of a Wren.", "a photo of a Crow.")


def test_the_native_form_may_bring_its_own_sentence(tmp_path: Path) -> None:
    document = {
        "template": "{attribute}, as seen on a {class}",
        "description": "two birds",
        "provenance": "made up",
        "classes": BIRDS,
    }
    labels = load_labelset(stored(tmp_path, document))
    assert labels.classes == ("Wren", "Crow")
    assert labels.prompts == (
        ("a cocked tail, as seen on a Wren", "brown wings, as seen on a Wren"),
        ("black wings, as seen on a Crow",),
    )


def test_the_native_form_without_a_template_reads_like_the_plain_one(tmp_path: Path) -> None:
    plain = load_labelset(stored(tmp_path, BIRDS))
    native = load_labelset(stored(tmp_path, {"classes": BIRDS}))
    assert native == plain and native.key == plain.key


def test_a_class_may_be_called_classes() -> None:
    labels = parse_labelset({"classes": ["full of pupils"], "Wren": ["a tail"]}, "x")
    assert labels.classes == ("classes", "Wren")


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    text = json.dumps(BIRDS).encode("utf-8-sig")
    assert load_labelset(stored(tmp_path, text)).classes == ("Wren", "Crow")


def test_names_in_any_script_are_kept(tmp_path: Path) -> None:
    labels = load_labelset(stored(tmp_path, '{"Zaunkönig 鷦鷯": ["ein kurzer Schwanz"]}'))
    assert labels.prompts == (("Zaunkönig 鷦鷯, which has ein kurzer Schwanz.",),)


def test_a_label_set_is_read_from_any_store(place: str) -> None:
    from lazsl.store.folder import Folder

    Folder(place).write_json("sets/birds.json", BIRDS)
    assert load_labelset(f"{place}/sets/birds.json").classes == ("Wren", "Crow")
    assert "no such file" in refusal(f"{place}/sets/bees.json")


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("a seabird", "Gull, which is a seabird."),
        ("an amphibian", "Gull, which is an amphibian."),
        ("A seabird", "Gull, which is A seabird."),
        ("used for cutting", "Gull, which is used for cutting."),
        ("has a hooked bill", "Gull, which has a hooked bill."),
        ("have webbed feet", "Gull, which have webbed feet."),
        ("often grey", "Gull, which often grey."),
        ("typically seen at sea", "Gull, which typically seen at sea."),
        ("usually loud", "Gull, which usually loud."),
        ("may be spotted", "Gull, which may be spotted."),
        ("can fly", "Gull, which can fly."),
        ("is white", "Gull, which is white."),
        ("are white", "Gull, which are white."),
        ("grey wings", "Gull, which has grey wings."),
        ("antennae", "Gull, which has antennae."),
        ("ancient eyes", "Gull, which has ancient eyes."),
        ("hasty wings", "Gull, which has hasty wings."),
        ("island colours", "Gull, which has island colours."),
        ("area of white", "Gull, which has area of white."),
        ("canine teeth", "Gull, which has canine teeth."),
        ("mayfly wings", "Gull, which has mayfly wings."),
        ("usedness", "Gull, which has usedness."),
    ],
)
def test_a_sentence_reads_as_the_published_prompts_do(attribute: str, expected: str) -> None:
    assert sentence("Gull", attribute) == expected


def test_braces_in_names_are_letters_like_any_other() -> None:
    assert sentence("{x}", "{0} %s", "{class} with {attribute}") == "{x} with {0} %s"
    assert sentence("{attribute}", "{class}", "{class}: {attribute}") == "{attribute}: {class}"


def test_a_class_without_attributes_speaks_by_its_bare_name() -> None:
    labels = parse_labelset({"Wren": [], "Crow": ["black wings"]}, "x")
    assert labels.prompts[0] == (labels.name_prompts[0],) == ("a photo of a Wren.",)
    assert labels.attributes[0] == () and labels.sizes == (1, 1)


def test_white_space_around_attributes_is_dropped() -> None:
    assert parse_labelset({"Wren": ["  a tail \n"]}, "x").attributes == (("a tail",),)


MALFORMED: dict[str, tuple[object, str]] = {
    "not UTF-8": ('{"Grünspecht": []}'.encode("latin-1"), "not UTF-8"),
    "UTF-16": (json.dumps(BIRDS).encode("utf-16"), "not UTF-8"),
    "binary": (bytes(range(256)), "not UTF-8"),
    "nothing": (b"", "not JSON"),
    "words": ("wren: a tail", "not JSON"),
    "cut": (json.dumps(BIRDS)[:20], "not JSON"),
    "a line": ('{"Wren": ["a tail"],\n "Crow": ["wings",\n ]}', "at line 3"),
    "too deep": ("[" * 100_000, "cannot be used"),
    "a number too long": ('{"Wren": [' + "1" * 10_000 + "]}", "cannot be used"),
    "half a character": ('{"Wren": ["\\ud800"]}', "cannot be used"),
    "a class twice": ('{"Wren": ["a tail"], "Wren": ["wings"]}', "'Wren' stands twice"),
    "a class twice inside": ('{"classes": {"Wren": [], "Wren": []}}', "'Wren' stands twice"),
    "a list of numbers": ([3], "3 is no name"),
    "a string": ('"Wren"', "is a str"),
    "null": ("null", "is a NoneType"),
    "attributes are a string": ({"Wren": "a tail"}, "'Wren' must have a list"),
    "attributes are an object": ({"Wren": {"a": "tail"}}, "'Wren' must have a list"),
    "attributes are null": ({"Wren": None}, "'Wren' must have a list"),
    "a number as attribute": ({"Wren": ["a tail", 3]}, "attribute 3"),
    "a list as attribute": ({"Wren": [["a tail"]]}, "attribute ['a tail']"),
    "null as attribute": ({"Wren": [None]}, "attribute None"),
    "no class": ({}, "holds no class"),
    "no class inside": ({"classes": {}}, "holds no class"),
    "a class without a name": ({" ": ["a tail"], **BIRDS}, "a class has no name"),
    "only a class without a name": ({" ": ["a tail"]}, "no class with a name"),
    "a name of two classes": (
        {"classes": {**BIRDS, "Rook": {"synonyms": ["Crow"], "attributes": []}}},
        "also called 'Crow', which already means class 'Crow'",
    ),
    "an unknown field of a class": ({"classes": {"Wren": {"attribute": []}}}, "['attribute']"),
    "synonyms that are a string": (
        {"classes": {"Wren": {"synonyms": "wren", "attributes": []}}},
        "'Wren' must have a list of synonyms",
    ),
    "an empty synonym": ({"classes": {"Wren": {"synonyms": [" "]}}}, "the synonym ' '"),
    "an unknown state of review": ({"review": "done", "classes": BIRDS}, "pending or reviewed"),
    "a sentence of the name without it": (
        {"name_templates": ["a photo"], "classes": BIRDS},
        "name_templates must be a list of sentences with {class}",
    ),
    "a template without a class": (
        {"template": "has {attribute}", "classes": BIRDS},
        "'has {attribute}'",
    ),
    "a template without an attribute": ({"template": "{class}", "classes": BIRDS}, "'{class}'"),
    "a template that is no string": ({"template": 3, "classes": BIRDS}, "template 3"),
    "unknown fields": ({"classes": BIRDS, "clases": {}, "x": 1}, "['clases', 'x']"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_file_is_refused_in_one_sentence(kind: str, tmp_path: Path) -> None:
    content, sentence = MALFORMED[kind]
    url = stored(tmp_path, content)
    message = refusal(url)
    assert url in message and sentence in message


def test_a_missing_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    assert "no such file" in refusal(str(tmp_path / "none.json"))
    assert "no such file" in refusal(str(tmp_path / "none" / "none.json"))
    assert "cannot be read" in refusal(str(tmp_path))
    assert "cannot be read" in refusal(f"{tmp_path}/")
    assert "nowhere" in refusal("nowhere://bucket/birds.json")


def test_credentials_in_a_url_are_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_labelset("memory://key:hunter2@bucket/birds.json")
    assert "hunter2" not in str(caught.value)


def test_a_store_out_of_reach_is_told_in_one_sentence(
    s3_endpoint: Callable[[str], None],
) -> None:
    s3_endpoint("http://127.0.0.1:1")
    assert "127.0.0.1:1" in refusal("s3://bucket/birds.json")


YAML_BIRDS = """\
# what the curators see
template: "{class}, which has {attribute}."
provenance: {by: the curators, page: 12}
classes:
  no:            # a bird may be called no, or 007, or 1e3
    - &tail a cocked tail
    - |
      brown
      wings
  007: [*tail, "yes"]
  1e3:
"""


def test_yaml_is_read_as_text_whatever_it_looks_like(tmp_path: Path) -> None:
    url = stored(tmp_path, YAML_BIRDS.replace("  1e3:\n", ""), "birds.yaml")
    labels = load_labelset(url)
    assert labels.classes == ("no", "007")
    assert labels.attributes == (("a cocked tail", "brown\nwings"), ("a cocked tail", "yes"))
    assert labels.provenance == {"by": "the curators", "page": "12"}
    assert "'1e3' must have a list" in refusal(stored(tmp_path, YAML_BIRDS, "birds.yaml"))
    assert "but has nothing (line 11)" in refusal(stored(tmp_path, YAML_BIRDS, "birds.yaml"))


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(f'*{old}' for _ in range(10))}]\n"
    for old, new in zip("abcdefg", "bcdefgh", strict=True)
)
NO_YAML = {
    "a tag that would run": ("Wren: !!python/object/apply:os.system [ls]", "tag"),
    "a tag of a kind": ("Wren: !!int 3", "tag"),
    "no end of a list": ("Wren: [a tail", "is not YAML"),
    "a tab": ("Wren:\n\t- a tail", "is not YAML"),
    "two documents": ("Wren: [a tail]\n---\nCrow: [wings]", "a second document at line 2"),
    "an alias of itself": ("Wren: &w [*w]", "alias *w"),
    "an alias of nothing": ("Wren: [*w]", "alias"),
    "a list for a name": ("? [Wren]\n: [a tail]", "for a name"),
    "too deep": ("a: " + "[" * 60 + "]" * 60, "inside each other"),
    "far too deep": ("a: " + "[" * 100_000, "cannot be used"),
    "aliases of aliases": (BOMB, "more than 2,000,000 values"),
    "a class twice": ("Wren: [a tail]\nCrow: []\nWren: []", "(line 3)"),
    "nothing": ("", "is a NoneType"),
}


@pytest.mark.parametrize("kind", NO_YAML)
def test_bad_yaml_is_refused_in_one_sentence(kind: str, tmp_path: Path) -> None:
    content, sentence = NO_YAML[kind]
    assert sentence in refusal(stored(tmp_path, content, "birds.yaml"))


# Synonyms, and sentences for a bare name


def test_a_synonym_means_its_class_and_changes_no_sentence() -> None:
    plain = parse_labelset(BIRDS, "x")
    wren = {"synonyms": ["Troglodytes", " Jenny "], "attributes": BIRDS["Wren"]}
    named = parse_labelset({"classes": {**BIRDS, "Wren": wren}}, "x")
    assert named.called == {
        "Wren": "Wren",
        "Crow": "Crow",
        "Troglodytes": "Wren",
        "Jenny": "Wren",
    }
    assert named.prompts == plain.prompts and named.key == plain.key


def test_a_class_without_attributes_speaks_by_all_sentences_of_its_name() -> None:
    templates = ["a photo of a {class}.", "a drawing of a {class}."]
    document = {"name_templates": templates, "classes": {"Wren": [], "Crow": ["black wings"]}}
    labels = parse_labelset(document, "x")
    assert labels.prompts[0] == ("a photo of a Wren.", "a drawing of a Wren.")
    assert labels.sizes == (2, 1)
    assert labels.phrases == (labels.prompts[0], ("black wings",))


# What names a label set


def test_the_key_does_not_depend_on_where_the_file_lies(tmp_path: Path) -> None:
    here = load_labelset(stored(tmp_path / "here", BIRDS))
    indented = load_labelset(stored(tmp_path / "there", json.dumps(BIRDS, indent=4)))
    assert here.key == indented.key and here.key.startswith("birds-")


@pytest.mark.parametrize(
    "other",
    [
        {"Wren": ["a cocked tail", "brown wings"], "Crow": ["Black wings"]},
        {"Wren": ["brown wings", "a cocked tail"], "Crow": ["black wings"]},
        {"Crow": ["black wings"], "Wren": ["a cocked tail", "brown wings"]},
        {"Wren": ["a cocked tail", "brown wings"], "crow": ["black wings"]},
        {"Wren": ["a cocked tail"], "Crow": ["brown wings", "black wings"]},
        {"classes": BIRDS, "template": "{class} with {attribute}"},
        {**BIRDS, "Rook": []},
    ],
)
def test_the_key_changes_with_classes_attributes_order_and_sentences(other: Any) -> None:
    assert parse_labelset(other, "birds").key != parse_labelset(BIRDS, "birds").key


def test_the_key_does_not_tell_a_template_from_the_sentences_it_makes() -> None:
    wings = {"Wren": ["brown wings"], "Crow": ["black wings"]}
    templated = {"classes": wings, "template": "{class}, which has {attribute}."}
    assert parse_labelset(templated, "birds").key == parse_labelset(wings, "birds").key


def test_a_label_set_can_be_made_in_python() -> None:
    made = LabelSet("birds", ("Wren",), (("brown wings",),))
    assert made == parse_labelset({"Wren": ["brown wings"]}, "birds")
