"""Images that are looked at in rounds, those still open sharing batches, until each is seen enough.

Which crops an image gets depends on its own embeddings alone: not on the batch, the threads, or
what else is open.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import torch

from lazsl.embedding.doubt import Stopping
from lazsl.embedding.forward import ForwardPasses
from lazsl.images.fast_crops import Uncut
from lazsl.model.dense import Look

Pixels = np.ndarray | Uncut
Cut = Callable[[slice], Pixels]

HELD_BYTES = 2**30
"""Of decoded pictures that wait for their next round, above which no image is begun. One is always
let in; those that are being begun, two per thread, come on top."""

TYPICAL = 5
"""Crops that an open image has under way, roughly."""


@dataclass(frozen=True)
class Started:
    """An image at the start of its first round.

    row: its place in the shard. pixels: the crops of the first round; None where the image cannot
    be used. cut: cuts rows of its boxes for a later round; None where there is none. held: bytes
    that it keeps for that. look: of dense regions.
    """

    row: int
    pixels: Pixels | None = None
    cut: Cut | None = None
    held: int = 0
    look: Look | None = None


@dataclass
class _Open:
    row: int
    cut: Cut
    steps: Iterator[slice]
    held: int
    vectors: list[np.ndarray] = field(default_factory=list)


def encode_in_rounds(
    images: Iterator[Future[Started]],
    later: Callable[[Cut, slice], Future[Pixels]],
    ready: Callable[[Pixels], torch.Tensor],
    passes: ForwardPasses,
    stopping: Stopping,
    ahead: tuple[int, int],
    done: Callable[[], None],
) -> dict[int, np.ndarray]:
    """By row, float16 embeddings (1 + k, D) of every usable image: the whole, then k crops.

    Args:
        images: the shard's images in order; each is asked for when there is room for it.
        later: has a thread cut rows of an image's boxes.
        ready: makes crops what the model takes.
        passes: through the model.
        stopping: says when an image has been seen enough.
        ahead: images that are begun and not yet open, and those begun and not finished, at most.
        done: called whenever an image is finished, usable or not.
    """
    found: dict[int, np.ndarray] = {}
    beginning: deque[Future[Started]] = deque()
    waiting: deque[tuple[_Open, Future[Pixels]]] = deque()
    running: deque[tuple[_Open, int]] = deque()
    opened = held = 0
    more = True

    def settle(vectors: np.ndarray) -> None:
        """Hand vectors to whom they belong, and see who goes on."""
        complete = []
        while len(vectors):
            one, rows = running.popleft()
            own, vectors = vectors[:rows], vectors[rows:]
            one.vectors.append(own)
            if len(own) < rows:
                running.appendleft((one, rows - len(own)))
            else:
                complete.append(one)
        for some in _alike(complete):
            close_or_go_on(some)

    def close_or_go_on(some: list[_Open]) -> None:
        nonlocal opened, held
        seen = [np.concatenate(one.vectors) for one in some]
        for one, vectors, enough in zip(some, seen, stopping.enough(np.stack(seen)), strict=True):
            if enough:
                found[one.row] = vectors
                opened, held = opened - 1, held - one.held
                done()
            else:
                one.vectors = [vectors]
                waiting.append((one, later(one.cut, next(one.steps))))

    def run(one: _Open, pixels: Pixels) -> None:
        crops = ready(pixels)
        running.append((one, len(crops)))
        for vectors in passes.add(crops):
            settle(vectors)

    def begin() -> None:
        nonlocal more, opened
        while more and len(beginning) < ahead[0] and opened < ahead[1] and held < HELD_BYTES:
            image = next(images, None)
            more = image is not None
            if image is not None:
                beginning.append(image)
                opened += 1

    try:
        while True:
            begin()
            # Later rounds first: what is open longest holds memory.
            if waiting:
                one, crops = waiting.popleft()
                run(one, crops.result())
            elif beginning:
                start = beginning.popleft().result()
                if start.cut is None or start.pixels is None:
                    opened -= 1
                    done()
                    continue
                held += start.held
                steps = stopping.steps()
                next(steps)
                run(_Open(start.row, start.cut, steps, start.held), start.pixels)
            elif running:
                for vectors in passes.flush():
                    settle(vectors)
            else:
                return found
    finally:
        for future in beginning:
            future.cancel()
        for _, pixels in waiting:
            pixels.cancel()


def _alike(images: list[_Open]) -> list[list[_Open]]:
    """The images by how much of them was seen."""
    groups: dict[int, list[_Open]] = {}
    for one in images:
        groups.setdefault(sum(map(len, one.vectors)), []).append(one)
    return list(groups.values())
