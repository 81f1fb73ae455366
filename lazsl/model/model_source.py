"""A model that was found: where its weights are, and what names it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
"""What a tokenizer from the hub consists of, as transformers reads it."""


@dataclass(frozen=True)
class ModelSource:
    """A model whose configuration and weights are at hand, though not loaded yet.

    `preprocess` overrides open_clip's default preprocessing, `tokenizer` is a folder with the
    tokenizer's files where they were given beside the weights, and `note` is what the person who
    named the model should know.
    """

    given: str
    name: str
    pretrained: str | None
    weights: Path
    key: str
    precision: str
    preprocess: dict[str, Any] | None = None
    tokenizer: Path | None = None
    note: str | None = None

    @property
    def text_config(self) -> dict[str, Any]:
        """What open_clip ships about the text tower of a built-in architecture; else nothing."""
        if ":" in self.name:
            return {}
        config: dict[str, Any] = open_clip.get_model_config(self.name) or {}
        return dict(config.get("text_cfg", {}))
