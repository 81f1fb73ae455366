"""Claims about published data sets: what of them counts, what it shows, how classes are joined."""

from __future__ import annotations

import csv
import io
import json
import random
import shlex
import shutil
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import miniatures
import pytest
from miniatures import MINIATURES, Miniature
from refusals import complaint
from sample import label_plainly, sample_files, small_job
from typer.testing import CliRunner

from lazsl.archive.listing import list_archive
from lazsl.archive.truth import read_truth
from lazsl.cli.commands import app
from lazsl.datasets import prepare as prepare_module
from lazsl.datasets import registry, wordnet
from lazsl.datasets.class_names import join_classes
from lazsl.datasets.wordnet import imagenet_ids, imagenet_names, subset
from lazsl.labelset.reading import load_labelset
from lazsl.settings import IMAGE_SUFFIXES
from lazsl.store.folder import Folder
from lazsl.warehouse.opening import open_warehouse


def label_file(file: Path, names: Iterable[str]) -> str:
    """A label set in the published form, its classes in no order at all, with attributes."""
    shuffled = list(names)
    random.Random(5).shuffle(shuffled)
    file.write_text(json.dumps({name: [f"{name} marks", "a tail"] for name in shuffled}))
    return str(file)


@pytest.fixture
def made(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Miniature:
    """The miniature that a test is parametrised with, in `tmp_path / "data"`."""
    miniature = MINIATURES[request.param](tmp_path / "data")
    if request.param == "places365":
        miniatures.accept_lists(tmp_path / "data", monkeypatch)
    return miniature


every = pytest.mark.parametrize("made", MINIATURES, indirect=True)


@every
def test_the_split_is_joined_with_a_label_set_by_names(made: Miniature, tmp_path: Path) -> None:
    labels = label_file(tmp_path / "labels.json", [*made.labels, "a unicorn", "dragons"])
    before = sorted((tmp_path / "data").rglob("*"))
    prepared = prepare_module.prepare(made.dataset, tmp_path / "data", labels)
    rows = {row["key"]: row["label"] for row in prepared.truth.to_pylist()}
    assert rows == made.truth
    assert prepared.truth["key"].to_pylist() == sorted(made.truth)
    assert (prepared.archive, prepared.beyond) == (str(made.archive), made.beyond)
    assert set(prepared.labels.classes) == set(made.labels)
    attributes = dict(zip(prepared.labels.classes, prepared.labels.attributes, strict=True))
    assert all(attributes[name] == (f"{name} marks", "a tail") for name in made.labels)
    assert any("2 classes of labels are not of this data set" in note for note in prepared.notes)
    assert sorted((tmp_path / "data").rglob("*")) == before, "something was written"


@every
def test_its_keys_are_those_that_the_archive_lists(made: Miniature, tmp_path: Path) -> None:
    prepared = prepare_module.prepare(made.dataset, tmp_path / "data")
    listed = list_archive(prepared.archive, IMAGE_SUFFIXES)["key"].to_pylist()
    assert set(prepared.truth["key"].to_pylist()) <= set(listed)
    assert len(listed) - prepared.truth.num_rows == prepared.beyond


@every
def test_the_folder_that_was_unpacked_is_as_good_as_the_one_around_it(
    made: Miniature, tmp_path: Path
) -> None:
    flat = {"imagenet", "places365"}  # they have no folder of their own around them
    inner = tmp_path / "data"
    if made.dataset.name not in flat:
        inner = next(path for path in inner.iterdir())
        # Under a name of one's own it is found all the same.
        inner = inner.rename(tmp_path / "unpacked")
    prepared = prepare_module.prepare(made.dataset, inner)
    assert prepared.truth.num_rows == len(made.truth)


@every
def test_a_part_of_it_is_taken_only_when_asked_for(made: Miniature, tmp_path: Path) -> None:
    gone = sorted(made.truth)[0]
    (made.archive / gone).unlink()
    call = lambda **settings: prepare_module.prepare(made.dataset, tmp_path / "data", **settings)  # noqa: E731
    sentence = complaint(call)
    assert f"{len(made.truth):,} images" in sentence or f"such as {gone!r}" in sentence
    actual = call(partial=True)
    assert set(actual.truth["key"].to_pylist()) == set(made.truth) - {gone}
    assert len(actual.labels) == made.dataset.classes, "a class is a class, shown or not"
    assert any("not the benchmark's" in note for note in actual.notes)


@pytest.mark.parametrize("name", MINIATURES)
def test_another_layout_is_told_with_what_is_there(name: str, tmp_path: Path) -> None:
    miniatures.touch(tmp_path / "data", ["somewhere/else.jpg", "notes.txt"])
    dataset = prepare_module.find_dataset(name)
    sentence = complaint(lambda: dataset.read(tmp_path / "data"))
    assert (
        "looked for" in sentence
        and "notes.txt, somewhere/" in sentence
        and "datasets show" in sentence
    )
    assert "no folder" in complaint(lambda: dataset.read(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("name", "file", "text"),
    [
        ("pets", "annotations/test.txt", "Abyssinian_201 1\n"),
        ("food101", "meta/test.json", "{"),
        ("dtd", "labels/test1.txt", "banded_0002.jpg\n"),
        ("cub", "train_test_split.txt", "1 0\n"),
        ("cub", "images.txt", "1\n"),
        ("places365", "places365_val.txt", "Places365_val_00000001.jpg 0\n"),
    ],
)
def test_a_damaged_list_is_one_sentence(name: str, file: str, text: str, tmp_path: Path) -> None:
    made = MINIATURES[name](tmp_path)
    base = tmp_path if name == "places365" else made.archive.parent
    (base / file).write_text(text)
    sentence = complaint(lambda: made.dataset.read(tmp_path))
    assert "cannot be read as" in sentence and "download" not in sentence


def test_places_are_read_small_where_there_are_no_large_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = miniatures.places365(tmp_path, "256")
    miniatures.accept_lists(tmp_path, monkeypatch)
    assert prepare_module.prepare(made.dataset, tmp_path).archive == str(tmp_path / "val_256")


# What everybody knows of ImageNet, independent of the lists that are used here.
KNOWN = {
    0: ("n01440764", "tench"),
    1: ("n01443537", "goldfish"),
    134: ("n02012849", "crane bird"),
    281: ("n02123045", "tabby cat"),
    517: ("n03126707", "construction crane"),
    638: ("n03710637", "tights"),
    639: ("n03710721", "one-piece bathing suit"),
    657: ("n03773504", "missile"),
    744: ("n04008634", "projectile"),
    836: ("n04355933", "sunglass"),
    837: ("n04356056", "sunglasses"),
    954: ("n07753592", "banana"),
    999: ("n15075141", "toilet paper"),
}


def test_a_class_of_imagenet_has_its_number_its_id_and_its_names() -> None:
    assert len(imagenet_ids()) == len(set(imagenet_ids())) == 1000
    assert list(imagenet_ids()) == sorted(imagenet_ids())
    for number, (wnid, name) in KNOWN.items():
        assert imagenet_ids()[number] == wnid
        assert imagenet_names()[wnid][0] == name
    assert "maillot" in imagenet_names()["n03710637"] and "crane" in imagenet_names()["n02012849"]
    first = [names[0] for names in imagenet_names().values()]
    assert len(set(first)) == 1000


def test_names_that_are_out_of_step_with_the_ids_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import open_clip

    names = list(open_clip.IMAGENET_CLASSNAMES)
    monkeypatch.setattr(open_clip, "IMAGENET_CLASSNAMES", [*names[1:], names[0]])
    wordnet.imagenet_names.cache_clear()
    sentence = complaint(imagenet_names)
    wordnet.imagenet_names.cache_clear()
    assert "out of step" in sentence and "998 of its 1000" in sentence
    assert "n01440764, which it calls 'goldfish' and which is 'tench" in sentence


@pytest.mark.parametrize("letter", ["a", "r"])
def test_the_two_hundred_are_those_that_were_published(letter: str, tmp_path: Path) -> None:
    assert len(subset(letter)) == len(set(subset(letter)) & set(imagenet_ids())) == 200
    made = MINIATURES[f"imagenet-{letter}"](tmp_path)
    other = next(wnid for wnid in imagenet_ids() if wnid not in subset(letter))
    miniatures.touch(made.archive, [f"{other}/1.jpg"])
    sentence = complaint(lambda: prepare_module.prepare(made.dataset, tmp_path))
    assert "1 classes that are none of the 200" in sentence and other in sentence


@pytest.mark.parametrize("made", ["imagenet-r", "imagenet-v2"], indirect=True)
def test_a_few_classes_are_a_part_too(made: Miniature, tmp_path: Path) -> None:
    """Whichever they are: ten folders of many, and not the first."""
    for folder in sorted(path for path in made.archive.iterdir() if path.is_dir())[:-10]:
        shutil.rmtree(folder)
    prepared = prepare_module.prepare(made.dataset, tmp_path / "data", partial=True)
    assert len(set(prepared.truth["class"].to_pylist())) == 10
    assert len(prepared.labels) == made.dataset.classes


def test_a_class_of_the_two_hundred_is_not_mistaken_for_one_beyond_them(tmp_path: Path) -> None:
    made = miniatures.imagenet_r(tmp_path / "data")
    names = set(miniatures.descriptor_names().values())
    # A panda may be the red one too, which is not of ImageNet-R.
    fewer = names - {"giant panda", "red panda"} | {"panda"}
    labels = label_file(tmp_path / "labels.json", fewer)
    sentence = complaint(lambda: prepare_module.prepare(made.dataset, tmp_path / "data", labels))
    assert sentence.startswith("1 classes of the data set") and "n02510455 (giant panda" in sentence
    assert "which could be 'panda' like another class" in sentence
    labels = label_file(tmp_path / "labels.json", names)
    prepared = prepare_module.prepare(made.dataset, tmp_path / "data", labels)
    assert len(prepared.labels) == 200 and "tench" not in prepared.labels.classes


def test_a_list_of_names_that_came_with_the_images_is_compared(tmp_path: Path) -> None:
    made = miniatures.imagenet(tmp_path)
    names = [names[-1] for names in imagenet_names().values()]
    mapping = tmp_path / "LOC_synset_mapping.txt"
    for shift, right in ((0, True), (1, False)):
        shifted = names[shift:] + names[:shift]
        rows = [f"{wnid} {name}, x" for wnid, name in zip(imagenet_ids(), shifted, strict=True)]
        mapping.write_text("\n".join(rows))
        if right:
            assert prepare_module.prepare(made.dataset, tmp_path).truth.num_rows == 1000
        else:
            sentence = complaint(lambda: prepare_module.prepare(made.dataset, tmp_path))
            assert str(mapping) in sentence and "out of step" in sentence
    mapping.unlink()
    index = {str(n): [wnid, "kite"] for n, wnid in enumerate(imagenet_ids())}
    (tmp_path / "imagenet_class_index.json").write_text(json.dumps(index))
    sentence = complaint(lambda: prepare_module.prepare(made.dataset, tmp_path))
    assert "imagenet_class_index.json is out of step" in sentence


def test_imagenet_is_read_as_kaggle_has_it(tmp_path: Path) -> None:
    val = tmp_path / "ILSVRC/Data/CLS-LOC/val"
    rows = {f"ILSVRC2012_val_{n:08d}": imagenet_ids()[(7 * n) % 1000] for n in range(1000)}
    miniatures.touch(val, [f"{image}.JPEG" for image in rows])
    dataset = replace(prepare_module.find_dataset("imagenet"), images=1000)
    sentence = complaint(lambda: prepare_module.prepare(dataset, tmp_path))
    assert "LOC_val_solution.csv" in sentence
    lines = [f"{image},{wnid} 85 1 499 272 {wnid} 1 2 3 4" for image, wnid in rows.items()]
    random.Random(1).shuffle(lines)
    solution = "\n".join(["ImageId,PredictionString", *lines])
    (tmp_path / "LOC_val_solution.csv").write_text(solution)
    prepared = prepare_module.prepare(dataset, tmp_path)
    assert prepared.archive == str(val)
    classes = dict(
        zip(prepared.truth["key"].to_pylist(), prepared.truth["class"].to_pylist(), strict=True)
    )
    assert classes == {f"{image}.JPEG": wnid for image, wnid in rows.items()}


CLASSES = {"n1": ("crane bird", "crane"), "n2": ("construction crane", "crane"), "n3": ("kite",)}


@pytest.mark.parametrize(
    ("labels", "joined"),
    [
        (["kite", "crane bird", "construction crane"], ["crane bird", "construction crane"]),
        (["KITE", "Crane_Bird", "construction-crane"], ["Crane_Bird", "construction-crane"]),
        (["kite (bird of prey)", "crane bird", "crane"], ["crane bird", "crane"]),
        (["kite", "Kite!", "crane", "construction crane"], ["crane", "construction crane"]),
    ],
)
def test_a_class_takes_the_label_that_is_called_like_it(
    labels: list[str], joined: list[str]
) -> None:
    for order in (labels, labels[::-1]):
        label_of = join_classes(CLASSES, order, CLASSES)
        assert label_of == {"n1": joined[0], "n2": joined[1], "n3": labels[0]}


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (["kite", "crane"], "n1 (crane bird, crane), which could be 'crane' like another class"),
        (["crane bird", "crane", "kitten"], "1 classes of the data set have no class of their own"),
        (["crane bird", "crane", "kitten"], "n3 (kite) (nearest: 'kitten')"),
        (["kite", "crane bird"], "n2 (construction crane, crane)"),
        (["crane bird", "crane", "Kite", "KITE"], "n3 (kite), which could be 'Kite', 'KITE'"),
    ],
)
def test_a_class_without_a_label_of_its_own_is_told_with_the_nearest(
    labels: list[str], sentence: str
) -> None:
    message = complaint(lambda: join_classes(CLASSES, labels, CLASSES))
    assert sentence in message and "aliases" in message


