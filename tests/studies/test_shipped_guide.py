"""The shipped field guide: it is small, it is honest, and its sample is labelled rightly."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from warm_python import WarmPython

from studies.fieldguide.sample import FIRST_GUIDE, QUALITY, sample_key, sample_labels
from studies.fieldguide.traits import PARTS, attribute_phrases
from studies.plates import sample

GUIDES = [FIRST_GUIDE, sample.SHIPPED]


def read_truth(guide: Path) -> dict[str, str]:
    with (guide / "sample" / "truth.csv").open(encoding="utf-8") as file:
        return {row["key"]: row["label"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_a_model_is_small_and_cannot_execute_code(guide: Path) -> None:
    files = list((guide / "model").iterdir())
    assert sum(file.stat().st_size for file in files) <= 10 * 2**20
    assert {file.suffix for file in files} == {".json", ".safetensors"}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_a_sample_archive_has_240_pictures_of_60_species_and_14_odd_files(guide: Path) -> None:
    truth = read_truth(guide)
    plates = {k: v for k, v in truth.items() if not k.startswith("odd/")}
    assert len(plates) == 240 and set(Counter(plates.values()).values()) == {4}
    assert len(set(plates.values())) == 60
    images = guide / "sample" / "images"
    for key in truth:
        assert (images / key).is_file()
    odd = {file.name for file in (images / "odd").iterdir()}
    assert len(odd) == 14 and len({key for key in truth if key.startswith("odd/")}) == 7
    labels = json.loads((guide / "sample" / "labels.json").read_text(encoding="utf-8"))
    assert labels == sample_labels() and set(labels["classes"]) == set(plates.values())


@pytest.mark.parametrize("number", [0, 239])
def test_a_shipped_picture_can_be_drawn_again_with_the_part_of_every_pixel(number: int) -> None:
    species, scene = sample.sample_scene(number)
    key = sample_key(number)
    assert read_truth(sample.SHIPPED)[key] == species.name
    with Image.open(sample.SHIPPED / "sample" / "images" / key) as stored:
        drawn = io.BytesIO()
        scene.image.save(drawn, "JPEG", quality=QUALITY)
        # Other versions of Skia and Pillow may round otherwise; the picture is the same.
        difference = np.asarray(stored, float) - np.asarray(Image.open(drawn), float)
        assert np.abs(difference).mean() < 2
    shown = {PARTS[value] for value in np.unique(scene.parts)}
    wanted = {phrase.part for phrase in attribute_phrases(species.traits)} | {"background"}
    assert wanted <= shown and scene.parts.shape == scene.image.size[::-1]


Command = Callable[..., str]


@pytest.fixture(scope="module")
def lazsl(warm_python: WarmPython) -> Command:
    """What a command prints in a process whose field guide is the shipped one."""

    def lazsl(*arguments: str) -> str:
        shipped = {k: v for k, v in os.environ.items() if k != "LAZSL_FIELDGUIDE"}
        command = ["-m", "lazsl.cli", *arguments]
        status, out, err = warm_python.run(*command, environment=shipped)
        assert status == 0, err[-3000:]
        return out

    return lazsl


@pytest.fixture(scope="module")
def workspace(
    prefect_server: str, lazsl: Command, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The workspace after `lazsl label --sample`, as `make label` runs it, over a picture of every
    species and the odd files."""
    folder = tmp_path_factory.mktemp("sample")
    first = {label: key for key, label in sorted(read_truth(sample.SHIPPED).items(), reverse=True)}
    odd = [f"odd/{file.name}" for file in (sample.SHIPPED / "sample/images/odd").iterdir()]
    only = [*first.values(), *odd]
    (folder / "only.txt").write_text("\n".join(only), encoding="utf-8")
    workspace = folder / "workspace"
    # In one shard: of a last small one most would be odd, which is refused.
    part = ["--only", str(folder / "only.txt"), "--shard-size", "80"]
    output = lazsl("label", "--sample", *part, "-w", str(workspace))
    assert "because of" in output and output.count("lazsl sql") == 3
    return workspace


def test_every_file_of_the_sample_ends_as_a_prediction_or_a_reject(
    workspace: Path, lazsl: Command
) -> None:
    document = json.loads(lazsl("status", "--json", "-w", str(workspace)))
    counts = [document[name] for name in ("listed", "labelled", "rejected", "missing")]
    assert counts == [74, 67, 7, 0] and document["unreconciled_shards"] == 0
    assert document["rejects"] == {
        "corrupt": 1,
        "empty": 1,
        "format-not-allowed": 1,
        "not-an-image": 1,
        "too-many-pixels": 1,
        "too-small": 1,
        "truncated": 1,
    }


def test_the_sample_is_labelled_by_parts_and_rightly(workspace: Path, lazsl: Command) -> None:
    document = json.loads(lazsl("evaluate", "--json", "-w", str(workspace)))
    assert document["methods"]["images"] == 67
    assert document["scoring"]["aligner"] == "one-sided" and document["regions"]["layout"] == "zoom"
    rows: dict[str, Any] = {row["name"]: row for row in document["methods"]["methods"]}
    top1 = {name: row["top1"]["value"] for name, row in rows.items()}
    assert top1["one-sided"] >= 0.95
    paired = rows["one-sided"]["paired"]
    assert paired["only_other"] == 0 and paired["only_this"] >= 3
    assert top1["dclip"] < top1["lazsl"]
    # Class names carry no information: chance is 1 in 60.
    assert top1["clip"] < 0.1
