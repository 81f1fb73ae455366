"""Label sets in files, local or behind any fsspec URL: the one reader of every form."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from string import Formatter
from typing import Any

import yaml

from lazsl.errors import UserError
from lazsl.labelset.document import Document, Unreadable, read_json, read_yaml
from lazsl.labelset.foreign import Foreign, named
from lazsl.labelset.labels import PENDING, LabelSet
from lazsl.labelset.native_form import Read, interpret, native_form, strict, without_empty
from lazsl.labelset.other_forms import recognise
from lazsl.labelset.plain_texts import of_table, of_text
from lazsl.labelset.sentences import NAME_TEMPLATE, WHOLE
from lazsl.labelset.text import is_sentence
from lazsl.store.folder import Folder
from lazsl.store.named_files import read_given
from lazsl.store.urls import split_url

_TO_REVIEW = """\
# A language model wrote attributes in this file, and it has seen no picture of yours.
# Read each class, correct or remove what is wrong, then set review to reviewed.
"""
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


FOLDER_NAMES = "classnames.txt"
FOLDER_TEMPLATES = "zeroshot_classification_templates.txt"
"""The two files of CLIP_benchmark (LAION-AI/CLIP_benchmark, its webdataset layout): a name per
line, a Python format string with `{c}` per line."""

_MEMBER = re.compile(r"(?P<file>.*\.json)#(?P<member>[^#/]+)", re.IGNORECASE | re.DOTALL)
_JSON_NAMES = "classnames.json"
_JSON_TEMPLATES = "zeroshot_classification_templates.json"


def load_labelset(url: str) -> LabelSet:
    """The label set in a file or folder, in any form that is known, ready for use; empty attributes
    are left out of it with a note.

    Raises:
        UserError: there is none, it has none of the forms, or what it means is not clear; the
            sentence says what was found, with the line where there is one.
    """
    return strict(without_empty(read_labels(url)), describe_url(url))


def read_labels(url: str, form: str = "auto") -> Read:
    """The label set in a file with the line of everything, reviewed or not, and its problems.

    Args:
        url: a file, `FILE.json#NAME` for one of several lists of names in it, or a folder in
            CLIP_benchmark's layout.
        form: one of `formats.FORMATS`, or `auto` to tell by name and content.

    Raises:
        UserError: there is none, or it is no label set.
    """
    where = describe_url(url)
    folder = _clip_benchmark_folder(url, form)
    if folder is not None:
        return _of_folder(folder)
    if _is_yaml(url) or _is_json(url):
        return _of_document(url, form, where)
    text = read_text(url)
    suffix = url.lower().rsplit(".", 1)[-1]
    if form == "auto" and suffix in ("csv", "tsv"):
        foreign = of_table(text, where, "\t" if suffix == "tsv" else ",")
    elif form == "names" or (form == "auto" and not _is_json_text(text)):
        foreign = of_text(text, where)
    else:
        return _of_document(url, form, where)
    return _read(foreign, _called(url), where)


def _of_document(url: str, form: str, where: str) -> Read:
    file, member = _member(url)
    document = read_document(file)
    if form in ("auto", "names"):
        foreign = recognise(document, member, where)
        if foreign is not None:
            if foreign.form == "clip-benchmark":
                foreign = replace(
                    foreign, templates=_templates_beside(file, member or _only(document))
                )
            return _read(foreign, member or _called(file), where)
    if form == "names":
        raise UserError(f"{where} is no list of names; say --from auto")
    read = interpret(document, _called(file), where)
    if read.form == "native" or form == "dclip":
        return read
    sentences = form == "cupl" or _are_sentences(read.labels)
    if not sentences:
        return read
    notes = () if form == "cupl" else (_sentences_note(read.labels),)
    labels = replace(read.labels, template=WHOLE, notes=(*read.labels.notes, *notes))
    return replace(read, labels=labels, form="cupl")


def _is_json_text(text: str) -> bool:
    """True for JSON in a file whose name says nothing of it."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        read_json(text)
    except Unreadable:
        return False
    return True


def _read(foreign: Foreign, name: str, where: str) -> Read:
    read = interpret(foreign.document, name, where)
    templates = () if foreign.templates == (NAME_TEMPLATE,) else foreign.templates
    labels = replace(read.labels, notes=foreign.notes, name_templates=templates)
    return replace(read, labels=labels, form=foreign.form)


def _are_sentences(labels: LabelSet) -> bool:
    """True where most attributes are sentences of their own, as CuPL's are."""
    every = [attribute for attributes in labels.attributes for attribute in attributes]
    return 2 * sum(map(is_sentence, every)) > len(every)


def _sentences_note(labels: LabelSet) -> str:
    every = [attribute for attributes in labels.attributes for attribute in attributes]
    return (
        f"{sum(map(is_sentence, every))} of {len(every)} attributes end like sentences, so they "
        "are read as whole prompts; lazsl labels import --from dclip reads them as attributes"
    )


