"""What waits in memory beside the decoders is bounded: files' bytes, and pictures for a device."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from lazsl.embedding import crop_source, region_vectors
from lazsl.embedding.region_vectors import RegionVectors, embed_regions
from lazsl.fieldguide import IMAGES_DIR
from lazsl.images.budget import Budget
from lazsl.images.fast_crops import leave_uncut
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import Encoder, load_encoder
from lazsl.settings import RegionSettings

FILES = [path.read_bytes() for path in sorted(IMAGES_DIR.rglob("plate-*.jpg"))[:24]]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(find_model("fieldguide", "float32"), "cpu")


def embed(encoder: Encoder, decoders: int, layout: Any = None, **options: Any) -> RegionVectors:
    files = FILES if layout is None else FILES[:8]
    settings = RegionSettings(count=4 if layout is None else 29, layout=layout, resampling="fast")
    return embed_regions(
        len(files), files.__getitem__, encoder, settings, size=lambda row: len(files[row]),
        batch_size=60, decoders=decoders, max_pixels=10**7, **options,
    )  # fmt: skip


class Held:
    """Counts what is in memory, and what was at most."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()

    def add(self, amount: int) -> None:
        with self._lock:
            self.now += amount
            self.most = max(self.most, self.now)


def test_files_that_threads_hold_until_they_are_decoded_stay_below_their_budget(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = region_vectors._opened

    def most(budget: Budget) -> int:
        held = Held()

        @contextmanager
        def opened(data: bytes, *rest: Any) -> Iterator[Any]:
            held.add(len(data))
            time.sleep(0.003)
            with real(data, *rest) as image:
                yield image
            held.add(-len(data))

        monkeypatch.setattr(region_vectors, "_opened", opened)
        monkeypatch.setattr(region_vectors, "FILES", budget)
        embed(encoder, 6)
        return held.most

    largest = max(map(len, FILES))
    assert most(Budget(2 * largest)) <= 2 * largest < most(Budget(10**12))


@pytest.mark.parametrize("layout", [None, "zoom"])
def test_pictures_that_wait_for_a_device_stay_below_their_budget_and_come_out_the_same(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch, layout: str | None
) -> None:
    held, largest = Held(), 0

    def left(*arguments: Any) -> Any:
        nonlocal largest
        uncut = leave_uncut(*arguments)
        held.add(uncut.bytes)
        largest = max(largest, uncut.bytes)
        weakref.finalize(uncut, held.add, -uncut.bytes)
        return uncut

    monkeypatch.setattr(crop_source, "leave_uncut", left)

    def most(budget: Budget) -> tuple[int, RegionVectors]:
        monkeypatch.setattr(region_vectors, "UNCUT", budget)
        held.most = 0
        embedded = embed(encoder, 1, layout, cut_on="device")
        return held.most, embedded

    without, plain = most(Budget(10**12))
    # One more that a thread has just made, and one that is cut now.
    bound = largest + 2 * largest
    within, bounded = most(Budget(largest))
    assert within <= bound < without
    assert np.array_equal(plain.vectors, bounded.vectors)
    assert held.now == 0
