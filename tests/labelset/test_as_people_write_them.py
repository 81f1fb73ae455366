"""Eight ways in which label sets and weights, as people write and name them, once reached the text
tower wrongly without a word; a test each, by the functions and commands that any version has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from huggingface_hub import constants as hub
from open_clip import factory, pretrained
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file
from typer.testing import CliRunner

from lazsl.cli.commands import app
from lazsl.errors import UserError
from lazsl.labelset.checks import check
from lazsl.labelset.reading import load_labelset, read_labels
from lazsl.model import checkpoints
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import Encoder, load_encoder
from lazsl.run import label_set_step
from lazsl.run.run import open_run
from lazsl.settings import make_job

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"layers": 1, "width": 16, "head_width": 8, "patch_size": 16, "image_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def stored(folder: Path, name: str, value: Any) -> str:
    file = folder / name
    file.write_text(value if isinstance(value, str) else json.dumps(value, indent=1))
    return str(file)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Published weights of small models: Mini was trained with QuickGELU like OpenAI's, and MiniHub
    takes its tokenizer from the hub like SigLIP."""
    of_hub = {**TINY["text_cfg"], "hf_tokenizer_name": "nobody/tiny"}
    architectures: dict[str, dict[str, Any]] = {
        "Mini": {},
        "Mini-quickgelu": {"quick_gelu": True},
        "MiniHub": {"text_cfg": of_hub},
    }
    tag = pretrained._pcfg(url="https://none/mini.safetensors", quick_gelu=True)
    plain = pretrained._pcfg(url="https://none/mini.safetensors")
    for name, more in architectures.items():
        monkeypatch.setitem(factory._MODEL_CONFIGS, name, {**TINY, **more})
        known = {"webli": plain} if name == "MiniHub" else {"openai": tag}
        monkeypatch.setitem(pretrained._PRETRAINED, name, known)
    model = open_clip.create_model("Mini", load_weights=False)
    save_file(model.state_dict(), tmp_path / "mini.safetensors")
    for module in (checkpoints, factory):
        monkeypatch.setattr(
            module, "download_pretrained", lambda *_, **__: str(tmp_path / "mini.safetensors")
        )
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:1")


@pytest.mark.usefixtures("weights")
def test_1_openais_weights_are_built_with_the_activation_they_were_trained_with() -> None:
    encoder = load_encoder(find_model("Mini:openai", "float32"), "cpu")
    kinds = {type(module) for module in encoder.model.modules()}
    assert QuickGELU in kinds and torch.nn.GELU not in kinds


def test_2_cupls_file_is_whole_sentences_to_label_too(tmp_path: Path) -> None:
    sentence = "A pet wheaten terrier typically has a soft, silky coat."
    labels = load_labelset(stored(tmp_path, "cupl.json", {"wheaten terrier": [sentence]}))
    assert labels.prompts == ((sentence,),)


def test_3_neither_underscores_nor_ids_are_said_to_the_model(tmp_path: Path) -> None:
    names = {"airplane_cabin": ["a row of seats"], "n01440764 tench, Tinca tinca": ["small eyes"]}
    file = stored(tmp_path, "places.json", names)
    assert load_labelset(file).prompts == (
        ("airplane cabin, which is a row of seats.",),
        ("tench, which has small eyes.",),
    )
    result = CliRunner().invoke(app, ["labels", "check", file], env={"COLUMNS": "200"})
    assert "'airplane_cabin' as 'airplane cabin'" in " ".join(result.output.split())


def test_4_a_template_makes_the_published_sentences(tmp_path: Path) -> None:
    classes = {"donuts": [], "moth": ["antennae", "long legs", "often has eyes on its wings"]}
    labels = load_labelset(
        stored(tmp_path, "d.json", {"template": "published", "classes": classes})
    )
    assert labels.prompts == (
        ("donuts, which has ",),
        ("moth, which is antennae", "moth, which has long legs",
         "moth, which often has eyes on its wings"),
    )  # fmt: skip


def test_5_files_of_many_lists_and_of_templates_are_no_label_sets(tmp_path: Path) -> None:
    lists = {"pets": [f"cat {i}" for i in range(37)], "cars": [f"car {i}" for i in range(50)]}
    with pytest.raises(UserError, match="lists of class names"):
        load_labelset(stored(tmp_path, "en_classnames.json", lists))
    with pytest.raises(UserError, match="templates"):
        load_labelset(stored(tmp_path, "t.json", {"pets": ["a photo of a {c}.", "art of a {c}."]}))
    templates = stored(tmp_path, "templates.txt", "a bad photo of a {}.\na drawing of a {}.\n")
    result = CliRunner().invoke(
        app, ["labels", "import", templates, "-o", str(tmp_path / "x.yaml")]
    )
    assert result.exit_code == 2 and "templates" in result.output


@pytest.mark.usefixtures("weights")
def test_6_a_missing_tokenizer_is_not_told_as_damaged_weights() -> None:
    with pytest.raises(UserError, match="tokenizer 'nobody/tiny' cannot be loaded") as refusal:
        load_encoder(find_model("MiniHub:webli", "float32"), "cpu")
    assert "check that the file is whole" not in str(refusal.value)


def test_7_check_is_read_to_the_end(tmp_path: Path) -> None:
    sentences = {"cannon": ["A cannon looks like a large tube.", "A cannon has two wheels."]}
    file = stored(tmp_path, "s.json", {"template": "{attribute}", "classes": sentences})
    assert [finding for finding in check(read_labels(file)) if finding.kind == "grammar"] == []
    twice = stored(tmp_path, "names.txt", "\n".join(f"thing {i % 900}" for i in range(1503)))
    mended = str(tmp_path / "mended.yaml")
    result = CliRunner().invoke(app, ["labels", "check", twice, "--fix", mended, "--summary"])
    assert result.exit_code == 0 and len(load_labelset(mended)) == 900


def test_8_new_sentences_alone_are_embedded_and_every_list_of_names_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded: list[str] = []
    encode = Encoder.encode_sentences

    def recorded(self: Encoder, sentences: Sequence[str], *more: Any) -> torch.Tensor:
        embedded.extend(sentences)
        return encode(self, sentences, *more)

    monkeypatch.setattr(Encoder, "encode_sentences", recorded)
    (tmp_path / "archive").mkdir()
    for attribute in ("a blue tail", "a red tail"):
        labels = stored(tmp_path, "l.json", {"A": ["a red bill"], "B": [attribute]})
        job = make_job(archive=str(tmp_path / "archive"), labels=labels, model="fieldguide",
                       workspace=str(tmp_path / "workspace"), device="cpu")  # fmt: skip
        embedded.clear()
        label_set_step.embed_attributes(open_run(job), "text")
    assert embedded == ["B, which is a red tail."]
    for name, value in {
        "names.txt": "# birds of the pond\nWren\nCoot\n",
        "names.csv": "id,class\n7,Wren\n9,Coot\n",
        "config.json": {"id2label": {"0": "Wren", "1": "Coot"}},
        "coco.json": {"categories": [{"id": 1, "name": "Wren"}, {"id": 2, "name": "Coot"}]},
    }.items():
        assert load_labelset(stored(tmp_path, name, value)).classes == ("Wren", "Coot")
