"""Label sets in the forms that others publish: DCLIP, CuPL, plain lists, CLIP_benchmark.

| format | what it is |
| --- | --- |
| dclip | JSON of class -> phrases, as classify_by_description publishes |
| cupl | JSON of class -> whole sentences, as CuPL publishes |
| names | a text file, one class per line; or a JSON or YAML list |
| clip-benchmark | a folder with `classnames.txt` and `zeroshot_classification_templates.txt` |
| native | ours, JSON or YAML |
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from string import Formatter
from typing import Any

from lazsl.errors import UserError
from lazsl.labelset.labels import NAME_TEMPLATE, WHOLE, LabelSet
from lazsl.labelset.native import Read, parse_labelset, strict
from lazsl.labelset.reading import (
    describe_url,
    dump,
    read_document,
    read_labels,
    read_text,
    write_labels,
    write_text,
)
from lazsl.store.folder import Folder
from lazsl.store.urls import masked, split_url

FORMATS = ("dclip", "cupl", "names", "clip-benchmark", "native")

CLASSNAMES = "classnames.txt"
TEMPLATES = "zeroshot_classification_templates.txt"
"""The two files of CLIP_benchmark (LAION-AI/CLIP_benchmark, its webdataset layout): a name per
line, a Python format string with `{c}` per line."""


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
    notes: list[str] = []
    base = url.rstrip("/").removesuffix(f"/{CLASSNAMES}") or "/"
    if url == CLASSNAMES:
        base = "."
    if form == "auto":
        form = _form_by_name(url, base)
    if form == "clip-benchmark":
        return _from_clip_benchmark(base, notes), form, notes
    if form == "names":
        return _from_names(url), form, notes
    if form == "auto" and _is_structured(url) and isinstance(read_document(url).value, list):
        return _from_names(url), "names", notes
    read = read_labels(url)
    labels = _without_empty(read, url, notes)
    if form == "auto":
        form = _form_by_content(labels, notes)
    if form in ("dclip", "cupl") and labels != _bare(labels):
        raise UserError(f"{describe_url(url)} is in the native form; say --from native")
    if form == "cupl":
        labels = replace(labels, template=WHOLE)
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
            write_text(names, url)
        else:
            templates = [_braced(one) for one in labels.name_templates or (NAME_TEMPLATE,)]
            folder = url.rstrip("/")
            write_text("".join(f"{one}\n" for one in templates), f"{folder}/{TEMPLATES}")
            write_text(names, f"{folder}/{CLASSNAMES}")
    return list(differences(labels, import_labels(url, form)[0]))


def differences(before: LabelSet, after: LabelSet) -> Iterator[str]:
    """What a label set lost on its way through a file, field by field."""
    if before.classes != after.classes:
        yield "white space around the names of classes"
    names: dict[str, tuple[Any, Any]] = {
        "attributes": (before.attributes, after.attributes),
        "the template": (before.template, after.template),
        "the name templates": (before.name_templates, after.name_templates),
        "synonyms": (dict(before.synonyms), dict(after.synonyms)),
        "the description": (before.description, after.description),
        "the provenance": (before.provenance, after.provenance),
        "the provenance of classes": (dict(before.sources), dict(after.sources)),
        "the state of review": (before.review, after.review),
    }
    for name, (mine, theirs) in names.items():
        if mine != theirs and mine:
            yield name


def _from_names(url: str) -> LabelSet:
    first: dict[str, int] = {}
    for name, number in _listed(url):
        if name in first:
            raise UserError(
                f"{describe_url(url)} names {name!r} twice, at line {first[name]} and again at "
                f"line {number}; a name must mean one class: rename one of them"
            )
        if name:
            first[name] = number
    called = split_url(url)[1].rsplit(".", 1)[0] or "labels"
    labels = parse_labelset({one: [] for one in first}, called, describe_url(url))
    return replace(labels, provenance=_provenance(url, "names"))


def _listed(url: str) -> Iterator[tuple[str, int]]:
    """Every name and its line: of a text, or of a JSON or YAML list."""
    if not _is_structured(url):
        for number, text in enumerate(read_text(url).splitlines(), start=1):
            yield text.strip(), number
        return
    document = read_document(url)
    if not isinstance(document.value, list):
        raise UserError(f"{describe_url(url)} is no list of names; say --from auto")
    for index, name in enumerate(document.value):
        line = document.lines[(index,)]
        if not isinstance(name, str):
            raise UserError(f"{describe_url(url)}: {name!r} is no name (line {line}); write text")
        yield name.strip(), line


def _from_clip_benchmark(base: str, notes: list[str]) -> LabelSet:
    labels = _from_names(f"{base}/{CLASSNAMES}")
    templates: list[str] = []
    if Folder(base).exists(TEMPLATES):
        url = f"{base}/{TEMPLATES}"
        for number, line in enumerate(read_text(url).splitlines(), start=1):
            if line.strip():
                templates.append(_unbraced(line.strip(), f"{masked(url)!r} line {number}"))
    else:
        notes.append(f"there is no {TEMPLATES} beside it, so only the names were read")
    name = split_url(base)[1]
    return replace(
        labels,
        name=name if name not in ("", ".", "..") else "classnames",
        name_templates=() if templates == [NAME_TEMPLATE] else tuple(templates),
        provenance=_provenance(f"{base}/{CLASSNAMES}", "clip-benchmark"),
    )


def _unbraced(template: str, where: str) -> str:
    """Our template of a Python format string with the field `c` (or none, as CLIP's own have)."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise UserError(
            f"{where}: {template!r} is no template ({error}); write {{c}} for the class"
        ) from None
    fields = {field for _, field, _, _ in parts if field is not None}
    if not fields or fields - {"c", ""}:
        raise UserError(f"{where}: {template!r} is no template; write {{c}} for the class")
    return "".join(text + ("" if field is None else "{class}") for text, field, _, _ in parts)