def test_another_name_of_a_class_takes_no_label_that_is_called_like_another_class() -> None:
    classes = {"n1": ("crayfish", "crawfish"), "n2": ("spiny lobster", "crayfish")}
    message = complaint(lambda: join_classes(classes, ["Crayfish", "lobster"], classes))
    assert "n2 (spiny lobster, crayfish), where 'Crayfish' is n1" in message


def test_two_classes_share_a_label_only_by_an_alias() -> None:
    labels = ["kite", "crane"]
    aliases = {"construction crane": "crane", "n1": "crane"}
    joined = join_classes(CLASSES, labels, CLASSES, aliases)
    assert joined == {"n1": "crane", "n2": "crane", "n3": "kite"}
    for alias, sentences in (
        ({"n9": "crane"}, "alias 'n9' is no class of the data set (nearest: 'n"),
        ({"crane": "kite"}, "alias 'crane' means 2 classes (n1, n2)"),
        ({"n1": "crate"}, "label 'crate', which the label set does not have (nearest: 'crane')"),
    ):
        assert sentences in complaint(lambda a=alias: join_classes(CLASSES, labels, CLASSES, a))


def test_the_names_that_clip_gives_twice_need_an_alias() -> None:
    """CuPL's files have CLIP's own list as keys: 998 names for 1,000 classes."""
    from open_clip import IMAGENET_CLASSNAMES

    names = imagenet_names()
    labels = sorted(set(IMAGENET_CLASSNAMES))
    message = complaint(lambda: join_classes(names, labels, names))
    assert message.startswith("2 classes") and "where 'missile' is n03773504" in message
    aliases = {"projectile": "missile", "sunglass": "sunglasses"}
    joined = join_classes(names, labels, names, aliases)
    numbered = dict(zip(imagenet_ids(), IMAGENET_CLASSNAMES, strict=True))
    assert joined == numbered


