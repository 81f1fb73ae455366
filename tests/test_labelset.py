"""Claims about label sets: how they are read, what their sentences are, what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lazsl import labelset
from lazsl.errors import UserError
from lazsl.fieldguide import LABELS_FILE
from lazsl.labelset import LabelSet, load_labelset, parse_labelset, sentence

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
    from lazsl.storage import Folder

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
    "a class twice": ('{"Wren": ["a tail"], "Wren": ["wings"]}', "'Wren' twice"),
    "a class twice inside": ('{"classes": {"Wren": [], "Wren": []}}', "'Wren' twice"),
    "a list": (["Wren"], "is a list"),
    "a string": ('"Wren"', "is a str"),
    "null": ("null", "is a NoneType"),
    "attributes are a string": ({"Wren": "a tail"}, "'Wren' must have a list"),
    "attributes are an object": ({"Wren": {"a": "tail"}}, "'Wren' must have a list"),
    "attributes are null": ({"Wren": None}, "'Wren' must have a list"),
    "a number as attribute": ({"Wren": ["a tail", 3]}, "attribute 3"),
    "a list as attribute": ({"Wren": [["a tail"]]}, "attribute ['a tail']"),
    "null as attribute": ({"Wren": [None]}, "attribute None"),
    "an empty attribute": ({"Wren": ["a tail", "  "]}, "'Wren'"),
    "no class": ({}, "holds no class"),
    "no class inside": ({"classes": {}}, "holds no class"),
    "a class without a name": ({" ": ["a tail"]}, "without a name"),
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
    content, said = MALFORMED[kind]
    url = stored(tmp_path, content)
    message = refusal(url)
    assert url in message and said in message


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


# What names a label set


def test_the_key_does_not_depend_on_where_the_file_lies(tmp_path: Path) -> None:
    here = load_labelset(stored(tmp_path / "here", BIRDS))
    there = load_labelset(stored(tmp_path / "there", json.dumps(BIRDS, indent=4)))
    assert here.key == there.key and here.key.startswith("birds-")


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
    told = {"classes": wings, "template": "{class}, which has {attribute}."}
    assert parse_labelset(told, "birds").key == parse_labelset(wings, "birds").key


# What a careful reader objects to


def findings(
    document: dict[str, list[str]], tokens: dict[str, int] | None = None, context: int = 0
) -> list[tuple[str, str]]:
    found = labelset.check(parse_labelset(document, "x"), tokens, context)
    return [(finding.label, finding.message) for finding in found]


def test_nothing_is_found_in_a_good_label_set() -> None:
    assert findings(BIRDS) == []
    assert labelset.check(load_labelset(str(LABELS_FILE))) == []


def test_a_class_without_attributes_is_found() -> None:
    [(label, message)] = findings({**BIRDS, "Rook": []})
    assert label == "Rook" and "no attributes" in message


def test_a_repeated_attribute_is_found() -> None:
    [(label, message)] = findings({**BIRDS, "Rook": ["a bare face", "A bare face", "grey legs"]})
    assert label == "Rook" and "'a bare face' 2 times" in message


def test_two_classes_with_the_same_attributes_are_found() -> None:
    [(label, message)] = findings({**BIRDS, "Rook": ["Brown wings", "a cocked tail"]})
    assert label == "Rook" and "the same attributes as 'Wren'" in message


def test_two_classes_that_read_alike_are_found() -> None:
    [(label, message)] = findings({**BIRDS, "WREN": ["a loud voice"]})
    assert label == "WREN" and "'Wren'" in message


def test_an_attribute_that_most_classes_share_is_found_with_each_of_them() -> None:
    shared = {name: ["two wings", f"a {name} tail"] for name in "abc"}
    found = findings({**shared, "d": ["a d tail"]})
    assert [label for label, _ in found] == ["a", "b", "c"]
    assert all("'two wings' with 2 other classes" in message for _, message in found)
    half = {**shared, "d": ["a d tail"], "e": ["an e tail"], "f": ["an f tail"]}
    assert findings(half) == []


def test_a_sentence_that_the_model_would_cut_is_found() -> None:
    tokens = {"Wren, which is a cocked tail.": 78, "Wren, which has brown wings.": 77}
    tokens["Crow, which has black wings."] = 3
    [(label, message)] = findings(BIRDS, tokens, context=77)
    assert label == "Wren" and "a cocked tail" in message
    assert "78 tokens" in message and "77" in message


def test_a_label_set_can_be_made_in_python() -> None:
    made = LabelSet("birds", ("Wren",), (("brown wings",),))
    assert made == parse_labelset({"Wren": ["brown wings"]}, "birds")
