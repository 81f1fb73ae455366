"""Claims about published weights: they are built with the activation and the preprocessing that
they were trained with, and their tokenizer's troubles are its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants as hub
from open_clip import factory, pretrained
from open_clip.transformer import QuickGELU
from PIL import Image
from safetensors.torch import save_file

from lazsl.errors import UserError
from lazsl.fieldguide import MODEL_DIR
from lazsl.model import checkpoints, model_source, published
from lazsl.model import encoder as encoder_module
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import load_encoder, load_tokenizer

PAIRS = open_clip.list_pretrained()
UNMARKED = {("roberta-ViT-B-32", "laion2b_s12b_b32k")}
"""Trained with its architecture's QuickGELU; open_clip's tag does not mention it."""

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"layers": 1, "width": 16, "head_width": 8, "patch_size": 16, "image_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
SIGLIP = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "resize_mode": "squash"}


@pytest.mark.parametrize(("name", "tag"), PAIRS, ids=":".join)
def test_every_tag_gets_the_activation_it_was_trained_with(name: str, tag: str) -> None:
    recipe = published.for_tag(name, tag)
    config = open_clip.get_model_config(recipe.name)
    trained = pretrained.get_pretrained_cfg(name, tag)
    quick = trained.get("quick_gelu", False) or (name, tag) in UNMARKED
    assert bool(config.get("quick_gelu")) == quick
    assert pretrained.get_pretrained_cfg(recipe.name, tag) == trained
    before = open_clip.get_model_config(name)
    assert {**config, "quick_gelu": 0} == {**before, "quick_gelu": 0}  # nothing else differs
    if recipe.name != name:
        assert recipe.note is not None and f"--model {recipe.name}:{tag}" in recipe.note
    else:
        assert recipe.note is None


def test_it_is_the_27_pairs_that_open_clip_warns_of() -> None:
    changed = {(name, tag) for name, tag in PAIRS if published.for_tag(name, tag).note}
    assert {("RN50", "openai"), ("ViT-B-32", "openai"), ("ViT-L-14", "openai")} < changed
    warned = {
        (name, tag)
        for name, tag in PAIRS
        if open_clip.get_model_config(name).get("quick_gelu", False)
        != pretrained.get_pretrained_cfg(name, tag).get("quick_gelu", False)
    }
    assert changed == warned - UNMARKED


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Small architectures with published weights: Tiny and its twin, and one like SigLIP's."""
    configs = tmp_path / "configs"
    configs.mkdir()
    hub_text = {**TINY["text_cfg"], "hf_tokenizer_name": "nobody/tiny", "vocab_size": 1024}
    more_of: dict[str, dict[str, Any]] = {
        "Tiny": {},
        "Tiny-quickgelu": {"quick_gelu": True},
        "TinySig": {"text_cfg": hub_text},
    }
    for name, more in more_of.items():
        (configs / f"{name}.json").write_text(json.dumps({**TINY, **more}))
    registry = dict(factory._MODEL_CONFIGS)
    open_clip.add_model_config(configs)
    quick = {"openai": pretrained._pcfg(url="https://none/tiny.safetensors", quick_gelu=True)}
    plain = {"laion": pretrained._pcfg(url="https://none/tiny.safetensors")}
    like = {"webli": pretrained._pcfg(url="https://none/sig.safetensors", **SIGLIP)}
    tags = {"Tiny": quick | plain, "Tiny-quickgelu": quick, "TinySig": like}
    for name, known in tags.items():
        monkeypatch.setitem(pretrained._PRETRAINED, name, known)
    torch.manual_seed(5)
    for file, name in {"tiny": "Tiny", "sig": "TinySig"}.items():
        model = open_clip.create_model(name, load_weights=False)
        save_file(model.state_dict(), tmp_path / f"{file}.safetensors")

    def download(tag: dict[str, Any], **_: Any) -> str:
        return str(tmp_path / tag["url"].rsplit("/", 1)[1])

    for module in (checkpoints, factory):
        monkeypatch.setattr(module, "download_pretrained", download)
    yield tmp_path
    factory._MODEL_CONFIGS.clear()
    factory._MODEL_CONFIGS.update(registry)


def test_weights_with_another_activation_are_put_right_and_it_is_said(tiny: Path) -> None:
    source = find_model("Tiny:openai", "float32")
    encoder = load_encoder(source, "cpu")
    kinds = {type(module) for module in encoder.model.modules()}
    assert QuickGELU in kinds and torch.nn.GELU not in kinds
    assert source.note is not None and "trained with the activation QuickGELU" in source.note
    named = find_model("Tiny-quickgelu:openai", "float32")
    assert named.note is None and named.key == source.key  # one encoder, one set of embeddings
    sentences = ["a red head", "a blue wing"]
    expected = open_clip.create_model("Tiny-quickgelu", pretrained="openai").eval()
    with torch.inference_mode():
        tokens = open_clip.get_tokenizer("Tiny")(sentences)
        vectors = torch.nn.functional.normalize(expected.encode_text(tokens), dim=1)
    torch.testing.assert_close(encoder.encode_sentences(sentences), vectors)


