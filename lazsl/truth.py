"""Truth about an archive, given by a person: a CSV of keys and labels."""

from __future__ import annotations

import difflib
import io

import pyarrow as pa
import pyarrow.csv as pacsv

from lazsl.errors import UserError
from lazsl.labelset import LabelSet
from lazsl.storage import Folder, masked, split_url


def read_truth(url: str, labels: LabelSet, open_set: bool = False) -> pa.Table:
    """Columns key and label of a CSV file, joined with the label set by class name.

    With `open_set` it may name classes that the label set does not have: images of no known class.

    Raises:
        UserError: the file is missing or has other columns, or names classes that the label set
            does not have; the sentence gives the nearest names.
    """
    where = masked(url)
    folder, name = split_url(url)
    try:
        data = Folder(folder).read_bytes(name)
    except UserError as error:
        raise UserError(f"truth {where!r} cannot be read: {error}") from None
    except Exception as error:  # what is no store's trouble: a folder, a name that cannot be one
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"truth {where!r} cannot be read: {said}; give a CSV of key,label"
        ) from None
    options = pacsv.ConvertOptions(column_types={"key": pa.string(), "label": pa.string()})
    try:
        table = pacsv.read_csv(io.BytesIO(data), convert_options=options)
    except pa.ArrowInvalid as error:
        said = " ".join(str(error).split())
        raise UserError(
            f"truth {where!r} is not a CSV file ({said}); give a CSV of key,label"
        ) from None
    if any(table.column_names.count(column) != 1 for column in ("key", "label")):
        raise UserError(
            f"truth {where!r} must have columns key and label once each, "
            f"but has {', '.join(table.column_names)}"
        )
    known = set(labels.classes)
    unknown = [name for name in table["label"].unique().to_pylist() if name not in known]
    if unknown and not open_set:
        nearest = difflib.get_close_matches(str(unknown[0]), labels.classes, n=3)
        hint = f"; nearest to {unknown[0]!r}: {', '.join(nearest)}" if nearest else ""
        raise UserError(
            f"truth {where!r} names {len(unknown)} classes that label set {labels.name!r} does not "
            f"have, such as {', '.join(repr(name) for name in unknown[:3])}{hint} (or say "
            "--open-set, if these images are of no known class)"
        )
    return table.select(["key", "label"])
