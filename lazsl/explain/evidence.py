"""The plan of a class on an image, as the warehouse stores it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lazsl.warehouse import sqlfiles
from lazsl.warehouse.sqlfiles import Connection


@dataclass(frozen=True)
class Evidence:
    """The plan of one class on one image, with all that is needed to draw it.

    Attributes:
        image_id, key, uri: which image.
        width, height: its pixels, after EXIF orientation.
        rank: of the class, 1 is the best.
        label: the class.
        score: the class's score; the contributions add up to it.
        attributes: N texts as given (the class's name where it has none).
        regions: (R,) numbers of the kept regions.
        boxes: (R, 4) left, top, right, bottom in source pixels, right and bottom exclusive.
        mass, similarity: (R, N) float64, the plan T and the similarities S.
        passed_boxes, passed_similarity: the same of the regions that were not kept, (R', 4) and
            (R', N), where they are at hand: what an attribute is not seen in helps to say where
            it is.
        presence: N chances that an attribute is there rather than one of its rivals, 0..1; None
            where the run did not measure it.
    """

    image_id: str
    key: str
    uri: str
    width: int
    height: int
    rank: int
    label: str
    score: float
    attributes: tuple[str, ...]
    regions: np.ndarray
    boxes: np.ndarray
    mass: np.ndarray
    similarity: np.ndarray
    passed_boxes: np.ndarray | None = None
    passed_similarity: np.ndarray | None = None
    presence: tuple[float, ...] | None = None

    @property
    def contributions(self) -> np.ndarray:
        """(R, N), `T_ij S_ij`; the sum over regions is what an attribute contributes."""
        return np.asarray(self.mass * self.similarity)


def read_shard_evidence(
    connection: Connection, run: str, shard: str, images: Sequence[str] | None = None
) -> Iterator[Evidence]:
    """The kept plans of a shard's images (or of those given by image_id), image by image, best
    class first."""
    return _read(connection, run, shard, None if images is None else list(images))


def _read(
    connection: Connection, run: str, shard: str, images: list[str] | None
) -> Iterator[Evidence]:
    drawn = sqlfiles.run(connection, "plans_drawn.sql", run=run, shard=shard, images=images)
    while rows := drawn.fetchmany(256):
        for row in rows:
            image_id, key, uri, width, height, rank, label, score, texts, regions, *rest = row
            boxes, *cells, passed_boxes, passed_over, presence = rest
            mass, similarity = (
                np.asarray(values, np.float64).reshape(len(regions), len(texts)) for values in cells
            )
            passed = None if passed_over is None else _corners(passed_boxes)
            yield Evidence(
                image_id,
                key,
                uri,
                width,
                height,
                rank,
                label,
                score,
                tuple(texts),
                np.asarray(regions, np.int64),
                _corners(boxes),
                mass,
                similarity,
                passed,
                None
                if passed is None
                else np.asarray(passed_over, np.float64).reshape(len(passed), len(texts)),
                presence and tuple(presence),
            )


def _corners(boxes: Sequence[Mapping[str, int]]) -> np.ndarray:
    corners = [(box["left"], box["top"], box["right"], box["bottom"]) for box in boxes]
    return np.asarray(corners, np.int64).reshape(-1, 4)


def every_region(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (R, 4) and similarities (R, N) of the kept regions, then of those passed over."""
    if evidence.passed_boxes is None or evidence.passed_similarity is None:
        return evidence.boxes, evidence.similarity
    return (
        np.concatenate([evidence.boxes, evidence.passed_boxes]),
        np.concatenate([evidence.similarity, evidence.passed_similarity]),
    )
