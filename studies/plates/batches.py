"""What a step of training learns from: crops, sentences, and which are true of which."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from studies.fieldguide.species import invent_name
from studies.fieldguide.training import PHRASES, Batch
from studies.fieldguide.traits import VALUES
from studies.fieldguide.vocabulary import TEMPLATES
from studies.plates.crops import judge
from studies.plates.pool import HANDS, TRAIT_NAMES, Pool, pooled, training_scene


def make_batch(
    pool: Pool, size: int, captions: int, rng: np.random.Generator, vary: bool = True
) -> Batch:
    """Crops of random scenes with the truth about every phrase and some conjunctions of them."""
    judged = judge(pool, rng.integers(len(pool.scenes), size=size), rng, vary)
    truth, known = judged.truth, judged.known
    texts = [sentence([i], rng) for i in range(len(PHRASES))]
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
        texts.append(sentence(chosen.tolist(), rng))
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


def sentence(phrases: list[int], rng: np.random.Generator) -> str:
    """A sentence that says all of these phrases, about a bird with an invented name."""
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
