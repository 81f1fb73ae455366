"""Kept plans of single images, and where they say that a class was found, computed plainly."""

from __future__ import annotations

import numpy as np

from lazsl.explain.evidence import Evidence, every_region, read_shard_evidence
from lazsl.images.region_maps import explained, fitting_grid
from lazsl.warehouse.sqlfiles import Connection


def kept_plans(connection: Connection, run: str, image: str) -> list[Evidence]:
    """The kept plans of an image, given by key or image_id, best class first."""
    query = "select shard, image_id from image_of(?, ?)"
    ((shard, image_id),) = connection.execute(query, [run, image]).fetchall()
    return list(read_shard_evidence(connection, run, shard, [image_id]))


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
