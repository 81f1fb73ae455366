"""Label sets in the forms that others publish: DCLIP, CuPL, plain lists, CLIP_benchmark.

| format | what it is |
| --- | --- |
| dclip | JSON of class -> phrases, as classify_by_description publishes |
| cupl | JSON of class -> whole sentences, as CuPL publishes |
| names | a text file, one class per line; or a JSON or YAML list |
| clip-benchmark | a folder with `classnames.txt` and `zeroshot_classification_templates.txt` |
| native | ours, JSON or YAML |

`auto` reads tables, id2label, COCO's categories and CLIP_benchmark's own JSON as well (`foreign`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lazsl.errors import UserError
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.native_form import strict, without_empty
from lazsl.labelset.reading import (
    FOLDER_NAMES,
    FOLDER_TEMPLATES,
    describe_url,
    dump,
    file_of,
    read_labels,
    read_text,
    write_labels,
    write_text,
)
from lazsl.labelset.sentences import NAME_TEMPLATE
from lazsl.labelset.spoken import spoken
from lazsl.store.urls import split_url

FORMATS = ("dclip", "cupl", "names", "clip-benchmark", "native")


def import_labels(url: str, form: str = "auto") -> tuple[LabelSet, str, list[str]]:
    """The label set in a published form, which form it was, and notes on what it says.

    Empty attributes are left out with a note; everything else that only a person can put right is
    refused.

    Args:
        url: the file; for clip-benchmark its folder, or the `classnames.txt` in it.
        form: one of FORMATS, or `auto` to tell by name and content.

    Raises:
        UserError: the file is missing or has another form.
    """
    form = _known(form, ("auto", *FORMATS))
    read = without_empty(read_labels(url, form))
    notes = list(read.labels.notes)
    labels = replace(strict(read, describe_url(url)), notes=())
    if form in ("dclip", "cupl") and read.form == "native" and labels != _bare(labels):
        raise UserError(f"{describe_url(url)} is in the native form; use --from native")
    if form == "auto" or read.form != "native":
        form = read.form
    if form == "native" and labels == _bare(labels):
        form = "dclip"
    if form != "native":
        labels = replace(labels, provenance=_provenance(url, form))
    return labels, form, notes


def export_labels(labels: LabelSet, form: str, url: str) -> list[str]:
    """Publish a label set in one of FORMATS; what the form could not hold, in words.

    Args:
        labels: the label set.
        form: one of FORMATS.
        url: the file; for clip-benchmark the folder.

    Raises:
        UserError: a name or a template cannot be written in this form at all.
    """
    form = _known(form, FORMATS)
    if form == "native":
        write_labels(labels, url)
    elif form in ("dclip", "cupl"):
        rows = labels.attributes if form == "dclip" else _sentences(labels)
        classes = {label: list(row) for label, row in zip(labels.classes, rows, strict=True)}
        write_text(dump(classes), url)
    else:
        for label in labels.classes:
            if len(label.splitlines()) > 1:
                raise UserError(
                    f"class {label!r} has a line break in its name, which a list of names cannot "
                    "hold; rename it, or export as dclip"
                )
        names = "".join(f"{label}\n" for label in labels.classes)
        if form == "names":
            listed = (f"\\{label}" if label.startswith("#") else label for label in labels.classes)
            write_text("".join(f"{label}\n" for label in listed), url)
        else:
            templates = [
                _braced(template) for template in labels.name_templates or (NAME_TEMPLATE,)
            ]
            folder = url.rstrip("/")
            write_text(
                "".join(f"{template}\n" for template in templates), f"{folder}/{FOLDER_TEMPLATES}"
            )
            write_text(names, f"{folder}/{FOLDER_NAMES}")
    return list(differences(labels, import_labels(url, form)[0]))


def differences(before: LabelSet, after: LabelSet) -> Iterator[str]:
    """What a label set lost on its way through a file, field by field."""
    if before.classes != after.classes:
        yield "white space around the names of classes"
    names: dict[str, tuple[Any, Any]] = {
        "attributes": (before.attributes, after.attributes),
        "the template": (before.template, after.template),
        "the name templates": (before.name_templates, after.name_templates),
        "names as they are said": (dict(before.spoken_names), dict(after.spoken_names)),
        "parents": (dict(before.parents), dict(after.parents)),
        "synonyms": (dict(before.synonyms), dict(after.synonyms)),
        "the description": (before.description, after.description),
        "the provenance": (before.provenance, after.provenance),
        "the provenance of classes": (dict(before.sources), dict(after.sources)),
        "the state of review": (before.review, after.review),
    }
    for name, (native, foreign) in names.items():
        if native != foreign and native:
            yield name


def _braced(template: str) -> str:
    pieces = template.split("{class}")
    return "{c}".join(piece.replace("{", "{{").replace("}", "}}") for piece in pieces)


def _sentences(labels: LabelSet) -> Iterator[tuple[str, ...]]:
    for attributes, prompts in zip(labels.attributes, labels.prompts, strict=True):
        yield prompts if attributes else ()


def _bare(labels: LabelSet) -> LabelSet:
    return LabelSet(
        labels.name, labels.classes, labels.attributes, spoken_names=spoken(labels.classes)
    )


def _provenance(url: str, form: str) -> str:
    url = file_of(url, form)
    content = hashlib.sha256(read_text(url).encode()).hexdigest()[:12]
    return f"imported from {split_url(url)[1]} ({form}, sha256 {content})"


def _known(form: str, known: tuple[str, ...]) -> str:
    if form not in known:
        raise UserError(f"format {form!r} is not known; there are {', '.join(known)}")
    return form
