"""Why a model cannot be fetched or loaded, in a sentence that says what to do."""

from __future__ import annotations

import pickle

from lazsl.model.model_source import TOKENIZER_FILES, ModelSource


def unreadable(source: ModelSource, error: Exception) -> str:
    reason = library_reason(error)
    tower = source.text_config.get("hf_model_name")
    if tower and isinstance(error, OSError) and "couldn't connect" in str(error):
        return (
            f"the weights of model {source.given!r} are at hand, but the configuration of its text "
            f"tower {tower!r} cannot be loaded ({reason}); on a machine without a way to the hub, "
            f"copy the hub's cache of {tower!r} there"
        )
    return (
        f"model {source.given!r} cannot be loaded from {source.weights} ({reason}); "
        "check that the file is whole and belongs to this architecture"
    )


def unreadable_tokenizer(source: ModelSource, error: Exception) -> str:
    reason = library_reason(error)
    name = source.text_config.get("hf_tokenizer_name")
    called = f" {name!r}" if name else ""
    place = f"{source.name}:/path/to/weights.safetensors"
    if source.name.startswith("local-dir:"):
        advice = f"put whole ones into {source.weights.parent}"
    elif source.tokenizer is not None:
        advice = f"put whole ones into {source.tokenizer}"
    else:
        advice = (
            "on a machine without a way to the hub, put copies of them beside the weights and use "
            + ("local-dir:/folder" if ":" in source.name else place)
        )
    return (
        f"the weights of model {source.given!r} are at hand, but its tokenizer{called} cannot be "
        f"loaded ({reason}); its files are {' and '.join(TOKENIZER_FILES)}: {advice}"
    )


def unreachable(model: str, name: str, error: Exception) -> str:
    reason = library_reason(error)
    return (
        f"the weights of {model!r} could not be fetched ({reason}); on a machine without a way to "
        f"the hub, copy the file there and use {name}:/path/to/weights.safetensors, "
        "or local-dir:/folder"
    )


def library_reason(error: Exception) -> str:
    """What a library said, fit to stand in a sentence."""
    if isinstance(error, pickle.UnpicklingError):
        return "it is no file of plain weights, and code in it is not run"
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return "".join(filter(str.isprintable, line))[:200]
