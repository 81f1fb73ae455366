"""An open_clip model as an encoder of crops and of sentences.

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
from typing import Any, Literal
from urllib.parse import urlsplit

import open_clip
import torch
from huggingface_hub import constants as hub_constants
from open_clip.factory import (
    _find_checkpoint_in_dir,
    _get_hf_config,
    download_pretrained_from_hf,
    load_state_dict,
    parse_model_name,
)
from open_clip.pretrained import download_pretrained, get_pretrained_cfg
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors import safe_open
from torchvision.transforms import Compose, ToTensor

from lazsl.errors import UserError
from lazsl.fieldguide import MODEL_DIR
from lazsl.identity import digest, readable
from lazsl.regions import Framing

ROW_MULTIPLE = 16
"""Forward batches are padded to a multiple of this many rows. Matrix kernels treat the last few
rows of other sizes differently, and libraries choose other kernels for smaller batches, so that a
crop's last bits would depend on its batch."""

Towers = Literal["both", "text"]
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_OPEN_CLIP_PRECISION = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True)
class ModelSource:
    """A model whose configuration and weights are at hand, though not loaded yet."""

    given: str
    name: str
    pretrained: str | None
    weights: Path
    key: str
    precision: str


def choose_device(device: str) -> str:
    """The device to use: as asked, or for `auto` CUDA, then Apple's MPS, then the processor.

    Raises:
        UserError: the device does not exist here.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        reason = _first_line(error)
        raise UserError(
            f"device {device!r} is not usable here ({reason}); use auto or cpu"
        ) from None
    return device


def choose_precision(precision: str, device: str) -> str:
    """The precision to use: as asked, or for `auto` float16 on CUDA and float32 elsewhere.

    `auto` never looks at the processor's features: the same job on another machine without a GPU
    must give the same bits.
    """
    if precision != "auto":
        return precision
    return "float16" if device.startswith("cuda") else "float32"


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
    reason = _first_line(error)
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


def _reading(source: ModelSource) -> AbstractContextManager[None]:
    """For loading: open_clip may ask the hub again for anything that is not in a local folder."""
    return _quiet() if source.name.startswith("local-dir:") else _hub_or_cache()


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


class Encoder:
    """A loaded model. Its towers are never trained here."""

    def __init__(self, model: Any, source: ModelSource, device: str, tokenizer: Any) -> None:
        self.model = model.eval().requires_grad_(False)
        self.source = source
        self.key = source.key
        self.device = device
        self.tokenizer = tokenizer
        self.dtype = _DTYPES[source.precision]
        self.context_length: int = int(tokenizer.context_length)
        with torch.inference_mode():
            self.dimension = int(model.encode_text(tokenizer(["a"]).to(device)).shape[1])
        if model.visual is not None:
            preprocess = PreprocessCfg(**model.visual.preprocess_cfg)
            self.framing = _framing(preprocess)
            shape = (1, 3, 1, 1)
            self._mean = torch.tensor(preprocess.mean, device=device).view(shape) * 255.0
            self._scale = 1.0 / (torch.tensor(preprocess.std, device=device).view(shape) * 255.0)
            if device.startswith("cuda"):
                model.visual.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def encode_crops(self, crops: torch.Tensor) -> torch.Tensor:
        """Unit-length embeddings, float32 (B, D) on the model's device, perhaps not computed yet.

        Args:
            crops: uint8 (B, height, width, 3) as `regions.cut_crops` makes them, in pinned memory
                for a GPU. Rows do not influence each other, and neither does B.
        """
        rows = len(crops)
        padding = -rows % ROW_MULTIPLE
        if padding:
            crops = torch.cat([crops, crops[-1:].expand(padding, *crops.shape[1:])])
        pixels = crops.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        if self.device.startswith("cuda"):
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        pixels = pixels.to(torch.float32).sub_(self._mean).mul_(self._scale).to(self.dtype)
        embeddings = self.model.encode_image(pixels)[:rows].to(torch.float32)
        return torch.nn.functional.normalize(embeddings, dim=1)

    @torch.inference_mode()
    def encode_sentences(self, sentences: Sequence[str], batch: int = 256) -> torch.Tensor:
        """Unit-length embeddings, float32 (N, D) on the processor, row i for sentence i.

        Batches are padded like those of crops. Sentences over the model's context length are cut
        by its tokenizer; `count_tokens` tells.
        """
        found = []
        for start in range(0, len(sentences), batch):
            part = list(sentences[start : start + batch])
            rows = len(part)
            part += part[-1:] * (-rows % ROW_MULTIPLE)
            tokens = self.tokenizer(part).to(self.device)
            embeddings = self.model.encode_text(tokens)[:rows].to(torch.float32)
            found.append(torch.nn.functional.normalize(embeddings, dim=1).cpu())
        return torch.cat(found)

    def count_tokens(self, sentences: Sequence[str]) -> list[int]:
        """Tokens per sentence before any cutting, start and end included."""
        return count_tokens(self.tokenizer, sentences)


def count_tokens(tokenizer: Any, sentences: Sequence[str]) -> list[int]:
    """Tokens per sentence before any cutting, start and end included."""
    wide = tokenizer(list(sentences), context_length=4096)
    rows = wide.numpy()
    padding = rows[:, -1:]
    return [int(n) for n in (rows != padding).sum(axis=1)]


def load_tokenizer(source: ModelSource) -> Any:
    """The model's tokenizer alone.

    Raises:
        UserError: its files are missing or unreadable.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        with _reading(source):
            return open_clip.get_tokenizer(source.name)
    except Exception as error:  # transformers raises many kinds for a bad folder
        raise UserError(_unreadable(source, error)) from None