def test_what_one_file_of_aliases_says_is_in_the_truth(tmp_path: Path) -> None:
    made = miniatures.pets(tmp_path / "data")
    names = {"St. Bernard" if name == "saint bernard" else name for name in made.labels}
    labels = label_file(tmp_path / "labels.json", names)
    prepare = partial(prepare_module.prepare, made.dataset, tmp_path / "data", labels)
    assert "saint_bernard (saint bernard) (nearest: 'St. Bernard'" in complaint(prepare)
    aliases = tmp_path / "aliases.csv"
    aliases.write_text("class,label\nsaint_bernard,St. Bernard\n")
    prepared = prepare(aliases=str(aliases))
    shown = {row["label"] for row in prepared.truth.to_pylist() if row["class"] == "saint_bernard"}
    assert shown == {"St. Bernard"}
    aliases.write_text("class,label\nsaint_bernard\n")
    assert "label ''" in complaint(lambda: prepare(aliases=str(aliases)))
    aliases.write_text(f"class,label\nsaint_bernard,{'x' * 200_000}\n")
    assert "is not a CSV file" in complaint(lambda: prepare(aliases=str(aliases)))
    aliases.write_text("from,to\na,b\n")
    assert "must have columns class and label" in complaint(lambda: prepare(aliases=str(aliases)))
    missing = str(tmp_path / "none.csv")
    assert "no such file" in complaint(lambda: prepare(aliases=missing))


