"""A published data set made ready to be labelled and graded: truth, classes, archive."""

from __future__ import annotations

import csv
import io
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from lazsl.archive.listing import list_archive
from lazsl.archive.selection import Selection
from lazsl.datasets.class_names import join_classes
from lazsl.datasets.layout import DataSet, Split
from lazsl.datasets.registry import DATASETS
from lazsl.errors import UserError
from lazsl.labelset.formats import import_labels
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.native_form import native_form, parse_labelset
from lazsl.labelset.reading import dump
from lazsl.labelset.sentences import PUBLISHED, PUBLISHED_STOPPED
from lazsl.nearest_names import nearest
from lazsl.settings import IMAGE_SUFFIXES
from lazsl.store.folder import Folder
from lazsl.store.named_files import read_given
from lazsl.visible_text import guarded

TRUTH, LABELS, CLASSES = "truth.csv", "labels.json", "classes.csv"
"""What `write` publishes in a folder."""


@dataclass(frozen=True)
class Prepared:
    """A data set as `lazsl label` and `lazsl evaluate` take it.

    `truth` has columns key, label and class (as the data set calls it), by key; `labels` has the
    data set's classes and no others, and `joined` says the label of every class. `beyond` counts
    the images of `archive` that are not of the split. `notes` are for the person who asked.
    """

    dataset: DataSet
    archive: str
    truth: pa.Table
    labels: LabelSet
    joined: Mapping[str, str]
    beyond: int
    notes: tuple[str, ...]


def find_dataset(name: str) -> DataSet:
    """The data set of this name.

    Raises:
        UserError: there is none; the sentence gives the nearest.
    """
    if name not in DATASETS:
        hint = nearest(name, DATASETS, str.lower)
        raise UserError(f"no data set {name!r}{hint}; there are {', '.join(DATASETS)}")
    return DATASETS[name]


def prepare(
    dataset: DataSet,
    folder: Path,
    labels: str | None = None,
    *,
    form: str = "auto",
    aliases: str | None = None,
    archive: str | None = None,
    partial: bool = False,
    published: bool = False,
) -> Prepared:
    """The data set in a folder, joined with a label set by the names of its classes.

    Args:
        dataset: which one it is.
        folder: where it lies on the local disk, as it was published.
        labels: a label set in any form that `import_labels` reads; without one, the classes have
            the data set's own names and no attributes.
        form: of `labels`.
        aliases: a CSV of class,label for classes whose names do not say what belongs together.
        archive: where the images are, if not in `folder`: a URL, with the same paths below it.
        partial: some images or classes may be missing; what is there is taken.
        published: sentences are made to the letter as LaZSL's published script does, which ends
            them with a full stop for ImageNet's validation images alone.

    Raises:
        UserError: the folder has another layout, is not complete, a class has no label, or there
            are no attributes for `published` sentences.
    """
    split = dataset.read(folder)
    where = archive or str(split.archive)
    truth, beyond, notes = _matched(dataset, split, where, partial)
    labelset, joined, more = _labelled(split, labels, form, aliases)
    if published:
        labelset = _published(labelset, dataset)
    keys = sorted(truth)
    names = [truth[key] for key in keys]
    table = pa.table({"key": keys, "label": [joined[name] for name in names], "class": names})
    return Prepared(dataset, where, table, labelset, joined, beyond, (*notes, *more))


def write(prepared: Prepared, url: str, force: bool = False) -> None:
    """Publish `truth.csv`, `labels.json` and `classes.csv` (class,label,images) in a folder.

    Raises:
        UserError: one of them is there, holds something else, and is not to be replaced by `force`.
    """
    buffer = io.BytesIO()
    columns = {name: prepared.truth[name].to_pylist() for name in prepared.truth.column_names}
    cells = {name: [v and guarded(v) for v in values] for name, values in columns.items()}
    pacsv.write_csv(pa.table(cells, schema=prepared.truth.schema), buffer)
    images = Counter(prepared.truth["class"].to_pylist())
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(["class", "label", "images"])
    writer.writerows(
        [guarded(name), guarded(label), images[name]] for name, label in prepared.joined.items()
    )
    files = {
        LABELS: dump(native_form(prepared.labels)).encode(),
        CLASSES: rows.getvalue().encode(),
        TRUTH: buffer.getvalue(),
    }
    Folder(url).write_files(files, force)


