"""Label sets in files, local or behind any fsspec URL: JSON, or YAML where the name says so."""

from __future__ import annotations

import json
from typing import Any

import yaml

from lazsl.errors import UserError
from lazsl.labelset.document import Document, Unreadable, read_json, read_yaml
from lazsl.labelset.labels import PENDING, LabelSet
from lazsl.labelset.native import Read, interpret, native_form, strict
from lazsl.store.folder import Folder
from lazsl.store.urls import masked, split_url

_TO_REVIEW = """\
# A language model wrote attributes in this file, and it has seen no picture of yours.
# Read each class, correct or remove what is wrong, then set review to reviewed.
"""
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def load_labelset(url: str) -> LabelSet:
    """The label set in a file, ready for use.

    Raises:
        UserError: the file is missing, is neither JSON nor YAML, or does not have one of the two
            forms; the sentence says what was found, with the line where there is one.
    """
    return strict(read_labels(url), describe_url(url))


def read_labels(url: str) -> Read:
    """The label set in a file with the line of everything, reviewed or not, and its problems.

    Raises:
        UserError: the file is missing, or is no label set.
    """
    where = describe_url(url)
    document = read_document(url)
    return interpret(document, split_url(url)[1].rsplit(".", 1)[0] or "labels", where)


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
        raise UserError(f"{describe_url(url)} {error}{_hint(url)}") from None
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
    folder, name = split_url(url)
    try:
        return Folder(folder).read_bytes(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8 text ({error}); save it as UTF-8") from None
    except UserError as error:
        raise UserError(f"{where} cannot be read: {error}") from None
    except Exception as error:  # what is no store's trouble: a folder, a name that cannot be one
        said = " ".join(str(error).split()) or type(error).__name__
        reason = "no such file" if isinstance(error, FileNotFoundError) else said
        raise UserError(
            f"{where} cannot be read: {reason}; give the path or URL of a file"
        ) from None


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
    return f"label set {masked(url)!r}"


def _is_yaml(url: str) -> bool:
    return url.lower().endswith((".yaml", ".yml"))


def _hint(url: str) -> str:
    plain = url.lower().endswith(".txt")
    return "; a list of names is read by lazsl labels import" if plain else ""
