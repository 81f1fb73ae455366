"""The logit scale: read from the weights alone, of every kind of file."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lazsl.errors import UserError
from lazsl.fieldguide import MODEL_DIR
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import load_encoder
from lazsl.model.logit_scale import logit_scale


def test_it_is_what_the_loaded_model_multiplies_by() -> None:
    source = find_model("fieldguide", "float32")
    model = load_encoder(source, "cpu", "text").model
    assert logit_scale(source) == pytest.approx(math.exp(float(model.logit_scale)))


def folder_with(weights: dict[str, torch.Tensor], tmp_path: Path, name: str) -> str:
    folder = tmp_path / "model"
    shutil.copytree(MODEL_DIR, folder)
    (folder / "open_clip_model.safetensors").unlink()
    if name.endswith(".safetensors"):
        save_file(weights, folder / name)
    else:
        torch.save(weights, folder / name)
    return f"local-dir:{folder}"


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_it_is_read_from_every_kind_of_file(name: str, tmp_path: Path) -> None:
    weights = load_file(MODEL_DIR / "open_clip_model.safetensors")
    weights["logit_scale"] = torch.tensor(math.log(100.0))
    source = find_model(folder_with(weights, tmp_path, name), "float32")
    assert logit_scale(source) == pytest.approx(100.0)


def test_a_model_without_one_is_told_with_what_to_set(tmp_path: Path) -> None:
    weights = load_file(MODEL_DIR / "open_clip_model.safetensors")
    del weights["logit_scale"]
    source = find_model(folder_with(weights, tmp_path, "open_clip_model.safetensors"), "float32")
    with pytest.raises(UserError, match=r"no logit scale.*set scoring\.epsilon"):
        logit_scale(source)


def test_weights_that_cannot_be_read_are_told_in_one_sentence(tmp_path: Path) -> None:
    model = folder_with({"a": torch.ones(1)}, tmp_path, "open_clip_model.safetensors")
    (tmp_path / "model" / "open_clip_model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"cannot be read.*scoring\.epsilon"):
        logit_scale(find_model(model, "float32"))
