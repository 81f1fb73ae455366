"""The attributes of the whole label set that an image shows most strongly, whatever its class.

Evidence is kept of the best classes alone. These few say what else is there: a red crest on a bird
that was called something without one. One-sided plans give every attribute a strength
(`alignment.one_sided`). Paper's plans give none to attributes of classes that cannot win; there it
is the mean similarity of the regions, theta of it the crops' and the rest the whole image's.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from lazsl.alignment.attributes import operand, product
from lazsl.scoring.embedded import EmbeddedLabels

MOST = 10
"""Attributes kept per image."""

_ROWS = 4096


def mean_strengths(vectors: Tensor, labels: EmbeddedLabels, theta: float) -> Tensor:
    """(B, N) float32, the mean similarity of an image's regions with every attribute.

    Args:
        vectors: (B, 1 + M, D), the whole image first.
        labels: the label set.
        theta: weight of the crops, 0..1.
    """
    whole = vectors[:, 0].double()
    mean = (theta * vectors[:, 1:].double().mean(1) + (1 - theta) * whole).float()
    parts = torch.split(labels.packed.embeddings, _ROWS)
    return torch.cat([product(mean, operand(part), len(part)) for part in parts], dim=1)


def most_shown(strengths: Tensor, labels: EmbeddedLabels) -> tuple[pa.Array[Any], pa.Array[Any]]:
    """Columns shown and shown_strength: the strongest attributes of every image, and how strong.

    Attributes that differ only in case, or stand in several classes, are one: its strength is the
    mean over the sentences that say it.

    Args:
        strengths: (B, N) float32, of every attribute of the label set.
        labels: the label set.
    """
    by_text = labels.rivals.strengths(strengths)
    best = by_text.topk(min(MOST, by_text.shape[1]), dim=1)
    places = pa.array(best.indices.flatten().cpu().numpy())
    texts = pa.array(labels.rivals.texts, pa.string()).take(places)
    values = pa.array(best.values.flatten().cpu().numpy(), pa.float32())
    kept = best.values.shape[1]
    offsets = pa.array(range(0, len(texts) + 1, kept), pa.int32())
    return pa.ListArray.from_arrays(offsets, texts), pa.ListArray.from_arrays(offsets, values)
