"""Crops on their way through the model, in batches of constant size.

On a GPU, libraries choose their kernels by the number of rows, so that the last bits of an
embedding depend on it. Every pass there has `batch_size` rows, the last one of a shard too (what
fills it up is thrown away): an image's embeddings then depend on the batch size, but not on its
shard, its neighbours, or its place. On a processor they do not depend on the batch size either.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from lazsl.model.encoder import Encoder


class ForwardPasses:
    """Takes crops and gives their embeddings back in the same order, some calls later.

    Two buffers take turns, so that on a GPU one is filled while the other is being read. They are
    where the crops are: on the device, or in memory that it can fetch by itself.

    Attributes:
        seconds: spent waiting for the model.
        crops: added so far.
    """

    def __init__(self, encoder: Encoder, batch_size: int, on_device: bool) -> None:
        width, height = encoder.framing.size
        self._on_gpu = encoder.device.startswith("cuda")
        pinned = self._on_gpu and not on_device
        where = encoder.device if on_device else "cpu"
        shape = (batch_size, height, width, 3)
        self._buffers = [
            torch.empty(shape, dtype=torch.uint8, device=where, pin_memory=pinned) for _ in range(2)
        ]
        self._encoder = encoder
        self._filled = 0
        self._running: Callable[[], np.ndarray] | None = None
        self.seconds = 0.0
        self.crops = 0

    def add(self, crops: torch.Tensor) -> Iterator[np.ndarray]:
        """Float16 embeddings (n, D) of crops that were added before, as their batches come back."""
        begun = 0
        self.crops += len(crops)
        while begun < len(crops):
            buffer = self._buffers[0]
            step = min(len(buffer) - self._filled, len(crops) - begun)
            buffer[self._filled : self._filled + step] = crops[begun : begun + step]
            begun, self._filled = begun + step, self._filled + step
            if self._filled == len(buffer):
                yield from self._run()

    def flush(self) -> Iterator[np.ndarray]:
        """Embeddings of whatever was added and has not come back."""
        while self._filled or self._running is not None:
            yield from self._run()

    def _run(self) -> Iterator[np.ndarray]:
        """Start what is in the buffer, if anything is, then fetch what was started before."""
        started = time.perf_counter()
        before, self._running = self._running, None
        if self._filled:
            rows = len(self._buffers[0]) if self._on_gpu else self._filled
            vectors = self._encoder.encode_crops(self._buffers[0][:rows])
            if rows != self._filled:
                vectors = vectors[: self._filled]
            self._running = fetching(vectors, self._encoder)
            self._buffers.reverse()
            self._filled = 0
        fetched = None if before is None else before()
        self.seconds += time.perf_counter() - started
        if fetched is not None:
            yield fetched


def fetching(vectors: torch.Tensor, encoder: Encoder) -> Callable[[], np.ndarray]:
    """What brings embeddings (n, D) to the processor, as float16, once it is called.

    On a GPU the copy is queued right behind the pass that makes them: waiting for it waits for
    nothing that is queued later.
    """
    if not encoder.device.startswith("cuda"):
        return lambda: vectors.cpu().to(torch.float16).numpy()
    stored = vectors.to(torch.float16)
    pinned = torch.empty(stored.shape, dtype=stored.dtype, pin_memory=True)
    pinned.copy_(stored, non_blocking=True)
    copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    copied.record(torch.cuda.current_stream(encoder.device))

    def wait() -> np.ndarray:
        copied.synchronize()
        return pinned.numpy()

    return wait
