"""A label set, embedded sentence by sentence."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from lazsl.labelset.labels import LabelSet
from lazsl.model.encoder import Encoder
from lazsl.store import schemas


def embed_labels(labels: LabelSet, encoder: Encoder) -> pa.Table:
    """The embedded label set, schema `records.attributes(D)`: per class its bare name, then its
    attributes in order. A class without attributes has the sentences that name it instead."""
    rows: list[tuple[int, str, int, str | None, str]] = []
    for index, label in enumerate(labels.classes):
        rows.append((index, label, -1, None, labels.name_prompts[index]))
        told = zip(labels.phrases[index], labels.prompts[index], strict=True)
        rows += [(index, label, j, phrase, prompt) for j, (phrase, prompt) in enumerate(told)]
    vectors = encoder.encode_sentences([row[4] for row in rows]).numpy()
    columns: list[pa.Array[Any]] = [pa.array(column) for column in zip(*rows, strict=True)]
    schema = schemas.attributes(vectors.shape[1])
    columns = [column.cast(field.type) for column, field in zip(columns, schema, strict=False)]
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return pa.Table.from_arrays([*columns, flat], schema=schema)
