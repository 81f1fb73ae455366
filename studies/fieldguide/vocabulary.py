"""The model's own small tokenizer: byte-level BPE over the field guide's language.

CLIP's 49,408-row table would be most of so small a model. Bytes are the fallback, so any text
can be encoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from studies.fieldguide.species import invent_name
from studies.fieldguide.traits import all_phrases

VOCABULARY_SIZE = 1024
CONTEXT_LENGTH = 32
TEMPLATES = (
    "{phrase}",
    "{name}, which has {phrase}.",
    "{name}, which has {phrase}.",
    "a bird with {phrase}",
    "a photo of a {name} with {phrase}.",
)


def _corpus(rng: np.random.Generator) -> Iterator[str]:
    phrases = [phrase.text for phrase in all_phrases()]
    for _ in range(20):
        for phrase in phrases:
            template = TEMPLATES[rng.integers(len(TEMPLATES))]
            yield template.format(phrase=phrase, name=invent_name(rng))
    yield from ("a photo of a bird.", "a painting of a bird.", "a drawing of the bird")


def train_tokenizer(directory: Path, seed: int = 0) -> None:
    """Train the tokenizer and write its files where open_clip's `local-dir:` looks for them.

    The end-of-text token has the highest id, because CLIP's text tower pools at the argmax.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - 1,
        special_tokens=["<pad>", "<start>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(np.random.default_rng(seed)), trainer)
    tokenizer.add_special_tokens(["<end>"])
    start, end = tokenizer.token_to_id("<start>"), tokenizer.token_to_id("<end>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", start), ("<end>", end)]
    )
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<start>",
        eos_token="<end>",
        model_max_length=CONTEXT_LENGTH,
    ).save_pretrained(directory)
