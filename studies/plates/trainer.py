"""A model in training: what it sees and reads, how right it is, and where it stands."""

from __future__ import annotations

import argparse
import math
import shutil
import time
from collections.abc import Callable, Iterator

import numpy as np
import open_clip
import torch
from safetensors.torch import load_file
from torch.nn.functional import normalize

from studies.fieldguide.species import invent_name
from studies.fieldguide.training import MODEL_CONFIG, PHRASES, average_precision, save_model
from studies.fieldguide.vocabulary import TEMPLATES, train_tokenizer
from studies.plates.batches import make_batch, single_hand_pool
from studies.plates.pool import HANDS, draw_pool


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
        if args.start is None:
            train_tokenizer(args.output)
        else:
            for file in args.start.glob("tokenizer*.json"):
                shutil.copy(file, args.output)
        self.model = open_clip.model.CLIP(**MODEL_CONFIG)
        self.model.visual.to(memory_format=torch.channels_last)
        width = MODEL_CONFIG["embed_dim"]
        self.table = torch.nn.Parameter(torch.randn(len(PHRASES), width) * 0.1)
        if args.start is not None:
            weights = load_file(args.start / "open_clip_model.safetensors")
            self.model.load_state_dict({name: value.float() for name, value in weights.items()})
        save_model(self.model, args.output)
        self.tokenize = open_clip.get_tokenizer(f"local-dir:{args.output}")
        if args.start is not None:
            self.table = torch.nn.Parameter(self.spoken(), requires_grad=False)
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
    def spoken(self) -> torch.Tensor:
        """(phrases, D): what the text tower says of every phrase, in the mean over templates."""
        self.model.eval()
        rng = np.random.default_rng(self.args.seed)
        spoken = [
            self.read(
                [t.format(phrase=p.text, name=invent_name(rng).capitalize()) for p in PHRASES]
            )
            for t in TEMPLATES
        ]
        return normalize(torch.stack(spoken).mean(dim=0), dim=1)

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
        warmup = max(1, min(100, steps // 4))

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