def test_the_images_may_lie_in_a_bucket(tmp_path: Path, bucket: str) -> None:
    made = miniatures.dtd(tmp_path)
    for key in list_archive(str(made.archive), IMAGE_SUFFIXES)["key"].to_pylist():
        Folder(bucket).write_bytes(f"textures/{key}", b"-")
    prepared = prepare_module.prepare(made.dataset, tmp_path, archive=f"{bucket}/textures")
    assert prepared.archive == f"{bucket}/textures" and prepared.beyond == made.beyond
    sentence = complaint(lambda: prepare_module.prepare(made.dataset, tmp_path, archive=bucket))
    assert "are no images of archive" in sentence and "nearest: 'textures/" in sentence


def test_what_is_written_is_read_back_by_the_other_commands(tmp_path: Path) -> None:
    made = miniatures.food101(tmp_path / "data")
    labels = label_file(tmp_path / "d.json", [*made.labels, "sushi"])
    prepared = prepare_module.prepare(made.dataset, tmp_path / "data", labels)
    prepare_module.write(prepared, str(tmp_path / "out"))
    labelset = load_labelset(str(tmp_path / "out/labels.json"))
    assert set(labelset.classes) == set(made.labels)
    truth = read_truth(str(tmp_path / "out/truth.csv"), labelset)
    assert dict(zip(*truth.to_pydict().values(), strict=True)) == made.truth
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out/classes.csv").read_text())))
    assert {"class": "apple_pie", "label": "apple pie", "images": "2"} in rows
    assert sum(int(row["images"]) for row in rows) == len(made.truth)