def _braced(template: str) -> str:
    pieces = template.split("{class}")
    return "{c}".join(piece.replace("{", "{{").replace("}", "}}") for piece in pieces)


def _sentences(labels: LabelSet) -> Iterator[tuple[str, ...]]:
    for attributes, prompts in zip(labels.attributes, labels.prompts, strict=True):
        yield prompts if attributes else ()


def _form_by_name(url: str, base: str) -> str:
    if _is_structured(url):
        return "auto"
    if base != url.rstrip("/") or Folder(base).exists(CLASSNAMES):
        return "clip-benchmark"
    return "names" if url.lower().endswith(".txt") else "auto"


def _is_structured(url: str) -> bool:
    return url.lower().endswith((".json", ".yaml", ".yml"))


def _form_by_content(labels: LabelSet, notes: list[str]) -> str:
    if labels != _bare(labels):
        return "native"
    every = [attribute for attributes in labels.attributes for attribute in attributes]
    ended = sum(attribute.endswith((".", "!", "?", '."')) for attribute in every)
    if 2 * ended <= len(every):
        return "dclip"
    notes.append(
        f"{ended} of {len(every)} attributes end like sentences, so they are read as whole "
        "prompts; --from dclip reads them as attributes"
    )
    return "cupl"


def _without_empty(read: Read, url: str, notes: list[str]) -> LabelSet:
    empty = sum(problem.kind == "empty-attribute" for problem in read.problems)
    if empty:
        notes.append(f"{empty} empty attribute{'s were' if empty > 1 else ' was'} left out")
    rest = tuple(one for one in read.problems if one.kind != "empty-attribute")
    return strict(replace(read, problems=rest), describe_url(url))


def _bare(labels: LabelSet) -> LabelSet:
    return LabelSet(labels.name, labels.classes, labels.attributes)


def _provenance(url: str, form: str) -> str:
    content = hashlib.sha256(read_text(url).encode()).hexdigest()[:12]
    return f"imported from {split_url(url)[1]} ({form}, sha256 {content})"


def _known(form: str, known: tuple[str, ...]) -> str:
    if form not in known:
        raise UserError(f"format {form!r} is not known; there are {', '.join(known)}")
    return form
