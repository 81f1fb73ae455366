"""Claims about encoders: every way to name a model, what is refused, and what embeddings equal."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants as hub
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from lazsl.errors import UserError
from lazsl.fieldguide import MODEL_DIR
from lazsl.images.crop_boxes import draw_boxes
from lazsl.images.crops import cut_crops
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import (
    Encoder,
    choose_device,
    choose_precision,
    count_tokens,
    load_encoder,
    load_tokenizer,
)
from lazsl.model.towers import Towers
from lazsl.settings import RegionSettings

SENTENCES = ["a red head", "Wren, which has barred blue wings.", "ein Grünspecht 鳥", "x"]
BUILTIN = "ViT-S-32-alt"
"""The smallest architecture of open_clip that brings its own tokenizer."""

TINY_VISION = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 48}
TINY_TEXT = {
    "hf_tokenizer_name": "tiny",
    "context_length": 16,
    "vocab_size": 1024,
    "width": 32,
    "heads": 2,
    "layers": 2,
}
SIGLIP_TEXT = {
    **TINY_TEXT,
    "no_causal_mask": True,
    "proj_bias": True,
    "pool_type": "last",
    "norm_kwargs": {"eps": 1e-6},
    "act_kwargs": {"approximate": "tanh"},
}
MODELS: dict[str, dict[str, Any]] = {
    "longest": {
        "model_cfg": {"embed_dim": 24, "vision_cfg": TINY_VISION, "text_cfg": TINY_TEXT},
        "preprocess_cfg": {"resize_mode": "longest", "fill_color": 100},
    },
    "wide": {
        "model_cfg": {
            "embed_dim": 24,
            "vision_cfg": {**TINY_VISION, "image_size": [32, 64]},
            "text_cfg": TINY_TEXT,
        },
        "preprocess_cfg": {"interpolation": "bilinear", "resize_mode": "squash"},
    },
    "siglip": {
        "model_cfg": {
            "embed_dim": 24,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": TINY_VISION,
            "text_cfg": SIGLIP_TEXT,
        },
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"},
    },
    "timm": {
        "model_cfg": {
            "embed_dim": 24,
            "custom_text": True,
            "vision_cfg": {
                "image_size": 64,
                "timm_model_name": "test_vit",
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
            },
            "text_cfg": SIGLIP_TEXT,
        },
    },
}


def write_model(folder: Path, config: dict[str, Any]) -> str:
    """A model with random weights, as `local-dir:` names it; the tokenizer is the embedded one."""
    folder.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(MODEL_DIR / name, folder)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(1)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return f"local-dir:{folder}"


@pytest.fixture(scope="module")
def local_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Tiny models in local folders, by what is special about them."""
    folder = tmp_path_factory.mktemp("models")
    return {name: write_model(folder / name, config) for name, config in MODELS.items()}


class Checkpoints(NamedTuple):
    """The same random weights of BUILTIN in files of several kinds, and the weights themselves."""

    folder: Path
    weights: dict[str, Tensor]

    def named(self, file: str) -> str:
        return f"{BUILTIN}:{self.folder / file}"


pytestmark = pytest.mark.usefixtures("one_thread")


