"""Claims about images that are looked at in rounds: what is open at a time, and whose is what."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
import torch

from lazsl.embedding import rounds
from lazsl.embedding.rounds import Started, encode_in_rounds

STEPS = (slice(0, 4), slice(4, 7), slice(7, 12))
"""Rows of the three rounds; the first has the whole image."""


class Passes:
    """A model that hands a batch of crops back as it got it, one batch late."""

    def __init__(self, batch: int) -> None:
        self.batch, self.added, self.late = batch, np.empty((0, 2)), np.empty((0, 2))

    def add(self, crops: torch.Tensor) -> Iterator[np.ndarray]:
        self.added = np.concatenate([self.added, crops.numpy()])
        while len(self.added) >= self.batch:
            yield from self._take(self.batch)

    def flush(self) -> Iterator[np.ndarray]:
        yield from self._take(len(self.added))
        yield from self._take(0)

    def _take(self, count: int) -> Iterator[np.ndarray]:
        late, self.late = self.late, self.added[:count]
        self.added = self.added[count:]
        if len(late):
            yield late


class Stopping:
    """Image number i needs so many rounds: 1, 2, 3, 1, 2, 3, ..."""

    def steps(self) -> Iterator[slice]:
        return iter(STEPS)

    def enough(self, vectors: np.ndarray) -> np.ndarray:
        return vectors.shape[1] == wanted(vectors[:, 0, 0])


def wanted(image: Any) -> Any:
    """Rows of an image by its number."""
    return np.array([step.stop for step in STEPS])[np.asarray(image, int) % 3]


def at_once(result: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(result)
    return future


class Archive:
    """Images of one byte each, every fifth of which cannot be used; what is open at any time."""

    def __init__(self, images: int) -> None:
        self.images = images
        self.asked = self.done = 0
        self.open: list[int] = []

    def __iter__(self) -> Iterator[Future[Started]]:
        for row in range(self.images):
            self.asked += 1
            self.open.append(self.asked - self.done)
            usable = row % 5 != 4
            crops = self.crops(row, STEPS[0]) if usable else None
            cut = (lambda rows, row=row: self.crops(row, rows)) if usable else None
            yield at_once(Started(row, crops, cut, held=int(usable)))  # type: ignore[arg-type]

    def crops(self, row: int, rows: slice) -> np.ndarray:
        return np.array([(row, crop) for crop in range(rows.start, rows.stop)], float)

    def finish(self) -> None:
        self.done += 1


def look_at(archive: Archive, batch: int, ahead: tuple[int, int]) -> dict[int, np.ndarray]:
    return encode_in_rounds(
        iter(archive),
        lambda cut, rows: at_once(cut(rows)),
        torch.from_numpy,  # type: ignore[arg-type]
        Passes(batch),  # type: ignore[arg-type]
        Stopping(),  # type: ignore[arg-type]
        ahead,
        archive.finish,
    )


@pytest.mark.parametrize("batch", [1, 5, 64, 1000])
@pytest.mark.parametrize("ahead", [(1, 1), (2, 3), (4, 40)])
def test_every_image_gets_its_own_crops_in_order_and_as_many_as_it_needs(
    batch: int, ahead: tuple[int, int]
) -> None:
    archive = Archive(50)
    found = look_at(archive, batch, ahead)
    assert sorted(found) == [row for row in range(50) if row % 5 != 4]
    for row, vectors in found.items():
        assert vectors.tolist() == [[row, crop] for crop in range(wanted(row))]
    assert archive.done == 50


@pytest.mark.parametrize("most", [1, 3, 10])
def test_no_more_images_are_open_than_may_be_and_room_that_is_left_is_used(most: int) -> None:
    archive = Archive(60)
    look_at(archive, 1000, (5, most))
    assert max(archive.open) == most


@pytest.mark.parametrize("bytes_", [1, 5])
def test_no_image_begins_while_pictures_that_wait_fill_the_memory(
    bytes_: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "HELD_BYTES", bytes_)
    archive = Archive(60)
    look_at(archive, 1000, (2, 40))
    # Two that are beginning come on top.
    assert max(archive.open) <= bytes_ + 2
    assert max(archive.open[40:]) >= bytes_, "memory that is free again is used"


def test_what_was_begun_is_given_up_when_something_fails() -> None:
    begun: list[Future[Started]] = []

    def images() -> Iterator[Future[Started]]:
        for row in range(9):
            future: Future[Started] = Future()
            if row == 0:
                future.set_exception(RuntimeError("the disk is gone"))
            begun.append(future)
            yield future

    with pytest.raises(RuntimeError, match="the disk is gone"):
        encode_in_rounds(
            images(),
            lambda cut, rows: at_once(cut(rows)),
            torch.from_numpy,  # type: ignore[arg-type]
            Passes(5),  # type: ignore[arg-type]
            Stopping(),  # type: ignore[arg-type]
            (4, 40),
            lambda: None,
        )
    assert [future.cancelled() for future in begun] == [False, True, True, True]
