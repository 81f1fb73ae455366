"""From stored plans to pictures of why: where in an image each attribute of a class was found.

A plan says how much every region contributed to every attribute: `T_ij S_ij`, which adds up to the
class's score. Spreading each contribution over its region's box makes a map of the image, and
nothing is lost or made up on the way: an attribute's map sums to its contribution, the maps of a
class sum to its score. No image and no model is needed.

Such a map says what was added up, and is a poor pointer: most regions show most of the image, so
it glows in the middle whatever the attribute says. Where an attribute was found is better told by
`place_maps`, which asks of every place how far showing it explains why regions differ; it adds up
to nothing. docs/evaluation/localisation.md has both measured against true pixels.

Shapes: R kept regions, N attributes of the class, a grid of h x w cells over the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lazsl.errors import UserError
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.sqlfiles import Connection

Kernel = Literal["box", "soft", "hann"]
"""How a region's share lies in its box: evenly; evenly but for soft edges; most in the middle."""

TAPERS: dict[Kernel, float] = {"box": 0.0, "soft": 0.3, "hann": 1.0}
"""The part of a side over which a share fades, half of it at either end: Tukey's window."""

_BORDER = 1 / 16
"""Of a box's side, where what is shown is cut off."""


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

    @property
    def contributions(self) -> np.ndarray:
        """(R, N), `T_ij S_ij`; the sum over regions is what an attribute contributes."""
        return np.asarray(self.mass * self.similarity)


def read_evidence(connection: Connection, run: str, image: str) -> list[Evidence]:
    """The kept plans of one image, best class first.

    Args:
        connection: an open warehouse.
        run: run key.
        image: key or image_id.

    Raises:
        UserError: the run has no such image, rejected it, or keeps no plan of it.
    """
    found = sqlfiles.run(connection, "which_image.sql", run=run, image=image).fetchall()
    if not found:
        raise UserError(
            f"run {run!r} has no labelled image {image!r}; give its key below the archive's root, "
            "or its image_id"
        )
    shard, image_id, rejected = found[0]
    if rejected is not None:
        raise UserError(f"{image!r} was rejected by run {run!r}: {rejected}")
    kept = list(_read(connection, run, shard, [image_id]))
    if not kept:
        raise UserError(
            f"run {run!r} keeps no plan of {image!r}; label or relabel with scoring.plans of 1 or "
            "more"
        )
    return kept


def read_shard_evidence(
    connection: Connection, run: str, shard: str, images: Sequence[str] | None = None
) -> Iterator[Evidence]:
    """The kept plans of a shard's images (or of those given by image_id), image by image, best
    class first."""
    return _read(connection, run, shard, None if images is None else list(images))


def _read(
    connection: Connection, run: str, shard: str, images: list[str] | None
) -> Iterator[Evidence]:
    found = sqlfiles.run(connection, "plans_drawn.sql", run=run, shard=shard, images=images)
    while rows := found.fetchmany(256):
        for row in rows:
            image_id, key, uri, width, height, rank, label, score, texts, regions, *rest = row
            boxes, *cells, passed_boxes, passed_over = rest
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
            )


def _corners(boxes: Sequence[Mapping[str, int]]) -> np.ndarray:
    corners = [(box["left"], box["top"], box["right"], box["bottom"]) for box in boxes]
    return np.asarray(corners, np.int64).reshape(-1, 4)


def spread(
    boxes: np.ndarray,
    weights: np.ndarray,
    size: tuple[int, int],
    grid: tuple[int, int] | None = None,
    kernel: Kernel = "box",
) -> np.ndarray:
    """(N, h, w) float64: every weight spread over its box, overlapping boxes added.

    A cell gets what lies in it, whatever the grid: `map[n].sum() == weights[:, n].sum()`.

    Args:
        boxes: (R, 4) left, top, right, bottom, within the image.
        weights: (R, N); they may be negative.
        size: (width, height) of the image.
        grid: (w, h) cells of the map; None: one cell per pixel.
        kernel: see `Kernel`.
    """
    width, height = size
    columns, rows = grid or size
    across = _overlap(boxes[:, 0], boxes[:, 2], np.linspace(0, width, columns + 1), kernel)
    down = _overlap(boxes[:, 1], boxes[:, 3], np.linspace(0, height, rows + 1), kernel)
    # (N, h, R) @ (R, w): a box is the product of its two sides.
    return np.asarray((weights.T[:, None, :] * down.T[None]) @ across)


def attribute_maps(evidence: Evidence, grid: tuple[int, int] | None = None) -> np.ndarray:
    """(N, h, w) float64: where each attribute's contribution comes from; they add up to the score.

    Args:
        evidence: one class on one image.
        grid: (w, h) cells; None: `fitting_grid` of the image.
    """
    size = (evidence.width, evidence.height)
    return spread(evidence.boxes, evidence.contributions, size, grid or fitting_grid(size))


def place_maps(evidence: Evidence, grid: tuple[int, int] | None = None) -> np.ndarray:
    """(N, h, w) float64, -1..1: where each attribute was found, by `explained`.

    Args:
        evidence: one class on one image.
        grid: (w, h) cells; None: `fitting_grid` of the image.
    """
    size = (evidence.width, evidence.height)
    boxes, similarity = every_region(evidence)
    return explained(boxes, similarity, size, grid or fitting_grid(size))