class Bomb:
    """Unpickled, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.path,)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(2)
    model = open_clip.create_model(BUILTIN, load_weights=False)
    weights = {name: tensor.half() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "whole.safetensors")
    torch.save(weights, folder / "whole.pt")
    training = {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in weights.items()}}
    torch.save(training, folder / "training.pt")
    return Checkpoints(folder, weights)


@pytest.fixture(scope="module")
def embedded() -> Encoder:
    """The model that lazsl brings."""
    return loaded("fieldguide")


def loaded(model: str, towers: Towers = "both", precision: str = "float32") -> Encoder:
    return load_encoder(find_model(model, precision), "cpu", towers)


def refusal(model: str, towers: Towers = "both") -> str:
    """The sentence that a model is refused with."""
    with pytest.raises(UserError) as caught:
        loaded(model, towers)
    sentence = str(caught.value)
    assert sentence.isprintable() and len(sentence) < 1500
    return sentence


def picture(size: tuple[int, int] = (90, 70)) -> Image.Image:
    values = np.random.default_rng(3).integers(0, 256, (size[1] // 10, size[0] // 10, 3))
    return Image.fromarray(values.astype(np.uint8)).resize(size)


def crops_of(image: Image.Image, encoder: Encoder, count: int = 9) -> Tensor:
    boxes = draw_boxes(*image.size, "0", RegionSettings(count=count))
    return torch.from_numpy(cut_crops(image, boxes, encoder.framing))


def digest_of(key: str) -> str:
    return key.rsplit("-", 1)[1]


# Where a model may come from


def test_the_embedded_model_is_a_local_folder_like_any_other(
    embedded: Encoder, tmp_path: Path
) -> None:
    copy = shutil.copytree(MODEL_DIR, tmp_path / "guide")
    other = loaded(f"local-dir:{copy}")
    crops = crops_of(picture(), embedded)
    assert torch.equal(embedded.encode_crops(crops), other.encode_crops(crops))
    assert torch.equal(embedded.encode_sentences(SENTENCES), other.encode_sentences(SENTENCES))
    assert digest_of(embedded.key) == digest_of(other.key)
    assert embedded.key.startswith("fieldguide-") and other.key.startswith("guide-")


@pytest.mark.parametrize("file", ["whole.safetensors", "whole.pt", "training.pt"])
def test_checkpoint_files_of_every_kind_are_read(file: str, checkpoints: Checkpoints) -> None:
    for towers in ("both", "text"):
        encoder = loaded(checkpoints.named(file), towers)
        assert encoder.dimension == 256 and encoder.context_length == 77
        expected = {
            name: tensor.float()
            for name, tensor in checkpoints.weights.items()
            if towers == "both" or not name.startswith("visual.")
        }
        weights = encoder.model.state_dict()
        assert weights.keys() == expected.keys()
        assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


Spoil = Callable[[Path, dict[str, Tensor]], object]
SPOILT: dict[str, tuple[str, Spoil]] = {
    "cut safetensors": ("open_clip_model.safetensors", lambda f, w: _cut(f, save_file, w)),
    "cut torch file": ("open_clip_pytorch_model.bin", lambda f, w: _cut(f, torch.save, w)),
    "text as safetensors": ("open_clip_model.safetensors", lambda f, w: f.write_text("Hello.")),
    "text as torch file": ("open_clip_pytorch_model.bin", lambda f, w: f.write_text("Hello.")),
    "empty safetensors": ("open_clip_model.safetensors", lambda f, w: f.touch()),
    "empty torch file": ("open_clip_pytorch_model.bin", lambda f, w: f.touch()),
    "no weights": ("open_clip_pytorch_model.bin", lambda f, w: torch.save({}, f)),
    "a list": ("open_clip_pytorch_model.bin", lambda f, w: torch.save([1, 2], f)),
    "one weight missing": (
        "open_clip_model.safetensors",
        lambda f, w: save_file({k: v for k, v in w.items() if k != "ln_final.bias"}, f),
    ),
    "one weight too many": (
        "open_clip_model.safetensors",
        lambda f, w: save_file({**w, "ln_final.more": torch.zeros(3)}, f),
    ),
    "one weight of another shape": (
        "open_clip_model.safetensors",
        lambda f, w: save_file({**w, "ln_final.bias": torch.zeros(3)}, f),
    ),
}
"""Ways to spoil the weights of a model: the file's name, and what is written there."""


