"""Where a model's configuration and weights are, and what names them.

A model is given as

- `ViT-B-16-quickgelu:openai`: an architecture and the tag of its published weights,
- `ViT-B-16:/weights.safetensors`: an architecture and a checkpoint file,
- `local-dir:/folder`: a folder with `open_clip_config.json` and weights,
- `hf-hub:organisation/name`: the same, on the Hugging Face hub,
- `fieldguide`: the small model shipped with lazsl, which knows its drawn birds and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import open_clip
from open_clip.factory import (
    _find_checkpoint_in_dir,
    _get_hf_config,
    download_pretrained_from_hf,
    parse_model_name,
)
from open_clip.pretrained import download_pretrained, get_pretrained_cfg

from lazsl.errors import UserError
from lazsl.fieldguide import MODEL_DIR
from lazsl.model import published
from lazsl.model.configuration import check_configuration
from lazsl.model.hub import hub_or_cache, quiet_libraries, without_hub
from lazsl.model.model_source import TOKENIZER_FILES, ModelSource
from lazsl.model.unusable import library_reason, unreachable
from lazsl.nearest_names import nearest
from lazsl.store.keys import digest, readable


def find_model(model: str, precision: str) -> ModelSource:
    """Where a model's weights are, downloading them if open_clip can, and the encoder's key.

    The key is a digest of architecture, preprocessing, the weights' content, and precision.

    Raises:
        UserError: unknown name or tag, missing or unreachable weights; says what to do instead.
    """
    given = model
    if model == "fieldguide":
        model = f"local-dir:{MODEL_DIR}"
    try:
        schema, identifier = parse_model_name(model)
    except ValueError as error:
        raise UserError(f"model {given!r} names nothing: {error}") from None
    if schema is None:
        return _builtin(model, precision)
    if schema == "local-dir":
        config, weights = _local(given, Path(identifier))
    else:
        config, weights = _hub(given, identifier)
    key = digest("encoder", config, _file_digest(weights), precision)
    return ModelSource(given, model, None, weights, f"{readable(given)}-{key}", precision)


def find_recorded_model(model: str, precision: str) -> ModelSource:
    """`find_model` of a model that an artifact names, and no person.

    Raises:
        UserError: as `find_model`; or it is a folder, a file or on a hub, which whoever can write
            to a workspace could name, and the environment variable LAZSL_MODEL does not name it.
    """
    check_recorded_model(model)
    return find_model(model, precision)


def check_recorded_model(model: str) -> None:
    """Raise UserError unless a model that an artifact names is published or in LAZSL_MODEL."""
    name, _, tag = model.partition(":")
    published_tag = tag and get_pretrained_cfg(name.replace("/", "-"), tag)
    if model != "fieldguide" and not published_tag and os.environ.get("LAZSL_MODEL") != model:
        raise UserError(
            f"the run was made with the model {model!r}, as its record says; records may be "
            "anybody's who can write to the workspace, so that model is not loaded by itself. If "
            f"you trust it, name it: LAZSL_MODEL={shlex.quote(model)} in the environment, or "
            "--model of lazsl relabel"
        )


def _builtin(model: str, precision: str) -> ModelSource:
    identifier, _, pretrained = model.partition(":")
    name = identifier.replace("/", "-")
    config = open_clip.get_model_config(name)
    if config is None:
        raise UserError(
            f"unknown model {name!r}{nearest(name, open_clip.list_models())}; "
            "use an open_clip name with a tag (ViT-B-16-quickgelu:openai), "
            "local-dir:/folder, hf-hub:org/name, or fieldguide"
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    if not pretrained:
        raise UserError(
            f"model {model!r} names no weights; add a tag ({', '.join(tags) or 'none published'}) "
            f"or a checkpoint file, as in {name}:/weights.safetensors"
        )
    tag = get_pretrained_cfg(name, pretrained)
    if tag:
        recipe = published.for_tag(name, pretrained)
        weights = _download(model, recipe.name, tag)
        parts: list[Any] = [open_clip.get_model_config(recipe.name), tag]
        tokenizer = None
        given = f"{recipe.name}:{pretrained}" if recipe.name != name else model
    else:
        weights = _checkpoint(name, pretrained, tags)
        recipe, given = published.for_file(name), model
        tokenizer = _tokenizer_beside(weights, config)
        parts = [config, recipe.preprocess]
    of_tokenizer = [] if tokenizer is None else [_digests(tokenizer)]
    key = digest("encoder", parts, _file_digest(weights), precision, *of_tokenizer)
    return ModelSource(
        model,
        recipe.name,
        pretrained,
        weights,
        f"{readable(given)}-{key}",
        precision,
        recipe.preprocess,
        tokenizer,
        recipe.note,
    )


def _download(model: str, name: str, tag: dict[str, Any]) -> Path:
    try:
        with hub_or_cache():
            return Path(download_pretrained(tag))
    except Exception as error:  # whatever a hub client raises, the person needs one sentence
        raise UserError(unreachable(model, name, error)) from None


def _checkpoint(name: str, given: str, tags: Sequence[str]) -> Path:
    path = Path(given).expanduser()
    if path.is_file():
        return path
    twin = published.twin_with(name, given)
    raise UserError(
        f"{given!r} is neither a checkpoint file nor a tag of {name}"
        + (
            f"; these weights were trained with the other activation: use {twin}:{given}"
            if twin
            else f"{nearest(given, tags)}; published tags: {', '.join(tags) or 'none'}"
        )
    )


def _tokenizer_beside(weights: Path, config: dict[str, Any]) -> Path | None:
    """The folder of the weights, if the architecture reads its tokenizer from files and these are
    there."""
    if not config["text_cfg"].get("hf_tokenizer_name"):
        return None
    return weights.parent if (weights.parent / TOKENIZER_FILES[0]).is_file() else None


def _digests(tokenizer: Path) -> list[str]:
    files = (tokenizer / name for name in TOKENIZER_FILES)
    return [_file_digest(file) if file.is_file() else "" for file in files]


def _local(given: str, folder: Path) -> tuple[Any, Path]:
    config = folder / "open_clip_config.json"
    if not config.is_file():
        raise UserError(
            f"model {given!r}: there is no {config}; point local-dir: at a folder with "
            "open_clip_config.json and open_clip_model.safetensors"
        )
    with quiet_libraries():
        weights = _find_checkpoint_in_dir(folder)
    if weights is None:
        raise UserError(
            f"model {given!r}: no weights in {folder}; put open_clip_model.safetensors there"
        )
    text = config.read_text(encoding="utf-8", errors="replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"model {given!r}: {config} is no JSON ({library_reason(error)})") from None
    with without_hub():
        check_configuration(given, document)
    return text, Path(weights)


def _hub(given: str, identifier: str) -> tuple[Any, Path]:
    try:
        with hub_or_cache():
            config = _get_hf_config(identifier)
            check_configuration(given, config)
            return config, Path(download_pretrained_from_hf(identifier))
    except UserError:
        raise
    except Exception as error:  # whatever a hub client raises, the person needs one sentence
        raise UserError(unreachable(given, "ARCHITECTURE", error)) from None


def _file_digest(path: Path) -> str:
    stat = path.stat()
    return _cached_file_digest(str(path), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=32)
def _cached_file_digest(path: str, size: int, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
