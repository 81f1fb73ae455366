"""Embeddings that tests of later stations share: this process embeds a crop or sentence once.

The encoder's own tests show that a row's bits depend on no other row and on no earlier call, so
nothing that is computed from embeddings can tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from lazsl.model.encoder import Encoder

LATER_STATIONS = {
    *("api", "audit", "cli", "datasets", "docs", "evaluation", "explain", "flows", "report"),
    *("scoring", "security", "warehouse"),
}
"""Folders of tests whose subject comes after the embeddings of crops."""
OF_SENTENCES = {"benchmarks", "model"}
"""Folders of tests whose subject may be the embeddings of sentences."""

_rows: dict[Hashable, torch.Tensor] = {}


@contextmanager
def embedding_once(folder: str) -> Iterator[None]:
    """In this folder's tests, towers that are not their subject embed only what is new."""
    crops, sentences = Encoder.encode_crops, Encoder.encode_sentences

    def encode_crops(encoder: Encoder, batch: torch.Tensor) -> torch.Tensor:
        digests = [hashlib.blake2b(crop.numpy()).digest() for crop in batch]
        return _known(encoder, digests, lambda new: crops(encoder, batch[new]))

    def encode_sentences(encoder: Encoder, texts: Sequence[str], *more: Any) -> torch.Tensor:
        return _known(
            encoder, texts, lambda new: sentences(encoder, [texts[i] for i in new], *more)
        )

    with pytest.MonkeyPatch.context() as patch:
        if folder in LATER_STATIONS:
            patch.setattr(Encoder, "encode_crops", encode_crops)
        if folder not in OF_SENTENCES:
            patch.setattr(Encoder, "encode_sentences", encode_sentences)
        yield


def _known(
    encoder: Encoder,
    names: Sequence[Hashable],
    encode: Callable[[list[int]], torch.Tensor],
) -> torch.Tensor:
    """A row for every name, of which `encode` makes those that are new."""
    keys = [(encoder.key, encoder.device, name) for name in names]
    new = list({key: i for i, key in enumerate(keys) if key not in _rows}.values())
    if new:
        _rows.update(zip([keys[i] for i in new], encode(new), strict=True))
    return torch.stack([_rows[key] for key in keys])
