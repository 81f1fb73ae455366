"""A model's towers, read from a checkpoint: both, or only the one that is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import open_clip
import torch
from open_clip.factory import load_state_dict
from safetensors import safe_open

from lazsl.model.model_source import ModelSource

Towers = Literal["both", "text", "vision"]

_OPEN_CLIP_PRECISION = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}

# One thin layer in place of the tower that is not needed.
_NO_VISION = {"layers": 1, "width": 8, "head_width": 8, "patch_size": 32, "image_size": 32}
_NO_TEXT = {"layers": 1, "width": 8, "heads": 1, "vocab_size": 8, "context_length": 4}


def load_towers(source: ModelSource, towers: Towers) -> Any:
    """The open_clip model on the processor, with the towers asked for.

    Weights are read without executing code. Where only one tower is asked for, the other is neither
    built nor read, and using it is an error.

    Raises:
        Exception: of any kind that a damaged or foreign file makes the libraries raise.
    """
    if towers == "both":
        return _whole(source)
    try:
        model = _one_tower(source, towers)
    except Exception:  # perhaps of a kind that open_clip converts, which it does for whole models
        model = _whole(source)
    if towers == "text":
        model.visual = None
    else:
        model.encode_text = _without_text
    return model


def _whole(source: ModelSource) -> Any:
    return open_clip.create_model(
        source.name,
        pretrained=source.pretrained,
        precision=_OPEN_CLIP_PRECISION[source.precision],
        device="cpu",
        weights_only=True,
        require_pretrained=True,
        force_preprocess_cfg=source.preprocess,
    )


def _one_tower(source: ModelSource, towers: Towers) -> Any:
    vision = towers == "vision"
    model = open_clip.create_model(
        source.name,
        pretrained=source.pretrained,  # says how to preprocess
        load_weights=False,
        precision=_OPEN_CLIP_PRECISION[source.precision],
        device="cpu",
        pretrained_text=False,
        force_preprocess_cfg=source.preprocess,
        **{"text_cfg": _NO_TEXT} if vision else {"vision_cfg": _NO_VISION},
    )
    missing, unexpected = model.load_state_dict(_weights(source.weights, vision), strict=False)
    wrong = [k for k in missing if k.startswith("visual.") == vision and k != "logit_bias"]
    if wrong or unexpected:
        raise ValueError(f"{len(wrong)} missing and {len(unexpected)} unexpected weights")
    return model


def _weights(path: Path, vision: bool) -> dict[str, torch.Tensor]:
    """Those of the vision tower, or all others."""
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            names = [k for k in file.keys() if k.startswith("visual.") == vision]  # noqa: SIM118
            return {k: file.get_tensor(k) for k in names}
    everything = load_state_dict(str(path), device="cpu", weights_only=True)
    return {k: v for k, v in everything.items() if k.startswith("visual.") == vision}


def _without_text(*_: Any, **__: Any) -> Any:
    raise RuntimeError("this model was loaded without its text tower")
