"""Images on their way through the model: begun ahead, sharing batches, each until it is finished.

Which regions an image gets depends on its own embeddings alone: not on the batch, the threads, or
what else is open.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from lazsl.embedding.forward import ForwardPasses
from lazsl.embedding.source import Cut, Regions, Source
from lazsl.images.decoding import Picture

HELD_BYTES = 2**30
"""Of decoded pictures that wait for their next round, above which no image is begun."""

ROUND_CROPS = 5
"""Crops that an open image has under way, roughly, where a source asks again."""


@dataclass(frozen=True)
class Limits:
    """How much is under way at a time: images that are begun and not yet in a batch, and images
    that are begun and not finished (None: however many a batch holds)."""

    beginning: int
    open: int | None = None

    @classmethod
    def of(cls, source: Source, batch_size: int, decoders: int) -> Limits:
        """What keeps batches full and threads busy.

        Where a source asks once, an image in a batch costs no memory, and those decoded ahead are
        two batches and an image per thread.
        """
        if source.asks_again:
            return cls(2 * decoders, decoders + 3 * batch_size // ROUND_CROPS)
        return cls(decoders + 2 * -(-batch_size // source.first_crops))


@dataclass(frozen=True)
class Begun:
    """An image whose first regions are cut.

    row: its place in the shard. regions, cut: None where the image cannot be used. picture: kept
    for later regions; None where there are none, or no room for it. held: bytes that it keeps.
    """

    row: int
    regions: Regions | None = None
    cut: Cut | None = None
    picture: Picture | None = None
    held: int = 0


@dataclass
class _Open:
    """An image between its first and its last vector."""

    row: int
    regions: Regions
    picture: Picture | None
    held: int
    vectors: list[np.ndarray] = field(default_factory=list)
    pooled: Callable[[], np.ndarray] | None = None


@dataclass(frozen=True)
class Finished:
    """An image's boxes (n, 4), and their embeddings, float16 (n, D)."""

    boxes: np.ndarray
    vectors: np.ndarray


class Schedule:
    """Takes images as they are begun and gives each the regions its source asks for.

    Args:
        source: says what to embed.
        passes: through the model.
        cut: has a thread cut further boxes of an image, by its row and the picture that was kept.
        limits: of what is under way.
        done: called whenever an image is finished, usable or not.

    Attributes:
        pooling_passes: what regions that need no crop have cost so far, in forward passes.
    """

    def __init__(
        self,
        source: Source,
        passes: ForwardPasses,
        cut: Callable[[int, Picture | None, np.ndarray], Future[Cut]],
        limits: Limits,
        done: Callable[[], None],
    ) -> None:
        self._source, self._passes, self._cut = source, passes, cut
        self._limits, self._done = limits, done
        self._beginning: deque[Future[Begun]] = deque()
        self._waiting: deque[tuple[_Open, Future[Cut]]] = deque()
        self._running: deque[tuple[_Open, int]] = deque()
        self._finished: dict[int, Finished] = {}
        self._open = self._held = 0
        self.pooling_passes: float = 0

    def embed(self, images: Iterable[Future[Begun]]) -> dict[int, Finished]:
        """By row, in order, every usable image.

        Args:
            images: the shard's images in order; each is asked for when there is room for it.
        """
        try:
            images = iter(images)
            self._begin(images)
            while self._step():
                self._begin(images)
        finally:
            for future in self._beginning:
                future.cancel()
            for _, crops in self._waiting:
                crops.cancel()
        return dict(sorted(self._finished.items()))

    def _begin(self, images: Iterator[Future[Begun]]) -> None:
        """Begin images while there is room."""
        while self._has_room():
            image = next(images, None)
            if image is None:
                return
            self._beginning.append(image)
            self._open += 1

    def _has_room(self) -> bool:
        most = self._limits.open
        return (
            len(self._beginning) < self._limits.beginning
            and (most is None or self._open < most)
            and self._held < HELD_BYTES
        )

    def _step(self) -> bool:
        """Do the next thing; False when there is none."""
        # Later rounds first: what is open longest holds memory.
        if self._waiting:
            image, cut = self._waiting.popleft()
            self._run(image, cut.result())
        elif self._beginning:
            self._enter(self._beginning.popleft().result())
        elif self._running:
            for vectors in self._passes.flush():
                self._settle(vectors)
        else:
            return False
        return True

    def _enter(self, begun: Begun) -> None:
        if begun.regions is None or begun.cut is None:
            self._open -= 1
            self._done()
            return
        self._held += begun.held
        self._run(_Open(begun.row, begun.regions, begun.picture, begun.held), begun.cut)

    def _run(self, image: _Open, cut: Cut) -> None:
        """Put crops into the batches; whatever comes back of earlier ones is settled."""
        ready = self._source.ready(cut)
        image.pooled = ready.pooled
        self.pooling_passes += ready.passes
        self._running.append((image, len(ready.crops)))
        for vectors in self._passes.add(ready.crops):
            self._settle(vectors)

    def _settle(self, vectors: np.ndarray) -> None:
        """Hand vectors (n, D) to the images they belong to, and see which of these go on."""
        complete = []
        while len(vectors):
            image, missing = self._running.popleft()
            part, vectors = vectors[:missing], vectors[missing:]
            image.vectors.append(part)
            if len(part) < missing:
                self._running.appendleft((image, missing - len(part)))
            else:
                complete.append(image)
        for image in complete:
            parts = image.vectors if image.pooled is None else [*image.vectors, image.pooled()]
            image.vectors, image.pooled = [np.concatenate(parts)], None
        for group in _by_vectors(complete):
            self._go_on(group)

    def _go_on(self, images: list[_Open]) -> None:
        """Finish images or ask for more of them; all have as many vectors."""
        vectors = np.stack([image.vectors[0] for image in images])
        # What is no number says nothing of what to look at next; the image becomes a reject.
        finite = np.isfinite(vectors).all(axis=(1, 2))
        vectors = np.where(finite[:, None, None], vectors, np.float16(0))
        following = self._source.more([image.regions for image in images], vectors)
        for image, regions, usable in zip(images, following, finite, strict=True):
            if regions is None or not usable:
                self._finish(image)
            else:
                boxes = regions.boxes[len(image.regions.boxes) :]
                image.regions = regions
                self._waiting.append((image, self._cut(image.row, image.picture, boxes)))

    def _finish(self, image: _Open) -> None:
        self._finished[image.row] = Finished(image.regions.boxes, image.vectors[0])
        self._open, self._held = self._open - 1, self._held - image.held
        self._done()


def _by_vectors(images: list[_Open]) -> list[list[_Open]]:
    """The images by how many vectors they have."""
    groups: dict[int, list[_Open]] = {}
    for image in images:
        groups.setdefault(len(image.vectors[0]), []).append(image)
    return list(groups.values())
