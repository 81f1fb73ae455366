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
from lazsl.labelset.native import Read, parse_labelset
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
}
BY_MODEL = {"too-long", "look-alike"}


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
    assert {*FAULTS} | BY_MODEL == {*KINDS}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_found_on_its_line_and_nothing_else_is(kind: str, tmp_path: Path) -> None:
    old, new, line = FAULTS[kind]
    assert CLEAN.count(old) == 1
    findings = found(CLEAN.replace(old, new), tmp_path)
    assert [(one["kind"], one["line"]) for one in findings] == [(kind, line)]
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
    assert [(one["kind"], one["class"], one["line"]) for one in findings] == [
        ("no-attributes", "Owl", 6),
        ("repeated-attribute", "Crow", 6),
    ]


def test_a_class_written_twice_is_found_at_its_second_entry(tmp_path: Path) -> None:
    findings = found(CLEAN + "  Wren:\n    - a loud voice\n", tmp_path)
    assert [(one["kind"], one["line"]) for one in findings] == [("repeated-class", 18)]
    assert "first at line 3" in findings[0]["reason"]


def test_a_second_entry_does_not_move_the_lines_of_the_first(tmp_path: Path) -> None:
    text = CLEAN.replace("an arched bill", "a arched bill") + "  Crow:\n    - x\n    - y\n"
    findings = found(text, tmp_path)
    assert [(one["kind"], one["line"]) for one in findings] == [
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
    kinds = [one["kind"] for one in found(text, tmp_path, name="birds.json")]
    assert sorted(kinds) == ["odd-characters", "odd-characters", "repeated-attribute"]


def test_the_embedded_label_set_has_no_findings() -> None:
    result = CliRunner().invoke(app, ["labels", "check", str(LABELS_FILE)])
    assert result.exit_code == 0, result.output


# With a model


def test_a_sentence_that_the_model_would_cut_is_found(tmp_path: Path) -> None:
    long = CLEAN.replace("an arched bill", "an arched bill " + "of black and white feathers " * 20)
    kinds = {(one["kind"], one["line"]) for one in found(long, tmp_path, "-m", "fieldguide")}
    assert ("too-long", 10) in kinds
    assert "too-long" not in {one["kind"] for one in found(CLEAN, tmp_path, "-m", "fieldguide")}


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
    some = look_alikes(Read(labels), vectors, threshold=0.6, limit=5)
    every = look_alikes(Read(labels), vectors, threshold=0.6, limit=10_000)
    assert [one.label for one in every] == [f"c{j}" for _, _, j in near]
    assert some == every[:5]
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
    [alike] = [one for one in findings if one["kind"] == "look-alike"]
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


def complaints(attribute: str) -> list[Finding]:
    read = Read(parse_labelset({"Thing": [attribute]}, "x"))
    return [one for one in check(read) if one.kind == "grammar"]


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
    began = time.perf_counter()
    read = read_labels(str(file))
    assert check(read) == []
    assert time.perf_counter() - began < 10
    assert read.lines["class 999", 5] == 2 + 999 * 8 + 6