def load_encoder(source: ModelSource, device: str, towers: Towers = "both") -> Encoder:
    """The model on a device, ready to encode.

    Weights are read without executing code (safetensors, or torch.load with weights_only).

    Args:
        source: from `find_model`.
        device: from `choose_device`.
        towers: `text` builds and reads no vision tower (for relabelling).

    Raises:
        UserError: the weights are unreadable or do not fit the architecture.
    """
    tokenizer = load_tokenizer(source)
    try:
        with _reading(source):
            load = _load_text_tower if towers == "text" else _load_both_towers
            model = load(source).to(device)
    except Exception as error:  # safetensors, pickle, zip and shape errors alike
        raise UserError(_unreadable(source, error)) from None
    return Encoder(model, source, device, tokenizer)


def _load_both_towers(source: ModelSource) -> Any:
    return open_clip.create_model(
        source.name,
        pretrained=source.pretrained,
        precision=_OPEN_CLIP_PRECISION[source.precision],
        device="cpu",
        weights_only=True,
        require_pretrained=True,
    )


def _load_text_tower(source: ModelSource) -> Any:
    try:
        model = _build_text_tower(source)
    except Exception:  # perhaps of a kind that open_clip converts, which it does for whole models
        model = _load_both_towers(source)
    model.visual = None
    return model


def _build_text_tower(source: ModelSource) -> Any:
    """The model with a placeholder of one thin layer where its vision tower would be."""
    placeholder = {"layers": 1, "width": 8, "head_width": 8, "patch_size": 32, "image_size": 32}
    model = open_clip.create_model(
        source.name,
        load_weights=False,
        precision=_OPEN_CLIP_PRECISION[source.precision],
        vision_cfg=placeholder,
        device="cpu",
        pretrained_text=False,
    )
    weights = {
        k: v for k, v in _text_weights(source.weights).items() if not k.startswith("visual.")
    }
    missing, unexpected = model.load_state_dict(weights, strict=False)
    wrong = [k for k in missing if not k.startswith("visual.") and k != "logit_bias"]
    if wrong or unexpected:
        raise ValueError(f"{len(wrong)} missing and {len(unexpected)} unexpected weights")
    return model


def _text_weights(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            return {k: file.get_tensor(k) for k in file.keys() if not k.startswith("visual.")}  # noqa: SIM118
    return dict(load_state_dict(str(path), device="cpu", weights_only=True))


def _unreadable(source: ModelSource, error: Exception) -> str:
    reason = _first_line(error)
    return (
        f"model {source.given!r} cannot be loaded from {source.weights} ({reason}); "
        "check that the file is whole and belongs to this architecture"
    )


def _first_line(error: Exception) -> str:
    """What a library said, fit to stand in a sentence."""
    if isinstance(error, pickle.UnpicklingError):
        return "it is no file of plain weights, and code in it is not run"
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return "".join(filter(str.isprintable, said))[:200]


def _framing(preprocess: PreprocessCfg) -> Framing:
    """The transforms of open_clip's own preprocessing that come before pixels become a tensor."""
    steps = image_transform_v2(preprocess, is_train=False).transforms
    end = next(
        i
        for i, step in enumerate(steps)
        if isinstance(step, ToTensor) or type(step).__name__ == "MaybeToTensor"
    )
    geometry = Compose(steps[:end])
    size = preprocess.size if isinstance(preprocess.size, tuple | list) else (preprocess.size,) * 2
    resample = (
        Image.Resampling.BILINEAR
        if preprocess.interpolation == "bilinear"
        else Image.Resampling.BICUBIC
    )
    # A thread of pixels that is resized by its shorter side becomes gigabytes, of which the centre
    # crop leaves the middle; resized by its longer side, it has no shorter side left.
    narrowest = {"shortest": 200, "longest": 2 * min(size) - 1}.get(preprocess.resize_mode)

    def frame(image: Image.Image) -> Image.Image:
        if narrowest is not None:
            image = _middle(image, narrowest * min(image.size))
        framed: Image.Image = geometry(image)
        return framed

    return Framing((int(size[1]), int(size[0])), resample, frame)


def _middle(image: Image.Image, longest: int) -> Image.Image:
    """The picture without what makes it longer than this, at both ends alike."""
    width, height = image.size
    if max(width, height) <= longest:
        return image
    left, top = max(0, width - longest) // 2, max(0, height - longest) // 2
    return image.crop((left, top, left + min(width, longest), top + min(height, longest)))


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
