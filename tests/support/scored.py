"""Random embeddings as they are stored, and their scoring."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import reference

from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.scoring.tables import score_table
from lazsl.settings import ScoringSettings
from lazsl.store import schemas

DIMENSION, REGIONS = 24, 14
SIZES = (1, 3, 5, 2, 11, 2, 4, 1)
ROOMY = 2**28
ONE_SIDED: dict[str, Any] = {
    "aligner": "one-sided",
    "epsilon": 0.05,
    "presence_temperature": 0.02,
}
Row = dict[str, Any]


class World(NamedTuple):
    """Random embeddings as they are stored, and the same numbers in float64.

    images (B, M + 1, D), the whole image first; names (C, D); attributes, per class (n, D).
    """

    images: np.ndarray
    names: np.ndarray
    attributes: list[np.ndarray]
    regions: pa.Table
    labels: pa.Table

    def ids(self) -> list[str]:
        return [f"image-{number}" for number in range(len(self.images))]

    def reference(self, image: int, c: int, **settings: float) -> reference.Solution:
        vectors = self.images[image]
        return reference.align(vectors[1:], vectors[0], self.attributes[c], **settings)

    def kept(self, image: int, gamma: float = 0.0) -> list[int]:
        """Kept regions as they are numbered in tables, where 0 is the whole image."""
        vectors = self.images[image]
        return [i + 1 for i in reference.kept_regions(vectors[1:], vectors[0], gamma)]


def world(
    images: int = 5, sizes: tuple[int, ...] = SIZES, seed: int = 0, common: float = 1.0
) -> World:
    """Random embeddings with this much in common: 1 is like CLIP's, -1 makes cosines negative."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=DIMENSION)

    def unit(direction: float, *shape: int) -> np.ndarray:
        vectors = rng.normal(size=(*shape, DIMENSION)) + direction * shared
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    pictures = unit(1.0, images, REGIONS + 1).astype(np.float16)
    names, texts = unit(common, len(sizes)), unit(common, sum(sizes))
    names, texts = names.astype(np.float32), texts.astype(np.float32)
    attributes = np.split(texts, np.cumsum(sizes)[:-1])
    return World(
        pictures.astype(np.float64),
        names.astype(np.float64),
        [part.astype(np.float64) for part in attributes],
        region_table(pictures),
        label_table(names, attributes),
    )


def region_table(pictures: np.ndarray) -> pa.Table:
    images, per_image, dimension = pictures.shape
    number = np.tile(np.arange(per_image), images)
    return pa.Table.from_arrays(
        [
            pa.array([f"image-{n}" for n in range(images) for _ in range(per_image)], pa.string()),
            pa.array(number, pa.int16()),
            *(pa.array(number, pa.int32()) for _ in range(4)),
            pa.FixedSizeListArray.from_arrays(pa.array(pictures.ravel()), dimension),
        ],
        schema=schemas.regions(dimension),
    )


def label_table(names: np.ndarray, attributes: list[np.ndarray]) -> pa.Table:
    rows: list[Row] = []
    for c, (name, vectors) in enumerate(zip(names, attributes, strict=True)):
        for j, vector in enumerate([name, *vectors], start=-1):
            rows.append(
                {
                    "class_index": c,
                    "class": f"class {c}",
                    "attribute_index": j,
                    "attribute": None if j < 0 else f"attribute {j} of {c}",
                    "prompt": "...",
                    "embedding": vector.tolist(),
                }
            )
    return pa.Table.from_pylist(rows, schema=schemas.attributes(names.shape[1]))


def with_texts(w: World, texts: list[list[str]]) -> World:
    """The same sentences, said to be of these attributes."""
    flat = iter([text for class_texts in texts for text in class_texts])
    within = w.labels["attribute_index"].to_pylist()
    column = pa.array([None if j < 0 else next(flat) for j in within], pa.string())
    place = w.labels.schema.get_field_index("attribute")
    return w._replace(labels=w.labels.set_column(place, schemas.attributes(24).field(3), column))


def texts_of(w: World) -> list[list[str]]:
    """Some attributes are those of several classes, and some classes have none of their own."""
    return [[f"trait {(3 * c + j) % 17}" for j in range(size)] for c, size in enumerate(SIZES)]


def score(w: World, memory_bytes: int = ROOMY, **settings: Any) -> dict[str, list[Row]]:
    """The tables of a world's images, as rows."""
    scoring = ScoringSettings(**settings)
    tables = score_table(w.regions, EmbeddedLabels.from_table(w.labels), scoring, memory_bytes)
    assert list(tables) == list(schemas.RUN_TABLES)
    for name, table in tables.items():
        assert table.schema.equals(schemas.RUN_TABLES[name], check_metadata=True)
        table.validate(full=True)
    return {name: table.to_pylist() for name, table in tables.items()}


def of_image(rows: list[Row], image: str, rank: int | None = None) -> list[Row]:
    return [r for r in rows if r["image_id"] == image and (rank is None or r["rank"] == rank)]


def index(name: str) -> int:
    return int(name.removeprefix("class "))
