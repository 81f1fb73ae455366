"""Data sets whose split is a list in a file: Oxford Pets, Food-101, Places365, DTD, CUB-200.

torchvision reads all but the last; nothing is ever downloaded. Its readers number the classes, and
the number of a class may depend on which others a list holds, so classes are taken by their names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lazsl.datasets.layout import Split, as_published, locate, reading


def read_pets(folder: Path) -> Split:
    """Oxford-IIIT Pet, test: the breed is the file's name up to its number."""
    title = "Oxford-IIIT Pet"
    base = locate(folder, title, ("oxford-iiit-pet",), ("images", "annotations/test.txt"))
    with reading(title, base), as_published(base, "oxford-iiit-pet") as root:
        dataset = _torchvision().OxfordIIITPet(root, split="test", download=False)
        names = [path.name for path in dataset._images]
    truth = {name: name.rpartition("_")[0] for name in names}
    return Split(base / "images", truth, _words(truth.values()))


def read_food101(folder: Path) -> Split:
    """Food-101, test: the dish is the image's folder."""
    title = "Food-101"
    base = locate(folder, title, ("food-101",), ("images", "meta/test.json"))
    with reading(title, base), as_published(base, "food-101") as root:
        dataset = _torchvision().Food101(root, split="test", download=False)
        truth = _by_folder(dataset._image_files)
    return Split(base / "images", truth, _words(dataset.classes))


def read_dtd(folder: Path) -> Split:
    """Describable Textures, test of its first partition: the texture is the image's folder."""
    title = "the Describable Textures Dataset"
    base = locate(folder, title, ("dtd", "dtd/dtd"), ("images", "labels/test1.txt"))
    with reading(title, base), as_published(base, "dtd/dtd") as root:
        dataset = _torchvision().DTD(root, split="test", partition=1, download=False)
        truth = _by_folder(dataset._image_files)
    return Split(base / "images", truth, _words(dataset.classes))


def read_places365(folder: Path) -> Split:
    """Places365-Standard, validation, large images where they are there, else small ones.

    torchvision accepts only the published lists, by their checksums.
    """
    title = "Places365"
    marks = ("categories_places365.txt", "places365_val.txt")
    base = locate(folder, title, ("places365", "places365_standard"), marks)
    small = not (base / "val_large").is_dir()
    if small:
        locate(base, title, (), ("val_256",))
    with reading(title, base):
        dataset = _torchvision().Places365(base, split="val", small=small, download=False)
        classes = {number: name for name, number in dataset.class_to_idx.items()}
        truth = {os.path.basename(path): classes[number] for path, number in dataset.imgs}
    # /a/apartment_building/outdoor: below a letter, a place and perhaps which side of it.
    names = {name: (name.split("/", 2)[-1],) for name in dataset.class_to_idx}
    return Split(Path(dataset.images_dir), truth, names)


def read_cub(folder: Path) -> Split:
    """CUB-200-2011, test: images, their split and their class are joined by their numbers."""
    title = "CUB-200-2011"
    lists = ("images.txt", "classes.txt", "image_class_labels.txt", "train_test_split.txt")
    base = locate(folder, title, ("CUB_200_2011",), ("images", *lists))
    with reading(title, base):
        images, classes, label_of, is_train = (_numbered(base / name) for name in lists)
        test = [number for number in images if is_train[number] == "0"]
        truth = {images[number]: classes[label_of[number]] for number in test}
    names = {name: (name.partition(".")[2].replace("_", " "),) for name in classes.values()}
    return Split(base / "images", truth, names)


def _torchvision() -> Any:
    # Imported late: it takes seconds, and naming the data sets needs none of it.
    from torchvision import datasets

    return datasets


def _numbered(file: Path) -> dict[str, str]:
    """Lines of a number and a text, by the number."""
    pairs = [line.split(maxsplit=1) for line in file.read_text(encoding="utf-8").splitlines()]
    return {number: text.strip() for number, text in pairs}


def _by_folder(files: list[Path]) -> dict[str, str]:
    return {f"{file.parent.name}/{file.name}": file.parent.name for file in files}


def _words(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Classes by what their files call them, and the same with spaces as a name."""
    return {name: (name.replace("_", " "),) for name in sorted(set(names))}