def test_what_was_edited_since_is_replaced_only_when_asked_for(tmp_path: Path) -> None:
    made = miniatures.food101(tmp_path / "data")
    prepared = prepare_module.prepare(made.dataset, tmp_path / "data")
    out = tmp_path / "out"
    prepare_module.write(prepared, str(out))
    prepare_module.write(prepared, str(out))  # the same again is well
    edited = '{"edited": []}'
    (out / "labels.json").write_text(edited)
    (out / "truth.csv").unlink()
    assert "labels.json already exists" in complaint(
        lambda: prepare_module.write(prepared, str(out))
    )
    assert (out / "labels.json").read_text() == edited and not (out / "truth.csv").exists()
    prepare_module.write(prepared, str(out), force=True)
    assert (out / "labels.json").read_text() != edited and (out / "truth.csv").exists()


def test_pets_are_labelled_and_graded_by_their_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = miniatures.pets(tmp_path / "data")
    pictures = sample_files(5, odd=False)
    for number, image in enumerate(sorted(made.archive.glob("*.jpg"))):
        shutil.copyfile(pictures[number % len(pictures)], image)
    monkeypatch.setitem(registry.DATASETS, "pets", made.dataset)
    labels = label_file(tmp_path / "descriptors_pets.json", made.labels)
    out = str(tmp_path / "out dir")
    arguments = ["datasets", "prepare", "pets", str(tmp_path / "data"), "-l", labels, "-o", out]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "10 images of 5 classes joined by name" in result.output
    command = f"lazsl label {made.archive} --labels '{out}/labels.json' --truth '{out}/truth.csv'"
    assert f"{command} --only '{out}/truth.csv'" in result.output
    job = small_job(
        made.archive,
        tmp_path / "workspace",
        labels=f"{out}/labels.json",
        truth=f"{out}/truth.csv",
        only=f"{out}/truth.csv",
    )
    run = label_plainly(job, tmp_path / "scratch")
    with closing(open_warehouse(job.warehouse_path)) as connection:
        rows = connection.execute(
            "select key, truth.label, predictions.label from predictions "
            "join images using (image_id, shard) join truth using (key) where run = ?",
            [run.key],
        ).fetchall()
        labelled = connection.execute("select count(*) from predictions").fetchall()
    assert {key: truth for key, truth, _ in rows} == made.truth
    assert labelled == [(10,)], "the images of the other split are not labelled"
    assert {label for *_, label in rows} <= set(made.labels)


