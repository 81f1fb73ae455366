"""A model's configuration as a stranger wrote it: only what is known to be harmless is passed on.

open_clip hands what a configuration says to the libraries below it: to timm, whose model names may
be addresses of a hub, and to transformers, which runs code that lies beside a tokenizer when
`tokenizer_kwargs` asks for it. So names that are not on the list are refused, not left out: a model
without them would be another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from open_clip.coca_model import MultimodalCfg
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from open_clip.transform import PreprocessCfg

from lazsl.errors import UserError

_MODEL = {
    "embed_dim",
    "vision_cfg",
    "text_cfg",
    "multimodal_cfg",
    "custom_text",
    "quick_gelu",
    "init_logit_scale",
    "init_logit_bias",
    "nonscalar_logit_scale",
}
# Of preprocessing, what a published tag says besides; open_clip takes the size from the model.
_PREPROCESS = {"num_channels"}
_INSIDE: dict[str, set[str]] = {
    "tokenizer_kwargs": {"clean", "strip_sep_token", "language", "padding_side"},
    "act_kwargs": {"approximate", "inplace", "negative_slope"},
    "norm_kwargs": {"eps", "elementwise_affine", "bias"},
}


def check_configuration(given: str, document: Any) -> None:
    """Raise UserError when a configuration names anything that is not known to be harmless.

    Args:
        given: the model as the person named it.
        document: what `open_clip_config.json` holds.
    """
    if not isinstance(document, Mapping):
        raise UserError(f"model {given!r}: its open_clip_config.json holds no JSON object")
    model = document.get("model_cfg", document)
    if not isinstance(model, Mapping):
        raise UserError(f"model {given!r}: model_cfg in its open_clip_config.json is no object")
    _check_names(given, "model_cfg", model, _MODEL)
    for part, kind in (
        ("vision_cfg", CLIPVisionCfg),
        ("text_cfg", CLIPTextCfg),
        ("multimodal_cfg", MultimodalCfg),
    ):
        values = model.get(part, {})
        _check_names(given, part, values, {field.name for field in fields(kind)})
        for name, known in _INSIDE.items():
            _check_names(given, f"{part}.{name}", values.get(name) or {}, known)
            _check_plain(given, f"{part}.{name}", values.get(name) or {})
        _check_plain(given, part, {k: v for k, v in values.items() if k not in _INSIDE})
    preprocess = document.get("preprocess_cfg") or {}
    _check_names(
        given,
        "preprocess_cfg",
        preprocess,
        {field.name for field in fields(PreprocessCfg)} | _PREPROCESS,
    )
    _check_towers(given, model)


def _check_towers(given: str, model: Mapping[str, Any]) -> None:
    """Names of towers that another library builds: of those it ships, not addresses of a hub."""
    timm_name = model.get("vision_cfg", {}).get("timm_model_name")
    if timm_name is not None and not _known_to_timm(timm_name):
        raise UserError(
            f"model {given!r}: its vision_cfg names the timm model {timm_name!r}, which timm does "
            "not ship; lazsl builds no model from an address inside a configuration"
        )
    text_name = model.get("text_cfg", {}).get("hf_model_name")
    if text_name is not None:
        _check_text_tower(given, str(text_name))


def _check_text_tower(given: str, name: str) -> None:
    """Raise UserError unless transformers itself ships the code of this text tower."""
    from transformers import AutoConfig

    try:
        AutoConfig.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # transformers and the hub's client raise many kinds
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(
            f"model {given!r}: the text model {name!r} that its configuration names cannot be "
            f"used ({reason[:200]}); lazsl runs no code that comes with a model, and looks up "
            "what a local folder names in the hub's local cache only"
        ) from None


def _known_to_timm(name: Any) -> bool:
    import timm

    return isinstance(name, str) and ":" not in name and timm.is_model(name)


def _check_names(given: str, part: str, values: Any, known: Iterable[str]) -> None:
    if not isinstance(values, Mapping):
        raise UserError(f"model {given!r}: {part} in its configuration is no object")
    if strange := sorted(set(values) - set(known)):
        raise UserError(
            f"model {given!r}: its configuration sets {part}.{strange[0]}, which lazsl does not "
            "pass on to the libraries that build a model (it might run code or look up a hub); "
            "remove it from open_clip_config.json if the model works without it"
        )


def _check_plain(given: str, part: str, values: Mapping[str, Any]) -> None:
    """Values are numbers, short texts, or short lists of these."""
    for name, value in values.items():
        parts = value if isinstance(value, list) and len(value) <= 16 else [value]
        for item in parts:
            plain = item is None or isinstance(item, bool | int | float)
            if not plain and not (isinstance(item, str) and len(item) <= 200):
                raise UserError(
                    f"model {given!r}: {part}.{name} in its configuration is neither a number nor "
                    "a short text"
                )
