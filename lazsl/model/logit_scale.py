"""How sharply a model was trained to tell cosines apart, read from its weights alone."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from open_clip.factory import load_state_dict
from safetensors import safe_open

from lazsl.errors import UserError
from lazsl.model.hub import reading
from lazsl.model.model_source import ModelSource
from lazsl.model.unusable import library_reason

_NAME = "logit_scale"


def logit_scale(source: ModelSource) -> float:
    """What the model multiplies cosines by before a softmax over sentences: 100 for OpenAI's CLIP.

    Of a safetensors file nothing else is read.

    Raises:
        UserError: the weights are unreadable or hold none.
    """
    return _logit_scale(source)


@lru_cache(maxsize=8)
def _logit_scale(source: ModelSource) -> float:
    try:
        value = _stored(source)
    except Exception as error:  # safetensors, pickle and zip errors alike
        raise UserError(
            f"the logit scale of model {source.given!r} cannot be read from {source.weights} "
            f"({library_reason(error)}); check that the file is whole, or set scoring.epsilon and "
            "scoring.presence_temperature"
        ) from None
    scale = math.nan if value is None else math.exp(float(value.float().flatten()[0]))
    if not (math.isfinite(scale) and scale > 0):
        raise UserError(
            f"model {source.given!r} holds no logit scale in {source.weights}; set "
            "scoring.epsilon and scoring.presence_temperature, such as 0.025 and 0.01"
        )
    return scale


def _stored(source: ModelSource) -> torch.Tensor | None:
    """The parameter as it was trained, which is a logarithm."""
    if source.weights.suffix == ".safetensors":
        with safe_open(source.weights, framework="pt") as file:
            return file.get_tensor(_NAME) if _NAME in file.keys() else None  # noqa: SIM118
    with reading(source):
        weights = load_state_dict(str(source.weights), device="cpu", weights_only=True)
    value: torch.Tensor | None = weights.get(_NAME)
    return value
