"""Where a model's configuration and weights are, and what names them.

A model is given as

- `ViT-B-16-quickgelu:openai`: an architecture and the tag of its published weights,
- `ViT-B-16:/weights.safetensors`: an architecture and a checkpoint file,
- `local-dir:/folder`: a folder with `open_clip_config.json` and weights,
- `hf-hub:organisation/name`: the same, on the Hugging Face hub,
- `fieldguide`: the small model shipped with lazsl, which knows its drawn birds and nothing else.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
import os
import pickle
import socket
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import open_clip
from huggingface_hub import constants as hub_constants
from open_clip.factory import (
    _find_checkpoint_in_dir,
    _get_hf_config,
    download_pretrained_from_hf,
    parse_model_name,
)
from open_clip.pretrained import download_pretrained, get_pretrained_cfg

from lazsl.errors import UserError
from lazsl.fieldguide import MODEL_DIR
from lazsl.store.keys import digest, readable


@dataclass(frozen=True)
class ModelSource:
    """A model whose configuration and weights are at hand, though not loaded yet."""

    given: str
    name: str
    pretrained: str | None
    weights: Path
    key: str
    precision: str


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
    pretrained: str | None = None
    if schema is None:
        identifier, _, tag = model.partition(":")
        pretrained = tag or None
        config, weights = _builtin(model, identifier, pretrained)
        name = identifier
    elif schema == "local-dir":
        config, weights = _local(given, Path(identifier))
        name = model
    else:
        config, weights = _hub(given, identifier)
        name = model
    key = digest("encoder", config, _file_digest(weights), precision)
    return ModelSource(given, name, pretrained, weights, f"{readable(given)}-{key}", precision)


def reading(source: ModelSource) -> AbstractContextManager[None]:
    """For loading: open_clip may ask the hub again for anything that is not in a local folder."""
    return _quiet() if source.name.startswith("local-dir:") else _hub_or_cache()


def unreadable(source: ModelSource, error: Exception) -> str:
    reason = first_line(error)
    return (
        f"model {source.given!r} cannot be loaded from {source.weights} ({reason}); "
        "check that the file is whole and belongs to this architecture"
    )


def _builtin(model: str, name: str, pretrained: str | None) -> tuple[Any, Path]:
    name = name.replace("/", "-")
    config = open_clip.get_model_config(name)
    if config is None:
        raise UserError(
            f"unknown model {name!r}{_nearest(name, open_clip.list_models())}; "
            "use an open_clip name with a tag (ViT-B-16-quickgelu:openai), "
            "local-dir:/folder, hf-hub:org/name, or fieldguide"
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained is None:
        raise UserError(
            f"model {model!r} names no weights; add a tag ({', '.join(tags) or 'none published'}) "
            f"or a checkpoint file, as in {name}:/weights.safetensors"
        )
    tag = get_pretrained_cfg(name, pretrained)
    if tag:
        try:
            with _hub_or_cache():
                return [config, tag], Path(download_pretrained(tag))
        except Exception as error:  # whatever a hub client raises, the person needs one sentence
            raise UserError(_unreachable(model, name, error)) from None
    path = Path(pretrained).expanduser()
    if not path.is_file():
        raise UserError(
            f"{pretrained!r} is neither a checkpoint file nor a tag of {name}"
            f"{_nearest(pretrained, tags)}; published tags: {', '.join(tags) or 'none'}"
        )
    return [config, None], path


def _local(given: str, folder: Path) -> tuple[Any, Path]:
    config = folder / "open_clip_config.json"
    if not config.is_file():
        raise UserError(
            f"model {given!r}: there is no {config}; point local-dir: at a folder with "
            "open_clip_config.json and open_clip_model.safetensors"
        )
    with _quiet():
        weights = _find_checkpoint_in_dir(folder)
    if weights is None:
        raise UserError(
            f"model {given!r}: no weights in {folder}; put open_clip_model.safetensors there"
        )
    return config.read_text(encoding="utf-8", errors="replace"), Path(weights)


def _hub(given: str, identifier: str) -> tuple[Any, Path]:
    try:
        with _hub_or_cache():
            return _get_hf_config(identifier), Path(download_pretrained_from_hf(identifier))
    except Exception as error:  # whatever a hub client raises, the person needs one sentence
        raise UserError(_unreachable(given, "ARCHITECTURE", error)) from None


def _unreachable(model: str, name: str, error: Exception) -> str:
    reason = first_line(error)
    return (
        f"the weights of {model!r} could not be fetched ({reason}); on a machine without a way to "
        f"the hub, copy the file there and use {name}:/path/to/weights.safetensors, "
        "or local-dir:/folder"
    )


@contextmanager
def _hub_or_cache() -> Iterator[None]:
    """Where the hub does not answer, look in its local cache only, instead of retrying."""
    offline = hub_constants.HF_HUB_OFFLINE
    proxied = any(name.lower() in ("https_proxy", "all_proxy") for name in os.environ)
    hub = urlsplit(hub_constants.ENDPOINT)
    port = hub.port or (80 if hub.scheme == "http" else 443)
    with _quiet():
        try:
            if not proxied:
                socket.create_connection((hub.hostname or "", port), timeout=5).close()
        except OSError:
            hub_constants.HF_HUB_OFFLINE = True
        try:
            yield
        finally:
            hub_constants.HF_HUB_OFFLINE = offline


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def _file_digest(path: Path) -> str:
    stat = path.stat()
    return _cached_file_digest(str(path), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=32)
def _cached_file_digest(path: str, size: int, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_line(error: Exception) -> str:
    """What a library said, fit to stand in a sentence."""
    if isinstance(error, pickle.UnpicklingError):
        return "it is no file of plain weights, and code in it is not run"
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return "".join(filter(str.isprintable, said))[:200]


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip tells every step of a load on the root logger; a person needs none of it."""
    level = logging.root.manager.disable
    # Where the root logger has no handler, its first message gives it one for good.
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(level)
            logging.root.removeHandler(handler)
