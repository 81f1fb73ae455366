"""ImageNet and what was made after it: -V2, -R, -A, -Sketch. A folder for every class.

torchvision's ImageFolder reads all of them. Its reader of ImageNet is that with the names from the
development kit, but it unpacks archives and writes beside the images, which nothing here ever does.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection
from pathlib import Path

from lazsl.datasets.class_names import Names
from lazsl.datasets.layout import Split, locate, reading
from lazsl.datasets.wordnet import check_names, imagenet_ids, imagenet_names, subset
from lazsl.errors import UserError

_KAGGLE = "ILSVRC/Data/CLS-LOC"
_LINE = re.compile(r"(n\d{8})[\s,]+(.+)")


def read_imagenet(folder: Path) -> Split:
    """ImageNet (ILSVRC 2012), validation: `val` with a folder per id, or as Kaggle has it, flat
    with `LOC_val_solution.csv`."""
    title = "ImageNet"
    base = locate(folder, title, (_KAGGLE, "imagenet"), ("val",))
    for near in dict.fromkeys((folder, base)):
        _check_listed(near)
    val = base / "val"
    with reading(title, val):
        in_folders = any(entry.is_dir() for entry in val.iterdir())
    if in_folders:
        return Split(val, _by_id(val, imagenet_ids(), title), imagenet_names())
    solution = folder / "LOC_val_solution.csv"
    if not solution.is_file():
        raise UserError(
            f"{val} has no folders, so what its images show is not said; sort them into a folder "
            "per class as torchvision.datasets.ImageNet does, or put Kaggle's LOC_val_solution.csv "
            f"into {folder}"
        )
    with reading(title, solution), solution.open(encoding="utf-8", newline="") as file:
        rows = [
            (row["ImageId"], row["PredictionString"].split()[0]) for row in csv.DictReader(file)
        ]
    _check_ids({wnid for _, wnid in rows}, imagenet_ids(), title, solution)
    return Split(val, {f"{image}.JPEG": wnid for image, wnid in rows}, imagenet_names())


def read_imagenet_v2(folder: Path) -> Split:
    """ImageNet-V2, matched frequency: folders are the numbers 0 to 999 of the classes."""
    title = "ImageNet-V2"
    inside = ("imagenetv2-matched-frequency-format-val", "imagenetv2-matched-frequency")
    numbers = {str(number): wnid for number, wnid in enumerate(imagenet_ids())}
    base = locate(folder, title, inside, tuple(numbers), any)
    images = _folders(base, title)
    _check_ids(set(images.values()), numbers, title, base)
    return Split(base, {key: numbers[name] for key, name in images.items()}, imagenet_names())


def read_imagenet_r(folder: Path) -> Split:
    """ImageNet-R: renditions of 200 of the classes."""
    return _read_200(folder, "ImageNet-R", "imagenet-r", subset("r"))


def read_imagenet_a(folder: Path) -> Split:
    """ImageNet-A: hard images of 200 of the classes."""
    return _read_200(folder, "ImageNet-A", "imagenet-a", subset("a"))


def read_imagenet_sketch(folder: Path) -> Split:
    """ImageNet-Sketch: sketches of all classes."""
    title = "ImageNet-Sketch"
    base = locate(folder, title, ("sketch", "imagenet-sketch"), imagenet_ids(), any)
    return Split(base, _by_id(base, imagenet_ids(), title), imagenet_names())


def _read_200(folder: Path, title: str, name: str, ids: tuple[str, ...]) -> Split:
    base = locate(folder, title, (name,), ids, any)
    _check_listed(base)
    every = imagenet_names()
    others = {wnid: names for wnid, names in every.items() if wnid not in ids}
    return Split(base, _by_id(base, ids, title), {wnid: every[wnid] for wnid in ids}, others)


def _by_id(base: Path, ids: Collection[str], title: str) -> dict[str, str]:
    images = _folders(base, title)
    _check_ids(set(images.values()), ids, title, base)
    return images


def _folders(base: Path, title: str) -> dict[str, str]:
    """Per image below `base` the folder it lies in."""
    from torchvision.datasets import ImageFolder

    with reading(title, base):
        dataset = ImageFolder(str(base), allow_empty=True)
    names = [Path(path).relative_to(base) for path, _ in dataset.samples]
    return {name.as_posix(): name.parts[0] for name in names}


def _check_ids(folders: Collection[str], ids: Collection[str], title: str, where: Path) -> None:
    if unknown := sorted(set(folders).difference(ids)):
        raise UserError(
            f"{where} has {len(unknown)} classes that are none of the {len(ids)} of {title}, such "
            f"as {unknown[0]!r}; give the folder as it was published"
        )


def _check_listed(folder: Path) -> None:
    """Compare lists of ids and names that came with the images with the names that are used."""
    for name in ("LOC_synset_mapping.txt", "synset_words.txt", "README.txt"):
        file = folder / name
        if file.is_file():
            with reading("a list of classes", file):
                lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            pairs = [match.groups() for line in lines if (match := _LINE.fullmatch(line.strip()))]
            _compare({wnid: tuple(words.split(", ")) for wnid, words in pairs}, file)
    file = folder / "imagenet_class_index.json"
    if file.is_file():
        with reading("a list of classes", file):
            rows = json.loads(file.read_text(encoding="utf-8")).values()
            titles = {str(wnid): (str(name),) for wnid, name in rows}
        _compare(titles, file)


def _compare(titles: Names, file: Path) -> None:
    if titles:
        check_names(titles, imagenet_names(), str(file))
