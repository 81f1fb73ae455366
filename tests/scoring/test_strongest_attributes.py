"""What an image shows most strongly, among the attributes of the whole label set."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import reference
from scored import ONE_SIDED, SIZES, score, texts_of, with_texts, world

from lazsl.scoring.strongest_attributes import MOST

ALIGNERS: list[dict[str, Any]] = [{}, {"theta": 0.3}, ONE_SIDED]


@pytest.mark.parametrize("settings", ALIGNERS, ids=["paper", "theta", "one-sided"])
def test_the_strongest_attributes_of_all_classes_are_kept(settings: dict[str, Any]) -> None:
    w = world(images=5)
    texts = texts_of(w)
    rows = score(with_texts(w, texts), top_k=2, **settings)["predictions"]
    for image, row in enumerate(rows):
        regions = w.images[image]
        theta = settings.get("theta", 0.8)
        mean = theta * regions[1:].mean(axis=0) + (1 - theta) * regions[0]
        by_text = defaultdict(list)
        for c in range(len(SIZES)):
            if settings is ONE_SIDED:
                solved = reference.one_sided(regions, w.attributes[c], ONE_SIDED["epsilon"])
                strength = (solved.plan * solved.similarity).sum(axis=0) * SIZES[c]
            else:
                strength = w.attributes[c] @ mean
            for text, value in zip(texts[c], strength, strict=True):
                by_text[text].append(value)
        expected = {text: float(np.mean(values)) for text, values in by_text.items()}
        best = sorted(expected, key=lambda text: -expected[text])[:MOST]
        assert row["shown"] == best
        assert np.abs(np.array(row["shown_strength"]) - [expected[t] for t in best]).max() < 1e-6


def test_attributes_of_classes_that_are_not_among_the_best_are_shown() -> None:
    w = world(images=5)
    tables = score(w, top_k=1, plans=1)
    described = {(e["image_id"], e["attribute"]) for e in tables["evidence"]}
    assert any(
        (row["image_id"], text) not in described
        for row in tables["predictions"]
        for text in row["shown"]
    )
