"""Published data sets in small: the very layout, with few images and no pictures in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lazsl.datasets.layout import DataSet
from lazsl.datasets.registry import DATASETS
from lazsl.datasets.wordnet import imagenet_ids, imagenet_names, subset


@dataclass(frozen=True)
class Miniature:
    """`truth` is what the split shows, by key, as the label set `labels` calls it."""

    dataset: DataSet
    archive: Path
    truth: dict[str, str]
    labels: tuple[str, ...]
    beyond: int = 0


def touch(folder: Path, keys: Iterable[str]) -> None:
    """Files that are there; nobody looks into them."""
    for key in keys:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(b"-")


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def of(name: str, archive: Path, truth: dict[str, str], beyond: int = 0) -> Miniature:
    """With as many images and classes as there are; everything else is as published."""
    labels = tuple(dict.fromkeys(truth.values()))
    dataset = replace(DATASETS[name], images=len(truth), classes=len(labels))
    return Miniature(dataset, archive, truth, labels, beyond)


def descriptor_names() -> dict[str, str]:
    """Per WordNet id the name in the public descriptor file, where it is not CLIP's."""
    other = {"n04008634": "projectile", "n01631663": "eft", "n03777568": "ford model t"}
    other |= {"n04355933": "sunglass", "n04356056": "Sunglasses"}
    return {wnid: other.get(wnid, names[0]) for wnid, names in imagenet_names().items()}


def imagenet(folder: Path) -> Miniature:
    truth = {
        f"{wnid}/ILSVRC2012_val_{number:08d}.JPEG": label
        for number, (wnid, label) in enumerate(descriptor_names().items(), start=1)
    }
    touch(folder / "val", truth)
    touch(folder / "train", ["n01440764/n01440764_18.JPEG"])
    return of("imagenet", folder / "val", truth)


def imagenet_v2(folder: Path) -> Miniature:
    base = folder / "imagenetv2-matched-frequency-format-val"
    names = [descriptor_names()[wnid] for wnid in imagenet_ids()]
    truth = {f"{number}/{number:04x}.jpeg": label for number, label in enumerate(names)}
    touch(base, truth)
    return of("imagenet-v2", base, truth)


def imagenet_r(folder: Path) -> Miniature:
    return _of_200(folder, "r", ("art_0.jpg", "sketch_12.jpg"))


def imagenet_a(folder: Path) -> Miniature:
    return _of_200(folder, "a", ("0.000116_digital clock _ digital clock_0.865662.jpg",))


def _of_200(folder: Path, letter: str, files: tuple[str, ...]) -> Miniature:
    base = folder / f"imagenet-{letter}"
    names = descriptor_names()
    truth = {f"{wnid}/{file}": names[wnid] for wnid in subset(letter) for file in files}
    touch(base, truth)
    lines = [f"{wnid} {imagenet_names()[wnid][-1]}" for wnid in subset(letter)]
    write(base / "README.txt", "\n".join(["The classes:", *lines, "Thanks for reading."]))
    return of(f"imagenet-{letter}", base, truth)


def imagenet_sketch(folder: Path) -> Miniature:
    truth = {f"{wnid}/sketch_3.JPEG": label for wnid, label in descriptor_names().items()}
    touch(folder / "sketch", truth)
    return of("imagenet-sketch", folder / "sketch", truth)


BIRDS = {
    "001.Black_footed_Albatross": "Black-footed Albatross",
    "013.Bobolink": "Bobolink",
    "022.Chuck_will_Widow": "Chuck-will Widow",
    "034.Gray_crowned_Rosy_Finch": "Gray-crowned-Rosy Finch",
    "038.Great_Crested_Flycatcher": "Great-Crested Flycatcher",
}


def cub(folder: Path) -> Miniature:
    base = folder / "CUB_200_2011"
    classes = list(BIRDS)
    images = [f"{name}/{name[4:]}_{i:04d}_{i}96.jpg" for name in classes for i in range(3)]
    touch(base / "images", images)
    numbers = range(1, len(images) + 1)
    # Another order of lines in every file: only the numbers say what belongs together.
    lists = {
        "images.txt": [f"{n} {image}" for n, image in zip(numbers, images, strict=True)],
        "classes.txt": [f"{n} {name}" for n, name in reversed(list(enumerate(classes, start=1)))],
        "image_class_labels.txt": [f"{n} {(n - 1) // 3 + 1}" for n in reversed(numbers)],
        "train_test_split.txt": [f"{n} {int(n % 3 == 1)}" for n in sorted(numbers, key=str)],
    }
    for name, lines in lists.items():
        write(base / name, "\n".join(lines) + "\n")
    truth = {image: BIRDS[image.split("/")[0]] for i, image in enumerate(images) if i % 3}
    return of("cub", base / "images", truth, beyond=len(classes))


