"""Claims about images on their way through the model: what is open at a time, and whose is what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
import torch

from lazsl.embedding import schedule
from lazsl.embedding.schedule import Begun, Limits, Schedule
from lazsl.embedding.source import Ready, Regions

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


class InRounds:
    """A source: image number i needs so many rounds: 1, 2, 3, 1, 2, 3, ...

    A box stands for itself: (image, crop, 0, 0), and its vector is the first two of these.
    """

    asks_again = True

    def ready(self, cut: Any) -> Ready:
        return Ready(torch.from_numpy(cut))

    def more(self, images: Sequence[Regions], vectors: np.ndarray) -> list[Regions | None]:
        assert [regions.boxes[:, :2].tolist() for regions in images] == vectors.tolist()
        return [self.next_round(regions) for regions in images]

    def next_round(self, regions: Regions) -> Regions | None:
        image, seen = int(regions.boxes[0, 0]), len(regions.boxes)
        if seen == wanted(image):
            return None
        rows = next(step for step in STEPS if step.start == seen)
        return Regions(np.concatenate([regions.boxes, boxes(image, rows)]))


def boxes(image: int, rows: slice) -> np.ndarray:
    return np.array([(image, crop, 0, 0) for crop in range(rows.start, rows.stop)], np.int32)


def pixels(rows: np.ndarray) -> Any:
    """The crops of boxes."""
    return rows[:, :2].astype(float)


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

    def __iter__(self) -> Iterator[Future[Begun]]:
        for row in range(self.images):
            self.asked += 1
            self.open.append(self.asked - self.done)
            if row % 5 == 4:
                yield at_once(Begun(row))
                continue
            first = boxes(row, STEPS[0])
            picture: Any = "a picture"
            yield at_once(Begun(row, Regions(first), pixels(first), picture, held=1))

    def finish(self) -> None:
        self.done += 1


def look_at(archive: Archive, batch: int, ahead: tuple[int, int]) -> dict[int, np.ndarray]:
    finished = schedule_of(batch, ahead, archive.finish).embed(archive)
    return {row: image.vectors for row, image in finished.items()}


def schedule_of(batch: int, ahead: tuple[int, int], done: Callable[[], None]) -> Schedule:
    return Schedule(
        InRounds(),  # type: ignore[arg-type]
        Passes(batch),  # type: ignore[arg-type]
        lambda _row, _picture, rows: at_once(pixels(rows)),
        Limits(*ahead),
        done,
    )


@pytest.mark.parametrize("batch", [1, 5, 64, 1000])
@pytest.mark.parametrize("ahead", [(1, 1), (2, 3), (4, 40)])
def test_every_image_gets_its_own_crops_in_order_and_as_many_as_it_needs(
    batch: int, ahead: tuple[int, int]
) -> None:
    archive = Archive(50)
    vectors_by_row = look_at(archive, batch, ahead)
    assert sorted(vectors_by_row) == [row for row in range(50) if row % 5 != 4]
    for row, vectors in vectors_by_row.items():
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
    monkeypatch.setattr(schedule, "HELD_BYTES", bytes_)
    archive = Archive(60)
    look_at(archive, 1000, (2, 40))
    # Two that are beginning come on top.
    assert max(archive.open) <= bytes_ + 2
    assert max(archive.open[40:]) >= bytes_, "memory that is free again is used"


def test_what_was_begun_is_given_up_when_something_fails() -> None:
    begun: list[Future[Begun]] = []

    def images() -> Iterator[Future[Begun]]:
        for row in range(9):
            future: Future[Begun] = Future()
            if row == 0:
                future.set_exception(RuntimeError("the disk is gone"))
            begun.append(future)
            yield future

    with pytest.raises(RuntimeError, match="the disk is gone"):
        schedule_of(5, (4, 40), lambda: None).embed(images())
    assert [future.cancelled() for future in begun] == [False, True, True, True]