def label_command(prepared: Prepared, url: str) -> str:
    """The command that labels what `write` published in a folder; images beyond it are left out."""
    folder = url.rstrip("/")
    parts = ["lazsl", "label", prepared.archive, "--labels", f"{folder}/{LABELS}"]
    parts += ["--truth", f"{folder}/{TRUTH}"]
    if prepared.beyond:
        parts += ["--only", f"{folder}/{TRUTH}"]
    return shlex.join(parts)


def _matched(
    dataset: DataSet, split: Split, archive: str, partial: bool
) -> tuple[Mapping[str, str], int, list[str]]:
    """The truth of the images that the archive has, how many others it has, and notes."""
    listed = set(map(str, list_archive(archive, IMAGE_SUFFIXES)["key"].to_pylist()))
    truth = split.truth
    if partial:
        truth = {key: name for key, name in truth.items() if key in listed}
    wanted = Selection(f"the {dataset.split} split of {dataset.title}", frozenset(truth))
    wanted.check(listed, archive)
    shown = set(truth.values())
    if (len(truth), len(shown)) == (dataset.images, dataset.classes):
        return truth, len(listed) - len(truth), []
    missing = [f"{name} ({names[0]})" for name, names in split.classes.items() if name not in shown]
    counts = f"{len(truth):,} images of {len(shown):,} classes"
    if missing:
        counts += f" (none of {', '.join(missing[:2])})"
    published = f"{dataset.images:,} images of {dataset.classes:,} classes"
    if not truth or not partial:
        raise UserError(
            f"{dataset.title}, {dataset.split}, was published with {published}, but {archive} has "
            f"{counts}; complete it, or pass --partial to use what is there"
        )
    return (
        truth,
        len(listed) - len(truth),
        [
            f"only a part of {dataset.title} is there: {counts}, of {published}; accuracy on it is "
            "not the benchmark's"
        ],
    )


def _labelled(
    split: Split, url: str | None, form: str, aliases: str | None
) -> tuple[LabelSet, dict[str, str], list[str]]:
    """The label set of the split's classes, the label of every class, and notes."""
    if url is None:
        given, notes = _bare(split), ["without --labels, the classes have names and no attributes"]
    else:
        given, _, notes = import_labels(url, form)
    classes = {**split.classes, **split.others}
    label_of = join_classes(classes, given.classes, split.classes, _read_aliases(aliases))
    joined = {name: label_of[name] for name in split.classes}
    kept = set(joined.values())
    if len(kept) < len(given):
        notes.append(
            f"{len(given) - len(kept)} classes of {given.name} are not of this data set and are "
            "left out"
        )
    if len(kept) < len(joined):
        notes.append(f"{len(joined) - len(kept)} classes share a label with another one, by alias")
    return _restricted(given, kept), joined, notes


def _published(labels: LabelSet, dataset: DataSet) -> LabelSet:
    if labels.template is not None or not any(labels.attributes):
        raise UserError(
            f"label set {labels.name} has no attributes of which published sentences could be "
            "made; give DCLIP's descriptors, or leave --published out"
        )
    stopped = dataset.name == "imagenet"
    return replace(labels, template=PUBLISHED_STOPPED if stopped else PUBLISHED)


def _bare(split: Split) -> LabelSet:
    return parse_labelset({names[0]: [] for names in split.classes.values()}, "names", "names")


def _restricted(labels: LabelSet, kept: set[str]) -> LabelSet:
    at = [index for index, label in enumerate(labels.classes) if label in kept]
    return replace(
        labels,
        classes=tuple(labels.classes[index] for index in at),
        attributes=tuple(labels.attributes[index] for index in at),
        synonyms={label: names for label, names in labels.synonyms.items() if label in kept},
        sources={label: source for label, source in labels.sources.items() if label in kept},
        spoken_names={
            label: spoken for label, spoken in labels.spoken_names.items() if label in kept
        },
    )


def _read_aliases(url: str | None) -> dict[str, str]:
    if url is None:
        return {}
    where = f"aliases {url!r}"
    data = read_given(url, where, "give a CSV of class,label")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{where} cannot be read: {error}; give a CSV of class,label") from None
    try:
        rows = csv.DictReader(io.StringIO(text), restval="")
        columns = rows.fieldnames or ()
        pairs = [(row.get("class"), row.get("label")) for row in rows]
    except csv.Error as error:
        raise UserError(f"{where} is not a CSV file: {error}; give a CSV of class,label") from None
    if not {"class", "label"} <= set(columns):
        raise UserError(
            f"{where} must have columns class and label, but has {', '.join(columns) or 'none'}"
        )
    return {name: label or "" for name, label in pairs if name}