BREEDS = (
    ("Abyssinian", "Abyssinian"),
    ("american_pit_bull_terrier", "american pit bull terrier"),
    ("Maine_Coon", "Maine Coon"),
    ("pug", "pug"),
    ("saint_bernard", "saint bernard"),
)


def pets(folder: Path) -> Miniature:
    base = folder / "oxford-iiit-pet"
    rows = [(f"{name}_{n}", k) for k, (name, _) in enumerate(BREEDS, 1) for n in (2, 34, 201)]
    touch(base / "images", [f"{image}.jpg" for image, _ in rows])
    touch(base / "images", ["Abyssinian_100.mat"])
    touch(base / "annotations/trimaps", [f"{image}.png" for image, _ in rows])
    split = {"test": rows[1::3] + rows[2::3], "trainval": rows[0::3]}
    for name, lines in split.items():
        text = "".join(f"{image} {number} 1 1\n" for image, number in lines)
        write(base / f"annotations/{name}.txt", text)
    truth = {f"{image}.jpg": BREEDS[number - 1][1] for image, number in split["test"]}
    return of("pets", base / "images", truth, beyond=len(BREEDS))


def food101(folder: Path) -> Miniature:
    base = folder / "food-101"
    dishes = ("apple_pie", "cup_cakes", "macaroni_and_cheese", "pho")
    test = {dish: [f"{dish}/{number}" for number in (1011328, 101251)] for dish in dishes}
    train = {dish: [f"{dish}/1005649"] for dish in dishes}
    touch(
        base / "images",
        [f"{image}.jpg" for d in (test, train) for row in d.values() for image in row],
    )
    for name, rows in (("test", test), ("train", train)):
        write(base / f"meta/{name}.json", json.dumps(rows))
        write(base / f"meta/{name}.txt", "\n".join(image for row in rows.values() for image in row))
    truth = {f"{image}.jpg": dish.replace("_", " ") for dish, row in test.items() for image in row}
    return of("food101", base / "images", truth, beyond=len(dishes))


PLACES = {
    "/a/airfield": "airfield",
    "/a/apartment_building/outdoor": "apartment_building-outdoor",
    "/a/arcade": "arcade (passageway)",
    "/a/archaelogical_excavation": "archaelogical_excavation",
    "/l/lock_chamber": "lock_chamber (canal)",
    "/u/underwater/ocean_deep": "underwater-ocean_deep",
}


def places365(folder: Path, size: str = "large") -> Miniature:
    images = [f"Places365_val_{number:08d}.jpg" for number in range(1, 13)]
    touch(folder / f"val_{size}", images)
    # Numbers that are not those of the sorted names, as a file could have them.
    number_of = {name: (i + 2) % len(PLACES) for i, name in enumerate(PLACES)}
    write(
        folder / "categories_places365.txt",
        "".join(f"{name} {number}\n" for name, number in number_of.items()),
    )
    shown = [list(PLACES)[i % len(PLACES)] for i in range(len(images))]
    rows = zip(images, shown, strict=True)
    write(
        folder / "places365_val.txt",
        "".join(f"{image} {number_of[name]}\n" for image, name in rows),
    )
    truth = {image: PLACES[name] for image, name in zip(images, shown, strict=True)}
    return of("places365", folder / f"val_{size}", truth)


def accept_lists(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Tell torchvision the checksums of a miniature's lists, in place of the published ones."""
    from torchvision.datasets import Places365

    def meta(name: str) -> tuple[str, str]:
        return name, hashlib.md5((folder / name).read_bytes()).hexdigest()

    patch.setattr(Places365, "_CATEGORIES_META", meta("categories_places365.txt"))
    patch.setattr(Places365, "_FILE_LIST_META", {"val": meta("places365_val.txt")})


def dtd(folder: Path) -> Miniature:
    base = folder / "dtd"
    textures = ("banded", "polka-dotted", "zigzagged")
    every = [f"{name}/{name}_{number:04d}.jpg" for name in textures for number in (2, 5, 9, 11)]
    touch(base / "images", every)
    for part in range(1, 11):
        rolled = every[part % 4 :: 4]
        write(base / f"labels/test{part}.txt", "\n".join(rolled) + "\n")
    write(base / "labels/labels_joint_anno.txt", "")
    truth = {key: key.split("/")[0] for key in every[1::4]}
    return of("dtd", base / "images", truth, beyond=len(every) - len(truth))


MINIATURES: dict[str, Callable[[Path], Miniature]] = {
    "imagenet": imagenet,
    "imagenet-v2": imagenet_v2,
    "imagenet-r": imagenet_r,
    "imagenet-a": imagenet_a,
    "imagenet-sketch": imagenet_sketch,
    "cub": cub,
    "pets": pets,
    "food101": food101,
    "places365": places365,
    "dtd": dtd,
}
