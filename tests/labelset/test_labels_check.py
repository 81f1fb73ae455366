"""Claims about `lazsl labels check`: every kind of fault is found where it stands, and only it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from lazsl.cli.commands import app
from lazsl.fieldguide import LABELS_FILE
from lazsl.labelset.checks import check, look_alikes
from lazsl.labelset.finding import KINDS, Finding
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.native_form import Read, parse_labelset
from lazsl.labelset.reading import read_labels

CLEAN = """\
review: reviewed
classes:
  Wren:
    synonyms: [Jenny]
    attributes:
      - a cocked tail
      - brown wings
  Crow:
    - black wings
    - an arched bill
  Owl:
    - a round face
    - two eyes
  Tern:
    - a forked tail
  Auk:
    - two eyes
"""

FAULTS: dict[str, tuple[str, str, int]] = {
    # kind: what to replace in the clean file, by what, and on which line the fault then stands
    "unreviewed": ("review: reviewed", "review: pending", 1),
    "empty-class": ("  Owl:", "  '':\n    - a bill\n  Owl:", 11),
    "repeated-class": ("  Owl:", "  crow:\n    - a bill\n  Owl:", 11),
    "ambiguous-name": ("[Jenny]", "[Crow]", 3),
    "empty-attribute": ("    - an arched bill", "    - ' '", 10),
    "odd-characters": ("an arched bill", '"arched\\e[31m bill"', 10),
    "no-attributes": ("  Owl:\n    - a round face\n    - two eyes", "  Owl: []", 11),
    "repeated-attribute": ("    - an arched bill", "    - BLACK  wings", 10),
    "same-attributes": (
        "    - a round face\n    - two eyes",
        "    - An arched bill\n    - black wings",
        11,
    ),
    "shared-attribute": ("  Tern:\n    - a", "  Tern:\n    - two eyes\n    - a", 13),
    "names-class": ("a round face", "the face of an owl", 12),
    "grammar": ("an arched bill", "a arched bill", 10),
    "names-other": ("an arched bill", "a bill like an auk", 10),
    "says-absent": ("an arched bill", "no stripes", 10),
    "not-visible": ("an arched bill", "lives in trees", 10),
}
BY_MODEL = {"too-long", "look-alike"}
OF_ALL = {"other-language"}


def run(text: str, folder: Path, *options: str, name: str = "birds.yaml") -> Any:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return CliRunner().invoke(app, ["labels", "check", str(file), *options])


def found(text: str, folder: Path, *options: str, name: str = "birds.yaml") -> list[dict[str, Any]]:
    result = run(text, folder, *options, "--json", name=name)
    findings: list[dict[str, Any]] = json.loads(result.stdout)["findings"]
    assert result.exit_code == (1 if findings else 0)
    return findings


def test_a_clean_file_has_no_findings(tmp_path: Path) -> None:
    result = run(CLEAN, tmp_path)
    assert result.exit_code == 0
    assert "5 classes, 8 sentences, 0 findings" in result.stdout
    assert found(CLEAN, tmp_path) == []


def test_every_kind_of_finding_is_tested() -> None:
    assert {*FAULTS} | BY_MODEL | OF_ALL == {*KINDS}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_found_on_its_line_and_nothing_else_is(kind: str, tmp_path: Path) -> None:
    old, new, line = FAULTS[kind]
    assert CLEAN.count(old) == 1
    findings = found(CLEAN.replace(old, new), tmp_path)
    assert [(finding["kind"], finding["line"]) for finding in findings] == [(kind, line)]
    [finding] = findings
    assert finding["reason"] and finding["suggestion"]
    assert not finding["reason"].endswith(".") and not finding["suggestion"].endswith(".")


@pytest.mark.parametrize("kind", FAULTS)
def test_the_terminal_says_it_too(kind: str, tmp_path: Path) -> None:
    old, new, line = FAULTS[kind]
    result = run(CLEAN.replace(old, new), tmp_path)
    assert result.exit_code == 1
    assert f"{line}  {kind}" in result.stdout and f"1 finding: 1 {kind}" in result.stdout
    assert "\x1b" not in result.output


def test_lines_are_those_of_json_too(tmp_path: Path) -> None:
    text = '{"Wren": ["tail",\n  "a \\"b\\" {[,: x"],\n\n "Crow":\n\n ["wings", "Wings"],"Owl":[]}'
    findings = found(text, tmp_path, name="birds.json")
    assert [(finding["kind"], finding["class"], finding["line"]) for finding in findings] == [
        ("no-attributes", "Owl", 6),
        ("repeated-attribute", "Crow", 6),
    ]


def test_a_class_written_twice_is_found_at_its_second_entry(tmp_path: Path) -> None:
    findings = found(CLEAN + "  Wren:\n    - a loud voice\n", tmp_path)
    assert [(finding["kind"], finding["line"]) for finding in findings] == [("repeated-class", 18)]
    assert "first at line 3" in findings[0]["reason"]


def test_a_second_entry_does_not_move_the_lines_of_the_first(tmp_path: Path) -> None:
    text = CLEAN.replace("an arched bill", "a arched bill") + "  Crow:\n    - x\n    - y\n"
    findings = found(text, tmp_path)
    assert [(finding["kind"], finding["line"]) for finding in findings] == [
        ("grammar", 10),
        ("repeated-class", 18),
    ]


def test_markup_and_control_sequences_of_a_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    text = json.dumps(
        {"[bold]Wren\x1b[2J\u202e": ["[red]wings[/]", "[RED]wings[/]", "<b>tail</b>"]}
    )
    result = run(text, tmp_path, name="birds.json")
    assert result.exit_code == 1
    assert not {"\x1b", "\u202e"} & {*result.output}
    assert "'[RED]wings[/]'" in result.stdout  # written out, not turned red
    kinds = [finding["kind"] for finding in found(text, tmp_path, name="birds.json")]
    assert sorted(kinds) == ["odd-characters", "odd-characters", "repeated-attribute"]


def test_the_embedded_label_set_has_no_findings() -> None:
    result = CliRunner().invoke(app, ["labels", "check", str(LABELS_FILE)])
    assert result.exit_code == 0, result.output


# With a model


def test_a_sentence_that_the_model_would_cut_is_found(tmp_path: Path) -> None:
    long = CLEAN.replace("an arched bill", "an arched bill " + "of black and white feathers " * 20)
    kinds = {
        (finding["kind"], finding["line"]) for finding in found(long, tmp_path, "-m", "fieldguide")
    }
    assert ("too-long", 10) in kinds
    assert "too-long" not in {
        finding["kind"] for finding in found(CLEAN, tmp_path, "-m", "fieldguide")
    }


def test_look_alikes_are_the_pairs_that_a_plain_loop_finds() -> None:
    random = np.random.default_rng(5)
    sizes = random.integers(1, 4, 40)
    labels = LabelSet(
        "x",
        tuple(f"c{i}" for i in range(40)),
        tuple(tuple(f"a{i}{j}" for j in range(n)) for i, n in enumerate(sizes)),
    )
    vectors = random.normal(size=(sizes.sum(), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    means, start = [], 0
    for size in sizes:
        mean = vectors[start : start + size].astype(np.float64).mean(axis=0)
        means.append(mean / np.linalg.norm(mean))
        start += size
    expected = sorted(
        ((float(means[i] @ means[j]), i, j) for i in range(40) for j in range(i + 1, 40)),
        reverse=True,
    )
    near = [pair for pair in expected if pair[0] >= 0.6]
    assert len(near) > 5
    alike = look_alikes(Read(labels), vectors, threshold=0.6, limit=5)
    every = look_alikes(Read(labels), vectors, threshold=0.6, limit=10_000)
    assert [finding.label for finding in every] == [f"c{j}" for _, _, j in near]
    assert alike == every[:5]
    assert f"'c{near[0][1]}'" in every[0].reason and f"{near[0][0]:.3f}" in every[0].reason


def test_two_classes_that_the_text_encoder_takes_for_one_are_found(tmp_path: Path) -> None:
    text = json.dumps(
        {
            "Baequilt": ["a violet crest", "green wings"],
            "Baequilt ": ["a violet crest", "green wings."],
        },
        indent=1,
    )
    findings = found(text, tmp_path, "--model", "fieldguide", name="birds.json")
    [alike] = [finding for finding in findings if finding["kind"] == "look-alike"]
    assert alike["line"] == 6 and "text encoder" in alike["reason"]


def test_the_embedded_label_set_is_told_apart_by_the_embedded_model() -> None:
    result = CliRunner().invoke(app, ["labels", "check", str(LABELS_FILE), "-m", "fieldguide"])
    assert result.exit_code == 0, result.output


# What reads as English, and what does not

GOOD = (
    "a seabird|an hourglass mark|a unicorn horn|a one-piece body|an x-shaped mark|a US flag|"
    "red and black|used for cutting|has a pillow and blanket|often has spots or stripes|"
    "colored bands around the neck|two wings|a series of stripes|a pair of wings|a glass case|"
    "a lens|a bus|plumage that is mostly white|a yellow, orange, or red underside|"
    "scales that shimmer in the light|two bare patches of skin (one near each eye)|"
    'red-rimmed eyes|bread that is toasted or grilled|a sign that says "museum"|'
    "no visible eyes|may be lit or dark|antennae"
).split("|")
BAD = (
    "a antennae|a wings|a orange bill|an red bill|has has wings|a a crest|is is red|long legs.|"
    "blue wings..|made of wood|topped with cheese|with garlic cloves|and butter|"
    "between buildings|often red|usually pork or beef|the house has a porch|"
    "each rib has a bone|it is smooth and creamy|a feathers on the neck|...|a small teeth"
).split("|")


SENTENCES = (
    "A cannon looks like a large tube.|An Abyssinian looks like a slender cat.|"
    "A great Pyrenees is a large, white dog.|A bird typically has two wings.|"
    "The coat is silky.|Vitamin A is orange.|Types A and B differ.|"
    "A pug weighs little, has a flat face, and is small."
).split("|")


@pytest.mark.parametrize("sentence", SENTENCES)
def test_whole_sentences_raise_no_false_alarm(sentence: str) -> None:
    """Of 8,751 findings over public files, 4,313 took the verb after "A cannon" for a plural."""
    document = {"template": "{attribute}", "classes": {"Thing": [sentence]}}
    grammar = [
        finding
        for finding in check(Read(parse_labelset(document, "x")))
        if finding.kind == "grammar"
    ]
    assert grammar == []


def test_a_wrong_article_in_a_whole_sentence_is_found() -> None:
    document = {"template": "{attribute}", "classes": {"Thing": ["A english setter is brown."]}}
    [finding] = check(Read(parse_labelset(document, "x")))
    assert finding.kind == "grammar" and finding.mended == "An english setter is brown."


def test_an_article_without_a_noun_is_found_and_left_for_a_person() -> None:
    document = {"template": "{attribute}", "classes": {"Dog": ["A is a four-legged mammal."]}}
    [finding] = check(Read(parse_labelset(document, "x")))
    assert finding.kind == "grammar" and finding.mended is None
    assert "'A is' lacks a noun" in finding.reason


def complaints(attribute: str) -> list[Finding]:
    read = Read(parse_labelset({"Thing": [attribute]}, "x"))
    return [finding for finding in check(read) if finding.kind == "grammar"]


@pytest.mark.parametrize("attribute", GOOD)
def test_good_english_is_left_alone(attribute: str) -> None:
    assert complaints(attribute) == []


@pytest.mark.parametrize("attribute", BAD)
def test_bad_english_is_found(attribute: str) -> None:
    assert complaints(attribute)


def test_which_is_antennae_is_found_where_a_template_makes_it() -> None:
    document = {"template": "{class}, which is {attribute}.", "classes": {"Moth": ["antennae"]}}
    [finding] = check(Read(parse_labelset(document, "x")))
    assert finding.kind == "grammar" and "'which is' stands before the plural" in finding.reason


# Size


def test_a_thousand_classes_are_checked_in_seconds(tmp_path: Path) -> None:
    import time

    file = tmp_path / "many.json"
    file.write_text(
        json.dumps(
            {f"class {i}": [f"a part {i} {j}" for j in range(6)] for i in range(1000)}, indent=1
        )
    )
    began = time.process_time()
    read = read_labels(str(file))
    assert check(read) == []
    assert time.process_time() - began < 10
    assert read.lines["class 999", 5] == 2 + 999 * 8 + 6


def test_twenty_thousand_classes_are_checked_in_15_seconds_of_processor(tmp_path: Path) -> None:
    import random
    import time

    chance = random.Random(4)
    nouns = "wing bill tail crest eye leg feather beak foot neck back belly rump".split()
    colours = "red green blue brown grey white black yellow olive buff rusty".split()
    phrases = [f"a {colour} {noun} with {two} spots" for colour in colours for two in colours
               for noun in nouns]  # fmt: skip
    classes = {
        f"{colours[i % 11]} {nouns[i % 13]}er {i}": chance.sample(phrases, 6) for i in range(21_000)
    }
    file = tmp_path / "many.json"
    file.write_text(json.dumps(classes, indent=1))
    began = time.process_time()
    check(read_labels(str(file)))
    assert time.process_time() - began < 15


# What else attributes say

SEEN = (
    "no longer than the head|found objects glued on|a bow on the collar|a call button|"
    "strong legs|a wooden handle|not only red|a tail like a fan|soundboard|living coral"
).split("|")


@pytest.mark.parametrize("attribute", SEEN)
def test_what_a_picture_shows_is_left_alone(attribute: str) -> None:
    document = {"Thing": [attribute], "bow": ["a string"], "ring": ["round"], "hat": ["felt"]}
    kinds = {finding.kind for finding in check(Read(parse_labelset(document, "x")))}
    assert not kinds & {"says-absent", "not-visible", "names-other"}


UNSEEN = (
    "lives in trees|often found in gardens|native to South America|is endemic to Cuba|"
    "the smell of coffee|a sweet taste|weighs 20 pounds|nocturnal|feeds on fish"
).split("|")


@pytest.mark.parametrize("attribute", UNSEEN)
def test_what_no_picture_shows_is_found(attribute: str) -> None:
    findings = check(Read(parse_labelset({"Thing": [attribute]}, "x")))
    assert [finding.kind for finding in findings if finding.kind == "not-visible"]


@pytest.mark.parametrize(
    "attribute", ["without a crest", "lacks stripes", "the bill is not red", "no legs"]
)
def test_what_is_said_to_be_absent_is_found(attribute: str) -> None:
    findings = check(Read(parse_labelset({"Thing": [attribute]}, "x")))
    assert [finding.kind for finding in findings if finding.kind == "says-absent"]


def test_a_name_inside_a_longer_name_is_not_another_class() -> None:
    document = {"black swan": ["larger than a swan"], "swan": ["a neck"], "Mute swan": ["white"]}
    document["Coot"] = ["smaller than the mute swan"]
    findings = check(Read(parse_labelset(document, "x")))
    assert [(finding.label, finding.kind) for finding in findings] == [("Coot", "names-other")]


LANGUAGES: dict[str, tuple[dict[str, Any], bool]] = {
    "names in Japanese": ({"テンチ": [], "金魚": []}, True),
    "names in Latin": ({"Tinca tinca": [], "Carassius auratus": []}, False),
    "attributes in Russian": ({"A": ["красный клюв"], "B": ["синие крылья"]}, True),
    "attributes in German": (
        {"A": ["ein roter Schnabel mit Punkten", "die Flügel sind blau", "ein Ring um das Auge"],
         "B": ["eine Haube auf dem Kopf", "der Bauch ist grau und weiss"]},
        True,
    ),
    "attributes in English": (
        {"A": ["a red bill with dots", "the wings are blue"], "B": ["a ring on the eye", "a tail"]},
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", LANGUAGES)
def test_another_language_than_the_templates_is_found_once(kind: str) -> None:
    classes, other = LANGUAGES[kind]
    findings = check(Read(parse_labelset(classes, "x")))
    assert [finding.kind for finding in findings if finding.kind == "other-language"] == (
        ["other-language"] * other
    )


def test_a_template_in_the_language_of_the_attributes_is_well() -> None:
    document = {
        "template": "{class}: {attribute}",
        "classes": {"A": ["красный клюв"], "B": ["синие крылья"]},
    }
    assert check(Read(parse_labelset(document, "x"))) == []


# Reading to the end

MANY = "classes:\n  Wren:\n" + "".join(f"  - a orange part {i}\n" for i in range(150))
MANY += "  - no stripes\n"


def test_a_long_list_is_cut_and_says_how_to_see_the_rest(tmp_path: Path) -> None:
    result = run(MANY, tmp_path)
    assert result.stdout.count("→") == 100
    output = " ".join(result.output.split())
    assert "51 more; --limit 0 prints all, --summary counts" in output
    assert "151 findings: 150 grammar, 1 says-absent" in output
    assert run(MANY, tmp_path, "--limit", "0").stdout.count("→") == 151
    assert len(found(MANY, tmp_path)) == 151  # programs get all of them


def test_kinds_can_be_counted_and_chosen(tmp_path: Path) -> None:
    result = run(MANY, tmp_path, "--summary")
    rows = [line.split()[:2] for line in result.stdout.splitlines()[1:3]]
    assert rows == [["150", "grammar"], ["1", "says-absent"]]
    assert {finding["kind"] for finding in found(MANY, tmp_path, "--kind", "says-absent")} == {
        "says-absent"
    }
    result = run(MANY, tmp_path, "--kind", "gramar")
    assert result.exit_code == 2 and "no kind of finding 'gramar'" in " ".join(
        result.output.split()
    )


SLOPPY = """\
Wren:
  - a orange bill
  - made of feathers
  - A Orange  bill
  - ""
  - a wings
  - often red.
  - no stripes
