"""Train the first field guide's CLIP from nothing: `python -m studies.fieldguide.training`.

What makes it learn on two cores in well under an hour:

- It learns in three stages. *Look*: the image tower learns against a free table with one vector
  per attribute phrase. *Read*: the text tower learns to say those vectors, from sentences alone.
  *Together*: both towers, on crops and sentences. Trained together from the start, each tower
  chases the other and needs several times the steps.
- Many crops are cut tightly around one part, so that a phrase has something to hold on to.
- Every step scores its crops against *all* attribute phrases (and, together, some longer
  captions), with the true crop-phrase matrix as targets of a sigmoid loss: there are no false
  negatives. A part that is in the crop but too small or too much cut off to be judged is left
  out of the loss instead of being called absent.

Species of the sample archive are never drawn here: a random bird that looks like one is redrawn.
Class names in captions are invented anew every time, so a name can carry no information.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize

from studies.fieldguide.drawing import Framing, draw_scene
from studies.fieldguide.sample import FIRST_GUIDE, sample_species
from studies.fieldguide.species import invent_name, look, random_traits
from studies.fieldguide.traits import PARTS, VALUES, all_phrases
from studies.fieldguide.vocabulary import (
    CONTEXT_LENGTH,
    TEMPLATES,
    VOCABULARY_SIZE,
    train_tokenizer,
)

IMAGE_SIZE = 64
MODEL_CONFIG: dict[str, Any] = {
    "embed_dim": 128,
    "init_logit_bias": -4.0,
    "vision_cfg": {
        "image_size": IMAGE_SIZE,
        "layers": [1, 2, 2, 1],
        "width": 24,
        "head_width": 32,
    },
    "text_cfg": {
        "hf_tokenizer_name": "field-guide",
        "tokenizer_kwargs": {"clean": "canonicalize"},
        "context_length": CONTEXT_LENGTH,
        "vocab_size": VOCABULARY_SIZE,
        "width": 128,
        "heads": 4,
        "layers": 3,
    },
}
PREPROCESS_CONFIG = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}

TRAIT_NAMES = list(VALUES)
PHRASES = all_phrases()
_REQUIRED = np.full((len(PHRASES), len(TRAIT_NAMES)), -1)
for _row, _phrase in enumerate(PHRASES):
    for _name, _value in _phrase.requires:
        _REQUIRED[_row, TRAIT_NAMES.index(_name)] = VALUES[_name].index(_value)
_PHRASE_PART = np.array([PARTS.index(phrase.part) for phrase in PHRASES])

SHOWN, ABSENT, UNCLEAR = 1, 0, -1


@dataclass(frozen=True)
class Pool:
    """Drawn scenes in memory: pixels, part maps, and trait values as indices into `VALUES`."""

    images: list[np.ndarray]
    parts: list[np.ndarray]
    traits: np.ndarray


def _draw(task: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, list[int]]:
    seed, index = task
    rng = np.random.default_rng([seed, index, 1])
    forbidden = {look(species.traits) for species in sample_species()}
    traits = random_traits(rng)
    while look(traits) in forbidden:
        traits = random_traits(rng)
    scene = draw_scene(traits, [seed, index, 2], Framing(0.22, 0.6))
    values = [VALUES[name].index(getattr(traits, name)) for name in TRAIT_NAMES]
    return np.asarray(scene.image), scene.parts, values


def draw_pool(scenes: int, seed: int) -> Pool:
    """Draw this many scenes of random birds, none of which looks like a sample species."""
    with ProcessPoolExecutor() as processes:
        drawn = list(processes.map(_draw, [(seed, i) for i in range(scenes)], chunksize=50))
    return Pool([d[0] for d in drawn], [d[1] for d in drawn], np.array([d[2] for d in drawn]))


def choose_box(parts: np.ndarray, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A square crop: around one part, around the bird, anywhere, or as much as there is."""
    height, width = parts.shape
    shorter = min(height, width)
    kind = rng.random()
    if kind < 0.65:
        present = np.unique(parts)[1:] if kind < 0.45 else None
        chosen = parts == rng.choice(present) if present is not None else parts > 0
        rows, columns = np.nonzero(chosen)
        extent = max(np.ptp(rows), np.ptp(columns)) + 1
        wide = extent * (rng.uniform(1.1, 3.5) if kind < 0.45 else rng.uniform(0.7, 1.8))
        side = float(np.clip(wide, 24, shorter))
        jitter = rng.uniform(-0.25, 0.25, size=2) * side
        x = (columns.min() + columns.max()) / 2 + jitter[0] - side / 2
        y = (rows.min() + rows.max()) / 2 + jitter[1] - side / 2
    else:
        side = shorter * rng.uniform(0.3, 0.9) if kind < 0.9 else float(shorter)
        x, y = rng.uniform(0, width - side + 1e-6), rng.uniform(0, height - side + 1e-6)
    x = int(np.clip(x, 0, width - side))
    y = int(np.clip(y, 0, height - side))
    return x, y, x + int(side), y + int(side)


