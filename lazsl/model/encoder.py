"""A loaded open_clip model as an encoder of crops and of sentences."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import open_clip
import torch
from open_clip.transform import PreprocessCfg

from lazsl.errors import UserError
from lazsl.model.hub import reading
from lazsl.model.model_source import ModelSource
from lazsl.model.preprocessing import framing_of
from lazsl.model.towers import Towers, load_towers
from lazsl.model.unusable import library_reason, unreadable, unreadable_tokenizer
from lazsl.settings import device_defaults

ROW_MULTIPLE = 16
"""Forward batches are padded to a multiple of this many rows. Matrix kernels treat the last few
rows of other sizes differently, and libraries choose other kernels for smaller batches, so that a
crop's last bits would depend on its batch."""


_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


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
        reason = library_reason(error)
        raise UserError(
            f"device {device!r} is not usable here ({reason}); use auto or cpu"
        ) from None
    return device


def choose_precision(precision: str, device: str) -> str:
    """The precision to use: as asked, or for `auto` the device's own (`settings`).

    `auto` never looks at the processor's features: the same job on another machine without a GPU
    must give the same bits. (bfloat16 is twice as fast where a processor multiplies in it, and
    slower where not: docs/research/performance/arithmetic.md.)
    """
    return device_defaults(device).precision if precision == "auto" else precision


def keep_precision() -> None:
    """Let CUDA compute in the precision that was asked for, in this process from now on.

    Left alone, torch lets float32 convolutions round their operands to TF32, and half-precision
    products add up their parts in half precision, which may overflow.
    """
    torch.backends.cudnn.allow_tf32 = False
    products = torch.backends.cuda.matmul
    products.allow_tf32 = False
    products.allow_fp16_reduced_precision_reduction = False
    products.allow_bf16_reduced_precision_reduction = False


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
        if model.visual is None:
            with torch.inference_mode():
                self.dimension = int(model.encode_text(tokenizer(["a"]).to(device)).shape[1])
        else:
            preprocess = PreprocessCfg(**model.visual.preprocess_cfg)
            self.framing = framing_of(preprocess)
            shape = (1, 3, 1, 1)
            self._mean = torch.tensor(preprocess.mean, device=device).view(shape) * 255.0
            self._scale = 1.0 / (torch.tensor(preprocess.std, device=device).view(shape) * 255.0)
            if device.startswith("cuda"):
                model.visual.to(memory_format=torch.channels_last)
            width, height = self.framing.size
            blank = torch.zeros((1, 3, height, width), dtype=self.dtype, device=device)
            with torch.inference_mode():  # one row, because large models take seconds for many
                self.dimension = int(model.encode_image(blank).shape[1])

    @torch.inference_mode()
    def encode_crops(self, crops: torch.Tensor) -> torch.Tensor:
        """Unit-length embeddings, float32 (B, D) on the model's device, perhaps not computed yet.

        Args:
            crops: uint8 (B, height, width, 3) as `regions.cut_crops` makes them, in pinned memory
                for a GPU. Rows do not influence each other, and neither does B.
        """
        rows = len(crops)
        padding = -rows % ROW_MULTIPLE
        # Moved first, because memory that a GPU fetches by itself cannot be appended to.
        crops = crops.to(self.device, non_blocking=True)
        if padding:
            crops = torch.cat([crops, crops[-1:].expand(padding, *crops.shape[1:])])
        embeddings = self.model.encode_image(self.ready(crops))[:rows].to(torch.float32)
        return torch.nn.functional.normalize(embeddings, dim=1)

    def ready(self, pictures: torch.Tensor) -> torch.Tensor:
        """What the vision tower takes, (B, 3, H, W), of uint8 (B, H, W, 3)."""
        pixels = pictures.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        if self.device.startswith("cuda"):
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        return pixels.to(torch.float32).sub_(self._mean).mul_(self._scale).to(self.dtype)

    @torch.inference_mode()
    def encode_sentences(self, sentences: Sequence[str], batch: int = 256) -> torch.Tensor:
        """Unit-length embeddings, float32 (N, D) on the processor, row i for sentence i.

        Batches are padded like those of crops, and on a GPU to `batch` rows, so that a sentence's
        bits do not depend on the label set. Sentences over the model's context length are cut by
        its tokenizer; `count_tokens` tells.
        """
        multiple = batch if self.device.startswith("cuda") else ROW_MULTIPLE
        batches = []
        for start in range(0, len(sentences), batch):
            part = list(sentences[start : start + batch])
            rows = len(part)
            part += part[-1:] * (-rows % multiple)
            tokens = self.tokenizer(part).to(self.device)
            embeddings = self.model.encode_text(tokens)[:rows].to(torch.float32)
            batches.append(torch.nn.functional.normalize(embeddings, dim=1).cpu())
        return torch.cat(batches)

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
        with reading(source):
            if source.tokenizer is None:
                return open_clip.get_tokenizer(source.name, **_without_code(source.name))
            config = source.text_config
            return open_clip.tokenizer.HFTokenizer(
                str(source.tokenizer),
                context_length=config.get(
                    "context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH
                ),
                tokenizer_mode=config.get("tokenizer_mode"),
                trust_remote_code=False,
                **config.get("tokenizer_kwargs", {}),
            )
    except Exception as error:  # transformers raises many kinds for a bad folder
        raise UserError(unreadable_tokenizer(source, error)) from None


def _without_code(name: str) -> dict[str, bool]:
    """What keeps transformers from running, or offering to run, code beside a tokenizer."""
    text = (open_clip.get_model_config(name) or {}).get("text_cfg", {})
    return {"trust_remote_code": False} if text.get("hf_tokenizer_name") else {}


def load_encoder(source: ModelSource, device: str, towers: Towers = "both") -> Encoder:
    """The model on a device, ready to encode.

    Weights are read without executing code (safetensors, or torch.load with weights_only).

    Args:
        source: from `find_model`.
        device: from `choose_device`.
        towers: `text` builds and reads no vision tower (for relabelling), `vision` no text tower
            (where the label set was embedded before).

    Raises:
        UserError: the weights are unreadable or do not fit the architecture.
    """
    if device.startswith("cuda"):
        keep_precision()
    tokenizer = load_tokenizer(source)
    try:
        with reading(source):
            model = load_towers(source, towers).to(device)
    except Exception as error:  # safetensors, pickle, zip and shape errors alike
        raise UserError(unreadable(source, error)) from None
    return Encoder(model, source, device, tokenizer)
