"""Claims about the page on forward passes: its figures are those of a plain replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lazsl.alignment.attributes import PackedAttributes
from lazsl.embedding.doubt import doubts, in_telling_order, rounds
from lazsl.settings import ScoringSettings
from studies.pages.forward_passes import (
    DOUBTS,
    SEEN,
    Embedded,
    certain,
    first_crops,
    interval,
    labels,
    margins,
    replay,
    share,
    visited,
)
from studies.pages.forward_passes_page import draw, page

IMAGES, COUNT = 12, 36


@pytest.fixture(scope="module")
def pictures() -> Embedded:
    random = np.random.default_rng(0)

    def unit(*shape: int) -> torch.Tensor:
        values = torch.from_numpy(random.normal(size=shape)).float()
        return torch.nn.functional.normalize(values, dim=-1)

    middle = unit(IMAGES, 16)
    crops = torch.nn.functional.normalize(middle[:, None] + 0.8 * unit(IMAGES, COUNT, 16), dim=2)
    corner = random.integers(0, 200, (IMAGES, COUNT, 2))
    side = random.integers(100, 200, (IMAGES, COUNT, 1))
    return Embedded(
        tuple(Path(f"{i}.jpg") for i in range(IMAGES)),
        np.arange(IMAGES) % 4,
        random.integers(0, 5, IMAGES),
        middle,
        crops,
        np.concatenate([corner, corner + side], axis=2).astype(np.int32),
        PackedAttributes.from_classes(unit(15, 16), [3, 2, 4, 1, 5]),
    )


def test_replayed_figures_are_those_of_one_image_after_the_other(pictures: Embedded) -> None:
    ordered = visited(pictures)
    full = labels(pictures.crops, pictures)
    for row in replay(pictures):
        passes, same = [], []
        for i in range(IMAGES):
            single = pictures[np.arange(IMAGES) == i]
            for k in rounds(COUNT):
                crops = ordered[i : i + 1, :k]
                left = doubts(crops, single.whole, COUNT, single.packed, ScoringSettings())[0]
                if left <= row["doubt"]:
                    break
            passes.append(1 + k)
            same.append(labels(crops, single)[0] == full[i])
        assert row["passes"] == pytest.approx(np.mean(passes))
        assert row["agreement"] == pytest.approx(np.mean(same))
        assert row["low"] <= row["agreement"] <= row["high"]
    assert [row["doubt"] for row in replay(pictures)] == list(DOUBTS)


def test_visited_crops_belong_to_the_boxes_in_telling_order(pictures: Embedded) -> None:
    ordered = visited(pictures)
    boxes = pictures.boxes[3]
    first = in_telling_order(np.concatenate([boxes[:1], boxes]))[1]
    (where,) = np.flatnonzero((boxes == first).all(axis=1))
    assert torch.equal(ordered[3, 0], pictures.crops[3, where])


def test_unseen_crops_can_change_nearly_every_label_and_fewer_change_fewer(
    pictures: Embedded,
) -> None:
    rows = certain(pictures)
    assert [row["seen"] for row in rows] == [k for k in SEEN if k < COUNT]
    assert rows[0]["changed"] > 0.5


def test_the_page_has_every_world_and_its_pictures_can_be_opened(
    pictures: Embedded, tmp_path: Path
) -> None:
    full = labels(pictures.crops, pictures)
    look = {"images": IMAGES, "agreement": 0.8, "accuracy": 0.5, "mean_accuracy": 0.6}
    look |= {"milliseconds": 12.0, "only_right": 3, "only_crops_right": 1, "p": 0.6}
    measured: dict[str, Any] = {
        "images": IMAGES,
        "accuracy": share(full == pictures.right),
        "margin": [float(m) for m in np.quantile(margins(pictures), (0.1, 0.5))],
        "anytime": replay(pictures),
        "choosing": replay(pictures),
        "first": first_crops(pictures, full),
        "certain": certain(pictures),
        "dense": [
            {"scale": 0.0, "passes": 37.0, **look},
            {"scale": 2.0, "passes": 5.5, **look},
        ],
    }
    actual = {"passes": 1 + COUNT, "pictures": 4, "worlds": {"photo": measured, "dusk": measured}}
    text = page(actual)
    assert "{" not in text.replace("{passes}", "") and "dense, scale 2" in text
    assert text.count("`dusk`") >= 5
    for path in draw(actual, tmp_path):
        with Image.open(path) as image:
            assert image.width > 800
        assert f"pictures/{path.name}" in text


def test_the_interval_is_exact() -> None:
    assert interval(0, 100)[1] == pytest.approx(1 - 0.025**0.01, rel=1e-6)
    assert interval(100, 100) == pytest.approx((0.025**0.01, 1.0), rel=1e-6)
