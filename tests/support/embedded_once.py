"""Embeddings that tests of later stations share: this process embeds a crop or sentence once.

The encoder's own tests show that a row's bits depend on no other row and on no earlier call, so
nothing that is computed from embeddings can tell.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from lazsl.model.encoder import Encoder

LATER_STATIONS = {
    *("api", "audit", "cli", "datasets", "docs", "evaluation", "explain", "flows", "report"),
    *("scoring", "security", "warehouse"),
    # Of embedding and runs, these look at which crops are embedded, and what becomes of them.
    *("test_by_content", "test_doubt", "test_estimate", "test_layout_sources"),
    *("test_lost_embeddings", "test_recoloured", "test_rejects"),
}
"""Folders and files of tests whose subject is not how a crop is embedded."""
OF_SENTENCES = {"benchmarks", "model"}
"""Folders of tests whose subject may be the embeddings of sentences."""

MANY = 1000
"""So many rows take longer than to ask the other processes of the suite for them."""

_rows: dict[Hashable, torch.Tensor] = {}


@contextmanager
def embedding_once(folder: str, file: str) -> Iterator[None]:
    """In this file's tests, towers that are not their subject embed only what is new."""
    crops, sentences = Encoder.encode_crops, Encoder.encode_sentences

    def encode_crops(encoder: Encoder, batch: torch.Tensor) -> torch.Tensor:
        digests = [hashlib.blake2b(crop.numpy()).digest() for crop in batch]
        return _known(encoder, digests, lambda new: crops(encoder, batch[new]))

    def encode_sentences(encoder: Encoder, texts: Sequence[str], *more: Any) -> torch.Tensor:
        return _known(
            encoder, texts, lambda new: sentences(encoder, [texts[i] for i in new], *more)
        )

    with pytest.MonkeyPatch.context() as patch:
        if {folder, file} & LATER_STATIONS:
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

    def unknown() -> list[int]:
        return list({key: i for i, key in enumerate(keys) if key not in _rows}.values())

    def learn(new: list[int]) -> None:
        _rows.update(zip([keys[i] for i in new], encode(new), strict=True))

    new = unknown()
    if len(new) > MANY:
        _exchange(lambda: learn(unknown()) if unknown() else None, keys)
    elif new:
        learn(new)
    return torch.stack([_rows[key] for key in keys])


def _exchange(learn: Callable[[], None], keys: Sequence[Hashable]) -> None:
    """Take these rows from another process of the suite, or let others take them from here."""
    file = Path(os.environ["XDG_STATE_HOME"]) / "embedded.pt"
    with FileLock(f"{file}.lock"):
        if file.exists():
            _rows.update(torch.load(file))
        learn()
        torch.save({key: _rows[key].clone() for key in keys}, file)
