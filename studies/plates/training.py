"""Train a CLIP that knows the plates, from nothing: `python -m studies.plates.training POOL`.

The stages are those of the field guide's first model (`studies.fieldguide.training` explains them):
*look* against a table with a vector per phrase, *read* sentences against that table, then both
*together*. What differs:

- It learns from several renderings at once: photographs, prints, sketches, dusk. What cannot be
  seen in a rendering is no truth of it: a sketch shows no colour, so phrases that name one are left
  out of the loss wherever colour alone would decide. Paintings are never trained on.
- Crops vary in brightness, contrast, saturation and tint.
- Everything is written down every few hundred steps (`checkpoint.pt`), and training goes on from
  there when it is started again. Each step has its own seed, so it sees the crops it would have.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from torch.nn.functional import cross_entropy, normalize

from studies.fieldguide.species import invent_name
from studies.fieldguide.training import (
    ABSENT,
    IMAGE_SIZE,
    MODEL_CONFIG,
    PHRASES,
    SHOWN,
    UNCLEAR,
    Batch,
    average_precision,
    save_model,
    sigmoid_loss,
)
from studies.fieldguide.traits import PARTS, VALUES
from studies.fieldguide.vocabulary import TEMPLATES, train_tokenizer
from studies.plates.pool import HANDS, TRAIT_NAMES, Pool, draw_pool, pooled, training_scene

_REQUIRED = np.full((len(PHRASES), len(TRAIT_NAMES)), -1)
for _row, _phrase in enumerate(PHRASES):
    for _name, _value in _phrase.requires:
        _REQUIRED[_row, TRAIT_NAMES.index(_name)] = VALUES[_name].index(_value)
_PART = np.array([PARTS.index(phrase.part) for phrase in PHRASES])
_COLOURED = np.array([name.endswith("_colour") for name in TRAIT_NAMES])
_NAMES_COLOUR = (_REQUIRED[:, _COLOURED] != -1).any(axis=1) | np.array(
    [
        any(word in phrase.text for word in ("red", "yellow")) and phrase.part == "eye"
        for phrase in PHRASES
    ]
)
"""Phrases that name a colour. Of eye marks, black and white ones are seen without colour."""

_LEAST = 2.5
"""Pixels of the model's, squared, that a part must have to be judged."""

_SKETCH = HANDS.index("sketch")


@dataclass(frozen=True)
class Judged:
    """Crops with the truth about every phrase, before any text: all (B, phrases) bool."""

    pixels: np.ndarray
    truth: np.ndarray
    known: np.ndarray


