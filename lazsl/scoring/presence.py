"""Is an attribute there at all? Its strength held against those of its rivals.

An attribute that an image does not show still takes its share of the plan, from the least bad
region, so that strength and share do not tell whether it was seen. Its rivals do: what else might
be said of the same thing. With a_j the strength of an attribute (`alignment.one_sided`) and R(j)
its rivals,

    p_j = exp(a_j / tau) / (exp(a_j / tau) + sum_{k in R(j)} exp(a_k / tau)),

the *presence* of j; of an image as its best class, `P = exp(mean_j log p_j)`, and the *gap*
`G = -mean_j max(0, max_{R(j)} a_k - a_j)`, which is 0 where every attribute leads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lazsl.scoring.embedded import EmbeddedLabels

SEEN = 0.5
"""Presence from which an attribute counts as seen: more likely than all of its rivals together."""


@dataclass(frozen=True)
class Presence:
    """What is there of the best classes of some images.

    Attributes:
        of_attributes: (B, k, n) float32, p_j of each class's attributes; 0 beyond its own size.
        of_image: (B,) float32, P of the best class.
        gap: (B,) float32, G of the best class.
    """

    of_attributes: Tensor
    of_image: Tensor
    gap: Tensor


def measure_presence(
    strengths: Tensor, classes: Tensor, labels: EmbeddedLabels, temperature: float | None
) -> Presence:
    """The presence of the attributes of chosen classes.

    Args:
        strengths: (B, N), as `align.attribute_strengths` gives them.
        classes: (B, k) indices, best first.
        labels: the label set.
        temperature: tau.

    Raises:
        ValueError: the temperature was not resolved by the model.
    """
    if temperature is None:
        raise ValueError("the temperature of presence depends on the model; resolve it first")
    starts = labels.packed.starts
    sizes = starts.diff()[classes]
    within = torch.arange(int(sizes.max()), device=classes.device)
    real = within < sizes[:, :, None]
    rows = (starts[classes][:, :, None] + within).where(real, 0)
    texts = labels.rivals.strengths(strengths)
    of_attributes = strengths.gather(1, rows.flatten(1)).view(rows.shape)
    rivals = labels.rivals.nearest(labels.rivals.text[rows])
    theirs = texts.gather(1, rivals.clamp(min=0).flatten(1)).view(rivals.shape)
    ahead = (theirs - of_attributes[..., None]).masked_fill(rivals < 0, -torch.inf).double()
    present = 1 / (1 + (ahead / temperature).exp().sum(3))
    lacking = ahead.amax(3).clamp_(min=0)
    size = sizes[:, 0]
    first = real[:, 0]
    log_mean = present[:, 0].log().masked_fill(~first, 0.0).sum(1) / size
    gap = lacking[:, 0].masked_fill(~first, 0.0).sum(1) / size
    return Presence(present.masked_fill(~real, 0.0).float(), log_mean.exp().float(), -gap.float())
