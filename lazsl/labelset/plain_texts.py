"""Label sets in plain texts: a name a line, or a table with the columns class and attribute."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from lazsl.errors import UserError
from lazsl.labelset.document import Document, Place
from lazsl.labelset.foreign import Foreign, named, refuse_templates

_COLUMNS = {
    "class": ("class", "label", "name", "class_name", "classname", "category", "display_name"),
    "attribute": ("attribute", "attributes", "description", "descriptor", "sentence", "prompt"),
    "synonyms": ("synonyms", "synonym", "aliases"),
    "parent": ("parent", "supercategory"),
    "id": ("id", "index", "wnid", "synset", "class_id", "label_id"),
}


def names_of_text(text: str) -> tuple[list[tuple[str, int | None]], int]:
    """Names and their lines, one a line, and how many comment lines were left out.

    A line that begins with `#` is a comment; a name that begins with it is written `\\#`.
    """
    names: list[tuple[str, int | None]] = []
    comments = 0
    for number, line in enumerate(text.splitlines(), start=1):
        name = line.strip()
        if name.startswith("#"):
            comments += 1
            continue
        names.append((name.removeprefix("\\") if name.startswith("\\#") else name, number))
    return names, comments


def of_text(text: str, where: str) -> Foreign:
    """A list of names in a text file.

    Raises:
        UserError: it is a list of templates.
    """
    names, comments = names_of_text(text)
    refuse_templates([name for name, _ in names if name], where)
    notes = (f"{comments} comment line{'s were' if comments > 1 else ' was'} left out",)
    return Foreign(named(names), "names", notes if comments else ())


def of_table(text: str, where: str, separator: str = ",") -> Foreign:
    """A table with a class and at most one attribute a row, or several with `|` between them.

    Raises:
        UserError: the first line does not name the columns.
    """
    rows = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        head = [column.strip().casefold() for column in next(rows, [])]
        body = [(row, rows.line_num) for row in rows if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UserError(f"{where} is no CSV: {error}; save it as CSV in UTF-8") from None
    columns = {
        kind: head.index(name)
        for kind, names in _COLUMNS.items()
        for name in names[::-1]
        if name in head
    }
    if "class" not in columns:
        raise UserError(
            f"{where} has the columns {', '.join(head) or 'none'}, of which none is class; name "
            "them in the first line: class, and where there are some attribute (a row each), "
            "synonyms, parent, id"
        )
    classes: dict[str, dict[str, Any]] = {}
    lines: dict[Place, int] = {}
    for row, line in body:
        cells = {kind: row[at].strip() for kind, at in columns.items() if at < len(row)}
        label = cells.get("class", "")
        place: Place = ("classes", label)
        lines.setdefault(place, line)
        entry = classes.setdefault(label, {"attributes": []})
        for attribute in _several(cells.get("attribute", "")):
            lines[*place, "attributes", len(entry["attributes"])] = line
            entry["attributes"].append(attribute)
        for synonym in (*_several(cells.get("synonyms", "")), cells.get("id", "")):
            if synonym and synonym != label and synonym not in entry.get("synonyms", ()):
                entry.setdefault("synonyms", []).append(synonym)
        if cells.get("parent"):
            entry["parent"] = cells["parent"]
    return Foreign(Document({"classes": classes}, lines), "csv")


def _several(cell: str) -> Iterator[str]:
    return (part.strip() for part in cell.split("|") if part.strip())