def _of_folder(folder: str) -> Read:
    url = f"{folder}/{FOLDER_NAMES}"
    where = describe_url(url)
    lines = enumerate(read_text(url).splitlines(), start=1)
    document = named((line.strip(), number) for number, line in lines)
    templates: list[str] = []
    notes: tuple[str, ...] = ()
    if Folder(folder).exists(FOLDER_TEMPLATES):
        templates_url = f"{folder}/{FOLDER_TEMPLATES}"
        for number, line in enumerate(read_text(templates_url).splitlines(), start=1):
            if line.strip():
                templates.append(unbraced(line.strip(), f"{templates_url!r} line {number}"))
    else:
        notes = (f"there is no {FOLDER_TEMPLATES} beside it, so only the names were read",)
    name = split_url(folder)[1]
    foreign = Foreign(document, "clip-benchmark", notes, tuple(templates))
    return _read(foreign, name if name not in ("", ".", "..") else "classnames", where)


def _clip_benchmark_folder(url: str, form: str) -> str | None:
    """The folder in CLIP_benchmark's layout that is meant, if one is."""
    plain = url.rstrip("/")
    base = "." if url == FOLDER_NAMES else plain.removesuffix(f"/{FOLDER_NAMES}") or "/"
    if form == "clip-benchmark" and not _is_json(url):
        return base
    if form != "auto" or _is_json(url) or _is_yaml(url):
        return None
    if base != plain:
        return base
    bare = "." not in plain.rsplit("/", 1)[-1].strip(".")
    return base if bare and Folder(base).exists(FOLDER_NAMES) else None


def file_of(url: str, form: str) -> str:
    """The file in which the names of a label set's classes stand."""
    folder = _clip_benchmark_folder(url, form)
    return f"{folder}/{FOLDER_NAMES}" if folder is not None else _member(url)[0]


def _templates_beside(url: str, member: str) -> tuple[str, ...]:
    """The templates that CLIP_benchmark's own JSON has for a data set, in the file beside."""
    if not url.endswith(_JSON_NAMES):
        return ()
    beside = url.removesuffix(_JSON_NAMES) + _JSON_TEMPLATES
    folder, name = split_url(beside)
    if not Folder(folder).exists(name):
        return ()
    templates = read_document(beside).value
    texts = templates.get(member, []) if isinstance(templates, dict) else []
    return tuple(unbraced(text, beside) for text in texts if isinstance(text, str))


def unbraced(template: str, where: str) -> str:
    """Our template of a Python format string with the field `c` (or none, as CLIP's own have).

    Raises:
        UserError: it has another field, or none.
    """
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


def _member(url: str) -> tuple[str, str | None]:
    match = _MEMBER.fullmatch(url)
    return (match["file"], match["member"]) if match else (url, None)


def _only(document: Document) -> str:
    return str(next(iter(document.value))) if isinstance(document.value, dict) else ""


def _called(url: str) -> str:
    return split_url(url)[1].rsplit(".", 1)[0] or "labels"


def read_document(url: str) -> Document:
    """What a JSON or YAML file holds.

    Raises:
        UserError: the file is missing, or not what its name says.
    """
    text = read_text(url)
    try:
        document = read_yaml(text) if _is_yaml(url) else read_json(text)
        json.dumps(document.value, ensure_ascii=False).encode()  # half a character has no bytes
    except Unreadable as error:
        raise UserError(f"{describe_url(url)} {error}") from None
    except ValueError as error:
        raise UserError(
            f"{describe_url(url)} cannot be used: {error}; write plain text in it"
        ) from None
    return document


def read_text(url: str) -> str:
    """The text of a file, without a byte order mark.

    Raises:
        UserError: it is missing, out of reach, or not UTF-8.
    """
    where = describe_url(url)
    try:
        return read_given(url, where, "give the path or URL of a file").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8 text ({error}); save it as UTF-8") from None


def write_labels(labels: LabelSet, url: str) -> None:
    """Publish the label set in the native form, as YAML where the name says so, else as JSON."""
    as_yaml = _is_yaml(url)
    head = _TO_REVIEW if as_yaml and labels.review == PENDING else ""
    write_text(head + dump(native_form(labels), as_yaml), url)


def write_text(text: str, url: str) -> None:
    """Publish a text file: whole, or not at all."""
    folder, name = split_url(url)
    Folder(folder).write_bytes(name, text.encode())


def dump(value: Any, as_yaml: bool = False) -> str:
    """Values as text for a person to edit."""
    if as_yaml:
        text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
        return str(text)
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def describe_url(url: str) -> str:
    """How sentences name a label set's file."""
    return f"label set {url!r}"


def _is_yaml(url: str) -> bool:
    return url.lower().endswith((".yaml", ".yml"))


def _is_json(url: str) -> bool:
    return _member(url)[0].lower().endswith(".json")
