"""The files that people judge in: CSV for a spreadsheet, Label Studio's JSON, FiftyOne's folder.

Each format has one function that writes what is to be judged; `read_judgements` reads all of them
back. An image without an answer was not judged; `NONE` as the answer means that it shows none of
the classes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pyarrow as pa

from lazsl.errors import UserError
from lazsl.visible_text import guarded, unguarded

NONE = "(none of these)"
FORMATS = ("csv", "label-studio", "fiftyone")
COLUMNS = (
    "run",
    "sample",
    "image_id",
    "key",
    "uri",
    "label",
    "score",
    "margin",
    "runner_up",
    "strongest",
    "judged_label",
    "comment",
    "weight",
)
"""Of the CSV; a reader needs judged_label, and image_id or key."""

_LONG_LIST = 12  # classes up to which all choices are laid out; a longer list folds away


@dataclass(frozen=True)
class Judgement:
    """One answer as it stands in a file, not yet compared with the archive."""

    image: str
    """Its image_id or its key; in a FiftyOne file possibly a key's end, without the suffix."""
    answer: str
    """A class name or `NONE`."""
    sample: str | None = None
    reviewer: str | None = None
    judged_at: datetime | None = None
    """UTC, without a time zone."""
    comment: str | None = None
    run: str | None = None
    """Whose label was judged, where the file says so."""


def csv_file(shown: pa.Table) -> bytes:
    """The images of `audit.shown` with an empty column to judge in; every spreadsheet reads it.

    A spreadsheet would calculate a text that begins with =, +, - or @. Such texts get an apostrophe
    in front, which `read_judgements` takes away.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for row in shown.to_pylist():
        row["strongest"] = "; ".join(row["strongest"])
        writer.writerow({name: guarded(v) if isinstance(v, str) else v for name, v in row.items()})
    return text.getvalue().encode("utf-8-sig")  # without the mark, Excel takes it for Latin-1


def label_studio_tasks(shown: pa.Table) -> bytes:
    """Tasks for Label Studio, each with the run's label as a prediction to confirm or correct.

    A local file is served by Label Studio itself, where it was started with
    LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=/.
    """
    tasks = []
    for row in shown.to_pylist():
        data = {"image": _served(row["uri"]), **row, "strongest": "; ".join(row["strongest"])}
        choice = {
            "from_name": "judged_label",
            "to_name": "image",
            "type": "choices",
            "value": {"choices": [row["label"]]},
        }
        guess = {"model_version": row["run"], "score": row["score"], "result": [choice]}
        tasks.append({"data": data, "predictions": [guess]})
    return json.dumps(tasks, ensure_ascii=False, indent=1).encode()


def label_studio_config(classes: Sequence[str]) -> bytes:
    """The labeling interface of these tasks: the image, the classes and `NONE`, a comment.

    Raises:
        UserError: a class name has characters that XML cannot hold.
    """
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name="image", value="$image")
    ElementTree.SubElement(view, "Text", name="strongest", value="$strongest")
    layout = "vertical" if len(classes) <= _LONG_LIST else "select"
    choices = ElementTree.SubElement(
        view, "Choices", name="judged_label", toName="image", choice="single", layout=layout
    )
    for name in [*classes, NONE]:
        ElementTree.SubElement(choices, "Choice", value=name)
    ElementTree.SubElement(view, "TextArea", name="comment", toName="image", maxSubmissions="1")
    ElementTree.indent(view)
    written: bytes = ElementTree.tostring(view, encoding="utf-8")
    try:
        ElementTree.fromstring(written)
    except ElementTree.ParseError:
        raise UserError(
            "a class name has control characters, which Label Studio's XML cannot hold; "
            "judge in CSV instead: --format csv"
        ) from None
    return written + b"\n"


def fiftyone_files(shown: pa.Table, classes: Sequence[str]) -> dict[str, bytes]:
    """By name, the files of a folder that is FiftyOne's FiftyOneImageClassificationDataset."""
    rows = shown.to_pylist()
    labels = {
        "classes": [*classes, NONE],
        "labels": {row["image_id"]: row["label"] for row in rows},
    }
    data = {row["image_id"]: _local(row["uri"]) or row["uri"] for row in rows}
    return {
        "labels.json": json.dumps(labels, ensure_ascii=False, indent=1).encode(),
        "data.json": json.dumps(data, ensure_ascii=False, indent=1).encode(),
    }


