"""Claims about the page of public label files: what it counts, on files small enough to count by
hand. The files themselves are not shipped."""

from __future__ import annotations

import json
from pathlib import Path

from studies.pages.label_files_page import check_seconds, published_rows


def test_sentences_that_differ_from_the_published_scripts_are_counted(tmp_path: Path) -> None:
    described = {"moth": ["antennae", "long legs"], "air_cabin": ["a window"]}
    for name in ("cub", "imagenet"):
        (tmp_path / f"descriptors_{name}.json").write_text(json.dumps(described))
    right = {"moth": ["moth, which is antennae", "moth, which has long legs"],
             "air_cabin": ["air cabin, which is a window"]}  # fmt: skip
    stopped = {label: [f"{text}." for text in texts] for label, texts in right.items()}
    right["moth"][1] = "moth, which is long legs"
    file = tmp_path / "published_sentences.json"
    file.write_text(json.dumps({"cub": right, "imagenet": stopped}))
    assert list(published_rows(file)) == [
        "| `descriptors_cub.json` | 3 | 2 | 0 |",
        "| `descriptors_imagenet.json` | 3 | 3 | 2 |",  # antennae alone is said better
        "| together | 6 | 5 | 2 |",
    ]


def test_seconds_are_of_as_many_classes_as_it_says() -> None:
    seconds, classes = check_seconds(200)
    assert 0 < seconds < 5 and classes == 200
