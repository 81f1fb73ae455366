"""When an image has been looked at enough: its crops are embedded in rounds, and no more of them
once the others would hardly change the label.

The label that counts is the one that all M crops would give. After k of them, with a the best
class and c one of its rivals, the difference of their scores, s_a - s_c, is an estimate of the same
difference after M. Its error is taken from the crops at hand: with `x_i = <f_i, t_a - t_c>` (means
over the attributes of each class) and s^2 the variance of x over the k crops,

    error^2 = theta^2 s^2 (1/k - 1/M)

is the variance of a mean of k crops about that of all M, drawn without putting back. The chance
that c overtakes a is Student's t of `(s_a - s_c) / error` with k - 1 degrees of freedom, and the
*doubt* of an image is their sum over the rivals (Boole). It is an estimate: scores are transported
and not plain means, crops are not normally distributed. How often it is right is measured in
docs/research/evaluation/forward_passes.md.

For one-sided plans (`alignment.one_sided`), which have no mean of crops behind them, x is what a
region adds to a score to first order, the score's influence function: with k regions, weights w and
strengths a_j,

    phi_ic = k sum_j v_j w_ij (S_ij - a_j),   error^2 = var_i(phi_ia - phi_ic) (1/k - 1/M).

That no other crop *could* change the label is never known before nearly all are seen: a crop's
embedding may point anywhere (the same page).

Crops are visited in an order in which the first ones already stand for all: their places and sizes
are spread as those of the whole set are (kernel herding, Welling 2009). The set stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lazsl.alignment.align import select_regions, top_classes
from lazsl.alignment.attributes import PackedAttributes, on_grid
from lazsl.alignment.plans import Plans, top_plans
from lazsl.images.crop_layouts import LEVELS
from lazsl.settings import ScoringSettings

FIRST = 8
"""Crops of the first round, beside the whole image: fewer tell no variance."""

RIVALS = 4
"""Classes behind the best that may overtake it; those behind them are further away."""

_WIDTH = 0.1  # of the kernel, in mean squared distances


def level_rounds(count: int) -> tuple[int, ...]:
    """The same for the levels of a pyramid: each next one, from 13 squares on, as fewer tell no
    variance.

    >>> level_rounds(90)
    (13, 29, 54, 90)
    """
    seen = np.cumsum([along**2 for along, _ in LEVELS]).tolist()
    return (*(n for n in seen if 13 <= n < count), count)


def rounds(count: int) -> tuple[int, ...]:
    """Crops that have been seen after each round, a third more every time; the last is `count`.

    >>> rounds(90)
    (8, 11, 15, 20, 27, 36, 48, 64, 90)
    """
    seen = [min(FIRST, count)]
    while seen[-1] < count:
        after = -(-4 * seen[-1] // 3)
        # A last round of a few crops would cost a batch and save nothing.
        seen.append(after if after + after // 4 < count else count)
    return tuple(seen)


def in_telling_order(boxes: np.ndarray) -> np.ndarray:
    """The same boxes (M + 1, 4), row 0 in its place, the others in the order they are visited in.

    Each next crop is the one that brings the crops so far nearest to all of them, by the mean of
    the kernel `1 / (1 + d^2 / h)` over centre and side; a pure function of the boxes.
    """
    crops = boxes[1:].astype(np.float64)
    if len(crops) < 2:
        return boxes
    places = np.stack(
        [
            (crops[:, 0] + crops[:, 2]) / 2,
            (crops[:, 1] + crops[:, 3]) / 2,
            crops[:, 2] - crops[:, 0],
        ]
    )
    apart = np.square(places[:, :, None] - places[:, None, :])
    # Sums in a fixed order, so that every machine goes the same way.
    distance = apart[0] + apart[1] + apart[2]
    width = _WIDTH * _sum(_sum(distance)) / distance.size or 1.0
    likeness = 1 / (1 + distance / width)
    wanted = _sum(likeness) / len(crops)
    covered = np.zeros(len(crops))
    order: list[int] = []
    for turn in range(1, len(crops) + 1):
        lacking = wanted - covered / turn
        lacking[order] = -np.inf
        order.append(int(lacking.argmax()))
        covered += likeness[order[-1]]
    return np.concatenate([boxes[:1], boxes[1:][order]])


def _sum(values: np.ndarray) -> np.ndarray:
    """Over the first axis, first to last."""
    total: np.ndarray = np.add.accumulate(values, axis=0)[-1]
    return total


@torch.no_grad()
def doubts(
    crops: Tensor,
    whole: Tensor,
    count: int,
    packed: PackedAttributes,
    scoring: ScoringSettings,
    memory_bytes: int = 256 * 2**20,
) -> np.ndarray:
    """(B,) float64, the estimated chance that an image's unseen crops change its label.

    0 where all are seen or there is one class. An image's doubt does not depend on the others.

    Args:
        crops: (B, k, D) float32, the embeddings seen so far, k at least 2.
        whole: (B, D) float32.
        count: M, crops that the image has.
        packed: the label set.
        scoring: how the label is decided.
        memory_bytes: bound of the working memory.
    """
    images, seen, _ = crops.shape
    if seen >= count or len(packed.means) < 2 or not images:
        return np.zeros(images)
    if scoring.one_sided:
        regions = torch.cat([whole[:, None], crops], 1)
        keep = torch.ones(regions.shape[:2], dtype=torch.bool, device=regions.device)
        settings = scoring.aligning(memory_bytes)
        plans = top_plans(regions, whole, keep, packed, RIVALS + 1, **settings)[1]
        x = _influence(plans)
        scores, seen, count = plans.scores, seen + 1, count + 1
        variance = _variance(x[:, :, :1] - x[:, :, 1:])
        return _chance_of_another(scores, np.sqrt(variance * (1 / seen - 1 / count)), seen)
    top = top_classes(
        crops,
        whole,
        select_regions(crops, whole, scoring.gamma),
        packed,
        k=RIVALS + 1,
        **scoring.aligning(memory_bytes),
    )
    means = packed.means[top.classes]
    between = on_grid(means[:, :1] - means[:, 1:])
    # Exact sums: (k, B, rivals).
    x = (on_grid(crops.double()) @ between.mT).transpose(0, 1).contiguous().cpu().numpy()
    error = np.sqrt(scoring.theta**2 * _variance(x) * (1 / seen - 1 / count))
    return _chance_of_another(top.scores, error, seen)


def _variance(x: np.ndarray) -> np.ndarray:
    """Of (k, B, rivals) over the k."""
    off = x - _sum(x) / len(x)
    variance: np.ndarray = _sum(off * off) / (len(x) - 1)
    return variance


def _influence(plans: Plans) -> np.ndarray:
    """(k, B, classes) float64, phi of every region."""
    plan, similarity = plans.plan.double(), plans.similarity.double()
    mass = (plan * similarity).permute(2, 0, 1, 3).cpu().numpy()
    strengths = _sum(mass) * plans.sizes[:, :, None].cpu().numpy()
    share = plan.permute(2, 0, 1, 3).cpu().numpy()
    parts = mass - share * strengths
    return len(parts) * _sum(np.moveaxis(parts, 3, 0))


def _chance_of_another(scores: Tensor, error: np.ndarray, seen: int) -> np.ndarray:
    """(B,) from scores (B, classes), best first, and the errors (B, rivals) of their distances."""
    # SciPy takes a while to import, and most jobs never ask.
    from scipy.special import stdtr

    best = scores.double().cpu().numpy()
    ahead = best[:, :1] - best[:, 1:]
    # Without any error the order stands, and equal scores are an even chance.
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.where(ahead > 0, ahead / error, 0.0)
    chance = stdtr(seen - 1, -steps)
    doubt: np.ndarray = np.minimum(_sum(chance.T), 1.0)
    return doubt


@dataclass(frozen=True)
class Stopping:
    """When to stop: the label set and scoring whose label is meant, and the doubt allowed."""

    packed: PackedAttributes
    scoring: ScoringSettings
    count: int
    doubt: float

    def enough(self, vectors: np.ndarray) -> np.ndarray:
        """(B,) bool, which images have been seen enough: (B, 1 + k, D) float16 as stored, the
        whole image first."""
        if vectors.shape[1] > self.count:
            return np.ones(len(vectors), dtype=bool)
        stored = torch.from_numpy(vectors.astype(np.float32)).to(self.packed.embeddings.device)
        chances = doubts(stored[:, 1:], stored[:, 0], self.count, self.packed, self.scoring)
        enough: np.ndarray = chances <= self.doubt
        return enough
