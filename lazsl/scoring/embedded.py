"""Stored embeddings, read back: a packed label set, and the regions of images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import torch

from lazsl.alignment.attributes import PackedAttributes
from lazsl.scoring.rivals import Rivals
from lazsl.store.vectors import vectors_of


@dataclass(frozen=True)
class EmbeddedLabels:
    """A label set ready to score with.

    Attributes:
        classes: names, in label set order.
        attributes: per class its attributes as given.
        packed: their embeddings.
        names: (C, D) float32, embeddings of the bare class names.
    """

    classes: tuple[str, ...]
    attributes: tuple[tuple[str, ...], ...]
    packed: PackedAttributes
    names: torch.Tensor

    @cached_property
    def rivals(self) -> Rivals:
        """What else might be said of what each attribute describes."""
        return Rivals(self.classes, self.attributes, self.packed)

    @classmethod
    def from_table(cls, table: pa.Table, device: str = "cpu") -> EmbeddedLabels:
        """From `schemas.attributes`, as stored."""
        index = table["class_index"].to_numpy()
        within = table["attribute_index"].to_numpy()
        vectors = torch.from_numpy(vectors_of(table).astype(np.float32)).to(device)
        is_name = within < 0
        names = [str(name) for name in table["class"].to_pylist()]
        classes = tuple(name for name, bare in zip(names, is_name, strict=True) if bare)
        attributes: list[list[str]] = [[] for _ in classes]
        for owner, text, bare in zip(index, table["attribute"].to_pylist(), is_name, strict=True):
            if not bare:
                attributes[owner].append(text)
        sizes = np.bincount(index[~is_name], minlength=len(classes))
        where = torch.from_numpy(is_name).to(device)
        return cls(
            classes,
            tuple(tuple(texts) for texts in attributes),
            PackedAttributes.from_classes(vectors[~where], sizes.tolist()),
            vectors[where],
        )


def images_alike(regions: pa.Table) -> list[np.ndarray]:
    """Rows (B, 1 + M) of `schemas.regions(D)`, of images that have the same M, by M.

    Most shards have one M. They differ where images were seen until their label was settled.
    """
    first = np.flatnonzero(regions["region"].to_numpy() == 0)
    counts = np.diff(first, append=regions.num_rows)
    return [first[counts == n, None] + np.arange(n) for n in np.unique(counts)]