def _cut(file: Path, save: Callable[[Any, Any], None], weights: dict[str, Tensor]) -> None:
    save(weights, file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("towers", ["both", "text"])
@pytest.mark.parametrize("kind", SPOILT)
def test_a_file_that_does_not_hold_the_models_weights_is_refused(
    kind: str, towers: Towers, local_models: dict[str, str], tmp_path: Path
) -> None:
    folder = shutil.copytree(local_models["longest"].removeprefix("local-dir:"), tmp_path / "bad")
    weights = load_file(folder / "open_clip_model.safetensors")
    (folder / "open_clip_model.safetensors").unlink()
    name, spoil = SPOILT[kind]
    spoil(folder / name, weights)
    sentence = refusal(f"local-dir:{folder}", towers)
    assert str(folder / name) in sentence and "check that the file is whole" in sentence


def test_a_checkpoint_that_is_cut_or_of_another_architecture_is_refused(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    for name in ("whole.safetensors", "whole.pt"):
        cut = tmp_path / name
        cut.write_bytes((checkpoints.folder / name).read_bytes()[:-100_000])
        assert str(cut) in refusal(f"{BUILTIN}:{cut}")
    other = MODEL_DIR / "open_clip_model.safetensors"
    assert str(other) in refusal(f"{BUILTIN}:{other}")


def test_code_in_a_checkpoint_is_refused_and_never_run(
    local_models: dict[str, str], tmp_path: Path
) -> None:
    executed = tmp_path / "executed"
    folder = shutil.copytree(local_models["longest"].removeprefix("local-dir:"), tmp_path / "bad")
    weights = load_file(folder / "open_clip_model.safetensors")
    (folder / "open_clip_model.safetensors").unlink()
    inside, file = folder / "open_clip_pytorch_model.bin", tmp_path / "code.pt"
    torch.save({**weights, "epoch": Bomb(executed)}, inside)
    torch.save(Bomb(executed), file)
    for model in (f"local-dir:{folder}", f"{BUILTIN}:{file}"):
        for towers in ("both", "text"):
            assert "code in it is not run" in refusal(model, towers)
    assert not executed.exists()
    for bomb in (inside, file):  # which are real ones:
        torch.load(bomb, weights_only=False)
        executed.rmdir()


def test_an_unknown_model_is_told_with_the_nearest_names() -> None:
    sentence = refusal("ViT-B-16-quickglu:openai")
    assert "'ViT-B-16-quickglu'" in sentence and "nearest: 'ViT-B-16-quickgelu" in sentence
    assert "fieldguide" in refusal("no such thing at all")
    assert "unknown model ''" in refusal(":")


def test_unknown_or_missing_weights_are_told_with_what_there_is(tmp_path: Path) -> None:
    assert "nearest: 'openai" in refusal("ViT-B-32:opnai")
    assert "add a tag (openai," in refusal("ViT-B-32")
    file = tmp_path / "none.safetensors"
    assert f"'{file}' is neither a checkpoint file nor a tag" in refusal(f"ViT-B-32:{file}")
    assert "neither" in refusal(f"ViT-B-32:{tmp_path}")


def test_a_folder_without_a_model_is_told_with_what_belongs_there(tmp_path: Path) -> None:
    assert "open_clip_config.json" in refusal(f"local-dir:{tmp_path}")
    assert "open_clip_config.json" in refusal("local-dir:/nowhere")
    (tmp_path / "open_clip_config.json").write_text("{}")
    assert "no weights" in refusal(f"local-dir:{tmp_path}")
    assert "names nothing" in refusal("local-dir:")
    assert "names nothing" in refusal("hf-hub:")


@pytest.mark.parametrize("config", [b"no json", b"{}", b"[]", b'{"model_cfg": {}}', b"\xff\xfe\0"])
def test_a_folder_with_a_broken_config_is_refused(config: bytes, tmp_path: Path) -> None:
    folder = shutil.copytree(MODEL_DIR, tmp_path / "model")
    (folder / "open_clip_config.json").write_bytes(config)
    assert f"local-dir:{folder}" in refusal(f"local-dir:{folder}")


def test_a_folder_with_a_broken_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(MODEL_DIR, tmp_path / "model")
    (folder / "tokenizer.json").write_text("{")
    assert f"local-dir:{folder}" in refusal(f"local-dir:{folder}")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="cannot be loaded"):
        load_tokenizer(find_model(f"local-dir:{folder}", "float32"))


# The hub


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, and no proxy on the way to the hub."""
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in list(os.environ):
        if name.lower() in ("https_proxy", "http_proxy", "all_proxy"):
            monkeypatch.delenv(name)
    return tmp_path / "hub"


def told_in_seconds(model: str) -> str:
    started = time.monotonic()
    sentence = refusal(model)
    assert time.monotonic() - started < 15
    assert not hub.HF_HUB_OFFLINE
    return sentence


def test_a_hub_out_of_reach_is_told_in_seconds_with_what_to_do(empty_cache: Path) -> None:
    try:
        socket.create_connection(("huggingface.co", 443), timeout=5).close()
    except OSError:
        pass
    else:
        pytest.skip("the hub can be reached from this machine, so that it cannot be out of reach")
    sentence = told_in_seconds("ViT-B-16-quickgelu:openai")
    assert "could not be fetched" in sentence
    assert "use ViT-B-16-quickgelu:/path/to/weights.safetensors" in sentence


@pytest.mark.parametrize("model", ["ViT-B-16-quickgelu:openai", "hf-hub:organisation/model"])
def test_a_hub_that_refuses_connections_is_told_in_seconds_with_what_to_do(
    model: str, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:1")
    sentence = told_in_seconds(model)
    assert f"'{model}' could not be fetched" in sentence and "/path/to/weights" in sentence


def test_a_model_in_the_local_cache_needs_no_hub(
    empty_cache: Path, embedded: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:1")
    repository = empty_cache / "models--birds--guide"
    snapshot = shutil.copytree(MODEL_DIR, repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    absent = repository / ".no_exist" / "abc"
    absent.mkdir(parents=True)
    for name in ("config.json", "added_tokens.json", "special_tokens_map.json"):
        (absent / name).touch()
    config = json.loads((snapshot / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "birds/guide"
    (snapshot / "open_clip_config.json").write_text(json.dumps(config))
    started = time.monotonic()
    expected = embedded.encode_sentences(SENTENCES)
    for towers in ("both", "text"):
        cached = loaded("hf-hub:birds/guide", towers)
        assert torch.equal(cached.encode_sentences(SENTENCES), expected)
    assert time.monotonic() - started < 20


# What names an encoder


def test_the_key_does_not_depend_on_the_folders_above(tmp_path: Path) -> None:
    keys = set()
    for place in ("here", "there/deep"):
        copy = shutil.copytree(MODEL_DIR, tmp_path / place / "guide")
        keys.add(find_model(f"local-dir:{copy}", "float32").key)
        file = tmp_path / place / "weights.pt"
        file.write_bytes(b"weights")
        keys.add(find_model(f"{BUILTIN}:{file}", "float32").key)
    assert len(keys) == 2


def test_the_key_changes_with_weights_config_architecture_and_precision(tmp_path: Path) -> None:
    folder = shutil.copytree(MODEL_DIR, tmp_path / "guide")
    weights, config = folder / "open_clip_model.safetensors", folder / "open_clip_config.json"
    model = f"local-dir:{folder}"
    keys = [find_model(model, "float32").key, find_model(model, "float16").key]
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    keys.append(find_model(model, "float32").key)
    config.write_text(config.read_text().replace("bicubic", "bilinear"))
    keys.append(find_model(model, "float32").key)
    for name in (BUILTIN, "ViT-S-32"):
        keys.append(find_model(f"{name}:{weights}", "float32").key)
    assert len(set(keys)) == len(keys)


# The text tower alone


@pytest.mark.parametrize("name", ["fieldguide", *MODELS])
def test_the_text_tower_alone_gives_the_same_sentences(
    name: str, local_models: dict[str, str]
) -> None:
    model = local_models.get(name, name)
    both, text = loaded(model), loaded(model, "text")
    assert text.model.visual is None and both.model.visual is not None
    assert (text.key, text.dimension) == (both.key, both.dimension)
    assert torch.equal(text.encode_sentences(SENTENCES), both.encode_sentences(SENTENCES))


@pytest.mark.parametrize("name", ["fieldguide", *MODELS])
def test_the_vision_tower_alone_gives_the_same_crops(
    name: str, local_models: dict[str, str]
) -> None:
    model = local_models.get(name, name)
    both, vision = loaded(model), loaded(model, "vision")
    assert (vision.key, vision.dimension) == (both.key, both.dimension)
    crops = crops_of(picture(), both)
    assert torch.equal(vision.encode_crops(crops), both.encode_crops(crops))
    with pytest.raises(RuntimeError, match="without its text tower"):
        vision.encode_sentences(SENTENCES)
    assert len(both.encode_sentences(SENTENCES)) == len(SENTENCES)


@pytest.mark.parametrize("kind", ["safetensors", "torch file"])
def test_the_vision_tower_alone_reads_and_holds_no_text_weights(
    kind: str, local_models: dict[str, str], tmp_path: Path
) -> None:
    folder = shutil.copytree(local_models["siglip"].removeprefix("local-dir:"), tmp_path / "eye")
    file = folder / "open_clip_model.safetensors"
    weights = {k: v for k, v in load_file(file).items() if k.startswith("visual.")}
    if kind == "safetensors":
        save_file(weights, file)
    else:
        file.unlink()
        torch.save(weights, folder / "open_clip_pytorch_model.bin")
    model = loaded(f"local-dir:{folder}", "vision").model
    assert sorted(k for k in model.state_dict() if k.startswith("visual.")) == sorted(weights)
    text = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("visual."))
    assert text < 5_000
    assert "cannot be loaded" in refusal(f"local-dir:{folder}")


@pytest.mark.parametrize("kind", ["safetensors", "torch file"])
def test_the_text_tower_alone_reads_and_holds_no_vision_weights(
    kind: str, local_models: dict[str, str], tmp_path: Path
) -> None:
    folder = shutil.copytree(local_models["siglip"].removeprefix("local-dir:"), tmp_path / "text")
    file = folder / "open_clip_model.safetensors"
    weights = {k: v for k, v in load_file(file).items() if not k.startswith("visual.")}
    if kind == "safetensors":
        save_file(weights, file)
    else:
        file.unlink()
        torch.save(weights, folder / "open_clip_pytorch_model.bin")
    text = loaded(f"local-dir:{folder}", "text")
    assert sorted(text.model.state_dict()) == sorted(weights)
    assert "cannot be loaded" in refusal(f"local-dir:{folder}")


def test_the_text_tower_of_a_checkpoint_that_open_clip_converts_is_found_too(
    local_models: dict[str, str], tmp_path: Path
) -> None:
    # Before open_clip knew text towers of other kinds, the weights of its own had no prefix.
    folder = shutil.copytree(local_models["siglip"].removeprefix("local-dir:"), tmp_path / "old")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"] = TINY_TEXT
    shutil.rmtree(folder)
    model = write_model(folder, config)
    file = folder / "open_clip_model.safetensors"
    weights = load_file(file)
    save_file({k.removeprefix("text."): v for k, v in weights.items()}, file)
    both, text = loaded(model), loaded(model, "text")
    assert text.model.visual is None
    assert torch.equal(text.encode_sentences(SENTENCES), both.encode_sentences(SENTENCES))


# Embeddings


@pytest.mark.parametrize("threads", [1, 2])
def test_a_crop_is_embedded_to_the_same_bits_in_every_batch(
    threads: int, embedded: Encoder
) -> None:
    torch.set_num_threads(threads)
    crops = crops_of(picture(), embedded, count=31)
    expected = embedded.encode_crops(crops)
    assert expected.shape == (32, embedded.dimension) and expected.dtype == torch.float32
    for size in (1, 7, 8, 32):
        parts = [embedded.encode_crops(part) for part in crops.split(size)]
        assert torch.equal(torch.cat(parts), expected), size
    assert torch.equal(embedded.encode_crops(crops.flip(0)).flip(0), expected)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_sentence_is_embedded_to_the_same_bits_in_every_batch(
    threads: int, embedded: Encoder
) -> None:
    torch.set_num_threads(threads)
    sentences = [f"Wren, which has {number} wings." for number in range(18)]
    expected = embedded.encode_sentences(sentences)
    assert expected.shape == (18, embedded.dimension) and expected.dtype == torch.float32
    for size in (1, 7, 8, 32):
        assert torch.equal(embedded.encode_sentences(sentences, batch=size), expected), size
    assert torch.equal(embedded.encode_sentences(sentences[5:6]), expected[5:6])


def test_embeddings_have_unit_length(embedded: Encoder) -> None:
    for actual in (
        embedded.encode_crops(crops_of(picture(), embedded)),
        embedded.encode_sentences(SENTENCES),
    ):
        assert torch.allclose(
            actual.double().norm(dim=1), torch.ones(len(actual)).double(), atol=1e-6
        )


@pytest.mark.parametrize("name", ["fieldguide", *MODELS, BUILTIN])
def test_embeddings_are_those_of_plain_open_clip(
    name: str, local_models: dict[str, str], checkpoints: Checkpoints
) -> None:
    if name == BUILTIN:
        ours = loaded(checkpoints.named("whole.safetensors"))
        known, file = BUILTIN, str(checkpoints.folder / "whole.safetensors")
    else:
        ours = loaded(local_models.get(name, name))
        known, file = local_models.get(name, f"local-dir:{MODEL_DIR}"), None
    model, _, preprocess = open_clip.create_model_and_transforms(known, pretrained=file)
    model.eval()
    tokens = open_clip.get_tokenizer(known)(SENTENCES)
    for size in [(90, 70), (64, 130), (200, 200)][: 1 if name == BUILTIN else 3]:
        image = picture(size)
        whole = crops_of(image, ours, count=1)[:1]
        with torch.no_grad():
            expected = model.encode_image(preprocess(image)[None], normalize=True)
        assert (ours.encode_crops(whole) - expected).abs().max() < 1e-5
    with torch.no_grad():
        expected = model.encode_text(tokens, normalize=True)
    assert (ours.encode_sentences(SENTENCES) - expected).abs().max() < 1e-5


def test_tokens_are_counted_before_anything_is_cut(
    embedded: Encoder, checkpoints: Checkpoints
) -> None:
    long = "a red head and " * 99 + "a tail"
    sentences = [*SENTENCES, "Wren which has barred blue wings", long]
    del sentences[1]  # punctuation is removed before it is cut into tokens
    table = Tokenizer.from_file(str(MODEL_DIR / "tokenizer.json"))
    expected = [len(table.encode(sentence).ids) for sentence in sentences]
    assert embedded.count_tokens(sentences) == expected
    assert expected[-1] > embedded.context_length
    source = find_model(checkpoints.named("whole.pt"), "float32")
    encode = SimpleTokenizer().encode
    expected = [len(encode(sentence)) + 2 for sentence in sentences]
    assert count_tokens(load_tokenizer(source), sentences) == expected


def test_loading_a_model_says_nothing_and_leaves_logging_as_it_was(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.INFO):
        for towers in ("both", "text"):
            loaded("fieldguide", towers)
        assert caplog.text == ""
        logging.info("heard again")
        assert "heard again" in caplog.text
    monkeypatch.setattr(logging.root, "handlers", [])
    loaded("fieldguide")
    assert logging.root.handlers == []


# Precision and device


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_embeds_nearly_the_same(precision: str, embedded: Encoder) -> None:
    half = loaded("fieldguide", precision=precision)
    crops = crops_of(picture(), embedded)
    for actual, expected in (
        (half.encode_crops(crops), embedded.encode_crops(crops)),
        (half.encode_sentences(SENTENCES), embedded.encode_sentences(SENTENCES)),
    ):
        assert actual.dtype == torch.float32
        assert (actual * expected).sum(dim=1).min() > 0.99
        assert not torch.equal(actual, expected)


def test_automatic_precision_follows_the_device_alone() -> None:
    assert choose_precision("auto", "cpu") == choose_precision("auto", "mps") == "float32"
    assert choose_precision("auto", "cuda") == choose_precision("auto", "cuda:1") == "float16"
    for precision in ("float32", "bfloat16", "float16"):
        assert (
            choose_precision(precision, "cpu") == choose_precision(precision, "cuda") == precision
        )


def test_the_automatic_device_can_be_used() -> None:
    assert choose_device("cpu") == "cpu"
    assert torch.ones(1, device=choose_device("auto")).item() == 1


@pytest.mark.parametrize("device", ["cuda:99", "quantum", "meta", "", "cpu:x"])
def test_a_device_that_cannot_be_used_is_told_in_one_sentence(device: str) -> None:
    with pytest.raises(UserError) as caught:
        choose_device(device)
    sentence = str(caught.value)
    assert repr(device) in sentence and "use auto or cpu" in sentence
    assert sentence.isprintable() and len(sentence) < 400


def test_a_model_on_cuda_computes_in_the_precision_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No GPU is needed for this: the flags are torch's own, and loading stops at the device."""
    products = torch.backends.cuda.matmul
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    before = products.allow_fp16_reduced_precision_reduction
    products.allow_fp16_reduced_precision_reduction = True
    if torch.cuda.is_available():
        load_encoder(find_model("fieldguide", "float32"), "cuda")
    else:
        with pytest.raises(UserError):
            load_encoder(find_model("fieldguide", "float32"), "cuda")
    assert not torch.backends.cudnn.allow_tf32 and not products.allow_tf32
    assert not products.allow_fp16_reduced_precision_reduction
    products.allow_fp16_reduced_precision_reduction = before
