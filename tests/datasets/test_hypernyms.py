"""Claims about parents from WordNet: of its own file, of ImageNet's, and for names without ids."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lazsl.cli.commands import app
from lazsl.datasets.hypernyms import TELLING, read_hypernyms, with_hypernyms
from lazsl.datasets.wordnet import imagenet_names
from lazsl.errors import UserError
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.reading import load_labelset

WORDNET = Path("/usr/share/wordnet/data.noun")
"""WordNet 3.0's own file, where Debian's package wordnet-base puts it."""

NOUNS = """\
  1 This software and database is being provided to you, the LICENSEE
00001740 03 n 01 entity 0 000 | what is
02083346 05 n 02 canine 0 canid 0 001 @ 00001740 n 0000 | of the family Canidae
02084071 05 n 02 dog 0 domestic_dog 0 002 @ 02083346 n 0000 #m 07994941 n 0000 | a canine
02087122 05 n 01 hunting_dog 0 001 @ 02084071 n 0000 | used for hunting
02088364 05 n 01 beagle 0 001 @ 02087122 n 0000 | small, short-legged
02088094 05 n 0b a 0 b 0 c 0 d 0 e 0 f 0 g 0 h 0 i 0 j 0 k 0 001 @ 02087122 n 0000 | eleven words
02110958 05 n 01 pug 0 001 @ 02084071 n 0000 | flat-nosed
02114367 05 n 01 timber_wolf 0 001 @ 02083346 n 0000 | grey
02120997 05 n 01 feline 0 001 @ 00001740 n 0000 | cats
02123045 05 n 01 tabby 0 001 @ 02120997 n 0000 | striped
02124075 05 n 01 Egyptian_cat 0 001 @ 02120997 n 0000 | bronze
"""


def classes(*names: str, **synonyms: str) -> LabelSet:
    others = {label: (other,) for label, other in synonyms.items()}
    return LabelSet("x", (*names, *synonyms), ((),) * (len(names) + len(others)), synonyms=others)


def test_parents_of_wordnet_s_own_file_tell_classes_apart(tmp_path: Path) -> None:
    file = tmp_path / "data.noun"
    file.write_text(NOUNS)
    # By CLIP's names, by an id among the synonyms, and by an id that is the name.
    labels = classes(
        "beagle", "pug", "timber wolf", "n02123045", hound="n02088094", cat="n02124075"
    )
    parents = with_hypernyms(labels, read_hypernyms(str(file))).parents
    assert parents == {
        "beagle": "hunting dog",
        "hound": "hunting dog",
        "pug": "dog",
        "hunting dog": "dog",
        "dog": "canine",
        "timber wolf": "canine",
        "n02123045": "feline",
        "cat": "feline",
    }, "entity is above all of them, and says nothing"


def test_a_parent_called_like_a_class_is_told_from_it_and_one_above_one_parent_alone_is_left_out(
    tmp_path: Path,
) -> None:
    file = tmp_path / "wordnet.is_a.txt"
    pairs = "n02083346 n02084071\nn02084071 n02087122\nn02087122 n02088364\nn02087122 n02088094\n"
    file.write_text(pairs)
    labels = classes("beagle", "tabby", "dog", hound="n02088094")
    parents = with_hypernyms(labels, read_hypernyms(str(file))).parents
    assert parents == {"beagle": "hunting dog", "hound": "hunting dog"}
    named = with_hypernyms(
        classes("beagle", "hunting dog", hound="n02088094"), read_hypernyms(str(file))
    )
    assert named.parents["beagle"] == "hunting dog (n02087122)"


def test_labels_tree_writes_wordnet_s_parents_and_refuses_other_files(tmp_path: Path) -> None:
    file, names, target = (tmp_path / name for name in ("data.noun", "names.txt", "tree.yaml"))
    file.write_text(NOUNS)
    names.write_text("beagle\npug\ntabby\nEgyptian cat\n")
    command = ["labels", "tree", str(names), "-o", str(target), "--wordnet"]
    result = CliRunner().invoke(app, [*command, str(file)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "4 classes in 2 groups" in result.output
    assert set(load_labelset(str(target)).parents.values()) == {"dog", "feline"}
    with pytest.raises(UserError, match=r"give data\.noun of WordNet 3\.0"):
        read_hypernyms(str(names))
    with pytest.raises(UserError, match=r"1 of 2 classes have a WordNet id"):
        with_hypernyms(classes("beagle", "wren of Mars"), read_hypernyms(str(file)))


@pytest.mark.skipif(not WORDNET.exists(), reason="needs Debian's package wordnet-base")
def test_in_wordnets_own_file_all_of_imagenets_classes_have_parents() -> None:
    ids = list(imagenet_names())
    hypernyms = read_hypernyms(str(WORDNET))
    parents = with_hypernyms(classes(*ids), hypernyms).parents

    def chain(name: str) -> list[str]:
        return [] if name not in parents else [parents[name], *chain(parents[name])]

    chains = {wnid: chain(wnid) for wnid in ids}
    assert len(ids) == 1000
    above = [node for nodes in chains.values() for node in nodes]
    assert max(map(above.count, set(above))) <= TELLING * 1000
    # As anybody can look up: tench, beagle, minivan, volcano.
    assert chains["n01440764"][:4] == ["cyprinid", "soft-finned fish", "teleost fish", "fish"]
    dogs = "hound, hunting dog, dog, canine, carnivore, placental, mammal, vertebrate, animal"
    assert chains["n02088364"] == [*dogs.split(", "), "organism"]
    assert "wheeled vehicle" in chains["n03770679"]
    assert chains["n09472597"][-1] == "geological formation"
    without = [wnid for wnid, nodes in chains.items() if not nodes]
    assert len(without) < 20, without