def _local(uri: str) -> str | None:
    """The path of a local file, null for anything else."""
    return uri.removeprefix("file://") if uri.startswith("file://") else None


def _served(uri: str) -> str:
    path = _local(uri)
    return uri if path is None else f"/data/local-files/?d={quote(path.lstrip('/'))}"


# Reading


def read_judgements(data: bytes, name: str) -> tuple[str, list[Judgement]]:
    """Which of `FORMATS` a file is in, and the answers in it, in its order.

    Args:
        data: the bytes of the file.
        name: what to call it in an error.

    Raises:
        UserError: it is in none of the formats, or an answer cannot be understood.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{name!r} is not UTF-8 text; save it as CSV UTF-8") from None
    if not text.lstrip().startswith(("[", "{")):
        return "csv", list(_read_csv(text, name))
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name!r} is not JSON: {error}") from None
    try:
        if isinstance(document, dict) and isinstance(document.get("labels"), dict):
            return "fiftyone", list(_read_fiftyone(document, name))
        if isinstance(document, list) and all(
            isinstance(t, dict) and "data" in t for t in document
        ):
            return "label-studio", list(_read_label_studio(document, name))
    except (AttributeError, TypeError, KeyError):  # of that kind, but not as either writes it
        pass
    raise UserError(
        f"{name!r} is neither an export of Label Studio (JSON, not JSON-MIN) nor FiftyOne's "
        "labels.json; export it anew"
    )


def _read_csv(text: str, name: str) -> Iterator[Judgement]:
    header = text.partition("\n")[0]
    # Spreadsheets of half the world write semicolons.
    delimiter = max(",;\t", key=header.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
    columns = rows.fieldnames or []
    if "judged_label" not in columns or not {"image_id", "key"} & set(columns):
        raise UserError(
            f"{name!r} must have a column judged_label, and image_id or key, but has "
            f"{', '.join(columns) or 'nothing'}"
        )
    try:
        for row in rows:
            cells = {c: unguarded(v) for c, v in row.items() if c is not None and v}
            if not cells.get("judged_label", "").strip():
                continue
            image = cells.get("image_id") or cells.get("key")
            if image is None:
                raise UserError(f"line {rows.line_num} of {name!r} names no image")
            yield Judgement(
                image,
                cells["judged_label"],
                cells.get("sample"),
                cells.get("reviewer"),
                _moment(cells.get("judged_at")),
                cells.get("comment"),
                cells.get("run"),
            )
    except csv.Error as error:
        raise UserError(f"line {rows.line_num} of {name!r} is not CSV: {error}") from None


def _read_label_studio(tasks: list[dict[str, Any]], name: str) -> Iterator[Judgement]:
    for at, task in enumerate(tasks, start=1):
        data = task["data"]
        image = data.get("image_id") or data.get("key")
        for annotation in task.get("annotations") or []:
            values = {
                result.get("from_name"): result.get("value", {})
                for result in annotation.get("result") or []
            }
            chosen = [c for value in values.values() for c in value.get("choices", [])]
            if annotation.get("was_cancelled") or not chosen:
                continue
            if image is None or len(chosen) > 1:
                fault = "names no image_id and no key" if image is None else "has two choices"
                raise UserError(f"task {at} of {name!r} {fault}; correct it and export anew")
            comment = values.get("comment", {}).get("text", [])
            yield Judgement(
                str(image),
                str(chosen[0]),
                data.get("sample"),
                _person(annotation.get("completed_by")),
                _moment(annotation.get("updated_at") or annotation.get("created_at")),
                " ".join([comment] if isinstance(comment, str) else comment) or None,
            )


def _read_fiftyone(document: dict[str, Any], name: str) -> Iterator[Judgement]:
    classes = document.get("classes") or []
    for image, label in document["labels"].items():
        if isinstance(label, dict):
            label = label.get("label")
        if isinstance(label, int) and not 0 <= label < len(classes):
            raise UserError(f"{name!r} gives {image!r} class {label} of {len(classes)} classes")
        if label is not None:
            yield Judgement(image, classes[label] if isinstance(label, int) else str(label))


def _person(completed_by: Any) -> str | None:
    if isinstance(completed_by, dict):
        return completed_by.get("email") or _person(completed_by.get("id"))
    return None if completed_by is None else f"label-studio-{completed_by}"


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
