"""Layouts on their way through the model: boxes that are stored, and who is looked at again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sample import copy_sample, label_plainly, sample_files, small_job

from lazsl.embedding.region_vectors import RegionVectors, embed_regions
from lazsl.images import crop_layouts
from lazsl.images.crop_boxes import draw_boxes
from lazsl.images.crops import cut_crops
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import Encoder, load_encoder
from lazsl.run.plan_step import archive_shards
from lazsl.run.run import Run
from lazsl.scoring.embedded import images_alike
from lazsl.settings import RegionSettings
from lazsl.store import paths

FILES = sample_files(3, odd=False)
ZOOM = RegionSettings(layout="zoom", count=29)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(find_model("fieldguide", "float32"), "cpu", "vision")


def embed(encoder: Encoder, settings: RegionSettings, **options: Any) -> RegionVectors:
    given = {"batch_size": 64, "decoders": 2, "max_pixels": 10**8, **options}
    return embed_regions(
        len(FILES), lambda row: FILES[row].read_bytes(), encoder, settings, **given
    )


@pytest.mark.parametrize("resampling", ["exact", "fast"])
def test_a_zoom_stores_coarse_squares_then_fine_ones_where_these_say(
    encoder: Encoder, resampling: str
) -> None:
    settings = RegionSettings(layout="zoom", count=29, resampling=resampling)
    embedded = embed(encoder, settings)
    assert embedded.vectors.shape == (90, 128) and embedded.crops == 90
    for row, (file, facts) in enumerate(zip(FILES, embedded.images, strict=True)):
        assert facts.boxes is not None and facts.width is not None and facts.height is not None
        size = (facts.width, facts.height)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        first = draw_boxes(*size, digest, settings)
        assert np.array_equal(facts.boxes[:14], first)
        image_vectors = embedded.vectors[30 * row : 30 * row + 30]
        left, top = crop_layouts.window_corner(first, image_vectors[:14])
        corner = np.array([left, top, left, top])
        fine = crop_layouts.window_squares(*size, digest, settings) + corner
        assert np.array_equal(facts.boxes[14:], fine)
        if resampling == "exact":
            with Image.open(file) as opened:
                crops = cut_crops(opened.convert("RGB"), facts.boxes, encoder.framing)
            alone = encoder.encode_crops(torch.from_numpy(crops)).to(torch.float16).numpy()
            assert np.array_equal(image_vectors, alone)


@pytest.mark.parametrize("settings", [{"batch_size": 7}, {"decoders": 1}, {"batch_size": 200}])
def test_a_zoom_depends_on_neither_batch_nor_threads(
    encoder: Encoder, settings: dict[str, int]
) -> None:
    plain, other = embed(encoder, ZOOM), embed(encoder, ZOOM, **settings)
    assert np.array_equal(plain.vectors, other.vectors)
    for image, two in zip(plain.images, other.images, strict=True):
        assert np.array_equal(image.boxes, two.boxes)  # type: ignore[arg-type]


def test_a_pyramid_can_be_pooled_from_one_look(encoder: Encoder) -> None:
    settings = RegionSettings(layout="pyramid", count=29, source="dense")
    embedded = embed(encoder, settings)
    assert embedded.vectors.shape == (90, 128) and embedded.crops < 30
    boxes = draw_boxes(*Image.open(FILES[0]).size, "0" * 64, settings)
    assert np.array_equal(embedded.images[0].boxes, boxes)  # type: ignore[arg-type]


def labelled(tmp_path: Path, name: str, regions: dict[str, Any]) -> Run:
    archive = copy_sample(tmp_path / "archive", 8, odd=False)
    job = small_job(
        archive,
        tmp_path / "workspace",
        warehouse=str(tmp_path / f"{name}.duckdb"),
        preset="parts",
        regions=regions,
    )
    return label_plainly(job, tmp_path / "scratch")


def counts(run: Run) -> dict[str, int]:
    """Regions stored of every image."""
    actual = {}
    for shard in archive_shards(run):
        table = run.workspace.read_table(paths.region_embeddings(run.encoder, run.regions, shard))
        ids = table["image_id"].to_pylist()
        for rows in images_alike(table):
            actual |= {ids[row[0]]: len(row) for row in rows}
    return actual


@pytest.mark.parametrize(
    ("regions", "possible"),
    [
        ({"layout": "zoom", "count": 29}, {14, 30}),
        ({"layout": "pyramid", "count": 90}, {14, 30, 55, 91}),
    ],
    ids=["zoom", "pyramid"],
)
def test_an_image_is_looked_at_again_only_where_its_label_is_in_doubt(
    regions: dict[str, Any], possible: set[int], tmp_path: Path
) -> None:
    every = counts(labelled(tmp_path, "every", regions))
    none = counts(labelled(tmp_path, "none", {**regions, "doubt": 0.4999}))
    some_counts = counts(labelled(tmp_path, "some", {**regions, "doubt": 0.0005}))
    assert set(every.values()) == {max(possible)}
    assert set(some_counts.values()) <= possible
    assert sum(none.values()) <= sum(some_counts.values()) <= sum(every.values())
    assert sum(none.values()) < sum(every.values())
