"""Claims about the published forms of label sets: full-size files come in whole and go out."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lazsl.cli.commands import app
from lazsl.errors import UserError
from lazsl.labelset.formats import export_labels, import_labels
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.native_form import parse_labelset
from lazsl.labelset.reading import load_labelset, write_labels
from lazsl.labelset.sentences import NAME_TEMPLATE, WHOLE

CLASSES, ATTRIBUTES = 1_000, 5_800

ODD_NAMES = [
    "kite (bird of prey)",
    "CD/DVD player",
    "/leading slash",
    "back\\slash",
    "Carbonara 'al dente'",
    'the "great" auk',
    "Zaunkönig",
    "ミソサザイ",
    "крапивник",
    "نقشاره",
    "राजहंस",
    "🦉 owl",
    "no",
    "null",
    "~",
    "007",
    "1e3",
    "{class}",
    "{attribute}",
    "{0} %s {c}",
    "<b>bold</b>",
    "- dash",
    "# hash",
    "a: b",
    "*alias",
    "&anchor",
    "!tag",
    "classes",
    "template",
    "a" * 300,
]


def names() -> list[str]:
    return ODD_NAMES + [f"class_{i}" for i in range(CLASSES - len(ODD_NAMES))]


def full_size(sentences: bool = False) -> dict[str, list[str]]:
    """Class -> 0 or 2 to 11 texts, 5,800 in all, as untidy as the public files: leading newlines,
    quotes, slashes, other scripts. As whole sentences where asked for."""
    chance = random.Random(11)
    counts = [0] * 8 + [chance.randint(2, 11) for _ in range(CLASSES - 8)]
    while (excess := sum(counts) - ATTRIBUTES) != 0:
        at = chance.randrange(8, CLASSES)
        step = 1 if excess < 0 else -1
        if 2 <= counts[at] + step <= 11:
            counts[at] += step
    chance.shuffle(counts)
    parts = [
        "wings",
        "a crest / crown",
        'a "mask"',
        "l'œil",
        "緑の翼",
        "a tail, barred",
        "{c}",
        "yes",
    ]
    made: dict[str, list[str]] = {}
    for name, count in zip(names(), counts, strict=True):
        texts = [f"{chance.choice(parts)} no. {j}" for j in range(count)]
        if sentences:
            texts = [f"\n\nA {name} has {text}." for text in texts]
        elif texts:
            texts[0] = f"\n{texts[0]} "
        made[name] = texts
    sizes = {len(texts) for texts in made.values()}
    assert sizes == {0, *range(2, 12)} and sum(map(len, made.values())) == ATTRIBUTES
    return made


def stripped(made: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: [text.strip() for text in texts] for name, texts in made.items()}


def held(labels: LabelSet) -> dict[str, list[str]]:
    return {
        label: list(texts) for label, texts in zip(labels.classes, labels.attributes, strict=True)
    }


def stored(folder: Path, name: str, value: Any) -> str:
    file = folder / name
    text = value if isinstance(value, str) else json.dumps(value, indent=4)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return str(file)


def lazsl(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["labels", *arguments])


# In


@pytest.mark.parametrize("form", ["auto", "dclip"])
def test_a_full_size_file_of_phrases_is_read_whole(form: str, tmp_path: Path) -> None:
    made = full_size()
    labels, format, notes = import_labels(stored(tmp_path, "d.json", made), form)
    assert (format, notes) == ("dclip", [])
    assert held(labels) == stripped(made)
    assert (len(labels), sum(map(len, labels.attributes))) == (CLASSES, ATTRIBUTES)
    assert labels.prompts[0][0].startswith("kite (bird of prey), which ")
    assert "d.json" in labels.provenance and "dclip" in labels.provenance


@pytest.mark.parametrize("form", ["auto", "cupl"])
def test_a_full_size_file_of_sentences_is_read_whole(form: str, tmp_path: Path) -> None:
    made = full_size(sentences=True)
    labels, format, notes = import_labels(stored(tmp_path, "c.json", made), form)
    assert format == "cupl" and labels.template == WHOLE
    assert len(notes) == (1 if form == "auto" else 0)  # why it was taken for sentences
    assert held(labels) == stripped(made)
    assert [list(p) for p in labels.prompts if len(p) > 1] == [
        texts for texts in stripped(made).values() if texts
    ]


def test_a_plain_list_of_names_is_read(tmp_path: Path) -> None:
    escaped = (name.replace("#", "\\#", 1) if name[0] == "#" else name for name in names())
    text = "\n".join(["", *escaped, "", ""])
    labels, format, _ = import_labels(stored(tmp_path, "birds.txt", text.replace("\n", "\r\n")))
    assert format == "names" and list(labels.classes) == names()
    assert labels.name == "birds" and set(labels.attributes) == {()}
    listed, format, _ = import_labels(stored(tmp_path, "birds.json", names()))
    assert format == "names" and listed.classes == labels.classes


def test_clip_benchmark_names_and_templates_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "birdset"
    stored(folder, "classnames.txt", "\n".join(names()) + "\n")
    stored(folder, "zeroshot_classification_templates.txt", "a photo of a {c}.\n{{art}} of {}\n\n")
    labels, format, notes = import_labels(str(folder))
    assert (format, notes, labels.name) == ("clip-benchmark", [], "birdset")
    assert list(labels.classes) == names()
    assert labels.name_templates == ("a photo of a {class}.", "{art} of {class}")
    assert labels.prompts[6] == ("a photo of a Zaunkönig.", "{art} of Zaunkönig")
    same, _, _ = import_labels(str(folder / "classnames.txt"))
    assert same == labels


def test_every_template_of_a_bare_name_is_embedded(tmp_path: Path) -> None:
    from lazsl.embedding.label_set import embed_labels
    from lazsl.model.checkpoints import find_model
    from lazsl.model.encoder import load_encoder

    stored(tmp_path, "classnames.txt", "Wren\n")
    stored(tmp_path, "zeroshot_classification_templates.txt", "a photo of a {c}.\nart of a {c}.")
    labels, _, _ = import_labels(str(tmp_path))
    encoder = load_encoder(find_model("fieldguide", "float32"), "cpu", "text")
    table = embed_labels(labels, encoder)
    prompts = ["a photo of a Wren.", "a photo of a Wren.", "art of a Wren."]
    assert table["prompt"].to_pylist() == prompts
    assert table["attribute"].to_pylist() == [None, *prompts[1:]]


def test_an_empty_attribute_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    made = {"Wren": ["a tail", "", " \n"], "Crow": []}
    labels, _, notes = import_labels(stored(tmp_path, "d.json", made))
    assert held(labels) == {"Wren": ["a tail"], "Crow": []}
    assert notes == ["2 empty attributes were left out"]
    # label, relabel and Python read it alike, and say so.
    for read in (load_labelset(str(tmp_path / "d.json")), parse_labelset(made, "d")):
        assert held(read) == held(labels)
        assert read.notes == tuple(notes)


REFUSED: dict[str, tuple[str, object, str, str]] = {
    "a name twice": ("n.txt", "Wren\nCrow\n Wren\n", "names", "first at line 1 and again .line 3."),
    "no name": ("n.txt", "\n \n", "names", "holds no class"),
    "a number in a list": ("n.json", ["Wren", 3], "auto", "3 is no name"),
    "a mapping for a list": ("n.json", {"Wren": []}, "names", "no list of names"),
    "an unknown form": ("d.json", {"Wren": []}, "coco", "there are auto, dclip, cupl, names"),
    "a native file as dclip": (
        "d.json",
        {"template": "{class} {attribute}", "classes": {"Wren": []}},
        "dclip",
        "use --from native",
    ),
    "a class twice": ("d.json", '{"Wren": [],\n"Wren": []}', "dclip", "stands twice"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_only_a_person_can_put_right_is_refused(kind: str, tmp_path: Path) -> None:
    name, value, form, sentence = REFUSED[kind]
    with pytest.raises(UserError, match=sentence):
        import_labels(stored(tmp_path, name, value), form)


@pytest.mark.parametrize("template", ["a photo", "a {class}", "{c", "{c.__class__}", "{0}"])
def test_a_template_that_is_none_is_refused(template: str, tmp_path: Path) -> None:
    stored(tmp_path, "classnames.txt", "Wren\n")
    stored(tmp_path, "zeroshot_classification_templates.txt", template)
    with pytest.raises(UserError, match=r"line 1.*is no template"):
        import_labels(str(tmp_path))


# There and back


def rich_set() -> LabelSet:
    made = stripped(full_size())
    return LabelSet(
        "rich",
        tuple(made),
        tuple(tuple(texts) for texts in made.values()),
        template="{class}: {attribute}",
        name_templates=("a photo of a {class}.", "a {class} in {{braces}}"),
        synonyms={"Zaunkönig": ("wren", "Troglodytes troglodytes"), "no": ("nein",)},
        description="all fields\nand a line break",
        provenance={"by": "a test", "pages": ["1", "2"]},
        sources={"Zaunkönig": "a field guide"},
        review="pending",
    )


@pytest.mark.parametrize("name", ["rich.json", "rich.yaml"])
def test_the_native_form_gives_back_every_field(name: str, tmp_path: Path) -> None:
    labels = rich_set()
    write_labels(labels, str(tmp_path / name))
    again = load_labelset(str(tmp_path / name))
    assert again == labels and again.key == labels.key
    assert export_labels(labels, "native", str(tmp_path / "again.yaml")) == []


@pytest.mark.parametrize("form", ["dclip", "cupl", "names", "clip-benchmark"])
def test_what_a_form_can_hold_comes_back(form: str, tmp_path: Path) -> None:
    made = {"dclip": full_size(), "cupl": full_size(sentences=True)}.get(form)
    url = {
        "names": "n.txt",
        "clip-benchmark": "folder",
    }.get(form, "d.json")
    if made is not None:
        source = stored(tmp_path / "in", url, made)
    elif form == "names":
        source = stored(tmp_path / "in", url, "\n".join(names()).replace("\n#", "\n\\#"))
    else:
        source = str(tmp_path / "in" / url)
        stored(Path(source), "classnames.txt", "\n".join(names()))
        stored(Path(source), "zeroshot_classification_templates.txt", "a {c}.\n{{x}} {c}, {c}\n")
    first, _, _ = import_labels(source, form)
    lost = export_labels(first, form, str(tmp_path / "out" / url))
    assert lost in ([], ["the provenance"])  # the files differ, so their digests do
    again, _, _ = import_labels(str(tmp_path / "out" / url), form)
    assert held(again) == held(first) and again.prompts == first.prompts
    assert again.key == first.key
    if made is not None:
        with open(tmp_path / "out" / url, encoding="utf-8") as file:
            assert json.load(file) == stripped(made)


def test_a_form_that_cannot_hold_everything_says_what_is_lost(tmp_path: Path) -> None:
    labels = rich_set()
    lost = {
        form: set(export_labels(labels, form, str(tmp_path / form)))
        for form in ("dclip", "cupl", "names", "clip-benchmark")
    }
    always = {
        "synonyms",
        "the description",
        "the provenance",
        "the provenance of classes",
        "the state of review",
    }
    assert lost["dclip"] == always | {"the template", "the name templates"}
    assert lost["cupl"] == always | {"attributes", "the template", "the name templates"}
    assert lost["names"] == always | {"attributes", "the template", "the name templates"}
    assert lost["clip-benchmark"] == always | {"attributes", "the template"}


def test_sentences_are_what_cupl_gets(tmp_path: Path) -> None:
    labels = LabelSet("x", ("Wren", "Crow"), (("a bird", "antennae"), ()))
    export_labels(labels, "cupl", str(tmp_path / "c.json"))
    assert json.loads((tmp_path / "c.json").read_text()) == {
        "Wren": ["Wren, which is a bird.", "Wren, which has antennae."],
        "Crow": [],
    }
    assert labels.name_prompts[1] == NAME_TEMPLATE.replace("{class}", "Crow")


def test_a_name_with_a_line_break_is_in_no_list(tmp_path: Path) -> None:
    labels = LabelSet("x", ("Wren\nCrow",), ((),))
    with pytest.raises(UserError, match="line break"):
        export_labels(labels, "names", str(tmp_path / "n.txt"))
    assert not (tmp_path / "n.txt").exists()


# On the command line


def test_import_and_export_on_the_command_line(tmp_path: Path) -> None:
    source = stored(tmp_path, "descriptors.json", full_size())
    ours = str(tmp_path / "ours.yaml")
    result = lazsl("import", source, "--output", ours)
    assert result.exit_code == 0, result.output
    assert "as dclip: 1,000 classes, 5,808 sentences" in result.stdout
    back = str(tmp_path / "back.json")
    result = lazsl("export", ours, "--to", "dclip", "--output", back)
    assert result.exit_code == 0 and "dclip cannot hold the provenance" in " ".join(
        result.stderr.split()
    )
    assert json.loads(Path(back).read_text(encoding="utf-8")) == stripped(full_size())


def test_a_file_that_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    source, edited = stored(tmp_path, "n.txt", "Wren\n"), stored(tmp_path, "e.yaml", "Crow: []\n")
    stored(tmp_path / "folder", "classnames.txt", "Rook\n")
    for command in (
        ["import", source, "--output", edited],
        ["export", edited, "--to", "names", "--output", source],
        ["export", edited, "--to", "clip-benchmark", "--output", str(tmp_path / "folder")],
    ):
        result = lazsl(*command)
        assert result.exit_code == 2 and "already exists" in result.stderr
    assert Path(edited).read_text() == "Crow: []\n" and Path(source).read_text() == "Wren\n"
    assert lazsl("import", source, "--output", edited, "--force").exit_code == 0
    assert load_labelset(edited).classes == ("Wren",)


def test_import_and_export_work_behind_any_url(place: str, tmp_path: Path) -> None:
    labels = LabelSet("x", ("Wren", "Crow"), (("a tail",), ()))
    export_labels(labels, "clip-benchmark", f"{place}/set")
    again, form, _ = import_labels(f"{place}/set")
    assert form == "clip-benchmark" and again.classes == labels.classes
    export_labels(labels, "dclip", f"{place}/d.json")
    assert held(import_labels(f"{place}/d.json")[0]) == {"Wren": ["a tail"], "Crow": []}
