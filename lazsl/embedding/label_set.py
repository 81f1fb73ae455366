"""A label set, embedded sentence by sentence; sentences that were embedded before are not again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import torch

from lazsl.errors import DamagedError
from lazsl.labelset.labels import LabelSet
from lazsl.store import schemas
from lazsl.store.folder import Folder
from lazsl.store.vectors import vectors_of


class Encodes(Protocol):
    """What embedding a label set asks of an encoder."""

    def encode_sentences(self, sentences: Sequence[str]) -> torch.Tensor:
        """Unit-length embeddings, float32 (N, D) on the processor, row i for sentence i."""


class Remembering:
    """An encoder that embeds a sentence once: not again what stands in embedded label sets.

    Args:
        encoder: returns the encoder of other sentences; called when there is one.
        known: embedded label sets of the same encoder, schema `schemas.attributes(D)`.
    """

    def __init__(self, encoder: Callable[[], Encodes], known: Iterable[pa.Table] = ()) -> None:
        self._encoder = encoder
        self._vectors: dict[str, torch.Tensor] = {}
        for table in known:
            rows = torch.from_numpy(vectors_of(table).copy())
            for row, prompt in enumerate(table["prompt"].to_pylist()):
                self._vectors.setdefault(str(prompt), rows[row])

    def encode_sentences(self, sentences: Sequence[str]) -> torch.Tensor:
        """Unit-length embeddings, float32 (N, D) on the processor, row i for sentence i."""
        new = [text for text in dict.fromkeys(sentences) if text not in self._vectors]
        if new:
            self._vectors.update(zip(new, self._encoder().encode_sentences(new), strict=True))
        return torch.stack([self._vectors[text] for text in sentences])


def embed_labels(labels: LabelSet, encoder: Encodes) -> pa.Table:
    """The embedded label set, schema `schemas.attributes(D)`: per class its bare name, then its
    attributes in order. A class without attributes has the sentences that name it instead."""
    rows: list[tuple[int, str, int, str | None, str]] = []
    for index, label in enumerate(labels.classes):
        rows.append((index, label, -1, None, labels.name_prompts[index]))
        phrases = zip(labels.phrases[index], labels.prompts[index], strict=True)
        rows += [(index, label, j, phrase, prompt) for j, (phrase, prompt) in enumerate(phrases)]
    vectors = encoder.encode_sentences([row[4] for row in rows]).numpy()
    columns: list[pa.Array[Any]] = [pa.array(column) for column in zip(*rows, strict=True)]
    schema = schemas.attributes(vectors.shape[1])
    columns = [column.cast(field.type) for column, field in zip(columns, schema, strict=False)]
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return pa.Table.from_arrays([*columns, flat], schema=schema)


def embedded_before(folder: Folder, encoder: str, labels: LabelSet) -> list[pa.Table]:
    """Rows of a workspace's other label sets, embedded by the same encoder, that have a sentence of
    this one. What is damaged is left out: its sentences are embedded anew."""
    wanted = pa.array(
        sorted({text for prompts in labels.prompts for text in prompts} | {*labels.name_prompts}),
        pa.string(),
    )
    tables = []
    for name in folder.names(f"attributes/{encoder}", ".parquet"):
        try:
            table = folder.read_table(name)
            tables.append(table.filter(pc.is_in(table["prompt"], value_set=wanted)))
        except (DamagedError, FileNotFoundError, KeyError):
            continue
    return tables