def choose_box(
    shape: tuple[int, int], pixels: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A square crop: around one part, around the bird, anywhere, or as much as there is."""
    height, width = shape
    shorter = min(height, width)
    kind = rng.random()
    if kind < 0.65:
        part = int(rng.choice(np.flatnonzero(pixels[1:]) + 1)) if kind < 0.45 else 0
        left, top, right, bottom = boxes[part].tolist()
        extent = max(right - left, bottom - top)
        wide = extent * (rng.uniform(1.1, 3.5) if part else rng.uniform(0.7, 1.8))
        side = float(np.clip(wide, 24, shorter))
        jitter = rng.uniform(-0.25, 0.25, size=2) * side
        x = (left + right) / 2 + jitter[0] - side / 2
        y = (top + bottom) / 2 + jitter[1] - side / 2
    else:
        side = shorter * rng.uniform(0.15, 0.9) if kind < 0.9 else float(shorter)
        x, y = rng.uniform(0, width - side + 1e-6), rng.uniform(0, height - side + 1e-6)
    left = int(np.clip(x, 0, width - side))
    top = int(np.clip(y, 0, height - side))
    return left, top, left + int(side), top + int(side)


def judge_parts(inside: np.ndarray, overall: np.ndarray, side: int) -> np.ndarray:
    """For every part: SHOWN, ABSENT or UNCLEAR (cut off, or too few of the model's pixels).

    Args:
        inside, overall: (9,) pixels of each part in a square crop and in the picture.
        side: of the crop, in pixels.
    """
    share = inside / np.maximum(overall, 1)
    seen = np.sqrt(inside) * IMAGE_SIZE / side
    verdict = np.full(len(PARTS), UNCLEAR)
    verdict[share < 0.1] = ABSENT
    verdict[(share >= 0.6) & (seen >= _LEAST)] = SHOWN
    return verdict


def judge(pool: Pool, scenes: np.ndarray, rng: np.random.Generator, vary: bool) -> Judged:
    """A crop of each of these scenes and what is true of it, as far as it can be seen."""
    size = len(scenes)
    crops = np.empty((size, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    verdicts = np.empty((size, len(PARTS)), int)
    for row, index in enumerate(scenes.tolist()):
        scene = pool.scenes[index]
        box = choose_box(scene.shape[:2], pool.pixels[index], pool.boxes[index], rng)
        left, top, right, bottom = box
        cut = Image.fromarray(np.ascontiguousarray(scene[top:bottom, left:right, :3]))
        small = cut.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC, reducing_gap=2.0)
        crops[row] = np.asarray(small)
        inside = np.bincount(scene[top:bottom, left:right, 3].ravel(), minlength=len(PARTS))
        verdicts[row] = judge_parts(inside, pool.pixels[index], right - left)
    traits = pool.traits[scenes]
    matched = (_REQUIRED[None] == -1) | (_REQUIRED[None] == traits[:, None])
    holds = matched.all(axis=2)
    shown = verdicts[:, _PART]
    truth = holds & (shown == SHOWN)
    known = ~(holds & (shown == UNCLEAR))
    # In a sketch a phrase is false where its part is absent or of another shape, and true or
    # unknown elsewhere.
    grey = (pool.hands[scenes] == _SKETCH)[:, None] & _NAMES_COLOUR[None]
    same_shape = matched[:, :, ~_COLOURED].all(axis=2)
    eye_phrases = PARTS.index("eye") == _PART
    same_shape[:, eye_phrases & _NAMES_COLOUR] = True
    # Without colour a mark around or beside the eye may be taken for any other of its kind.
    undecided = grey & same_shape & (shown != 0)
    truth &= ~undecided
    known &= ~undecided
    return Judged(_varied(crops, rng) if vary else crops, truth, known)


def make_batch(
    pool: Pool, size: int, captions: int, rng: np.random.Generator, vary: bool = True
) -> Batch:
    """Crops of random scenes with the truth about every phrase and some conjunctions of them."""
    judged = judge(pool, rng.integers(len(pool.scenes), size=size), rng, vary)
    truth, known = judged.truth, judged.known
    texts = [_sentence([i], rng) for i in range(len(PHRASES))]
    caption_truth = np.empty((size, captions), bool)
    caption_known = np.empty((size, captions), bool)
    for column in range(captions):
        true_here = np.nonzero(truth[rng.integers(size)])[0]
        count = int(rng.integers(2, 5))
        if len(true_here) >= count:
            chosen = rng.choice(true_here, size=count, replace=False)
        else:
            chosen = rng.integers(len(PHRASES), size=count)
        if rng.random() < 0.3:
            chosen[0] = rng.integers(len(PHRASES))
        texts.append(_sentence(chosen.tolist(), rng))
        caption_truth[:, column] = truth[:, chosen].all(axis=1)
        false = (known[:, chosen] & ~truth[:, chosen]).any(axis=1)
        caption_known[:, column] = caption_truth[:, column] | false
    pixels = torch.from_numpy(judged.pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
    return Batch(
        pixels,
        texts,
        torch.from_numpy(np.concatenate([truth, caption_truth], axis=1)).float(),
        torch.from_numpy(np.concatenate([known, caption_known], axis=1)).float(),
    )


def _varied(crops: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The crops in other light: brightness, contrast, saturation, tint and a little noise."""
    count = len(crops)

    def each(low: float, high: float, channels: int = 1) -> np.ndarray:
        return rng.uniform(low, high, (count, 1, 1, channels)).astype(np.float32)

    pixels = crops.astype(np.float32)
    grey = pixels.mean(axis=3, keepdims=True)
    pixels = grey + each(0.75, 1.35) * (pixels - grey)
    middle = pixels.mean(axis=(1, 2, 3), keepdims=True)
    pixels = (middle + each(0.8, 1.25) * (pixels - middle)) * each(0.78, 1.2) * each(0.93, 1.07, 3)
    noise = rng.standard_normal(pixels.shape, np.float32) * each(0, 8) * (each(0, 1) < 0.4)
    varied: np.ndarray = np.clip(pixels + noise, 0, 255)
    return varied.astype(np.uint8)


def _sentence(phrases: list[int], rng: np.random.Generator) -> str:
    texts = [PHRASES[i].text for i in phrases]
    joined = texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + " and " + texts[-1]
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    return template.format(phrase=joined, name=invent_name(rng).capitalize())


def ahead(make: Callable[[int], Batch], steps: range) -> Iterator[Batch]:
    """The batch of every step, made a few steps ahead in a thread."""
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[Batch]] = deque()
        for step in steps:
            waiting.append(thread.submit(make, step))
            if len(waiting) > 4:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def single_hand_pool(hand: str, count: int, seed: int) -> Pool:
    """Scenes by one hand, never trained on."""
    drawn = [training_scene(seed, index, hand) for index in range(count)]
    scenes = [np.dstack([np.asarray(scene.image), scene.parts]) for scene, _, _ in drawn]
    traits = [[VALUES[n].index(getattr(bird, n)) for n in TRAIT_NAMES] for _, bird, _ in drawn]
    number = HANDS.index(hand) if hand in HANDS else len(HANDS)
    return pooled(scenes, np.array(traits), np.full(count, number))


class Trainer:
    """The model in training, its phrase table, and where it stands."""

    def __init__(self, args: argparse.Namespace) -> None:
        torch.manual_seed(args.seed)
        torch.set_num_threads(args.threads)
        args.output.mkdir(parents=True, exist_ok=True)
        self.args = args
        self.started = time.monotonic()
        self.pool = draw_pool(args.pool, args.scenes, args.seed, args.threads)
        self.say(f"{len(self.pool.scenes)} scenes")
        train_tokenizer(args.output)
        self.model = open_clip.model.CLIP(**MODEL_CONFIG)
        self.model.visual.to(memory_format=torch.channels_last)
        width = MODEL_CONFIG["embed_dim"]
        self.table = torch.nn.Parameter(torch.randn(len(PHRASES), width) * 0.1)
        save_model(self.model, args.output)
        self.tokenize = open_clip.get_tokenizer(f"local-dir:{args.output}")
        self.held_out = {
            hand: make_batch(
                single_hand_pool(hand, args.held_out, args.seed + 1), 512, 0,
                np.random.default_rng(args.seed), vary=False,
            )
            for hand in (*HANDS, "painting")
        }  # fmt: skip
        self.say("held-out scenes drawn")

    def say(self, text: str) -> None:
        line = f"{text}  ({time.monotonic() - self.started:.0f} s, {time.process_time():.0f} s CPU)"
        print(line, flush=True)

    def see(self, crops: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            pixels = crops.contiguous(memory_format=torch.channels_last)
            return normalize(self.model.encode_image(pixels).float(), dim=1)

    def read(self, texts: list[str]) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return normalize(self.model.encode_text(self.tokenize(texts)).float(), dim=1)

    @torch.no_grad()
    def evaluate(self) -> str:
        """Mean average precision over phrases, by rendering: by table / by sentence."""
        self.model.eval()
        table = normalize(self.table, dim=1)
        parts = []
        for hand, batch in self.held_out.items():
            crops, truth = self.see(batch.crops), batch.truth.numpy() > 0
            known = batch.weight.numpy() > 0
            columns = np.flatnonzero((truth & known).any(axis=0))
            means = []
            for vectors in (table, self.read(batch.texts)):
                scores = (crops @ vectors.T).numpy()
                means.append(
                    np.mean(
                        [
                            average_precision(scores[known[:, t], t], truth[known[:, t], t])
                            for t in columns
                        ]
                    )
                )
            parts.append(f"{hand} {means[0]:.3f}/{means[1]:.3f}")
        self.model.train()
        return ", ".join(parts)

    def learn(
        self,
        stage: str,
        parameters: list[torch.nn.Parameter],
        rate: float,
        steps: int,
        losses: Callable[[range], Iterator[torch.Tensor]],
    ) -> None:
        """Follow the gradient of each loss in turn, from where this stage was left."""
        decayed = [p for p in parameters if p.ndim >= 2]
        others = [p for p in parameters if p.ndim < 2]
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
            lr=rate,
            betas=(0.9, 0.98),
        )
        warmup = min(100, steps // 4)

        def share(step: int) -> float:
            return min((step + 1) / warmup, 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.01)

        first = self._resume(stage, optimizer)
        self.model.train()
        mean, since = 0.0, time.process_time()
        for step, loss in enumerate(losses(range(first, steps)), first):
            for group in optimizer.param_groups:
                group["lr"] = rate * share(step)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            mean = 0.98 * mean + 0.02 * loss.item() if mean else loss.item()
            done = step + 1
            if done % self.args.report == 0 or done == steps:
                spent = time.process_time() - since
                per_second = self.args.batch * self.args.report / max(spent, 1e-9)
                self.say(
                    f"{stage} {done}/{steps}: loss {mean:.3f}, {per_second:.0f} crops per CPU "
                    f"second; {self.evaluate()}"
                )
                self._write(stage, done, optimizer)
                since = time.process_time()

    def _write(self, stage: str, step: int, optimizer: torch.optim.Optimizer) -> None:
        state = {
            "stage": stage,
            "step": step,
            "model": self.model.state_dict(),
            "table": self.table.data,
            "optimizer": optimizer.state_dict(),
        }
        unfinished = self.args.checkpoint.with_suffix(".part")
        torch.save(state, unfinished)
        unfinished.rename(self.args.checkpoint)
        save_model(self.model, self.args.output)

    def _resume(self, stage: str, optimizer: torch.optim.Optimizer) -> int:
        """The step to go on from; model, table and optimizer as they were then."""
        if not self.args.checkpoint.exists():
            return 0
        state = torch.load(self.args.checkpoint, weights_only=True)
        order = ("look", "read", "together")
        self.model.load_state_dict(state["model"])
        self.table.data.copy_(state["table"])
        if order.index(state["stage"]) > order.index(stage):
            return 1 << 60
        if state["stage"] != stage:
            return 0
        optimizer.load_state_dict(state["optimizer"])
        self.say(f"going on with {stage} after step {state['step']}")
        return int(state["step"])

    def _batches(self, number: int, captions: int, steps: range) -> Iterator[Batch]:
        seed, size = self.args.seed, self.args.batch
        return ahead(
            lambda step: make_batch(
                self.pool, size, captions, np.random.default_rng([seed, number, step])
            ),
            steps,
        )

    def look(self) -> None:
        """Stage 1: crops against the phrase table."""
        model = self.model

        def losses(steps: range) -> Iterator[torch.Tensor]:
            for batch in self._batches(1, 0, steps):
                table = normalize(self.table, dim=1)
                seen = self.see(batch.crops)
                yield sigmoid_loss(seen, table, model.logit_scale, model.logit_bias, batch)

        parameters = [*model.visual.parameters(), model.logit_scale, model.logit_bias, self.table]
        self.learn("look", parameters, self.args.rate, self.args.look, losses)

    def learn_to_read(self) -> None:
        """Stage 2: sentences against the phrase table; no image is needed."""

        def losses(steps: range) -> Iterator[torch.Tensor]:
            table = normalize(self.table.detach(), dim=1)
            for step in steps:
                rng = np.random.default_rng([self.args.seed, 2, step])
                rows = [[i] for i in rng.permutation(len(PHRASES))[:160].tolist()]
                rows += [
                    rng.integers(len(PHRASES), size=rng.integers(2, 5)).tolist() for _ in range(48)
                ]
                target = normalize(torch.stack([table[row].sum(dim=0) for row in rows]), dim=1)
                sentences = self.read([_sentence(row, rng) for row in rows])
                # Close to its own vector, and closer to it than to any other sentence's.
                contrast = cross_entropy(sentences @ target.T * 20, torch.arange(len(rows)))
                yield (1 - (sentences * target).sum(dim=1)).mean() + 0.2 * contrast

        others = {id(p) for p in self.model.visual.parameters()}
        others |= {id(self.model.logit_scale), id(self.model.logit_bias)}
        parameters = [p for p in self.model.parameters() if id(p) not in others]
        self.learn("read", parameters, self.args.rate / 2, self.args.read, losses)

    def together(self) -> None:
        """Stage 3: crops against sentences, both towers."""
        model = self.model

        def losses(steps: range) -> Iterator[torch.Tensor]:
            for batch in self._batches(3, self.args.captions, steps):
                seen, texts = self.see(batch.crops), self.read(batch.texts)
                yield sigmoid_loss(seen, texts, model.logit_scale, model.logit_bias, batch)

        parameters = list(model.parameters())
        self.learn("together", parameters, self.args.rate / 4, self.args.together, losses)


def main() -> None:
    """Train, or go on training."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    here = Path(__file__).parent
    parser.add_argument("pool", type=Path, help="a folder of scenes; what is missing is drawn")
    parser.add_argument("--output", type=Path, default=here / "model")
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoint.pt"))
    parser.add_argument("--scenes", type=int, default=4600, help="pictures drawn for training")
    parser.add_argument("--held-out", type=int, default=120, help="scenes per rendering to test on")
    parser.add_argument("--look", type=int, default=7000, help="steps of stage 1")
    parser.add_argument("--read", type=int, default=1000, help="steps of stage 2")
    parser.add_argument("--together", type=int, default=1000, help="steps of stage 3")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--captions", type=int, default=48)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=2027)
    parser.add_argument("--report", type=int, default=250)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    trainer = Trainer(args)
    trainer.look()
    trainer.learn_to_read()
    trainer.together()
    (args.output / "training.json").unlink(missing_ok=True)
    figures = {"steps": [args.look, args.read, args.together], "scenes": args.scenes}
    trainer.say(json.dumps(figures))


if __name__ == "__main__":
    main()