Coot:
  - white
Wren:
  - a tail
  - an orange bill
"""


def test_what_is_mechanical_is_put_right(tmp_path: Path) -> None:
    target = tmp_path / "mended.yaml"
    result = run(SLOPPY, tmp_path, "--fix", str(target))
    labels = read_labels(str(target)).labels
    assert labels.attributes == (
        ("an orange bill", "is made of feathers", "wings", "is often red", "no stripes", "a tail"),
        ("white",),
    )
    assert result.exit_code == 1 and "1 finding: 1 says-absent" in result.output
    assert "put right" in result.stderr
    assert (tmp_path / "birds.yaml").read_text() == SLOPPY
    again = run(SLOPPY, tmp_path, "--fix", str(target))
    assert again.exit_code == 2 and "--force" in again.output


def test_603_repeated_names_are_put_right_at_once(tmp_path: Path) -> None:
    names = [f"thing {i % 900}" for i in range(1503)]
    target = tmp_path / "mended.yaml"
    file = tmp_path / "names.txt"
    file.write_text("\n".join(names))
    assert (
        len(
            [
                finding
                for finding in check(read_labels(str(file)))
                if finding.kind == "repeated-class"
            ]
        )
        == 603
    )
    result = CliRunner().invoke(app, ["labels", "check", str(file), "--fix", str(target)])
    assert result.exit_code == 0, result.output
    assert len(read_labels(str(target)).labels) == 900