def class_place_map(
    this: Evidence, other: Evidence | None = None, grid: tuple[int, int] | None = None
) -> np.ndarray:
    """(h, w) float64, -1..1: where a class was found, or found rather than another, by `explained`.

    The value of a region is the mean over the class's attributes of their similarity; held against
    another class, what it is above the other's.

    Args:
        this: a class on an image.
        other: another class on the same image.
        grid: (w, h) cells; None: `fitting_grid` of the image.

    Raises:
        ValueError: when the two are of different images.
    """
    boxes, similarity = every_region(this)
    values = similarity.mean(axis=1, keepdims=True)
    if other is not None:
        if this.image_id != other.image_id:
            raise ValueError(f"{this.key!r} and {other.key!r} are different images")
        values = values - every_region(other)[1].mean(axis=1, keepdims=True)
    size = (this.width, this.height)
    return np.asarray(explained(boxes, values, size, grid or fitting_grid(size))[0])


def every_region(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (R, 4) and similarities (R, N) of the kept regions, then of those passed over."""
    if evidence.passed_boxes is None or evidence.passed_similarity is None:
        return evidence.boxes, evidence.similarity
    return (
        np.concatenate([evidence.boxes, evidence.passed_boxes]),
        np.concatenate([evidence.similarity, evidence.passed_similarity]),
    )


def explained(
    boxes: np.ndarray, values: np.ndarray, size: tuple[int, int], grid: tuple[int, int]
) -> np.ndarray:
    """(N, h, w) float64: the part of the values' variance that showing a place explains.

    It is the squared correlation, over regions, of the value with how well the region shows the
    place (1 inside its box, falling to 0 over its border of a sixteenth of the side: what lies
    there is cut off), and negative where regions that show it have less. A place that all regions
    show alike, or none, explains nothing: 0, as everywhere when all values are equal.

    Args:
        boxes: (R, 4) left, top, right, bottom, within the image.
        values: (R, N).
        size: (width, height) of the image.
        grid: (w, h) cells of the map.
    """
    across = _shown(boxes[:, 0], boxes[:, 2], size[0], grid[0])
    down = _shown(boxes[:, 1], boxes[:, 3], size[1], grid[1])
    count = max(1, len(boxes))
    mean = down.T @ across / count
    variance = (down**2).T @ (across**2) / count - mean**2
    apart = values - values.mean(axis=0, keepdims=True) if len(values) else values
    spread_out = (apart**2).mean(axis=0) if len(values) else np.zeros(values.shape[1])
    together = (apart.T[:, None, :] * down.T[None]) @ across / count
    # What is below these is rounding.
    possible = (variance > 1e-9) & (spread_out > 1e-18)[:, None, None]
    scale = np.where(possible, variance * spread_out[:, None, None], 1.0)
    return np.where(possible, np.sign(together) * together**2 / scale, 0.0)


def contrast_map(
    this: Evidence, other: Evidence, grid: tuple[int, int] | None = None
) -> np.ndarray:
    """(h, w) float64: what speaks for one class rather than the other, place by place.

    Positive where `this` gets more; it adds up to the difference of the scores.

    Raises:
        ValueError: when the two are of different images.
    """
    if this.image_id != other.image_id:
        raise ValueError(f"{this.key!r} and {other.key!r} are different images")
    maps = (attribute_maps(one, grid).sum(axis=0) for one in (this, other))
    return np.asarray(next(maps) - next(maps))


def fitting_grid(size: tuple[int, int], longest: int = 192) -> tuple[int, int]:
    """(w, h) of a grid with the image's aspect ratio, no finer than its pixels."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _shown(first: np.ndarray, last: np.ndarray, whole: int, cells: int) -> np.ndarray:
    """(R, cells): how well each side `first..last` shows the middle of every cell, 0..1."""
    middle = (np.arange(cells) + 0.5) * whole / cells
    along = (middle[None] - first[:, None]) / (last - first)[:, None]
    return np.asarray(np.clip(np.minimum(along, 1 - along) / _BORDER, 0.0, 1.0))


def _overlap(first: np.ndarray, last: np.ndarray, edges: np.ndarray, kernel: Kernel) -> np.ndarray:
    """(R, cells): the part of each side `first..last` that lies between consecutive edges."""
    along = (edges[None] - first[:, None]) / (last - first)[:, None]
    return np.diff(_gathered(along, TAPERS[kernel] / 2), axis=1)


def _gathered(along: np.ndarray, fade: float) -> np.ndarray:
    """The integral of Tukey's window from 0 to `along`, all of it being 1: it rises over `fade`,
    stays, and falls over `fade`."""
    if fade == 0:
        return np.asarray(np.clip(along, 0.0, 1.0))
    rising, falling = np.clip(along, 0, fade), np.clip(along - (1 - fade), 0, fade)
    level = np.clip(along - fade, 0, 1 - 2 * fade)
    waves = np.sin(np.pi * falling / fade) - np.sin(np.pi * rising / fade)
    gathered = (rising + falling) / 2 + level + waves * fade / (2 * np.pi)
    return np.asarray(gathered / (1 - fade))