def test_a_data_set_that_is_not_known_is_told_with_the_nearest(tmp_path: Path) -> None:
    arguments = ["datasets", "prepare", "imagenet-v3", str(tmp_path), "-o", str(tmp_path / "o")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2 and "nearest: 'imagenet-v2'" in result.stderr
    assert not (tmp_path / "o").exists()


def test_every_data_set_is_listed_and_shown() -> None:
    listed = CliRunner().invoke(app, ["datasets", "list"]).output
    for name, dataset in registry.DATASETS.items():
        shown = CliRunner().invoke(app, ["datasets", "show", name]).output
        assert name in listed and f"{dataset.images:,}" in listed and f"{dataset.images:,}" in shown
        assert dataset.descriptors in shown and dataset.layout.split()[0] in shown


PAGE = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")


@every
def test_the_commands_of_the_page_are_those_that_work(
    made: Miniature, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = made.dataset.name
    data = tmp_path / "data"
    if name in {"imagenet", "places365"}:  # the page has them in a folder of that name
        moved = data.rename(tmp_path / "moved")
        data.mkdir()
        moved.rename(data / name)
    monkeypatch.setitem(registry.DATASETS, name, made.dataset)
    monkeypatch.chdir(tmp_path)
    label_file(tmp_path / made.dataset.descriptors, made.labels)
    section = PAGE.split(f"### {name}\n")[1].split("```")[1]
    known = section.replace("$DATA", str(data)).replace("$DESCRIPTORS", str(tmp_path))
    prepare, label = known.strip().splitlines()[1:]
    result = CliRunner().invoke(app, shlex.split(prepare)[1:])
    assert result.exit_code == 0, result.output
    assert f"  {label.removesuffix(' --workspace $WORKSPACE --model $MODEL')}\n" in result.output


def test_the_page_has_a_row_for_every_data_set_as_it_was_published() -> None:
    rows = [line.split("|")[1:5] for line in PAGE.splitlines() if line.startswith("| [")]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert cells == [
        [
            f"[{dataset.title}](#{name})",
            dataset.split,
            f"{dataset.images:,}",
            f"{dataset.classes:,}",
        ]
        for name, dataset in registry.DATASETS.items()
    ]