@pytest.mark.parametrize("towers", ["text", "vision"])
def test_a_single_tower_is_put_right_too(tiny: Path, towers: Any) -> None:
    encoder = load_encoder(find_model("Tiny:openai", "float32"), "cpu", towers)
    assert any(isinstance(module, QuickGELU) for module in encoder.model.modules())


def test_weights_that_fit_their_name_are_left_alone(tiny: Path) -> None:
    source = find_model("Tiny:laion", "float32")
    assert source.name == "Tiny" and source.note is None


def test_pixels_reach_the_model_as_every_tag_was_trained(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All 196 pairs share ten ways of preprocessing; each is held against open_clip's own."""
    fields = ("mean", "std", "interpolation", "resize_mode", "quick_gelu")
    ways: dict[str, dict[str, Any]] = {}
    for name, tag in PAIRS:
        config = pretrained.get_pretrained_cfg(name, tag)
        way = {field: config[field] for field in fields if field in config}
        ways[json.dumps(way)] = way
    assert 1 < len(ways) < 20
    pixels = np.random.default_rng(3).integers(0, 256, (50, 90, 3), np.uint8)
    picture = Image.fromarray(pixels)
    for number, way in enumerate(ways.values()):
        config = pretrained._pcfg(url="https://none/tiny.safetensors", **way)
        name = "Tiny-quickgelu" if way.get("quick_gelu") else "Tiny"
        monkeypatch.setitem(pretrained._PRETRAINED[name], f"way{number}", config)
        source = find_model(f"{name}:way{number}", "float32")
        expected = open_clip.create_model_and_transforms(name, pretrained=f"way{number}")[2]
        for towers in ("both", "vision"):
            encoder = load_encoder(source, "cpu", towers)
            framed = torch.from_numpy(np.array(encoder.framing.frame(picture)))[None]
            torch.testing.assert_close(encoder.ready(framed)[0], expected(picture))


def test_a_tag_of_the_other_activation_is_refused_with_the_right_name(tiny: Path) -> None:
    with pytest.raises(UserError, match="use Tiny:laion"):
        find_model("Tiny-quickgelu:laion", "float32")
    with pytest.raises(UserError, match=r"use ViT-B-32:laion2b_s34b_b79k"):
        find_model("ViT-B-32-quickgelu:laion2b_s34b_b79k", "float32")


def test_weights_in_a_file_are_preprocessed_like_all_published_ones(tiny: Path) -> None:
    (tiny / "tokenizer.json").write_bytes((MODEL_DIR / "tokenizer.json").read_bytes())
    (tiny / "tokenizer_config.json").write_bytes((MODEL_DIR / "tokenizer_config.json").read_bytes())
    source = find_model(f"TinySig:{tiny / 'sig.safetensors'}", "float32")
    assert source.note is not None and "mean 0.5/0.5/0.5" in source.note
    config = load_encoder(source, "cpu").model.visual.preprocess_cfg
    assert {key: tuple(config[key]) if key != "resize_mode" else config[key] for key in SIGLIP} == (
        SIGLIP
    )
    plain = find_model(f"Tiny:{tiny / 'tiny.safetensors'}", "float32")
    assert plain.preprocess is None
    assert plain.note is not None and "write Tiny-quickgelu" in plain.note


def test_a_missing_tokenizer_is_told_as_such(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:1")
    for model in ("TinySig:webli", f"TinySig:{tiny / 'sig.safetensors'}"):
        with pytest.raises(UserError) as caught:
            load_encoder(find_model(model, "float32"), "cpu")
        sentence = str(caught.value)
        assert "weights" in sentence and "are at hand" in sentence
        assert "tokenizer 'nobody/tiny' cannot be loaded" in sentence
        assert "TinySig:/path/to/weights.safetensors" in sentence and "tokenizer.json" in sentence
        assert "check that the file is whole" not in sentence


def test_a_missing_text_towers_configuration_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    file = tmp_path / "weights.safetensors"
    save_file({"x": torch.zeros(1)}, file)
    monkeypatch.setattr(encoder_module, "load_tokenizer", lambda source: None)
    with pytest.raises(UserError, match="configuration of its text tower 'roberta-base' cannot"):
        load_encoder(find_model(f"roberta-ViT-B-32:{file}", "float32"), "cpu", "text")


def test_a_tokenizer_can_be_given_beside_the_weights(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:1")
    model = f"TinySig:{tiny / 'sig.safetensors'}"
    without = find_model(model, "float32").key
    for name in model_source.TOKENIZER_FILES:
        shutil.copy(MODEL_DIR / name, tiny / name)
    source = find_model(model, "float32")
    tokens = load_tokenizer(source)(["a red head"])
    expected = open_clip.tokenizer.HFTokenizer(str(MODEL_DIR), context_length=77)(["a red head"])
    assert torch.equal(tokens, expected)
    assert source.key != without  # other tokens are other embeddings
    assert load_encoder(source, "cpu").encode_sentences(["a red head"]).shape == (1, 16)