def judge_parts(parts: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """For every part: SHOWN, ABSENT or UNCLEAR (cut off, or too few of the model's pixels)."""
    left, top, right, bottom = box
    inside = np.bincount(parts[top:bottom, left:right].ravel(), minlength=len(PARTS))
    overall = np.maximum(np.bincount(parts.ravel(), minlength=len(PARTS)), 1)
    share = inside / overall
    pixels = np.sqrt(inside) * IMAGE_SIZE / (right - left)
    verdict = np.full(len(PARTS), UNCLEAR)
    verdict[share < 0.1] = ABSENT
    verdict[(share >= 0.6) & (pixels >= 2.0)] = SHOWN
    return verdict


@dataclass(frozen=True)
class Batch:
    """`crops` (B, 3, S, S) in [-1, 1]; `truth` and `weight` (B, T) against the T `texts`."""

    crops: torch.Tensor
    texts: list[str]
    truth: torch.Tensor
    weight: torch.Tensor


def make_batch(pool: Pool, size: int, captions: int, rng: np.random.Generator) -> Batch:
    """Crops of random scenes with the truth about every phrase and some conjunctions of them."""
    scenes = rng.integers(len(pool.images), size=size)
    crops = np.empty((size, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    verdicts = np.empty((size, len(PARTS)), dtype=int)
    for row, scene in enumerate(scenes):
        box = choose_box(pool.parts[scene], rng)
        cut = Image.fromarray(pool.images[scene]).resize(
            (IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC, box=box
        )
        crops[row] = np.asarray(cut)
        verdicts[row] = judge_parts(pool.parts[scene], box)
    traits = pool.traits[scenes]
    holds = ((_REQUIRED[None] == -1) | (_REQUIRED[None] == traits[:, None])).all(axis=2)
    shown = verdicts[:, _PHRASE_PART]
    truth = holds & (shown == SHOWN)
    known = ~(holds & (shown == UNCLEAR))

    texts = [_say(phrase.text, rng) for phrase in PHRASES]
    caption_truth = np.empty((size, captions), dtype=bool)
    caption_known = np.empty((size, captions), dtype=bool)
    for column in range(captions):
        true_here = np.nonzero(truth[rng.integers(size)])[0]
        count = int(rng.integers(2, 5))
        if len(true_here) >= count:
            chosen = rng.choice(true_here, size=count, replace=False)
        else:
            chosen = rng.integers(len(PHRASES), size=count)
        if rng.random() < 0.3:
            chosen[0] = rng.integers(len(PHRASES))
        texts.append(_say(_join([PHRASES[i].text for i in chosen]), rng))
        caption_truth[:, column] = truth[:, chosen].all(axis=1)
        false = known[:, chosen] & ~truth[:, chosen]
        caption_known[:, column] = caption_truth[:, column] | false.any(axis=1)
    pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
    return Batch(
        pixels,
        texts,
        torch.from_numpy(np.concatenate([truth, caption_truth], axis=1)).float(),
        torch.from_numpy(np.concatenate([known, caption_known], axis=1)).float(),
    )


def _say(phrase: str, rng: np.random.Generator) -> str:
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    return template.format(phrase=phrase, name=invent_name(rng).capitalize())


def _prefetched(
    pool: Pool, steps: int, size: int, captions: int, seed: list[int]
) -> Iterator[Batch]:
    """Batches made a few steps ahead in a thread, each from its own seed."""
    with ThreadPoolExecutor(1) as thread:
        ahead: deque[Future[Batch]] = deque()
        for step in range(steps):
            rng = np.random.default_rng([*seed, step])
            ahead.append(thread.submit(make_batch, pool, size, captions, rng))
            if len(ahead) > 3:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def sigmoid_loss(
    images: torch.Tensor,
    texts: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor,
    batch: Batch,
) -> torch.Tensor:
    """SigLIP's pairwise loss, with true pairs given, not assumed, and unclear ones left out."""
    logits = images @ texts.T * scale.exp() + bias
    loss = binary_cross_entropy_with_logits(logits, batch.truth, reduction="none")
    return (loss * batch.weight).sum() / len(images)


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Area under the precision-recall curve of one ranking."""
    ranked = truth[np.argsort(-scores, kind="stable")]
    hits = np.cumsum(ranked)
    return float((hits / np.arange(1, len(ranked) + 1) * ranked).sum() / max(ranked.sum(), 1))


def save_model(model: torch.nn.Module, directory: Path) -> None:
    """Write config and weights as open_clip's `local-dir:` schema reads them, in float16."""
    config = {"model_cfg": MODEL_CONFIG, "preprocess_cfg": PREPROCESS_CONFIG}
    (directory / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, directory / "open_clip_model.safetensors")


class Trainer:
    """The model in training, its phrase table, and what the three stages share."""

    def __init__(self, args: argparse.Namespace) -> None:
        torch.manual_seed(args.seed)
        args.output.mkdir(parents=True, exist_ok=True)
        train_tokenizer(args.output, args.seed)
        self.args = args
        self.started = time.monotonic()
        self.model = open_clip.model.CLIP(**MODEL_CONFIG)
        self.model.visual.to(memory_format=torch.channels_last)
        self.table = torch.nn.Parameter(torch.randn(len(PHRASES), MODEL_CONFIG["embed_dim"]) * 0.1)
        save_model(self.model, args.output)
        self.tokenize = open_clip.get_tokenizer(f"local-dir:{args.output}")
        self.pool = draw_pool(args.scenes, args.seed)
        self.held_out = make_batch(
            draw_pool(400, args.seed + 1), 768, 64, np.random.default_rng(args.seed)
        )
        self.say(f"{args.scenes} scenes drawn")

    def say(self, text: str) -> None:
        print(f"{text}  ({time.monotonic() - self.started:.0f} s)", flush=True)

    def see(self, crops: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.args.bfloat16):
            pixels = crops.contiguous(memory_format=torch.channels_last)
            return normalize(self.model.encode_image(pixels).float(), dim=1)

    def read(self, texts: list[str]) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.args.bfloat16):
            return normalize(self.model.encode_text(self.tokenize(texts)).float(), dim=1)

    def optimizer(
        self, parameters: list[torch.nn.Parameter], rate: float, steps: int
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        decayed = [p for p in parameters if p.ndim >= 2]
        others = [p for p in parameters if p.ndim < 2]
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
            lr=rate,
            betas=(0.9, 0.98),
        )
        warmup = min(100, steps // 4)
        return optimizer, torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: min(
                (step + 1) / warmup, 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.01
            ),
        )

    def learn(
        self,
        stage: str,
        parameters: list[torch.nn.Parameter],
        rate: float,
        steps: int,
        losses: Iterator[torch.Tensor],
    ) -> None:
        """Follow the gradient of each loss in turn; report and save now and then."""
        optimizer, schedule = self.optimizer(parameters, rate, steps)
        self.model.train()
        for step, loss in enumerate(losses):
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            if (step + 1) % self.args.report == 0 or step + 1 == steps:
                by_table, by_text = self.evaluate()
                self.say(
                    f"{stage} {step + 1}/{steps}: loss {loss.item():.3f}, mean average precision "
                    f"{by_table:.3f} by table, {by_text:.3f} by sentence"
                )
                save_model(self.model, self.args.output)

    @torch.no_grad()
    def evaluate(self) -> tuple[float, float]:
        """Mean average precision over phrases on scenes never trained on: by table, by sentence."""
        self.model.eval()
        crops, truth = self.see(self.held_out.crops), self.held_out.truth.numpy() > 0
        known = self.held_out.weight.numpy() > 0
        texts = self.read(self.held_out.texts[: len(PHRASES)])
        self.model.train()
        means = []
        for vectors in (normalize(self.table, dim=1), texts):
            scores = (crops @ vectors.T).numpy()
            columns = [t for t in range(len(PHRASES)) if (truth & known)[:, t].any()]
            means.append(
                np.mean(
                    [
                        average_precision(scores[known[:, t], t], truth[known[:, t], t])
                        for t in columns
                    ]
                )
            )
        return float(means[0]), float(means[1])

    def look(self) -> None:
        """Stage 1: crops against the phrase table."""
        args, model = self.args, self.model
        batches = _prefetched(self.pool, args.look, args.batch, 0, [args.seed, 1])
        losses = (
            sigmoid_loss(
                self.see(batch.crops),
                normalize(self.table, dim=1),
                model.logit_scale,
                model.logit_bias,
                batch,
            )
            for batch in batches
        )
        parameters = [*model.visual.parameters(), model.logit_scale, model.logit_bias, self.table]
        self.learn("look", parameters, args.rate, args.look, losses)

    def _reading_losses(self) -> Iterator[torch.Tensor]:
        table = normalize(self.table.detach(), dim=1)
        for step in range(self.args.read):
            rng = np.random.default_rng([self.args.seed, 2, step])
            rows = [[i] for i in rng.permutation(len(PHRASES))[:160]]
            rows += [list(rng.integers(len(PHRASES), size=rng.integers(2, 5))) for _ in range(48)]
            target = normalize(torch.stack([table[row].sum(dim=0) for row in rows]), dim=1)
            sentences = self.read(
                [_say(_join([PHRASES[i].text for i in row]), rng) for row in rows]
            )
            # Close to its own vector, and closer to it than to any other sentence's.
            contrast = cross_entropy(sentences @ target.T * 20, torch.arange(len(rows)))
            yield (1 - (sentences * target).sum(dim=1)).mean() + 0.2 * contrast

    def learn_to_read(self) -> None:
        """Stage 2: sentences against the phrase table; no image is needed."""
        vision = {id(p) for p in self.model.visual.parameters()}
        scalars = {id(self.model.logit_scale), id(self.model.logit_bias)}
        parameters = [p for p in self.model.parameters() if id(p) not in vision | scalars]
        self.learn("read", parameters, self.args.rate / 2, self.args.read, self._reading_losses())

    def together(self) -> None:
        """Stage 3: crops against sentences, both towers."""
        args, model = self.args, self.model
        batches = _prefetched(self.pool, args.together, args.batch, args.captions, [args.seed, 3])
        losses = (
            sigmoid_loss(
                self.see(batch.crops),
                self.read(batch.texts),
                model.logit_scale,
                model.logit_bias,
                batch,
            )
            for batch in batches
        )
        self.learn("together", list(model.parameters()), args.rate / 4, args.together, losses)


def _join(phrases: list[str]) -> str:
    if len(phrases) == 1:
        return phrases[0]
    return ", ".join(phrases[:-1]) + " and " + phrases[-1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=FIRST_GUIDE / "model")
    parser.add_argument("--scenes", type=int, default=5000, help="pictures drawn for training")
    parser.add_argument("--look", type=int, default=3200, help="steps of stage 1")
    parser.add_argument("--read", type=int, default=1000, help="steps of stage 2")
    parser.add_argument("--together", type=int, default=500, help="steps of stage 3")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--captions", type=int, default=48)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--report", type=int, default=200)
    parser.add_argument(
        "--bfloat16",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="train under bfloat16 autocast (twice as fast where the processor has it)",
    )
    trainer = Trainer(parser.parse_args())
    trainer.look()
    trainer.learn_to_read()
    trainer.together()


if __name__ == "__main__":
    main()
